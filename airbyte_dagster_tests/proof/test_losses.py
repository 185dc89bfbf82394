"""Each loss, built on purpose in a real warehouse: the check that is there for it is red, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster_tests.proof.harness import Watched, green, red
from airbyte_dagster_tests.proof.writer import HOUR, Happening, SimulatedWriter, SourceStream

ROWS = 20
#: One asset of each kind of stream; what is lost is lost in the first.
MODES = ("full_refresh_overwrite", "full_refresh_append", "incremental_append", "incremental_deduped_history")
CHECKS = {
    "preset": "strict",
    "fresh": {"within": "12h"},
    "expected_range": {"max": 1000},
    "sql": {"values_are_of_their_stream": "SELECT * FROM {table} WHERE value NOT LIKE '{stream} %'"},
}


def checks_of(stream: Stream) -> Checks:
    query = CHECKS["sql"]["values_are_of_their_stream"].replace("{stream}", stream.name)  # type: ignore[index]
    return Checks(**{**CHECKS, "sql": {"values_are_of_their_stream": query}})


class World:
    """Two streams of a sync mode, synced twice, and checked."""

    def __init__(self, directory: Path, instance: dg.DagsterInstance, mode: str) -> None:
        key = (("number",),)
        streams = [Stream(name, sync_mode=mode, primary_key=key) for name in ("orders", "refunds")]
        self.sources = [SourceStream(stream) for stream in streams]
        self.writer = SimulatedWriter(directory / "lms.duckdb")
        self.watched = Watched(instance, self.writer, self.sources, {s.key: checks_of(s) for s in streams})
        for first in (0, ROWS):
            for source in self.sources:
                for number in range(first, first + ROWS):
                    source.put(number, "a", f"{source.stream.name} {number}")
            before = self.watched.count()
            self.first = self.watched.record(self.writer.sync(self.sources, Happening()), before)

    def spoil(self, *statements: str) -> None:
        with duckdb.connect(str(self.writer.database)) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(params=MODES)
def world(tmp_path: Path, instance: dg.DagsterInstance, request: pytest.FixtureRequest) -> World:
    made = World(tmp_path, instance, request.param)
    verified = {f"{name}:{check}" for name in ("orders", "refunds") for check in ("row_count", "not_null", "fresh")}
    assert red(made.first) == red(made.watched.look()) == {}
    assert verified <= green(made.first) & green(made.watched.look())
    return made


def found(world: World) -> set[str]:
    return set(red(world.watched.look()))


def test_rows_deleted(world: World) -> None:
    """The row count."""
    world.spoil("DELETE FROM orders WHERE number = 3")

    assert found(world) == {"orders:row_count"}


def test_all_rows_deleted(world: World) -> None:
    """The row count, and there is no newest row any more."""
    world.spoil("DELETE FROM orders")

    assert found(world) == {"orders:row_count", "orders:fresh"}


def test_rows_doubled(world: World) -> None:
    """The row count; and the keys, where each is to be there once."""
    world.spoil("INSERT INTO orders SELECT * FROM orders WHERE number < 5")

    keys = set() if "append" in world.sources[0].stream.sync_mode else {"orders:unique_key"}
    assert found(world) == {"orders:row_count"} | keys


def test_a_row_exchanged_for_a_copy_of_another(world: World) -> None:
    """The count is as it was: only the keys tell, where each is to be there once."""
    world.spoil(
        "INSERT INTO orders SELECT * FROM orders WHERE number = 5 LIMIT 1", "DELETE FROM orders WHERE number = 6"
    )

    if world.sources[0].stream.sync_mode == "incremental_deduped_history":
        assert found(world) == {"orders:row_count", "orders:unique_key"}
    elif world.sources[0].stream.sync_mode == "full_refresh_overwrite":
        assert found(world) == {"orders:unique_key"}


def test_keys_nulled(world: World) -> None:
    """The check for nulls."""
    world.spoil("UPDATE orders SET number = NULL WHERE number = 3")

    assert found(world) == {"orders:not_null"}


def test_a_column_cut(world: World) -> None:
    """The columns are not those that there were."""
    world.spoil("ALTER TABLE orders DROP COLUMN version")

    assert found(world) == {"orders:schema"}


def test_a_column_of_another_type(world: World) -> None:
    """As a number that has become text."""
    world.spoil("ALTER TABLE orders ALTER number TYPE VARCHAR")

    assert found(world) == {"orders:schema"}


def test_all_values_of_a_column_nulled(world: World) -> None:
    """A warning, as after a rename; nothing is red but what the user declared of the values."""
    world.spoil("UPDATE orders SET part = NULL")
    results = world.watched.look()

    assert red(results) == {}
    assert not results["orders:schema"].passed
    assert "part had values and has only NULL now" in str(results["orders:schema"].description)


def test_values_that_the_destination_nulled(world: World) -> None:
    """A warning, with the field and the reason; nothing is red."""
    before = world.watched.count()
    for source in world.sources:
        source.put(99, "a", f"{source.stream.name} 99")

    results = world.watched.record(world.writer.sync(world.sources, Happening(changed=frozenset({0}))), before)

    assert red(results) == {}
    assert not results["orders:values_kept"].passed
    assert "value NULLED DESTINATION_TYPECAST_ERROR (1)" in str(results["orders:values_kept"].description)
    assert results["refunds:values_kept"].passed


def test_streams_swapped(world: World) -> None:
    """Both have as many rows, keys and columns: only what the user says of their values tells."""
    world.spoil(
        "ALTER TABLE orders RENAME TO t", "ALTER TABLE refunds RENAME TO orders", "ALTER TABLE t RENAME TO refunds"
    )

    assert found(world) == {"orders:values_are_of_their_stream", "refunds:values_are_of_their_stream"}


def test_a_table_replaced_by_its_namesake(world: World) -> None:
    """Of another schema, with fewer rows and other columns."""
    world.spoil(
        "CREATE SCHEMA other",
        "CREATE TABLE other.orders AS SELECT * EXCLUDE (version) FROM orders WHERE number < 7",
        "CREATE OR REPLACE TABLE main.orders AS SELECT * FROM other.orders",
    )

    assert found(world) == {"orders:row_count", "orders:schema"}


def test_a_table_dropped_with_a_namesake_elsewhere(world: World) -> None:
    """It is missing, whatever another schema has."""
    world.spoil("CREATE SCHEMA other", "CREATE TABLE other.orders AS FROM main.orders", "DROP TABLE main.orders")

    red_checks = found(world)

    assert {name for name in red_checks if not name.startswith("orders:")} == set()
    assert "orders:row_count" in red_checks
    assert green(world.watched.look()) & {"orders:row_count", "orders:not_null", "orders:fresh"} == set()


def test_a_stale_replica(world: World) -> None:
    """What is read is the copy of before the last sync: rows are missing; a day later it is too old as well."""
    database = world.writer.database
    stale = database.with_name("stale.duckdb")
    shutil.copy(database, stale)
    before = world.watched.count()
    for source in world.sources:
        source.put(77, "a", f"{source.stream.name} 77")
    outcome = world.writer.sync(world.sources, Happening())
    shutil.copy(stale, database)

    results = world.watched.record(outcome, before)
    world.writer.now += 13 * HOUR

    assert {name for name in red(results) if "row_count" in name} == set(red(results))
    deduped = world.sources[0].stream.sync_mode == "incremental_deduped_history"
    assert set(red(results)) == (set() if deduped else {"orders:row_count", "refunds:row_count"})
    assert {"orders:fresh", "refunds:fresh"} <= found(world)


def test_a_database_deleted(world: World) -> None:
    """Each check of a table."""
    world.writer.database.unlink()

    red_checks = found(world)

    of_tables = {f"{name}:{check}" for name in ("orders", "refunds") for check in ("row_count", "not_null", "fresh")}
    assert of_tables <= red_checks
    assert not any(name.endswith("moved_something") for name in red_checks)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_last_batch_kept(tmp_path: Path, instance: dg.DagsterInstance, mode: str) -> None:
    """A destination that overwrote its own batches: what was there before, or came first, is missing."""
    world = World(tmp_path, instance, mode)
    before = world.watched.count()
    for source in world.sources:
        for number in range(100, 110):
            source.put(number, "a", f"{source.stream.name} {number}")
    outcome = world.writer.sync(world.sources, Happening())
    world.spoil("DELETE FROM orders WHERE number < 105")

    assert set(red(world.watched.record(outcome, before))) == {"orders:row_count"}
