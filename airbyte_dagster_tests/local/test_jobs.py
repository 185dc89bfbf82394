"""Jobs over HTTP, with a scripted engine: the queue, the reasons of failures, resets, the ends of the server."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from airbyte_dagster.local.engine import ConnectorFailed, JobRequest
from airbyte_dagster.local.records import Job
from airbyte_dagster_tests.local.fakes import (
    PATIENCE,
    Api,
    RunningAirbyte,
    ScriptedEngine,
    ScriptedRun,
    running_local_airbyte,
)


@pytest.fixture
def connection(api: Api) -> str:
    return api.connection(api.source(count=35), api.destination(), ["users", "products"])


def test_no_more_than_the_workers_run_at_once(tmp_path: Path) -> None:
    """With two workers the third sync is pending until one of the others is done."""
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine, workers=2) as airbyte, airbyte.api() as api:
        engine.hold()
        source = api.source(count=1)
        jobs = [api.sync(api.connection(source, api.destination(f"{n}.duckdb"), ["users"])) for n in range(3)]
        engine.wait_for_start(2)
        api.until(jobs[1], lambda job: job["status"] == "running")
        assert api.ok("GET", f"/jobs/{jobs[2]}")["status"] == "pending"
        api.ok("DELETE", f"/jobs/{jobs[0]}")
        api.until(jobs[2], lambda job: job["status"] == "running")
        engine.release()
        assert [api.finish(job)["status"] for job in jobs] == ["cancelled", "succeeded", "succeeded"]


def test_two_jobs_for_one_file_take_turns(airbyte: RunningAirbyte, api: Api) -> None:
    """Jobs into one DuckDB file, however its path is written, do not run together."""
    airbyte.engine.hold()
    source = api.source(count=1)
    paths = ("one.duckdb", f"{airbyte.home.root}/x/../one.duckdb")
    jobs = [api.sync(api.connection(source, api.destination(path), ["users"])) for path in paths]
    airbyte.engine.wait_for_start()
    assert api.ok("GET", f"/jobs/{jobs[1]}")["status"] == "pending"
    airbyte.engine.release()
    assert [api.finish(job)["status"] for job in jobs] == ["succeeded", "succeeded"]


def test_failed_sync_has_its_reason(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """The reason is in the configuration API; rows that were read but not written are not counted as synced."""
    airbyte.engine.fail_next("The source broke", "details", after_rows=5)
    job = api.finish(api.sync(connection))
    assert (job["status"], job["rowsSynced"]) == ("failed", 0)
    attempt = api.debug(job["jobId"])["attempts"][0]["attempt"]
    assert attempt["status"] == "failed"
    assert attempt["streamStats"][0]["stats"]["recordsEmitted"] == 5
    failure = attempt["failureSummary"]["failures"][0]
    assert (failure["externalMessage"], failure["internalMessage"]) == ("The source broke", "details")
    assert failure["failureOrigin"] == "source"
    assert api.finish(api.sync(connection))["status"] == "succeeded"


def test_counts_per_stream(api: Api, connection: str) -> None:
    """get_without_logs has counts in total and per stream."""
    job = api.finish(api.sync(connection))
    answer = api.post(f"{api.root}/api/v1/jobs/get_without_logs", json={"id": job["jobId"]}).json()["job"]
    assert (answer["status"], answer["configType"], answer["configId"]) == ("succeeded", "sync", connection)
    assert answer["aggregatedStats"]["recordsCommitted"] == 70
    assert {s["streamName"]: s["recordsCommitted"] for s in answer["streamAggregatedStats"]} == {
        "users": 35,
        "products": 35,
    }
    assert httpx.post(f"{api.root}/api/v1/jobs/get_without_logs", json={"id": 1}).status_code == 401


def test_engine_that_raises_fails_the_job(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Even an engine that breaks its promise leaves no job active, and the server lives on."""
    start = airbyte.engine.start
    airbyte.engine.start = lambda request: 1 / 0
    assert api.finish(api.sync(connection))["status"] == "failed"
    airbyte.engine.start = start
    assert api.finish(api.sync(connection))["status"] == "succeeded"


def test_reset_and_clear(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Both empty the tables and are of type reset; a running sync is cancelled first."""
    api.finish(api.sync(connection))
    airbyte.engine.hold()
    running = api.sync(connection)
    airbyte.engine.wait_for_start(2)
    cleared = api.sync(connection, "clear")
    assert api.ok("GET", f"/jobs/{running}")["status"] == "cancelled"
    airbyte.engine.release()
    assert api.finish(cleared)["jobType"] == "reset"
    assert api.finish(api.sync(connection, "reset"))["status"] == "succeeded"
    with contextlib.closing(duckdb.connect(str(airbyte.home.warehouse), read_only=True)) as warehouse:
        assert warehouse.sql("SELECT count(*) FROM users").fetchall() == [(0,)]


def test_job_that_was_active_when_the_server_died(tmp_path: Path) -> None:
    """A job that is active in the database at the start is failed, with the reason."""
    with running_local_airbyte(tmp_path) as airbyte, airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])
        with airbyte.store.database.write() as session:
            for status in ("pending", "running"):
                times = {"created_at": 1.0, "updated_at": 1.0, "started_at": 1.0}
                session.add(
                    Job(connection_id=connection, workspace_id="w", type="sync", status=status, stats=[], **times)
                )
    with running_local_airbyte(tmp_path) as airbyte, airbyte.api() as api:
        for job in (1, 2):
            assert api.ok("GET", f"/jobs/{job}")["status"] == "failed"
            assert api.failure(job)["externalMessage"] == "The server ended while the job was active"


@pytest.mark.parametrize("deleted", ["connection", "source", "destination", "workspace"])
def test_deleting_the_connection_cancels_its_sync(deleted: str, airbyte: RunningAirbyte, api: Api) -> None:
    """DELETE of a connection, or of what it is in or between: it is deprecated, and its running sync ends."""
    source, destination = api.source(count=35), api.destination()
    connection = api.connection(source, destination, ["users"])
    path = {
        "connection": f"/connections/{connection}",
        "source": f"/sources/{source}",
        "destination": f"/destinations/{destination}",
        "workspace": f"/workspaces/{api.workspace_id}",
    }
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    api.ok("DELETE", path[deleted])
    assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert api.delete(f"/jobs/{job}").status_code == 409


def test_the_first_who_ends_a_job_says_how(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """The server is stopped while a cancelled job still runs: it was cancelled."""
    runner, start = airbyte.context.runner, airbyte.engine.start
    asked, goes_on = threading.Semaphore(0), threading.Event()

    def stubborn(request: JobRequest) -> ScriptedRun:
        run = start(request)
        cancel = run.cancel

        def cancelled() -> None:
            asked.release()
            assert goes_on.wait(PATIENCE)
            cancel()

        run.cancel = cancelled
        return run  # type: ignore[no-any-return]

    airbyte.engine.start = stubborn
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    api.until(job, lambda found: found["status"] == "running")
    with ThreadPoolExecutor(2) as pool:
        pool.submit(runner.cancel, [connection])
        assert asked.acquire(timeout=PATIENCE)
        pool.submit(runner.close)
        assert asked.acquire(timeout=PATIENCE)
        goes_on.set()
    assert airbyte.jobs.get(job).status == "cancelled"


@pytest.mark.parametrize("final", ["succeeded", "failed", "cancelled"])
def test_a_final_state_never_changes(final: str, airbyte: RunningAirbyte, connection: str) -> None:
    """Whoever comes late, to start the job, to report its counts, or to end it in another way, changes nothing."""
    jobs = airbyte.jobs
    job, _ = jobs.add_sync(connection, airbyte.workspace_id)
    jobs.start(job.id)
    jobs.end(job.id, final, [{"recordsCommitted": 3}])
    before = jobs.get(job.id)

    assert not jobs.start(job.id)
    jobs.progress(job.id, [])
    for status in ("succeeded", "failed", "cancelled"):
        assert not jobs.end(job.id, status, [], {"message": "late", "internal": "", "origin": "source", "kind": ""})
    jobs.fail_interrupted("the server was started again")

    after = jobs.get(job.id)
    assert (after.status, after.updated_at, after.stats, after.failure) == (
        final,
        before.updated_at,
        [{"recordsCommitted": 3}],
        None,
    )


def test_a_job_that_is_just_being_submitted_is_cancelled(airbyte: RunningAirbyte, connection: str) -> None:
    """Another request has stored it, and has not handed it to the workers yet: it never starts."""
    runner, jobs = airbyte.context.runner, airbyte.jobs
    job, _ = jobs.add_sync(connection, airbyte.workspace_id)
    runner.cancel([connection])
    assert jobs.get(job.id).status == "cancelled"

    runner.submit(job)
    runner.cancel([connection])  # waits for what runs

    assert jobs.get(job.id).status == "cancelled"
    assert airbyte.engine.requests == []


def test_propagating_connection_takes_new_columns(airbyte: RunningAirbyte, api: Api) -> None:
    """With propagate_columns the schema is looked up before each sync; if that fails the job says so."""
    rows: list[dict[str, Any]] = [{"id": 1}]
    airbyte.engine.add("changing", {"t": rows})
    connection = api.connection(
        api.source("changing"), api.destination(), ["t"], nonBreakingSchemaUpdatesBehavior="propagate_columns"
    )
    rows[0]["name"] = "new"
    assert api.finish(api.sync(connection))["status"] == "succeeded"
    with contextlib.closing(duckdb.connect(str(airbyte.home.warehouse), read_only=True)) as warehouse:
        assert warehouse.sql("SELECT name FROM t").fetchall() == [("new",)]

    def broken(*_: Any, **__: Any) -> Any:
        raise ConnectorFailed("no catalog today")

    airbyte.engine.discover = broken
    assert api.failure(api.finish(api.sync(connection))["jobId"])["externalMessage"] == "no catalog today"


def test_secrets_reach_the_engine_and_nothing_else(airbyte: RunningAirbyte, api: Api) -> None:
    """The engine gets the real secret and what to hide; the request's repr doesn't show it."""
    source = api.source(count=1, api_key="planted-secret")
    api.finish(api.sync(api.connection(source, api.destination(), ["users"])))
    request = airbyte.engine.requests[0]
    assert request.source_config["api_key"] == "planted-secret"
    assert request.secrets == ("planted-secret",)
    assert "planted-secret" not in repr(request)


def test_shutdown_fails_active_jobs(tmp_path: Path) -> None:
    """Closing the server ends its jobs as failed, with that reason."""
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        engine.hold()
        job = api.sync(api.connection(api.source(count=1), api.destination(), ["users"]))
        engine.wait_for_start(timeout=PATIENCE)
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        assert api.failure(job)["externalMessage"] == "The server was stopped while the job was active"
