"""Facts: jobs.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import httpx
import pytest

from airbyte_dagster.local import views
from airbyte_dagster.local.records import Job
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte


@pytest.fixture
def connection(api: Api) -> str:
    return api.connection(api.source(count=35), api.destination(), ["users", "products"])


def problem(answer: httpx.Response) -> tuple[int, str, Any]:
    return answer.status_code, answer.json()["title"], answer.json()["data"]


def test_a_sync_from_start_to_end(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Which fields a job has in each state, and that its rows are in the warehouse. (§6, JobResponseMapper.kt)"""
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
    """Times are ISO in UTC without fractions, and without seconds when these are zero; durations never
    have days. (§6)
    """
    assert views.iso(1679707800.0) == "2023-03-25T01:30Z"
    assert views.iso(1679707807.9) == "2023-03-25T01:30:07Z"
    assert [views.iso_duration(s) for s in (0, 0.9, 12, 60, 3661, 90000, -1)] == [
        *("PT0S", "PT0S", "PT12S", "PT1M", "PT1H1M1S", "PT25H", "PT0S")
    ]


@pytest.mark.parametrize("status", ["pending", "running", "incomplete", "succeeded", "failed", "cancelled"])
def test_fields_by_state(status: str) -> None:
    """duration is absent while a job is pending; lastUpdatedAt is there only when it has ended; rowsSynced and
    bytesSynced are numbers from the first on. (§6, JobResponseMapper.kt, StatsAggregationHelper.kt)
    """
    job = Job(id=1, connection_id="c", type="sync", status=status, created_at=60.0, updated_at=72.0, stats=[])
    shown = views.job(job, with_counts=True)
    assert ("duration" in shown) == (status != "pending")
    assert ("lastUpdatedAt" in shown) == (status in {"succeeded", "failed", "cancelled"})
    assert (shown["rowsSynced"], shown["bytesSynced"]) == (0, 0)
    assert shown["startTime"] == "1970-01-01T00:01Z"


def test_start_time_is_the_creation(tmp_path: Path) -> None:
    """startTime is when the job was made, not when it began to run; duration counts from there. (§6)"""
    now = [datetime(2026, 1, 5, 10, 0, 7, tzinfo=timezone.utc).timestamp()]
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine, workers=1, clock=lambda: now[0]) as airbyte, airbyte.api() as api:
        engine.hold()
        first, second = (
            api.connection(api.source(count=1), api.destination(f"{name}.duckdb"), ["users"]) for name in "ab"
        )
        running = api.sync(first)
        engine.wait_for_start()
        waiting = api.sync(second)
        now[0] += 53
        engine.release()
        api.finish(running)
        done = api.finish(waiting)
    assert (done["startTime"], done["lastUpdatedAt"]) == ("2026-01-05T10:00:07Z", "2026-01-05T10:01Z")
    assert done["duration"] == "PT53S"


def test_sync_while_running_is_a_conflict(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """A second request while the sync runs is a 409 try-again-later in Airbyte's words. (§6, SchedulerHandler.kt)"""
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
    """A second request while the sync only waits gets the job that is there. (§6)"""
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


def test_counts_are_absent_in_the_answers_to_post_and_delete(
    airbyte: RunningAirbyte, api: Api, connection: str
) -> None:
    """bytesSynced and rowsSynced are on GET and list only. (§6)"""
    airbyte.engine.hold()
    made = api.ok("POST", "/jobs", json={"connectionId": connection, "jobType": "sync"})
    ended = api.ok("DELETE", f"/jobs/{made['jobId']}")
    assert not {"rowsSynced", "bytesSynced"} & {*made, *ended}
    assert {"rowsSynced", "bytesSynced"} <= api.ok("GET", "/jobs")["data"][0].keys()


def test_cancel_running_and_pending(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """DELETE answers 200 with the cancelled job, without counts; the next sync works. (§6)"""
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    cancelled = api.ok("DELETE", f"/jobs/{job}")
    assert cancelled["status"] == "cancelled"
    assert "rowsSynced" not in cancelled
    airbyte.engine.release()
    assert api.finish(api.sync(connection))["status"] == "succeeded"


def test_delete_of_an_old_job_cancels_the_running_one(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """DELETE acts on the connection: a finished job comes back unchanged, and whatever runs is cancelled. (§6,
    SchedulerHandler.kt, TemporalClient.kt)
    """
    old = api.finish(api.sync(connection))
    airbyte.engine.hold()
    running = api.sync(connection)
    airbyte.engine.wait_for_start(2)
    assert api.ok("DELETE", f"/jobs/{old['jobId']}")["status"] == "succeeded"
    assert api.finish(running)["status"] == "cancelled"
    assert api.ok("DELETE", f"/jobs/{old['jobId']}")["status"] == "succeeded"


def test_delete_of_a_job_of_a_deleted_connection(api: Api, connection: str) -> None:
    """It is a 409 state-conflict. (§6)"""
    job = api.finish(api.sync(connection))
    api.delete(f"/connections/{connection}")
    answer = api.delete(f"/jobs/{job['jobId']}")
    assert problem(answer) == (409, "state-conflict", {"message": "Could not fulfill request"})


def test_unknown_job_is_a_409(api: Api) -> None:
    """An unknown job id is a state conflict, on GET and on DELETE; an id that is no number is a 400. (§2,
    ConfigClientErrorHandler.kt)
    """
    for path in ("/jobs/99", "/jobs/0", "/jobs/-1", f"/jobs/{10**30}"):
        for method in ("GET", "DELETE"):
            answer = api.request(method, path)
            assert problem(answer) == (409, "state-conflict", {"message": "Job is not currently running"})
    assert api.get("/jobs/abc").status_code == 400


def test_refused_jobs(api: Api, connection: str) -> None:
    """refresh is a 422, an inactive connection a 409 for sync but not for reset, an unknown connection a 404. (§6,
    JobsController.kt)
    """
    body = {"connectionId": connection, "jobType": "refresh"}
    expected = {"message": "Refreshes are not supported in the public API"}
    assert problem(api.post("/jobs", json=body)) == (422, "unprocessable-entity", expected)
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    answer = api.post("/jobs", json={**body, "jobType": "sync"})
    assert problem(answer) == (409, "state-conflict", {"message": "Could not fulfill request"})
    assert api.post("/jobs", json={**body, "jobType": "reset"}).status_code == 200
    assert api.post("/jobs", json={"connectionId": str(uuid4()), "jobType": "sync"}).status_code == 404


@pytest.mark.parametrize("asked", ["reset", "clear"])
def test_reset_and_clear_are_the_same(asked: str, airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Both are of all streams, cancel the sync that runs, need no active connection, and are shown as reset. (§6)"""
    airbyte.engine.hold()
    running = api.sync(connection)
    airbyte.engine.wait_for_start()
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    made = api.ok("POST", "/jobs", json={"connectionId": connection, "jobType": asked})
    assert made["jobType"] == "reset"
    assert api.ok("GET", f"/jobs/{running}")["status"] == "cancelled"
    airbyte.engine.release()
    assert api.finish(made["jobId"])["status"] == "succeeded"
    assert {stream.name for stream in airbyte.engine.requests[-1].streams} == {"users", "products"}


@pytest.mark.parametrize("asked", ["nonsense", "", None, 1])
def test_unknown_job_types_are_a_422(asked: Any, api: Api, connection: str) -> None:
    """A word that is not in the enum can't be mapped. (§2)"""
    answer = api.post("/jobs", json={"connectionId": connection, "jobType": asked})
    assert answer.status_code == 422
    assert "errorId" in answer.json()


def test_list_filters_and_order(tmp_path: Path) -> None:
    """Jobs are listed oldest first; orderBy, status, jobType and times (inclusive) select; connectionId wins. (§3,
    JobsHelper.kt, JobsController.kt)
    """
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


def test_jobs_that_changed_since(tmp_path: Path) -> None:
    """updatedAtStart with orderBy=updatedAt|ASC lists all connections' jobs by their last change, running ones too; a
    time that was shown, to the second, finds what changed within that second. (§3, §6)
    """
    now = [1_700_000_000.0]
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine, clock=lambda: now[0]) as airbyte, airbyte.api() as api:
        source = api.source(count=1)
        first, second = (
            api.connection(source, api.destination(f"{name}.duckdb"), ["users"]) for name in ("one", "two")
        )
        engine.hold()
        held = api.sync(first)
        engine.wait_for_start()
        engine.release()
        api.finish(held)
        now[0] += 60.75
        engine.hold()
        later = api.sync(second)
        engine.wait_for_start(2)
        now[0] += 0.2
        engine.release()
        ended = api.finish(later)
        engine.hold()
        now[0] += 5
        running = api.sync(first)
        engine.wait_for_start(3)

        where = f"workspaceIds={api.workspace_id}&orderBy=updatedAt|ASC"
        found = api.ok("GET", f"/jobs?{where}&updatedAtStart={ended['lastUpdatedAt']}")["data"]
        assert [job["jobId"] for job in found] == [later, running]
        assert "lastUpdatedAt" not in found[1]
        assert [job["jobId"] for job in api.ok("GET", f"/jobs?{where}")["data"]] == [held, later, running]
        newest = api.ok("GET", f"/jobs?workspaceIds={api.workspace_id}&orderBy=updatedAt|DESC&limit=1")["data"]
        assert [job["jobId"] for job in newest] == [running]
        engine.release()


@pytest.mark.parametrize("wrong", ["nonsense", "createdAt", "createdAt|down", "|ASC", "jobId|ASC", "createdAt|ASC|x"])
def test_wrong_order_is_a_400(wrong: str, api: Api) -> None:
    """orderBy is createdAt or updatedAt, a bar, and ASC or DESC. (§3, JobsHelper.kt)"""
    answer = api.get("/jobs", params={"orderBy": wrong})
    assert (answer.status_code, answer.json()["title"]) == (400, "bad-request")


def test_jobs_know_no_include_deleted(api: Api, connection: str) -> None:
    """The parameter isn't one of this list's: it changes nothing, and jobs of deleted connections stay. (§3)"""
    job = api.finish(api.sync(connection))
    api.delete(f"/connections/{connection}")
    assert api.ok("GET", "/jobs?includeDeleted=false")["data"] == [job]


def test_job_ids_are_of_the_whole_server(api: Api, connection: str) -> None:
    """jobId is one ascending integer for all connections. (§6)"""
    other = api.connection(api.source(count=1), api.destination("o.duckdb"), ["users"])
    assert [api.finish(api.sync(one))["jobId"] for one in (connection, other, connection)] == [1, 2, 3]
