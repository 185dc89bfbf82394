"""Checks in a real PostgreSQL, through DuckDB's extension for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import AirbytePipeline, PostgresWarehouseResource, build_pipeline_defs
from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse import PostgresWarehouse, QueryFailed
from airbyte_dagster_tests.conftest import resource_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.local.processes import real_server
from airbyte_dagster_tests.warehouse.refs import table_ref


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        running.query(
            """
            CREATE SCHEMA raw;
            CREATE TABLE raw."Users" (id int, region text, seen timestamptz, extra jsonb);
            INSERT INTO raw."Users"
                SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE 'north' END, '2026-01-02 00:00+01', '{}'
                FROM generate_series(1, 35) i;
            CREATE ROLE nobody LOGIN PASSWORD 'nothing';
            """
        )
        yield running


def warehouse(postgres: Postgres, extensions: Path, **changes: Any) -> PostgresWarehouse:
    settings = {
        "database": "postgres",
        "host": "127.0.0.1",
        "port": postgres.port,
        "username": "airbyte",
        "password": PASSWORD,
        "extension_directory": str(extensions),
    }
    return PostgresWarehouse(**{**settings, **changes})


def test_tables_are_measured(postgres: Postgres, duckdb_extensions: Path) -> None:
    """The same measures as of a DuckDB file, types in PostgreSQL's words; a table that is not there is None."""
    tables = warehouse(postgres, duckdb_extensions).inspect(
        {
            "users": table_ref("RAW", ("users",), (("id",), ("id", "region")), ("region", "id"), "seen"),
            "none": table_ref("raw", ("nope",)),
        }
    )

    users = tables["users"]
    assert users
    assert (users.full_name, users.rows) == ("postgres.raw.Users", 35)
    assert users.columns == (
        ("id", "integer"),
        ("region", "text"),
        ("seen", "timestamp with time zone"),
        ("extra", "jsonb"),
    )
    assert users.keys == {("id",): (35, 35), ("id", "region"): (30, 30)}
    assert users.nulls == {"region": 5, "id": 0}
    assert users.newest
    assert users.newest.isoformat() == "2026-01-01T23:00:00+00:00"
    assert tables["none"] is None


def test_counts_are_made_in_postgresql(postgres: Postgres, duckdb_extensions: Path, queries: list[str]) -> None:
    """Every query over the tables is handed over whole: DuckDB alone would fetch all rows to count them."""
    warehouse(postgres, duckdb_extensions).inspect({"users": table_ref("raw", ("users",))})

    selects = [query for query in queries if query.startswith("SELECT")]
    assert len(selects) == 2
    assert all(query.startswith("SELECT * FROM postgres_query('postgres', '") for query in selects)


def test_names_that_differ_by_case_are_two_tables(postgres: Postgres, duckdb_extensions: Path) -> None:
    """The one that is named exactly comes first; where none is, and both are alike, it can't be told."""
    postgres.query('CREATE SCHEMA cases; CREATE TABLE cases."Us" (id int); CREATE TABLE cases.us (id int, more int)')
    tables = warehouse(postgres, duckdb_extensions).inspect(
        {name: table_ref("cases", (name,)) for name in ("Us", "us", "US")}
    )

    assert [table.name if table else None for table in tables.values()] == ["Us", "us", None]
    assert tables.unknown == {"US": "cases.Us and cases.us differ by case alone"}


def test_an_odd_table_stops_no_other(postgres: Postgres, duckdb_extensions: Path) -> None:
    """One that may not be read, a value of no `datetime`: the others are measured."""
    postgres.query(
        """
        CREATE SCHEMA odd;
        CREATE TABLE odd.late AS SELECT 'infinity'::timestamptz AS at;
        CREATE TABLE odd.later AS SELECT '12000-01-01'::timestamp AS at;
        CREATE VIEW odd.broken AS SELECT 1 / (extract(year FROM at)::int - 12000) AS at FROM odd.later;
        """
    )
    tables = warehouse(postgres, duckdb_extensions).inspect(
        {name: table_ref("odd", (name,), (("at",),), newest="at") for name in ("late", "broken", "later")}
    )

    assert [table.newest_text if table else None for table in tables.values()] == [
        "infinity",
        None,
        "12000-01-01 00:00:00",
    ]
    assert tables.unknown == {"broken": "it can't be measured: division by zero"}


def test_nothing_can_be_written(postgres: Postgres, duckdb_extensions: Path) -> None:
    with (
        warehouse(postgres, duckdb_extensions).connect() as connection,
        pytest.raises(duckdb.Error, match="read-only"),
    ):
        connection.execute("DELETE FROM raw.Users")


def test_a_query_of_ones_own(postgres: Postgres, duckdb_extensions: Path) -> None:
    """In PostgreSQL's SQL; what is wrong with it is said in PostgreSQL's words."""
    with warehouse(postgres, duckdb_extensions).session() as session:
        assert session.count('SELECT * FROM raw."Users" WHERE id BETWEEN 30 AND 33; ') == 4
        with pytest.raises(QueryFailed) as caught:
            session.count('SELECT nope FROM raw."Users"')

    assert str(caught.value) == 'column "nope" does not exist'


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "PLANTED"}, 'password authentication failed for user "airbyte". Check username and password'),
        ({"password": None}, "no password supplied. Check username and password"),
        ({"database": "nope"}, 'database "nope" does not exist. Check database'),
        ({"port": 1}, "Check host and port"),
        ({"host": "nowhere.invalid"}, "could not translate host name"),
        ({"username": "nobody", "password": "nothing"}, "permission denied for schema raw. Grant the role SELECT"),
    ],
)
def test_what_fails_is_said_plainly(
    postgres: Postgres, duckdb_extensions: Path, changes: dict[str, Any], said: str
) -> None:
    """In PostgreSQL's words, with what to do, and without a secret."""
    with pytest.raises(WarehouseError) as caught, warehouse(postgres, duckdb_extensions, **changes).session() as opened:
        opened.warehouse.run(opened.connection, 'SELECT * FROM raw."Users"')

    assert said in str(caught.value)
    assert "PLANTED" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_without_the_extension_it_says_where_to_get_it(postgres: Postgres, tmp_path: Path) -> None:
    """Where DuckDB can download it, it does, and the wrong port is what is left to say."""
    with pytest.raises(WarehouseError, match=r"extension_directory|Check host and port"):
        warehouse(postgres, tmp_path, port=1).inspect({"users": table_ref("raw", ("users",))})


def test_the_password_is_nowhere_to_be_seen(postgres: Postgres, duckdb_extensions: Path) -> None:
    """Not in the repr, nor in what DuckDB shows of its databases and secrets."""
    opened = warehouse(postgres, duckdb_extensions)
    with opened.connect() as connection:
        shown = str(connection.execute("FROM duckdb_databases()").fetchall())
        shown += str(connection.execute("FROM duckdb_secrets()").fetchall())

    assert PASSWORD not in repr(opened) + shown


@pytest.mark.real
def test_a_real_sync_into_postgresql_is_checked(
    real_home: Path,
    postgres: Postgres,
    duckdb_extensions: Path,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the declaration to the checks; rows that somebody deletes are missed."""
    monkeypatch.setenv("EXAMPLE_PASSWORD", PASSWORD)
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps({"people": [{"id": i, "at": f"2026-01-0{i}"} for i in range(1, 6)]}), encoding="utf-8")
    destination = {**postgres.configuration, "schema": "checked", "password": dg.EnvVar("EXAMPLE_PASSWORD")}
    pipeline = AirbytePipeline(
        name="example",
        source={
            "name": "tiny",
            "configuration": {"sourceType": "tiny", "streams": str(rows), "primary_key": "id", "cursor": "at"},
        },
        destination={"name": "pg", "configuration": destination},
        connection={
            "name": "tiny to pg",
            "streams": [{"name": "people", "sync_mode": "incremental_deduped_history", "cursor_field": "at"}],
        },
        checks={"unique_key": True, "not_null": True, "fresh": {"within": "1h"}, "schema": True},
    )
    resource = PostgresWarehouseResource(
        host="127.0.0.1",
        port=postgres.port,
        database="postgres",
        username="airbyte",
        password=dg.EnvVar("EXAMPLE_PASSWORD"),
        extension_directory=str(duckdb_extensions),
    )

    def sync(server: RunningAirbyte) -> dict[str, tuple[bool, str | None]]:
        definitions = build_pipeline_defs(
            pipeline, airbyte=resource_of(server), warehouse=resource, warehouse_key="warehouse"
        )
        result = run_sync(definitions, instance)
        return {check.check_name: (check.passed, check.description) for check in result.get_asset_check_evaluations()}

    with real_server(real_home) as server:
        first = sync(server)
        postgres.query("DELETE FROM checked.people WHERE id < 3")
        postgres.query("INSERT INTO checked.people SELECT * FROM checked.people")
        second = sync(server)

    assert all(passed for passed, _ in first.values()), first
    assert second["row_count"] == (False, "people has 6 rows but only 3 distinct primary keys.")
    assert second["unique_key"] == (False, "people has 3 rows too many for 3 distinct keys (id).")
    assert second["schema"][0]
