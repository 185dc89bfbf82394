"""Whether a destination writes to the warehouse: only what is certain counts, since addresses differ by network."""

from __future__ import annotations

import dagster as dg
import pytest

from airbyte_dagster import MotherDuckResource, PostgresWarehouseResource


@pytest.mark.parametrize(
    ("database", "kind", "path", "elsewhere"),
    [
        ("/data/lake.duckdb", "duckdb", "/local/lake.duckdb", False),
        ("lake.duckdb", "duckdb", "/local/lake.duckdb", False),
        ("/data/lake.duckdb", "duckdb", "/data/other.duckdb", True),
        ("/data/lake.duckdb", "duckdb", None, False),
        ("/data/lake.duckdb", "", None, False),
        ("/data/lake.duckdb", "duckdb", "md:lake", True),
        ("/data/lake.duckdb", "motherduck", "lake", True),
        ("/data/lake.duckdb", "snowflake", None, True),
        ("/data/lake.duckdb", "postgres", None, True),
        ("md:lms", "duckdb", "md:lms", False),
        ("md:lms?session_hint=a", "motherduck", "motherduck:LMS", False),
        ("md:lms", "duckdb", "md:other", True),
        ("md:lms", "motherduck", "md:", False),
        ("md:lms", "duckdb", "/local/lms", True),
    ],
)
def test_duckdb(database: str, kind: str, path: str | None, *, elsewhere: bool) -> None:
    place = {} if path is None else {"destination_path": path}

    assert MotherDuckResource(database=database).is_elsewhere(kind, place) is elsewhere


def test_a_variable_that_is_not_set_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHICH_LAKE", raising=False)
    warehouse = MotherDuckResource(database=dg.EnvVar("WHICH_LAKE"))
    place = {"destination_path": "/local/lake.duckdb"}

    assert not warehouse.is_elsewhere("duckdb", place)
    monkeypatch.setenv("WHICH_LAKE", "md:lake")
    assert warehouse.is_elsewhere("duckdb", place)


@pytest.mark.parametrize(
    ("kind", "place", "elsewhere"),
    [
        ("postgres", {"host": "db.internal", "database": "raw"}, False),
        ("postgres", {"database": "other"}, True),
        ("postgres", {}, False),
        ("", {}, False),
        ("duckdb", {"destination_path": "raw"}, True),
    ],
)
def test_postgres(kind: str, place: dict[str, object], *, elsewhere: bool) -> None:
    warehouse = PostgresWarehouseResource(host="localhost", database="raw", username="reader")

    assert warehouse.is_elsewhere(kind, place) is elsewhere
