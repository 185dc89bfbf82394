"""What is PostgreSQL's own, beside the contract: rights, odd times, its words; a real sync that is checked there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import AirbytePipeline, PostgresWarehouseResource, build_pipeline_defs
from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse import DriverWarehouse
from airbyte_dagster_tests.conftest import resource_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.local.processes import real_server
from airbyte_dagster_tests.warehouse.refs import table_ref

#: Each database is started once: a worker of pytest-xdist takes all or none.
pytestmark = pytest.mark.xdist_group("warehouses")


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


def warehouse(postgres: Postgres, **changes: Any) -> DriverWarehouse:
    settings = {
        "database": "postgres",
        "host": "127.0.0.1",
        "port": postgres.port,
        "username": "airbyte",
        "password": PASSWORD,
    }
    return PostgresWarehouseResource(**{**settings, **changes}).warehouse()


def test_tables_are_measured(postgres: Postgres) -> None:
    """The same measures as of a DuckDB file, types in PostgreSQL's words; a table that is not there is None."""
    tables = warehouse(postgres).inspect(
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


def test_an_odd_table_stops_no_other(postgres: Postgres) -> None:
    """One that may not be read, a value of no `datetime`: the others are measured."""
    postgres.query(
        """
        CREATE SCHEMA odd;
        CREATE TABLE odd.late AS SELECT 'infinity'::timestamptz AS at;
        CREATE TABLE odd.later AS SELECT '12000-01-01'::timestamp AS at;
        CREATE VIEW odd.broken AS SELECT 1 / (extract(year FROM at)::int - 12000) AS at FROM odd.later;
        """
    )
    tables = warehouse(postgres).inspect(
        {name: table_ref("odd", (name,), (("at",),), newest="at") for name in ("late", "broken", "later")}
    )

    assert [table.newest_text if table else None for table in tables.values()] == [
        "infinity",
        None,
        "12000-01-01 00:00:00",
    ]
    assert tables.unknown == {"broken": "it can't be measured: division by zero"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "PLANTED"}, 'password authentication failed for user "airbyte". Check username and password'),
        ({"password": None}, "no password supplied. Check username and password"),
        ({"database": "nope"}, 'database "nope" does not exist. Check database'),
        ({"port": 1}, "Check host and port"),
        ({"host": "nowhere.invalid"}, "Check host and port"),
        ({"username": "nobody", "password": "nothing"}, "permission denied for schema raw. Grant the role SELECT"),
    ],
)
def test_what_fails_is_said_plainly(postgres: Postgres, changes: dict[str, Any], said: str) -> None:
    """In PostgreSQL's words, with what to do, and without a secret."""
    with pytest.raises(WarehouseError) as caught, warehouse(postgres, **changes).session() as opened:
        opened.run('SELECT * FROM raw."Users"')

    assert said in str(caught.value)
    assert "PLANTED" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_table_that_may_not_be_read_is_not_taken_for_a_missing_one(postgres: Postgres) -> None:
    """A role without rights on the schema: unknown, with PostgreSQL's reason."""
    found = warehouse(postgres, username="nobody", password="nothing").inspect({"u": table_ref("raw", ("Users",))})

    assert found["u"] is None
    assert found.unknown == {"u": "it can't be measured: permission denied for schema raw"}


def test_the_password_is_nowhere_to_be_seen(postgres: Postgres) -> None:
    """Not in the repr, nor in what PostgreSQL shows of its clients."""
    opened = warehouse(postgres)
    with opened.session() as session:
        shown = str(session.run("SELECT * FROM pg_stat_activity"))

    assert PASSWORD not in repr(opened) + shown


@pytest.mark.real
def test_a_real_sync_into_postgresql_is_checked(
    real_home: Path,
    postgres: Postgres,
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
