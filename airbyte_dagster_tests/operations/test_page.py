"""The page on operations: each of its commands is run, where its mend is needed, and mends it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster import DagsterRunStatus

from airbyte_dagster.local import settings
from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.local.processes import ServerProcess
from airbyte_dagster_tests.test_docs import Shell, blocks, signed_in

PAGE = "operations.md"
LOOK = "airbyte-dagster doctor"
CANCEL = "TOKEN=$(curl"
CACHE = "airbyte-dagster local connectors list"
POOL = "dagster instance concurrency"
ENABLE = "curl -sS --fail-with-body -X PATCH"
UPGRADE = "dagster instance migrate"
INSTANCE = "dagster instance info"


def block(start: str, language: str = "sh") -> str:
    [found] = [text for page, text in blocks(language) if page == PAGE and text.startswith(start)]
    return found


def test_every_command_is_run() -> None:
    """In a test below."""
    starts = (LOOK, CANCEL, CACHE, POOL, ENABLE, UPGRADE, INSTANCE)
    assert len([page for page, _ in blocks("sh") if page == PAGE]) == len([block(start) for start in starts])


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "home").mkdir()
    return Shell(tmp_path / "home")


@contextmanager
def serving(shell: Shell) -> Iterator[tuple[RunningAirbyte, Api]]:
    """Local Airbyte, found as ``local serve`` would be."""
    with running_local_airbyte(shell.home) as running, running.api() as api:
        settings.write_private(running.home.server_file, {"url": running.url, "pid": os.getpid()})
        yield running, api


def connection_of(api: Api, running: RunningAirbyte) -> str:
    return api.connection(api.source(count=5), api.destination(str(running.home.warehouse)), ["users"])


def test_what_to_look_at(shell: Shell) -> None:
    """All three answer, and change nothing."""
    with serving(shell) as (_, api):
        shown = shell.block(f'eval "$(airbyte-dagster local env)"\n{block(LOOK)}')
        assert api.ok("GET", "/connections")["data"] == []

    assert "Nothing failed" in shown
    assert "Local Airbyte" in shown
    assert shown.endswith('{"status":"ok","problems":[]}')


def test_job_that_runs_on(shell: Shell) -> None:
    """It is cancelled."""
    with serving(shell) as (running, api):
        running.engine.hold()
        job = api.sync(connection_of(api, running))
        running.engine.wait_for_start()
        shell.block(f'eval "$(airbyte-dagster local env)"\n{block(CANCEL)}', JOB_ID=str(job))

        assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"


def test_disabled_connection(shell: Shell) -> None:
    """It syncs again."""
    with serving(shell) as (running, api):
        connection = connection_of(api, running)
        api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
        shell.block(block(ENABLE), CONNECTION_ID=connection, **signed_in(api))

        assert api.finish(api.sync(connection))["status"] == "succeeded"


def test_cache_that_has_grown(shell: Shell, tmp_path: Path) -> None:
    """What was not used for a month is removed."""
    old = tmp_path / "cache" / "environments" / "source-faker-000000000001"
    old.mkdir(parents=True)
    shown = shell.block(block(CACHE), AIRBYTE_DAGSTER_CACHE=str(tmp_path / "cache"))

    assert "Removed faker" in shown
    assert not old.exists()


def test_upgrade(shell: Shell, tmp_path: Path) -> None:
    """The three commands work on what is there."""
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    with serving(shell) as (running, api):
        connection_of(api, running)
        shown = shell.block(
            f'eval "$(airbyte-dagster local env)"\n{block(UPGRADE)}',
            DAGSTER_HOME=str(dagster_home),
            AIRBYTE_DAGSTER_CACHE=str(tmp_path / "cache"),
        )

    assert "1 connection, 1 stream" in shown


def test_pool_that_is_stuck(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are shown; what an ended run has claimed is freed, and nothing else."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    names: dict[str, Any] = {}
    exec(block("import dagster as dg\n\n\ndef free_slots", "python"), names)  # noqa: S102 - our own page
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("airbyte", 2)
        for status in (DagsterRunStatus.FAILURE, DagsterRunStatus.STARTED):
            run = instance.create_run_for_job(_job, status=status)
            assert storage.claim_concurrency_slot("airbyte", run.run_id, "step").is_claimed
        shown = shell.block(block(POOL), DAGSTER_HOME=str(tmp_path))

        names["free_slots_of_ended_runs"]()

        assert "airbyte" in shown
        assert [slot.run_id for slot in storage.get_concurrency_info("airbyte").claimed_slots] == [run.run_id]


def test_which_database_is_dagsters(shell: Shell, tmp_path: Path) -> None:
    """It is shown, or what keeps it from being read."""
    assert "SqliteEventLogStorage" in shell.block(block(INSTANCE), DAGSTER_HOME=str(tmp_path))


@dg.job(name="mine")
def _job() -> None:
    """Do nothing."""


def test_rotated_secret_of_local_airbyte(tmp_path: Path) -> None:
    """The server takes the new one and no longer the old; workspace and connections stay."""
    home = settings.resolve_home(tmp_path)
    with ServerProcess(tmp_path) as server, server.api() as api:
        source = api.source("tiny", streams={"users": []})
    record = json.loads(home.credentials_file.read_text())
    old = dict(record)
    home.credentials_file.write_text(json.dumps({**record, "client_secret": "rotated-secret"}))

    with ServerProcess(tmp_path) as server, server.api() as api:
        assert [item["sourceId"] for item in api.ok("GET", "/sources")["data"]] == [source]
        login = {"client_id": old["client_id"], "client_secret": old["client_secret"]}
        refused = httpx.post(f"{server.url}{settings.PUBLIC_API}/applications/token", json=login, timeout=PATIENCE)
    assert refused.is_client_error


def test_killed_server_leaves_no_lock(tmp_path: Path) -> None:
    """The next one starts, without a file to be deleted; what ran is failed."""
    with ServerProcess(tmp_path) as server, server.api() as api:
        connection = api.connection(api.source("tiny", streams={"users": [{"id": 1}]}, hang=True),
                                    api.destination(), ["users"])  # fmt: skip
        job = api.sync(connection)
        wait_for(lambda: api.ok("GET", f"/jobs/{job}")["status"] == "running", lambda: "it did not start")
        server.process.kill()

    with ServerProcess(tmp_path) as server, server.api() as api:
        assert api.ok("GET", f"/jobs/{job}")["status"] == "failed"
