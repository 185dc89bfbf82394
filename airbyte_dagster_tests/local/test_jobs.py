"""Jobs over HTTP, with a scripted engine: their states, fields, filters, conflicts and ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import httpx
import pytest

from airbyte_dagster.local import views
from airbyte_dagster.local.engine import ConnectorFailed
from airbyte_dagster.local.records import Job
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte, ScriptedEngine, running_local_airbyte


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Iterator[Api]:
    with airbyte.api() as client:
        yield client


@pytest.fixture
def connection(api: Api) -> str:
    return api.connection(api.source(count=35), api.destination(), ["users", "products"])


def problem(answer: httpx.Response) -> tuple[int, str, Any]:
    return answer.status_code, answer.json()["title"], answer.json()["data"]


def test_a_sync_from_start_to_end(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Which fields a job has in each state, and that its rows are in the warehouse."""
    airbyte.engine.hold()
    created = api.ok("POST", "/jobs", json={"connectionId": connection, "jobType": "sync"})
    assert created.pop("startTime").endswith("Z")
    assert created == {"jobId": 1, "status": "pending", "jobType": "sync", "connectionId": connection}
    airbyte.engine.wait_for_start()
    running = api.until(1, lambda job: job["status"] == "running")
    assert running.keys() == {
        *("jobId", "status", "jobType", "connectionId", "startTime", "duration", "bytesSynced", "rowsSynced")
    }
    airbyte.engine.release()
    done = api.finish(1)
    assert done.keys() == running.keys() | {"lastUpdatedAt"}
    assert (done["status"], done["rowsSynced"]) == ("succeeded", 70)
    with contextlib.closing(duckdb.connect(str(airbyte.home.warehouse), read_only=True)) as warehouse:
        assert warehouse.sql("SELECT count(*) FROM users").fetchall() == [(35,)]


def test_times_leave_zero_seconds_out() -> None:
    """Times are ISO in UTC without fractions, and without seconds when these are zero; durations never have days."""
    assert views.iso(1679707800.0) == "2023-03-25T01:30Z"
    assert views.iso(1679707807.9) == "2023-03-25T01:30:07Z"
    assert [views.iso_duration(s) for s in (0, 0.9, 12, 60, 3661, 90000, -1)] == [
        *("PT0S", "PT0S", "PT12S", "PT1M", "PT1H1M1S", "PT25H", "PT0S")
    ]


def test_sync_while_running_is_a_conflict(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """A second request while the sync runs is a 409 try-again-later in Airbyte's words."""
    airbyte.engine.hold()
    job = api.sync(connection)
    api.until(job, lambda job: job["status"] == "running")
    answer = api.post("/jobs", json={"connectionId": connection, "jobType": "sync"})
    assert answer.json() == {
        "status": 409,
        "type": "https://reference.airbyte.com/reference/errors#try-again-later",
        "title": "try-again-later",
        "detail": "Please try again later.",
        "documentationUrl": None,
        "data": {"message": f"A sync is already running for: {connection}"},
    }
    airbyte.engine.release()
    assert api.finish(job)["status"] == "succeeded"


def test_sync_while_queued_is_the_same_job(tmp_path: Path) -> None:
    """A second request while the sync only waits gets the job that is there."""
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine, workers=1) as airbyte, airbyte.api() as api:
        engine.hold()
        first, second = (
            api.connection(api.source(count=1), api.destination(f"{name}.duckdb"), ["users"]) for name in "ab"
        )
        running, waiting = api.sync(first), api.sync(second)
        api.until(running, lambda job: job["status"] == "running")
        queued = api.ok("GET", f"/jobs/{waiting}")
        assert queued["status"] == "pending"
        assert "duration" not in queued
        assert (queued["rowsSynced"], queued["bytesSynced"]) == (0, 0)
        assert api.sync(second) == waiting
        engine.release()
        assert [api.finish(job)["status"] for job in (running, waiting)] == ["succeeded", "succeeded"]


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


def test_cancel_running_and_pending(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """DELETE answers 200 with the cancelled job, without counts; the next sync works."""
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    cancelled = api.ok("DELETE", f"/jobs/{job}")
    assert cancelled["status"] == "cancelled"
    assert "rowsSynced" not in cancelled
    airbyte.engine.release()
    assert api.finish(api.sync(connection))["status"] == "succeeded"


def test_delete_of_an_old_job_cancels_the_running_one(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """DELETE acts on the connection: a finished job comes back unchanged, and whatever runs is cancelled."""
    old = api.finish(api.sync(connection))
    airbyte.engine.hold()
    running = api.sync(connection)
    airbyte.engine.wait_for_start(2)
    assert api.ok("DELETE", f"/jobs/{old['jobId']}")["status"] == "succeeded"
    assert api.finish(running)["status"] == "cancelled"
    assert api.ok("DELETE", f"/jobs/{old['jobId']}")["status"] == "succeeded"


def test_unknown_job_is_a_409(api: Api) -> None:
    """An unknown job id is a state conflict, on GET and on DELETE; an id that is no number is a 400."""
    for path in ("/jobs/99", "/jobs/0", "/jobs/-1", f"/jobs/{10**30}"):
        for method in ("GET", "DELETE"):
            answer = api.request(method, path)
            assert problem(answer) == (409, "state-conflict", {"message": "Job is not currently running"})
    assert api.get("/jobs/abc").status_code == 400


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


def test_refused_jobs(api: Api, connection: str) -> None:
    """refresh is a 422, an inactive connection a 409 for sync but not for reset, an unknown connection a 404."""
    body = {"connectionId": connection, "jobType": "refresh"}
    expected = {"message": "Refreshes are not supported in the public API"}
    assert problem(api.post("/jobs", json=body)) == (422, "unprocessable-entity", expected)
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    answer = api.post("/jobs", json={**body, "jobType": "sync"})
    assert problem(answer) == (409, "state-conflict", {"message": "Could not fulfill request"})
    assert api.post("/jobs", json={**body, "jobType": "reset"}).status_code == 200
    assert api.post("/jobs", json={"connectionId": str(uuid4()), "jobType": "sync"}).status_code == 404


def test_list_filters_and_order(tmp_path: Path) -> None:
    """Jobs are listed oldest first; orderBy, status, jobType and times (inclusive) select; connectionId wins."""
    now = [1_700_000_000.0]
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine, clock=lambda: now[0]) as airbyte, airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])
        api.finish(api.sync(connection))
        now[0] += 60
        engine.fail_next()
        api.finish(api.sync(connection))
        now[0] += 60
        api.finish(api.sync(connection, "reset"))

        def ids(query: str = "") -> list[int]:
            return [job["jobId"] for job in api.ok("GET", f"/jobs?{query}")["data"]]

        assert ids() == [1, 2, 3]
        assert ids("orderBy=createdAt|DESC") == [3, 2, 1]
        assert ids("orderBy=updatedAt|ASC&limit=1&offset=1") == [2]
        assert ids("status=failed") == [2]
        assert ids("jobType=reset") == [3]
        assert ids(f"connectionId={connection}&workspaceIds={uuid4()}") == [1, 2, 3]
        assert ids(f"workspaceIds={uuid4()}") == []
        assert ids("createdAtStart=2023-11-14T22:14:20Z") == [2, 3]
        assert ids("createdAtEnd=2023-11-14T22:14:20Z") == [1, 2]
        assert ids("updatedAtStart=2023-11-14T22:14:20Z&updatedAtEnd=2023-11-14T22:14:20Z") == [2]
        for wrong in ("orderBy=nonsense", "orderBy=createdAt", "status=nonsense", "createdAtStart=x", "limit=0"):
            assert api.get(f"/jobs?{wrong}").status_code == 400
        following = api.ok("GET", f"/jobs?connectionId={connection}&jobType=sync&status=failed&limit=1")["next"]
        assert f"connectionId={connection}" in following
        assert "jobType=sync" in following
        assert "status" not in following


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


def test_deleting_the_connection_cancels_its_sync(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """DELETE of a connection, of its source or of its workspace ends the running sync."""
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    api.ok("DELETE", f"/connections/{connection}")
    assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"
    assert api.delete(f"/jobs/{job}").status_code == 409


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
