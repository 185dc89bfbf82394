"""Each loss, built on purpose in a real warehouse: the check that is there for it is red, and no other.

Local Airbyte has brought two streams in each sync mode, twice; what is lost is lost of the first of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg
import pytest

from airbyte_dagster import PostgresWarehouseResource
from airbyte_dagster.local.engine import JobRequest
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres
from airbyte_dagster_tests.proof.airbyte import Clock
from airbyte_dagster_tests.proof.shop import APPENDING, MERGE, MODES, ROWS, Shop, by_mode, of_all
from airbyte_dagster_tests.proof.world import Place, World, green, red

HOUR = 3600.0


@pytest.fixture(scope="module")
def make(
    proof_airbyte: RunningAirbyte, clock: Clock, proof_directory: Path, proof_instance: dg.DagsterInstance
) -> Callable[..., World]:
    return lambda name, streams, checks, place: World(
        name, proof_airbyte, clock, proof_directory, place, proof_instance, streams, checks
    )


@pytest.fixture(scope="module")
def in_duckdb(make: Callable[..., World], proof_airbyte: RunningAirbyte) -> Shop:
    return Shop(make, Place.duckdb(proof_airbyte.home.root / "shop.duckdb"))


@pytest.fixture(scope="module")
def in_postgres(make: Callable[..., World], postgres: Postgres) -> Shop:
    postgres.query("CREATE DATABASE shop")
    made = Place.postgres(postgres, "public")
    assert isinstance(made.warehouse, PostgresWarehouseResource)
    warehouse = made.warehouse.model_copy(update={"database": "shop"})
    return Shop(make, replace(made, configuration={**made.configuration, "database": "shop"}, warehouse=warehouse))


class Spoiled:
    """A shop whose warehouse is as the syncs left it, until a test spoils it.

    Args:
        execute: Runs SQL in the warehouse.
    """

    def __init__(self, shop: Shop, execute: Callable[[str], object]) -> None:
        self.shop = shop
        self._execute = execute

    def spoil(self, *statements: str) -> None:
        """Run these for each sync mode; the names of the tables are filled in."""
        for mode in MODES:
            for statement in statements:
                self._execute(statement.format(orders=f"orders_{mode}", refunds=f"refunds_{mode}"))

    def found(self, *statements: str) -> dict[str, set[str]]:
        """Run these, and return what is red then."""
        self.spoil(*statements)
        return self.shop.found()


@pytest.fixture
def file(in_duckdb: Shop, proof_airbyte: RunningAirbyte) -> Iterator[Path]:
    """The DuckDB file, which is as it was after the test."""
    path = proof_airbyte.home.root / "shop.duckdb"
    kept = path.with_name("kept.duckdb")
    shutil.copy(path, kept)
    yield path
    shutil.copy(kept, path)


@pytest.fixture
def duck(in_duckdb: Shop, file: Path) -> Spoiled:
    def execute(statement: str) -> None:
        with duckdb.connect(str(file)) as connection:
            connection.execute(statement)

    return Spoiled(in_duckdb, execute)


@pytest.fixture
def elephant(in_postgres: Shop, postgres: Postgres) -> Iterator[Spoiled]:
    """The same in PostgreSQL."""
    postgres.query("CREATE DATABASE kept TEMPLATE shop")

    def execute(statement: str) -> None:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": postgres.port, "dbname": "shop"}
        with psycopg.connect(**where, user="airbyte", password=PASSWORD) as connection:
            connection.execute(statement)

    yield Spoiled(in_postgres, execute)
    postgres.query("DROP DATABASE shop WITH (FORCE)")
    postgres.query("ALTER DATABASE kept RENAME TO shop")


@pytest.fixture(params=["duck", "elephant"])
def either(request: pytest.FixtureRequest) -> Spoiled:
    """One of each kind of warehouse."""
    found: Spoiled = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def new_shop(make: Callable[..., World], proof_airbyte: RunningAirbyte, tmp_path: Path) -> Callable[[], Shop]:
    """Makes a shop of its own for a test that syncs."""
    file = proof_airbyte.home.root / f"{tmp_path.name}.duckdb"

    def made() -> Shop:
        return Shop(
            lambda _name, *arguments: make(f"shop_{tmp_path.name}".replace("-", "_"), *arguments),
            Place.duckdb(file),
            syncs=1,
        )

    return made


def test_nothing_is_lost_yet(either: Spoiled) -> None:
    """All checks of all streams pass, right after a sync and by themselves."""
    for checks in (either.shop.first, either.shop.look()):
        assert len(checks) == 8 * 8 + 4
        assert green(checks) == set(checks)


def test_rows_deleted(either: Spoiled) -> None:
    """The row count."""
    assert either.found("DELETE FROM {orders} WHERE number = 3") == of_all("orders:row_count")


def test_all_rows_deleted(duck: Spoiled) -> None:
    """The row count, and there is no newest row any more."""
    assert duck.found("DELETE FROM {orders}") == of_all("orders:row_count", "orders:fresh")


def test_rows_doubled(either: Spoiled) -> None:
    """The row count; and the keys, where each is to be there once."""
    found = either.found("INSERT INTO {orders} SELECT * FROM {orders} WHERE number < 5")

    assert found == of_all(
        "orders:row_count", "orders:unique_key", but={mode: {"orders:row_count"} for mode in APPENDING}
    )


def test_a_row_exchanged_for_a_copy_of_another(duck: Spoiled) -> None:
    """The count is as it was: only the keys tell, where each is to be there once."""
    found = duck.found(
        "INSERT INTO {orders} SELECT * FROM {orders} WHERE number = 5 LIMIT 1",
        "DELETE FROM {orders} WHERE rowid = (SELECT max(rowid) FROM {orders} WHERE number = 6)",
    )

    but: dict[str, set[str]] = {
        **{mode: set() for mode in APPENDING},
        MERGE: {"orders:row_count", "orders:unique_key"},
    }
    assert found == of_all("orders:unique_key", but=but)


def test_keys_nulled(either: Spoiled) -> None:
    """The check for nulls."""
    assert either.found("UPDATE {orders} SET number = NULL WHERE number = 3") == of_all("orders:not_null")


def test_a_column_cut(duck: Spoiled) -> None:
    """The columns are not those that there were."""
    assert duck.found("ALTER TABLE {orders} DROP COLUMN amount") == of_all("orders:schema")


def test_values_cut(duck: Spoiled) -> None:
    """Nothing but what the user says of them tells."""
    assert duck.found("UPDATE {orders} SET value = left(value, 3)") == of_all("orders:values_are_of_their_stream")


def test_a_column_of_another_type(duck: Spoiled) -> None:
    """As a number that has become text."""
    assert duck.found("ALTER TABLE {orders} ALTER amount TYPE VARCHAR") == of_all("orders:schema")


def test_all_values_of_a_column_nulled(duck: Spoiled) -> None:
    """A warning, as after a rename; nothing is red but what the user declared of the values."""
    duck.spoil("UPDATE {orders} SET part = NULL")
    checks = duck.shop.look()

    assert red(checks) == {}
    warned = by_mode(checks.keys() - green(checks))
    assert warned == of_all("orders:schema")
    assert "part had values and has only NULL now" in str(checks[f"orders_{MERGE}:schema"].description)


def test_streams_swapped(duck: Spoiled) -> None:
    """Both have as many rows, keys and columns: only what the user says of their values tells."""
    found = duck.found(
        "ALTER TABLE {orders} RENAME TO t",
        "ALTER TABLE {refunds} RENAME TO {orders}",
        "ALTER TABLE t RENAME TO {refunds}",
    )

    assert found == of_all("orders:values_are_of_their_stream", "refunds:values_are_of_their_stream")


def test_a_table_replaced_by_its_namesake(duck: Spoiled) -> None:
    """Of another schema, with fewer rows and other columns."""
    found = duck.found(
        "CREATE SCHEMA IF NOT EXISTS other",
        "CREATE TABLE other.{orders} AS SELECT * EXCLUDE (amount) FROM {orders} WHERE number < 7",
        "CREATE OR REPLACE TABLE main.{orders} AS SELECT * FROM other.{orders}",
    )

    assert found == of_all("orders:row_count", "orders:schema")


def test_a_table_dropped_with_a_namesake_elsewhere(duck: Spoiled) -> None:
    """Each check of a table: it is missing, whatever another schema has."""
    found = duck.found(
        "CREATE SCHEMA IF NOT EXISTS other",
        "CREATE TABLE other.{orders} AS FROM main.{orders}",
        "DROP TABLE main.{orders}",
    )

    assert found == all_of_tables("orders")


def test_a_database_deleted(duck: Spoiled, file: Path) -> None:
    """Each check of a table."""
    file.unlink()

    assert duck.found() == all_of_tables("orders", "refunds")


def all_of_tables(*streams: str) -> dict[str, set[str]]:
    """All checks but of what the job says by itself."""
    names = {"row_count", "unique_key", "not_null", "fresh", "schema", "values_kept", "expected_range"}
    found = {f"{stream}:{name}" for stream in streams for name in (*names, "values_are_of_their_stream")}
    return of_all(*found)


def test_values_that_the_destination_nulled(new_shop: Callable[[], Shop]) -> None:
    """The check of values; it names the field and the reason."""
    shop = new_shop()
    for (name, _), stream in shop.streams.items():
        if name == "orders":
            stream.put(3, "a", value=f"{stream.name} 3", amount="three")
    shop.world.script()

    checks = shop.world.sync()

    assert by_mode(red(checks)) == of_all("orders:values_kept")
    assert "amount NULLED DESTINATION_TYPECAST_ERROR (1)" in str(checks[f"orders_{MERGE}:values_kept"].description)


def test_a_stale_replica(new_shop: Callable[[], Shop], clock: Clock, tmp_path: Path) -> None:
    """What is read is the copy of before the last sync: rows are missing, and half a day later it is too old."""
    clock.pass_by(-13 * HOUR)
    shop = new_shop()
    clock.pass_by(13 * HOUR)
    file = Path(shop.world.place.configuration["destination_path"])
    stale = shutil.copy(file, tmp_path / "stale.duckdb")
    shop.add(ROWS)
    assert shop.sync() == of_all()
    shutil.copy(stale, file)

    both = [f"{stream}:{check}" for stream in ("orders", "refunds") for check in ("row_count", "fresh")]
    assert shop.found() == of_all(*both)


def test_only_the_last_batch_kept(new_shop: Callable[[], Shop], proof_airbyte: RunningAirbyte) -> None:
    """A destination that overwrote its own batches: what was there before, or came first, is missing."""
    shop = new_shop()
    shop.add(ROWS)

    def overwrite(request: JobRequest) -> None:
        with duckdb.connect(request.warehouse.path) as connection:
            for mode in MODES:
                connection.execute(f"DELETE FROM orders_{mode} WHERE number < {ROWS + 5}")  # noqa: S608

    proof_airbyte.engine.afterwards = overwrite

    assert shop.sync() == of_all("orders:row_count")
