"""What nobody may get: other users the secrets, a request a file elsewhere, a name the shell; and full disks."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from airbyte_dagster.local import jobs as jobs_module
from airbyte_dagster.local import settings
from airbyte_dagster.local.database import Database
from airbyte_dagster.local.engine import StreamPlan
from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.statestore import StateStore
from airbyte_dagster.local.workers import ConnectorEngine
from airbyte_dagster_tests.local.fakes import RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.local.processes import TINY

HOSTILE = [
    "faker; touch PWNED",
    "$(touch PWNED)",
    "`touch PWNED`",
    "faker && touch PWNED",
    "--index-url=x",
    "-r",
    "../../bin/sh",
    "faker==1.0",
    "faker[extra]",
    "git+https",
    "faker\n",
    "FAKER",
    "\u202efaker",
    "a" * 300 + "/",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_connector_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source type that is more than a name is unknown to the real engine: nothing is started or installed."""
    started: list[Any] = []
    monkeypatch.setattr("subprocess.Popen", lambda *arguments, **_: started.append(arguments))
    engine = ConnectorEngine(Environments(tmp_path / "environments"), tmp_path / "asking", {"tiny": TINY})
    with running_local_airbyte(tmp_path, engine) as running, running.api() as api:
        body = {"name": "s", "workspaceId": api.workspace_id, "configuration": {"sourceType": name}}
        answer = api.post("/sources", json=body)
    assert answer.status_code == 400
    assert answer.json()["title"] == "value-not-found"
    assert started == []
    assert not list(tmp_path.rglob("PWNED"))


@pytest.mark.parametrize(
    "path", ["/etc/x.duckdb", "../x.duckdb", "a/../../x.duckdb", "link/x.duckdb", "link.duckdb", "~root/x.duckdb"]
)
def test_destinations_stay_inside(path: str, airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """A path that leads out of the home, by dots or by a symlink, is refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (airbyte.home.root / "link").symlink_to(outside)
    (airbyte.home.root / "link.duckdb").symlink_to(outside / "file.duckdb")
    with airbyte.api() as api:
        config = {"destinationType": "duckdb", "destination_path": path}
        answer = api.post("/destinations", json={"name": "d", "workspaceId": api.workspace_id, "configuration": config})
    assert answer.status_code == 422
    assert "--allow-path" in answer.text


def test_symlink_made_later_is_noticed(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """A directory that became a symlink to elsewhere after the destination was made fails the sync."""
    (tmp_path / "outside").mkdir()
    with airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination("sub/x.duckdb"), ["users"])
        (airbyte.home.root / "sub").symlink_to(tmp_path / "outside")
        job = api.finish(api.sync(connection))
        assert job["status"] == "failed"
        assert "is outside of" in api.failure(job["jobId"])["externalMessage"]
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.real
def test_every_file_of_the_server_is_private(real_airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """While and after a sync with a secret, no file or directory of the server's own is for others."""
    with real_airbyte.api() as api:
        go = tmp_path / "go"
        source = api.source("tiny", streams={"items": [{"id": 1}]}, api_key="planted-secret", wait_for=str(go))
        connection = api.connection(source, api.destination(), ["items"])
        job = api.sync(connection)
        api.until(job, lambda job: job.get("rowsSynced", 0) > 0)
        during = wide_open(real_airbyte.home)
        go.touch()
        assert api.finish(job)["status"] == "succeeded"
    assert during == wide_open(real_airbyte.home) == []


def wide_open(home: settings.Home) -> list[str]:
    """What of the server's own files others could get at; below a private directory that is nothing."""
    assert stat.S_IMODE(home.state_dir.stat().st_mode) == 0o700
    kept = [path for path in home.state_dir.rglob("*") if home.scratch not in path.parents]
    assert len(kept) > 5
    return [str(path) for path in kept if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_full_disk_of_the_server(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database can't be written a job goes on, and its end is written down as soon as it can be."""
    store = airbyte.jobs
    end, failures = store.end, iter([True, True, True])
    monkeypatch.setattr(jobs_module, "_SECONDS_BETWEEN_TRIES", 0.0)

    def full(*_: Any, **__: Any) -> Any:
        raise OperationalError("UPDATE", {}, Exception("database or disk is full"))

    def end_later(*arguments: Any, **more: Any) -> Any:
        return full() if next(failures, False) else end(*arguments, **more)

    monkeypatch.setattr(store, "progress", full)
    monkeypatch.setattr(store, "end", end_later)
    with airbyte.api() as api:
        connection = api.connection(api.source(count=3), api.destination(), ["users"])
        job = api.finish(api.sync(connection))
        assert (job["status"], job["rowsSynced"]) == ("succeeded", 3)


def test_a_request_while_the_disk_is_full(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be stored is answered with the reason and what to do."""

    def full(*_: Any, **__: Any) -> Any:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with airbyte.api() as api:
        connection = api.connection(api.source(count=3), api.destination(), ["users"])
        monkeypatch.setattr(airbyte.jobs, "add_sync", full)
        refused = api.post("/jobs", json={"connectionId": connection, "jobType": "sync"})
    assert refused.status_code == 500
    assert "is full: make room, and try again" in refused.json()["message"]


def test_database_of_an_earlier_version_opens(tmp_path: Path) -> None:
    """What was added since is added to a database that lacks it."""
    with running_local_airbyte(tmp_path) as airbyte, airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])
    database = Database(settings.resolve_home(tmp_path).database)
    with database.write() as session:
        for statement in ("DROP TABLE states", "DROP TABLE tags", "DROP INDEX connections_by_schedule"):
            session.execute(text(statement))
    database.close()
    with running_local_airbyte(tmp_path) as airbyte, airbyte.api() as api:
        schedule = {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}
        api.ok("PATCH", f"/connections/{connection}", json={"schedule": schedule})
        assert [entry[0] for entry in airbyte.store.scheduled()] == [connection]
        assert api.finish(api.sync(connection))["status"] == "succeeded"


def stream_state(name: str, cursor: int) -> dict[str, Any]:
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": {"cursor": cursor}}}


def test_states_that_a_client_wrote(airbyte: RunningAirbyte) -> None:
    """What a client writes holds, stream by stream, until a read writes something newer."""
    with airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])
    states = StateStore(airbyte.store.database)
    states.keep(connection, [stream_state("a", 1)])
    states.write(connection, [stream_state(name, 5) for name in "abc"])
    assert states.of_connection(connection) == [stream_state(name, 5) for name in "abc"]
    states.keep(connection, [stream_state("a", 9)])
    assert states.of_connection(connection) == [stream_state("b", 5), stream_state("c", 5), stream_state("a", 9)]
    # A stream that isn't selected now goes on from there when it is; one that is read as a whole does not.
    states.settle(connection, [StreamPlan({"name": "a"}, incremental=True), StreamPlan({"name": "b"})])
    assert states.of_connection(connection) == [stream_state("c", 5), stream_state("a", 9)]
    states.forget(connection)
    assert states.of_connection(connection) == []
