"""Names of tables and columns, and columns whose types change."""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from airbyte_dagster.destinations import names
from airbyte_dagster.warehouse.dialects import find_column
from airbyte_dagster_tests.local.postgresql import Postgres
from airbyte_dagster_tests.local.work.worker import Worker, plan, record, state

TEXT, INTEGER, NUMBER = ({"type": kind} for kind in ("string", "integer", "number"))
LONG = "x" * 70


@pytest.mark.parametrize("pair", [("userId", "userid"), ("a.b", "a-b"), ("a/b", "a~b"), (LONG + "1", LONG + "2")])
def test_columns_of_similar_names_are_columns_of_their_own(
    pair: tuple[str, str], worker: Worker, postgres_worker: Worker, postgres: Postgres
) -> None:
    """Each keeps its values, in DuckDB and in PostgreSQL, also in a table that was made with one of them alone."""
    one, two = pair
    for found in (worker, postgres_worker):
        streams = [plan("pairs", {one: TEXT}), plan("pairs", {one: TEXT, two: TEXT}, strategy="replace")]
        assert found.run(streams[:1], [record("pairs", {one: "1"})]).failure is None
        assert found.run(streams[1:], [record("pairs", {one: "1", two: "2"})]).failure is None
    stored = worker.query("SELECT * EXCLUDE (_airbyte_raw_id) FROM pairs")[0]
    assert {"1", "2"} <= set(stored)
    ((row,),) = postgres.query("SELECT to_jsonb(s) FROM main.pairs s")
    assert {"1", "2"} <= {value for value in json.loads(row).values() if isinstance(value, str)}


@pytest.mark.parametrize("strategy", ["append", "merge"])
@pytest.mark.parametrize("first", ["userId", "userid"])
def test_a_column_stays_that_of_its_field(
    first: str, strategy: str, worker: Worker, postgres_worker: Worker, postgres: Postgres
) -> None:
    """A field of a similar name that comes later gets another column, and so it stays when one of them goes."""
    second = "userid" if first == "userId" else "userId"
    for found, one, two in ((worker, first, second), (postgres_worker, f"{first}.", f"{first}-")):
        more: dict[str, Any] = {"strategy": strategy, "schema": f"{first}_{strategy}"}
        if strategy == "merge":
            more |= {"dedupe": True, "primary_key": (("id",),)}
        syncs = [{one: "1"}, {one: "1", two: "2"}, {two: "2"}, {one: "1"}, {two: "2", one: "1"}]
        for number, values in enumerate(syncs):
            row = {"id": number, **values}
            stream = plan("pairs", {"id": INTEGER, **dict.fromkeys(values, TEXT)}, **more)
            assert found.run([stream], [record("pairs", row)]).failure is None
    texts = "SELECT column_name FROM information_schema.columns WHERE table_name = 'pairs' AND data_type LIKE '%CHAR%'"
    columns = [name for (name,) in worker.query(texts) if not name.startswith("_airbyte")]
    wanted = [("1", None), ("1", "2"), (None, "2"), ("1", None), ("1", "2")]
    assert columns[0] == "userid"
    assert worker.query(f'SELECT {", ".join(columns)} FROM "{first}_{strategy}".pairs ORDER BY id') == wanted
    other = names.digested(f"{first}-", names.postgres)
    rows = postgres.query(f'SELECT "{first}_", "{other}" FROM "{first}_{strategy}".pairs ORDER BY id')
    assert rows == [[value or "~" for value in row] for row in wanted]
    # Checks read each field where it was written.
    there = tuple((name, "VARCHAR") for name in columns)
    assert [find_column(there, field) for field in (first, second)] == list(there)


def test_a_column_stays_that_of_its_field_when_the_table_is_replaced(worker: Worker) -> None:
    """Where only the later one of two similar fields is left, its values are not looked for in an empty column."""
    both = ("userId", "userid")
    for strategy, fields in (("append", ("userId",)), ("append", both), ("replace", ("userid",)), ("replace", both)):
        stream = plan("replaced", dict.fromkeys(fields, TEXT), strategy=strategy)
        assert worker.run([stream], [record("replaced", {field: field for field in fields})]).failure is None
        there = tuple(worker.query("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'replaced'"))
        for field in fields:
            column = find_column(there, field)
            assert column is not None
            assert (field,) in worker.query(f'SELECT "{column[0]}" FROM replaced')


def test_comments_of_others_stay(worker: Worker) -> None:
    """What a person wrote at a column is not overwritten."""
    streams = [plan("items", {"userId": TEXT})]
    worker.run(streams, [record("items", {"userId": "1"})])
    comments = "SELECT comment FROM duckdb_columns() WHERE table_name = 'items' AND column_name = 'userid'"
    assert worker.query(comments) == [("Airbyte field: userId",)]
    with duckdb.connect(str(worker.file)) as connection:
        connection.execute("COMMENT ON COLUMN items.userid IS 'who bought it'")
    assert worker.run(streams, [record("items", {"userId": "2"})]).failure is None
    assert worker.query(comments) == [("who bought it",)]


def test_names_that_are_hard_to_write(worker: Worker) -> None:
    """Quotes, words of SQL, the empty name, a name of another script: written, and found by `destinations`."""
    columns = ['q"uote', "it's", "select", "税率 2024", "Größe (cm)", "2024", "a\\b"]
    row = {name: str(i) for i, name in enumerate(columns)}
    assert worker.run([plan("order", dict.fromkeys(columns, TEXT))], [record("order", row)]).failure is None
    wanted = ", ".join(f'"{names.motherduck(name)}"' for name in columns)
    assert worker.query(f'SELECT {wanted} FROM "order"') == [tuple(row.values())]


def test_one_name_in_two_namespaces(worker: Worker) -> None:
    """Two streams, each with its own rows and key, wherever the record has its namespace."""
    streams = [
        plan("account", {"v": INTEGER}, namespace=name, schema=name, primary_key=(("v",),), dedupe=True)
        for name in ("schema1", "schema2")
    ]
    lines = [record("account", {"v": 1}, "schema1"), record("account", {"v": 2}, "schema2")]
    assert worker.run(streams, lines).failure is None
    assert worker.query("SELECT (SELECT v FROM schema1.account), (SELECT v FROM schema2.account)") == [(1, 2)]


CHANGES = [
    # was, has become, before, after: values; the type of the column
    (INTEGER, TEXT, [1], ["x"], [("1",), ("x",)], "VARCHAR"),
    (INTEGER, NUMBER, [1], [1.5], [(1.0,), (1.5,)], "DOUBLE"),
    (INTEGER, NUMBER, [2**53 + 1], [1.5], [(2**53 + 1,), (None,)], "BIGINT"),
    (TEXT, INTEGER, ["x"], [1], [("1",), ("x",)], "VARCHAR"),
    (NUMBER, INTEGER, [0.5], [2**53 + 1], [(0.5,), (None,)], "DOUBLE"),
    (INTEGER, {"type": "object"}, [1], [{"a": 1}], [("1",), ('{"a":1}',)], "JSON"),
    (INTEGER, {"type": "boolean"}, [1], [True], [(1,), (None,)], "BIGINT"),
    (
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        ["2026-02-28"],
        ["2026-03-01T12:00:00Z"],
        [("2026-02-28 00:00:00+00",), ("2026-03-01 12:00:00+00",)],
        "TIMESTAMP WITH TIME ZONE",
    ),
]


@pytest.mark.parametrize(("was", "is_now", "before", "after", "stored", "kind"), CHANGES)
def test_a_column_that_changes_its_type(
    was: Any, is_now: Any, before: list[Any], after: list[Any], stored: list[Any], kind: str, worker: Worker
) -> None:
    """The column follows where nothing is lost; else it stays, and what does not fit is NULL and listed."""
    assert worker.run([plan("s", {"v": was})], [record("s", {"v": v}) for v in before]).failure is None
    assert worker.run([plan("s", {"v": is_now})], [record("s", {"v": v}) for v in after]).failure is None
    shown = "v::VARCHAR" if kind.startswith("TIMESTAMP") else "v"
    assert sorted(worker.query(f"SELECT {shown} FROM s"), key=str) == sorted(stored, key=str)
    assert worker.query("SELECT typeof(any_value(v)) FROM s") == [(kind,)]
    lost = [None] * sum(row == (None,) for row in stored)
    assert len(worker.query("SELECT 1 FROM s WHERE json_array_length(_airbyte_meta, 'changes') > 0")) == len(lost)


def test_columns_in_postgres_follow_too(postgres_worker: Worker, postgres: Postgres) -> None:
    """The same in PostgreSQL, in every strategy; a view of the table stays."""
    for strategy in ("append", "replace"):
        name = f"follows_{strategy}"
        streams = [plan(name, {"v": kind, "w": TEXT}, strategy=strategy) for kind in (INTEGER, TEXT)]
        assert postgres_worker.run(streams[:1], [record(name, {"v": 1, "w": "w"})]).failure is None
        if strategy == "replace":
            postgres.query(f"CREATE VIEW main.seen AS SELECT w FROM main.{name}")
        assert postgres_worker.run(streams[1:], [record(name, {"v": "x"})]).failure is None
    assert postgres.query("SELECT v FROM main.follows_append ORDER BY v") == [["1"], ["x"]]
    assert postgres.query("SELECT v, (SELECT count(*) FROM main.seen) FROM main.follows_replace") == [["x", "1"]]


def test_a_column_of_a_type_that_is_not_airbytes(postgres_worker: Worker, postgres: Postgres) -> None:
    """A user made it so: it stays, and PostgreSQL casts what is appended where it can."""
    streams = [plan("theirs", {"v": {"type": "number"}}, strategy="append")]
    assert postgres_worker.run(streams, [record("theirs", {"v": 1.5})]).failure is None
    postgres.query("ALTER TABLE main.theirs ALTER COLUMN v TYPE smallint")

    assert postgres_worker.run(streams, [record("theirs", {"v": 2.0})]).failure is None
    assert postgres.query("SELECT v, pg_typeof(v) FROM main.theirs ORDER BY _airbyte_extracted_at, v") == [
        ["2", "smallint"],
        ["2", "smallint"],
    ]


@pytest.mark.parametrize("strategy", ["append", "replace"])
def test_a_removed_column_stays(strategy: str, worker: Worker) -> None:
    """A field that the source has no more leaves its column, with what was there or NULL; a new one is added."""
    for field in ("old", "new"):
        streams = [plan("s", {"id": INTEGER, field: TEXT}, strategy=strategy)]
        assert worker.run(streams, [record("s", {"id": 1, field: field})]).failure is None
    found = worker.query("SELECT old, new FROM s ORDER BY new NULLS FIRST")
    assert found == ([("old", None), (None, "new")] if strategy == "append" else [(None, "new")])


def test_a_view_in_the_place_of_a_table_fails_the_job(worker: Worker) -> None:
    """DuckDB's own words are the reason, and no state is kept of rows that are nowhere."""
    with worker.open() as connection:
        connection.execute("CREATE VIEW s AS SELECT 1 AS v")
    found = worker.run([plan("s", {"v": INTEGER}, incremental=True)], [record("s", {"v": 1}), state("s", 1)])
    assert found.failure is not None
    assert found.failure["origin"] == "destination"
    assert "view" in found.failure["message"]
    assert found.states == []
    assert found.streams["s"]["records_committed"] == 0
