"""Real syncs into a real PostgreSQL."""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbyte_dagster_tests.local.client import Api
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.local.test_real_syncs import AFTER, CHANGES, succeed

#: Each database is started once: a worker of pytest-xdist takes all or none.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("warehouses")]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


def destination(api: Api, configuration: dict[str, object]) -> str:
    body = {"name": "pg", "workspaceId": api.workspace_id, "configuration": configuration}
    return str(api.ok("POST", "/destinations", json=body)["destinationId"])


def test_sync_modes_in_postgres(real_airbyte: RunningAirbyte, postgres: Postgres, tmp_path: Path) -> None:
    """Each sync mode leaves in PostgreSQL what it leaves in DuckDB; a reset empties the tables."""
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(dict.fromkeys(AFTER, CHANGES[0])), encoding="utf-8")
    expected = {mode: tables[:-1] for mode, tables in AFTER.items()}  # the last, of no rows, is for the reset to make
    found: dict[str, list[str]] = {mode: [] for mode in AFTER}
    with real_airbyte.api() as api:
        source = api.source("tiny", streams=str(rows), primary_key="id", cursor="at")
        streams = [{"name": mode, "syncMode": mode, "cursorField": ["at"]} for mode in AFTER]
        connection = api.connection(source, destination(api, postgres.configuration), streams)
        for change in CHANGES[:-1]:
            rows.write_text(json.dumps(dict.fromkeys(AFTER, change)), encoding="utf-8")
            succeed(api, connection)
            for mode in AFTER:
                # In C's order of characters, as DuckDB has it.
                table = postgres.query(f'SELECT id, v FROM raw.{mode} ORDER BY id, v COLLATE "C"')
                found[mode].append(" ".join(f"{i}{v}" for i, v in table))
        assert found == expected
        assert api.finish(api.sync(connection, "reset"))["status"] == "succeeded"
    for mode in AFTER:
        assert postgres.query(f"SELECT count(*) FROM raw.{mode}") == [["0"]]


def test_values_arrive_as_they_are(real_airbyte: RunningAirbyte, postgres: Postgres) -> None:
    """Texts that look like numbers stay texts, NULL and the empty text differ, and names may be SQL's words."""
    big = 2**53 + 1
    values = {"id": 1, "code": "007", "empty": "", "order": 'a "quoted", two\nlines \\ ü', "user": True, "n": big}
    rows = [{**values, "part": {"a": [1, None]}, "f": 1.5}, {**dict.fromkeys(values), "id": 2, "part": None, "f": None}]
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"select": rows}, primary_key="id")
        config = {**postgres.configuration, "schema": "values_as_they_are"}
        mode = {"name": "select", "syncMode": "full_refresh_overwrite_deduped"}
        succeed(api, api.connection(source, destination(api, config), [mode], prefix="t_"))
    columns = 'id, code, empty, "user", n, part, f, replace("order", chr(10), \'^\')'
    assert postgres.query(f"SELECT {columns} FROM values_as_they_are.t_select ORDER BY id") == [
        ["1", "007", "", "t", str(big), '{"a": [1, null]}', "1.5", 'a "quoted", two^lines \\ ü'],
        ["2", "~", "~", "~", "~", "~", "~", "~"],
    ]


def test_failures_say_why_and_hide_the_password(real_airbyte: RunningAirbyte, postgres: Postgres) -> None:
    """A wrong password, and a server that isn't there, fail the job with PostgreSQL's words."""
    wrong = {**postgres.configuration, "password": "not-the-password"}
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}]})
        for config, words in ((wrong, "password authentication failed"), ({**wrong, "port": 1}, "refused")):
            made = destination(api, config)
            shown = api.ok("GET", f"/destinations/{made}")["configuration"]
            assert shown["password"] == "**********"
            job = api.finish(api.sync(api.connection(source, made, ["items"])))
            assert job["status"] == "failed"
            debug = json.dumps(api.debug(job["jobId"]))
            assert words in debug
            assert "The warehouse can't be opened" in api.failure(job["jobId"])["externalMessage"]
            assert "not-the-password" not in debug
            assert PASSWORD not in debug
