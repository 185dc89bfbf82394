"""Every value arrives as it is, or is NULL and listed."""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster_tests.local.postgresql import Postgres
from airbyte_dagster_tests.local.work.worker import Worker, plan, record

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "cases/values.json").read_text(encoding="utf-8"))
PROPERTIES = {f"k{i}": case["json_schema"] for i, case in enumerate(CASES)}
ROW = {f"k{i}": case["value"] for i, case in enumerate(CASES)}
#: What these are in PostgreSQL, by what they are in DuckDB.
IN_POSTGRES = {
    "VARCHAR": "character varying",
    "BOOLEAN": "boolean",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "TIMESTAMP": "timestamp without time zone",
    "TIME": "time without time zone",
    "JSON": "jsonb",
}
#: What makes two texts of a value equal.
SAME: dict[str, Callable[[str], Any]] = {"double precision": float, "jsonb": json.loads}


def listed(meta: str) -> set[str]:
    """The fields that `_airbyte_meta` lists as changed."""
    return {change["field"] for change in json.loads(meta)["changes"]}


@pytest.mark.parametrize("index", range(len(CASES)))
def test_nothing_is_lost_in_duckdb(index: int, stored: dict[str, Any]) -> None:
    """The column's type, and the value as text in UTC; what fits no column is NULL and listed, the rest is not."""
    case, name = CASES[index], f"k{index}"
    assert stored["types"][name] == case["duckdb_type"]
    if isinstance(case["becomes_null_and_is_listed"], bool):
        assert stored["values"][name] == case["text"]
        assert (name in stored["listed"]) == case["becomes_null_and_is_listed"]
    else:  # the case allows two answers: these are ours
        assert stored["values"][name] in {case["value"], "20240-01-01 00:00:00+00"}
        assert name not in stored["listed"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All cases as one row, written by one sync."""
    worker = Worker(tmp_path_factory.mktemp("values"))
    assert worker.run([plan("s", PROPERTIES, strategy="replace")], [record("s", ROW)]).failure is None
    names = list(PROPERTIES)
    (values,) = worker.query(f"SELECT {', '.join(f'{n}::VARCHAR' for n in names)} FROM s")
    (types,) = worker.query(f"SELECT {', '.join(f'typeof({n})' for n in names)} FROM s")
    ((meta,),) = worker.query("SELECT _airbyte_meta FROM s")
    return {
        "values": dict(zip(names, values, strict=True)),
        "types": dict(zip(names, types, strict=True)),
        "listed": listed(meta),
    }


def test_nothing_is_lost_in_postgres(postgres_worker: Worker, postgres: Postgres) -> None:
    """The same with PostgreSQL's own types; a text with U+0000 in it, which no text there can have, is listed."""
    assert postgres_worker.run([plan("s", PROPERTIES, strategy="replace")], [record("s", ROW)]).failure is None
    texts = ", ".join(f"'{n}', {n}::text" for n in PROPERTIES)
    kinds = ", ".join(f"'{n}', pg_typeof({n})" for n in PROPERTIES)
    utc = "SET timezone = 'UTC'"
    (_, [values]) = postgres.query(f"{utc}; SELECT jsonb_build_object({texts}) FROM main.s")
    ((types, meta),) = postgres.query(f"SELECT jsonb_build_object({kinds}), _airbyte_meta FROM main.s")
    found, zero = json.loads(values), next(f"k{i}" for i, case in enumerate(CASES) if "\0" in str(case["value"]))
    for i, case in enumerate(CASES):
        name, becomes, kind = f"k{i}", case["becomes_null_and_is_listed"], IN_POSTGRES[case["duckdb_type"]]
        assert json.loads(types)[name] == kind
        assert (name in listed(meta)) == (becomes is True or name == zero)
        if isinstance(becomes, bool):
            same = SAME.get(kind, str)
            assert (found[name] and same(found[name])) == (case["text"] and same(case["text"]))


def test_what_no_text_can_hold_is_null_and_listed(worker: Worker) -> None:
    """Half of a surrogate pair, as broken sources write it: its value is NULL with the reason, the others stay."""
    line = b'{"type":"RECORD","record":{"stream":"s","data":{"a":"\\ud800x","b":"\\ud83c\\udf89"},"emitted_at":1}}'
    types = {name: {"type": "string"} for name in "ab"}
    assert worker.run([plan("s", types)], [line]).failure is None
    ((a, b, meta),) = worker.query("SELECT a, b, _airbyte_meta FROM s")
    assert (a, b) == (None, "🎉")
    assert json.loads(meta)["changes"] == [{"field": "a", "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"}]


@pytest.mark.parametrize(
    ("schema", "value", "stored_as"),
    [
        ({"type": "integer"}, 5.0, "5"),
        ({"type": "integer"}, 1e3, "1000"),
        ({"type": "integer"}, 1.5, None),
        ({"type": "integer"}, True, None),
        ({"type": "number"}, 1e999, None),
        ({"type": "number"}, "nan", None),
        ({"type": "boolean"}, "maybe", None),
        ({"type": "string", "format": "date"}, "infinity", None),
        ({"type": "string", "format": "time"}, "23:59:59Z", "23:59:59+00"),
        ({"type": "string", "format": "time"}, "23:59:59+02:00", "23:59:59+02"),
        ({"type": "string"}, {"a": [1]}, '{"a":[1]}'),
        ({"type": "string"}, 10**30, str(10**30)),
        ({"type": "object"}, "text", '"text"'),
        ({"type": "object"}, None, None),
    ],
)
def test_a_value_of_another_kind(schema: dict[str, Any], value: Any, stored_as: str | None, worker: Worker) -> None:
    """What a column can hold without a loss is converted; the rest is NULL and listed, never rounded or cut."""
    assert worker.run([plan("s", {"v": schema})], [record("s", {"v": value})]).failure is None
    ((found, meta),) = worker.query("SELECT v::VARCHAR, _airbyte_meta FROM s")
    assert found == stored_as
    assert listed(meta) == ({"v"} if stored_as is None and value is not None else set())


def test_what_the_source_lists_stays_listed(worker: Worker) -> None:
    """Changes that the source reports in a record's ``meta`` stand before those of the destination."""
    change = {"field": "a", "change": "TRUNCATED", "reason": "SOURCE_RECORD_SIZE_LIMITATION"}
    message = record("s", {"a": "x", "n": "no number"})
    message["record"]["meta"] = {"changes": [change]}
    types = {"a": {"type": "string"}, "n": {"type": "integer"}}
    assert worker.run([plan("s", types)], [message]).failure is None
    ((meta,),) = worker.query("SELECT _airbyte_meta FROM s")
    assert json.loads(meta)["changes"] == [
        change,
        {"field": "n", "change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"},
    ]


def test_airbytes_own_columns(worker: Worker) -> None:
    """Each row has an id of its own, the time of its extraction, the job and the refresh that it is of."""
    rows = [record("s", {"v": i}, emitted_at=1_774_744_200_000) for i in range(2)]
    assert worker.run([plan("s", {"v": {"type": "integer"}}, generation_id=3)], rows).failure is None
    found = worker.query(
        "SELECT _airbyte_raw_id, _airbyte_extracted_at::VARCHAR, _airbyte_meta->>'sync_id', _airbyte_generation_id "
        "FROM s"
    )
    assert {row[1:] for row in found} == {("2026-03-29 00:30:00+00", "1", 3)}
    assert len({row[0] for row in found}) == 2
