"""A run whose database is away while it records: Airbyte's jobs go on, and who resumes it goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from airbyte_dagster_tests.daemon.stack import HoldingEngine
from airbyte_dagster_tests.local.fakes import running_local_airbyte
from airbyte_dagster_tests.workspaces.running import Workspace, run


class AwayDatabase:
    """A database that is away for the materialization of an asset, and when the run is looked at the next time."""

    def __init__(self, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
        self._key = dg.AssetKey.from_user_string(key)
        self._is_away_for = {"events", "runs"}
        events, runs = instance.event_log_storage, instance.run_storage
        self._store, self._runs = events.store_event, runs.get_runs
        monkeypatch.setattr(events, "store_event", self.store_event)
        monkeypatch.setattr(runs, "get_runs", self.get_runs)

    def store_event(self, event: Any) -> None:
        materialization = event.asset_materialization
        if materialization is not None and materialization.asset_key == self._key:
            self._fail_once("events")
        self._store(event)

    def get_runs(self, *arguments: Any, **options: Any) -> Any:
        if "events" not in self._is_away_for:
            self._fail_once("runs")
        return self._runs(*arguments, **options)

    def _fail_once(self, what: str) -> None:
        if what in self._is_away_for:
            self._is_away_for.remove(what)
            raise _error()


def _error() -> OperationalError:
    return OperationalError("INSERT", {}, Exception("the server closed the connection unexpectedly"))


@pytest.mark.parametrize("away_for", ["books/users", "books/products"], ids=["yielded", "logged"])
def test_no_job_is_cancelled_and_none_is_made_twice(
    away_for: str, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Dagster records a result or, as what is not selected, the op does: the next run goes on with the jobs."""
    engine = HoldingEngine()
    keys = ("books/users", "held/users")
    with running_local_airbyte(tmp_path / "home", engine) as server, server.api() as api:
        workspace = Workspace(server, api)
        # Into a file of its own: local Airbyte writes a file for one job at a time.
        elsewhere = api.destination(str(tmp_path / "home" / "held.duckdb"))
        held = workspace.ids["held"] = workspace.connect("held", destination=elsewhere)
        engine.hold_connection(held)
        definitions = workspace.definitions(warehouse=None)
        with monkeypatch.context() as patch:
            AwayDatabase(instance, patch, away_for)
            first = run(definitions, instance, *keys)

        assert not first.success
        [job] = api.ok("GET", "/jobs", params={"connectionId": held})["data"]
        assert job["status"] == "running"
        engine.release_connection(held)
        tags = {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
        again = run(definitions, instance, *keys, tags={**tags, "dagster/is_resume_retry": "true"})

        assert again.success
        assert workspace.jobs() == {"books": 1, "held": 1}
