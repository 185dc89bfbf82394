"""Jobs: started once, watched to the end, whatever goes wrong between.

The real client talks to a real HTTP server that plays Airbyte's jobs by a script; only time is not real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import (
    Conflict,
    OutcomeUnknown,
    SyncAlreadyRunning,
    SyncCancelled,
    SyncFailed,
    SyncStatusUnknown,
    SyncTimedOut,
)
from airbyte_dagster.sync.runner import JobNote, SyncRunner, SyncSettings, poll_wait
from airbyte_dagster_tests.clock import FakeClock
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request

CONNECTION = "0a1b2c3d-0000-4000-8000-000000000001"
API = "/api/public/v1"
ALREADY_RUNNING = Reply(
    409,
    {
        "status": 409,
        "type": "https://reference.airbyte.com/reference/errors#try-again-later",
        "title": "try-again-later",
        "detail": "Please try again later.",
        "documentationUrl": None,
        "data": {"message": f"A sync is already running for: {CONNECTION}"},
    },
)
STATE_CONFLICT = Reply(
    409,
    {
        "status": 409,
        "type": "https://reference.airbyte.com/reference/errors#409-state-conflict",
        "title": "state-conflict",
        "data": {"message": "Could not fulfill request"},
    },
)


class Memory:
    """A JobMemory that outlives runners, as the tags of a run do."""

    def __init__(self, note: JobNote | None = None) -> None:
        self.kept = note

    def recall(self, connection_id: str) -> JobNote | None:
        return self.kept

    def note(self, connection_id: str, note: JobNote) -> None:
        self.kept = note


class Jobs:
    """Airbyte's jobs of one connection. Each job walks through a script of statuses, one step a read."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.jobs: dict[int, dict[str, Any]] = {}
        self.scripts: dict[int, list[str]] = {}
        self.next_script = ["running", "succeeded"]
        self.cancelled: list[int] = []
        self.create: Callable[[Request], Reply] = lambda _request: Reply(200, self.add())
        server.on("POST", f"{API}/jobs", lambda request: self.create(request))  # noqa: PLW0108 - tests replace `create`
        server.on("GET", f"{API}/jobs/{{id}}", self._get)
        server.on("GET", f"{API}/jobs", lambda _request: Reply(200, {"data": self.newest_first()}))
        server.on("DELETE", f"{API}/jobs/{{id}}", self._cancel)

    def add(self, *script: str, status: str = "pending", job_type: str = "sync") -> dict[str, Any]:
        job_id = max(self.jobs, default=40) + 1
        self.scripts[job_id] = list(script or self.next_script)
        self.jobs[job_id] = {
            "jobId": job_id,
            "status": status,
            "jobType": job_type,
            "startTime": "2026-01-05T10:00Z",
            "connectionId": CONNECTION,
        }
        return self.jobs[job_id]

    def newest_first(self) -> list[dict[str, Any]]:
        return [self.jobs[job_id] for job_id in sorted(self.jobs, reverse=True)]

    @property
    def created(self) -> int:
        return len(self.server.sent("POST", f"{API}/jobs"))

    @property
    def polls(self) -> int:
        return len(self.server.sent("GET", f"{API}/jobs/{{id}}"))

    def _get(self, request: Request) -> Reply:
        job = self.jobs.get(int(request.parts["id"]))
        if job is None:
            return STATE_CONFLICT
        script = self.scripts[job["jobId"]]
        if script and job["status"] not in ("succeeded", "failed", "cancelled"):
            job["status"] = script.pop(0) if len(script) > 1 else script[0]
            job |= {"rowsSynced": job.get("rowsSynced", 0) + 7, "bytesSynced": 100}
        return Reply(200, job)

    def _cancel(self, request: Request) -> Reply:
        job_id = int(request.parts["id"])
        self.cancelled.append(job_id)
        self.scripts[job_id] = ["cancelled"]
        return Reply(200, self.jobs[job_id])


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


@pytest.fixture
def jobs(server: HttpServer) -> Jobs:
    return Jobs(server)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def runner(server: HttpServer, clock: FakeClock, lines: list[str]) -> Iterator[SyncRunner]:
    client = AirbyteClient(ClientSettings(server_url=server.url + API), sleep=clock.sleep, clock=clock)
    yield SyncRunner(
        client,
        memory=Memory(),
        log=lines.append,
        warn=lambda line: lines.append(f"WARN {line}"),
        clock=clock,
        sleep=clock.sleep,
    )
    client.close()


def with_settings(runner: SyncRunner, **settings: Any) -> SyncRunner:
    return replace(runner, settings=SyncSettings(**settings))


def test_succeeded_job_is_returned_with_its_numbers(runner: SyncRunner, jobs: Jobs) -> None:
    """One list, one create, the polls: no more calls than that."""
    done = runner.run(CONNECTION)

    assert (done.job.id, done.job.status, done.origin) == (41, "succeeded", "new")
    assert done.job.rows == 14
    assert runner.client.calls == 2 + jobs.polls


@pytest.mark.parametrize(("status", "error"), [("failed", SyncFailed), ("cancelled", SyncCancelled)])
def test_every_other_end_is_an_error(runner: SyncRunner, jobs: Jobs, status: str, error: type[Exception]) -> None:
    """Failed and cancelled are never success; the error has the job's id and status."""
    jobs.next_script = ["running", status]

    with pytest.raises(error, match="Job 41") as caught:
        runner.run(CONNECTION)

    assert (caught.value.job_id, caught.value.status) == (41, status)  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", ["pending", "queued", "running", "incomplete"])
def test_active_statuses_are_watched(runner: SyncRunner, jobs: Jobs, status: str) -> None:
    """`incomplete` too: an attempt failed, another follows."""
    jobs.next_script = [status, status, "succeeded"]

    assert runner.run(CONNECTION).job.status == "succeeded"
    assert jobs.polls == 3


def test_unknown_status_warns_once_and_is_no_success(runner: SyncRunner, jobs: Jobs, lines: list[str]) -> None:
    """A newer server may know more: keep watching, say so once."""
    jobs.next_script = ["reticulating", "reticulating", "reticulating", "failed"]

    with pytest.raises(SyncFailed):
        runner.run(CONNECTION)

    assert len([line for line in lines if "unknown status 'reticulating'" in line]) == 1


def test_reason_of_a_failure_is_told(runner: SyncRunner, jobs: Jobs, server: HttpServer) -> None:
    """Where the configuration API is reachable, its words for people are in the error."""
    jobs.next_script = ["failed"]
    failure = {"failureOrigin": "source", "externalMessage": "The API key is expired."}
    attempt = {"attempt": {"id": 0, "status": "failed", "failureSummary": {"failures": [failure]}}}
    server.on("POST", "/api/v1/jobs/get_debug_info", Reply(200, {"job": {"id": 41}, "attempts": [attempt, attempt]}))

    with pytest.raises(SyncFailed, match=r"failed after 2 attempt\(s\): The API key is expired\. \(source\)"):
        runner.run(CONNECTION)


# Waiting


@given(st.floats(0, 1e6), st.floats(0.5, 60))
def test_wait_is_a_twentieth_of_the_age_within_bounds(age: float, ceiling: float) -> None:
    """Never under half a second, never over the ceiling."""
    wait = poll_wait(age, ceiling)

    assert 0.5 <= wait <= max(ceiling, 0.5)
    assert wait in (0.5, ceiling) or wait == pytest.approx(age / 20)


def test_short_job_is_noticed_at_once_and_long_one_costs_hardly_more(
    runner: SyncRunner, jobs: Jobs, clock: FakeClock
) -> None:
    """A job of 3 s is noticed within 0.5 s; one of an hour costs about the polls of a fixed interval of 10 s."""
    noticed = {}
    for seconds in (3.0, 3600.0):
        began = clock.now
        polls = jobs.polls
        job = jobs.add("running")
        clock.on_sleep = lambda now, job=job, end=began + seconds: job.update(  # type: ignore[misc]
            status="succeeded" if now >= end else "running"
        )
        runner.watch(runner.client.job(job["jobId"]))
        noticed[seconds] = (clock.now - began - seconds, jobs.polls - polls)

    assert noticed[3.0][0] <= 0.5
    assert noticed[3600.0][0] <= 10.0
    assert noticed[3600.0][1] <= 3600 / 10 * 1.2


def test_progress_is_told_when_it_moves(runner: SyncRunner, jobs: Jobs) -> None:
    """Not at every poll: only when status or numbers are new."""
    seen = []
    job = jobs.add("running", "running", "succeeded")
    job |= {"rowsSynced": 0}
    watching = replace(runner, on_progress=lambda job: seen.append((job.status, job.rows)))
    jobs.server.on(
        "GET",
        f"{API}/jobs/{{id}}",
        *(Reply(200, {**job, "status": "running", "rowsSynced": rows}) for rows in (1, 1, 1, 2)),
        Reply(200, {**job, "status": "succeeded", "rowsSynced": 2}),
    )

    watching.watch(runner.client.job(job["jobId"]))

    assert seen == [("running", 1), ("running", 2), ("succeeded", 2)]


# Exactly one job


def lose_answer(jobs: Jobs, *, made: bool) -> None:
    """The first create gets no answer; with `made`, Airbyte made the job all the same."""

    def create(request: Request) -> Reply:
        first = jobs.created == 1
        if made or not first:
            job = jobs.add()
            if not first:
                return Reply(200, job)
        return Reply(drop="before")

    jobs.create = create


def test_lost_answer_ends_in_the_job_that_was_made(runner: SyncRunner, jobs: Jobs) -> None:
    """The create is not repeated: the job is found by looking."""
    lose_answer(jobs, made=True)

    assert runner.run(CONNECTION).job.id == 41
    assert jobs.created == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_gateway_error_on_create_is_a_lost_answer(runner: SyncRunner, jobs: Jobs, status: int) -> None:
    """A proxy that gives up says nothing about the job behind it."""

    def create(request: Request) -> Reply:
        jobs.add()
        return Reply(status)

    jobs.create = create

    assert runner.run(CONNECTION).job.id == 41
    assert (jobs.created, len(jobs.jobs)) == (1, 1)


def test_lost_answer_of_a_job_that_is_already_over(runner: SyncRunner, jobs: Jobs) -> None:
    """A job that ended before anybody looked is ours too: its id is above all that were there before."""
    jobs.add(status="succeeded")

    def create(request: Request) -> Reply:
        jobs.add(status="succeeded")
        return Reply(drop="before")

    jobs.create = create

    assert runner.run(CONNECTION).job.id == 42
    assert jobs.created == 1


def test_lost_request_is_sent_again_only_after_the_server_has_surely_given_up(
    runner: SyncRunner, jobs: Jobs, clock: FakeClock
) -> None:
    """A server waits up to 60 s for a job's id; until then a repeat might make a second one."""
    lose_answer(jobs, made=False)
    began = clock.now

    assert runner.run(CONNECTION).job.id == 41
    assert jobs.created == 2
    assert clock.now - began >= 60


def test_job_that_turns_up_late_is_taken(runner: SyncRunner, jobs: Jobs, clock: FakeClock) -> None:
    """The answer is lost, and the job appears 40 s later: it is watched, and no other made."""
    jobs.create = lambda _request: Reply(drop="before")
    began = clock.now

    def turn_up(now: float) -> None:
        if now - began > 40 and not jobs.jobs:
            jobs.add()

    clock.on_sleep = turn_up

    assert runner.run(CONNECTION).job.id == 41
    assert jobs.created == 1


def test_no_answer_twice_and_no_job_is_no_failed_sync(runner: SyncRunner, jobs: Jobs) -> None:
    """It is said that nothing is known, and what to do."""
    jobs.create = lambda _request: Reply(drop="before")

    with pytest.raises(OutcomeUnknown, match="a rerun attaches"):
        runner.run(CONNECTION)

    assert jobs.created == 2


def test_conflict_ends_in_the_running_job(runner: SyncRunner, jobs: Jobs) -> None:
    """A 409 'already running' that arises between our look and our create: the running job is watched."""

    def create(request: Request) -> Reply:
        jobs.add()
        return ALREADY_RUNNING

    jobs.create = create

    assert runner.run(CONNECTION).job.id == 41
    assert jobs.created == 1


def test_conflict_with_a_job_that_ended_meanwhile_asks_again(runner: SyncRunner, jobs: Jobs) -> None:
    """Nothing runs any more when we look after the 409, and nothing new is there: one more create is right."""
    jobs.create = lambda _request: ALREADY_RUNNING if jobs.created == 1 else Reply(200, jobs.add())

    assert runner.run(CONNECTION).job.id == 41
    assert jobs.created == 2


def test_refusal_is_told_in_airbytes_words(runner: SyncRunner, jobs: Jobs) -> None:
    """A connection that is inactive or locked: 409 'Could not fulfill request', no job, no repeat."""
    jobs.create = lambda _request: STATE_CONFLICT

    with pytest.raises(Conflict, match="Could not fulfill request"):
        runner.run(CONNECTION)

    assert jobs.created == 1


def test_running_job_is_joined(runner: SyncRunner, jobs: Jobs) -> None:
    """attach, the default: of several active jobs the newest; nothing is created."""
    jobs.add("running", "failed", status="running")
    jobs.add("running", "succeeded", status="running")

    done = runner.run(CONNECTION)

    assert (done.job.id, done.origin, jobs.created) == (42, "attached", 0)


def test_running_job_refuses_where_asked_to(runner: SyncRunner, jobs: Jobs) -> None:
    """fail: the job's id is in the message."""
    jobs.add(status="running")

    with pytest.raises(SyncAlreadyRunning, match="Job 41"):
        with_settings(runner, on_running="fail").run(CONNECTION)

    assert jobs.created == 0


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_running_job_is_waited_for_where_asked_to(runner: SyncRunner, jobs: Jobs, end: str) -> None:
    """wait: however it ends, ours is started after it."""
    jobs.add("running", end, status="running")

    done = with_settings(runner, on_running="wait").run(CONNECTION)

    assert (done.job.id, done.origin, jobs.created) == (42, "new", 1)


def test_waiting_for_anothers_job_never_cancels_it(runner: SyncRunner, jobs: Jobs) -> None:
    """wait with a timeout: our time is over, the other's job goes on."""
    jobs.add("running", status="running")

    with pytest.raises(SyncTimedOut):
        with_settings(runner, on_running="wait", timeout=30).run(CONNECTION)

    assert jobs.cancelled == []


def test_running_reset_is_no_sync_to_join(runner: SyncRunner, jobs: Jobs) -> None:
    """An active reset does not stand for the sync that was asked for."""
    jobs.add("running", status="running", job_type="reset")

    assert runner.run(CONNECTION).job.id == 42


# After a crash


def test_restarted_run_adopts_its_job(runner: SyncRunner, jobs: Jobs) -> None:
    """The process died while it watched: the same job is watched on, even if it has succeeded meanwhile."""
    for status in ("running", "succeeded"):
        job_id = jobs.add("succeeded", status=status)["jobId"]
        done = replace(runner, memory=Memory(JobNote(after=job_id - 1, job_id=job_id))).run(CONNECTION)
        assert (done.job.id, done.origin) == (job_id, "adopted")

    assert jobs.created == 0


def test_run_that_died_between_create_and_answer_adopts_by_what_came_after(runner: SyncRunner, jobs: Jobs) -> None:
    """It noted the newest job before it asked: a job above that is its own."""
    jobs.add(status="succeeded")
    jobs.add("succeeded", status="running")

    done = replace(runner, memory=Memory(JobNote(after=41))).run(CONNECTION)

    assert (done.job.id, done.origin, jobs.created) == (42, "adopted", 0)


def test_retry_after_a_failed_job_wants_a_new_one(runner: SyncRunner, jobs: Jobs) -> None:
    """Adopting a failed job would make each retry fail at once."""
    jobs.add(status="failed")

    done = replace(runner, memory=Memory(JobNote(after=40, job_id=41))).run(CONNECTION)

    assert (done.job.id, done.origin) == (42, "new")


def test_note_is_written_before_the_create_and_completed_after(runner: SyncRunner, jobs: Jobs) -> None:
    """So that no moment is left in which a crash loses the job."""
    memory = Memory()
    notes = []

    def create(request: Request) -> Reply:
        notes.append(memory.kept)
        return Reply(200, jobs.add())

    jobs.add(status="succeeded")
    jobs.create = create
    replace(runner, memory=memory).run(CONNECTION)

    assert notes == [JobNote(after=41)]
    assert memory.kept == JobNote(after=41, job_id=42)


def test_noted_job_that_the_server_does_not_know_is_forgotten(runner: SyncRunner, jobs: Jobs) -> None:
    """Airbyte answers 409 for an unknown job id; the server was set up anew."""
    done = replace(runner, memory=Memory(JobNote(after=0, job_id=7))).run(CONNECTION)

    assert (done.job.id, done.origin) == (41, "new")


# Trouble while watching


def test_failing_polls_say_nothing_about_the_sync(
    runner: SyncRunner, jobs: Jobs, server: HttpServer, clock: FakeClock
) -> None:
    """Errors for four minutes, beyond all retries of a call; then the job is found to have succeeded."""
    job = jobs.add("succeeded", status="running")
    watched = runner.client.job(job["jobId"])
    job["status"] = "running"
    until = clock.now + 240

    def get(request: Request) -> Reply:
        return Reply(503) if clock.now < until else Reply(200, {**job, "status": "succeeded"})

    server.on("GET", f"{API}/jobs/{{id}}", get)

    assert runner.watch(replace(watched, status="running")).status == "succeeded"


def test_polls_that_fail_for_too_long_end_the_watch_not_the_job(
    runner: SyncRunner, jobs: Jobs, server: HttpServer
) -> None:
    """The error says that the job may still run; nothing is cancelled."""
    job = runner.client.job(jobs.add("running")["jobId"])
    server.on("GET", f"{API}/jobs/{{id}}", Reply(drop="before"))

    with pytest.raises(SyncStatusUnknown, match="may still be running"):
        runner.watch(job)

    assert jobs.cancelled == []


def test_timeout_cancels_and_says_so(runner: SyncRunner, jobs: Jobs, clock: FakeClock) -> None:
    """After the timeout the job is cancelled; no orphan is left."""
    jobs.next_script = ["running"]
    began = clock.now

    with pytest.raises(SyncTimedOut, match=r"Job 41 was still running after 60 s and was cancelled"):
        with_settings(runner, timeout=60).run(CONNECTION)

    assert jobs.cancelled == [41]
    assert 60 <= clock.now - began < 75


def test_timeout_can_leave_the_job_running(runner: SyncRunner, jobs: Jobs) -> None:
    """cancel_on_timeout=False: nothing is cancelled, and the message says that it runs on."""
    jobs.next_script = ["running"]

    with pytest.raises(SyncTimedOut, match="was left running"):
        with_settings(runner, timeout=60, cancel_on_timeout=False).run(CONNECTION)

    assert jobs.cancelled == []


@pytest.mark.parametrize("cancel", [True, False])
def test_termination_cancels_unless_told_not_to(
    runner: SyncRunner, jobs: Jobs, clock: FakeClock, *, cancel: bool
) -> None:
    """An interrupt while waiting: the job is cancelled first, then the interrupt goes on."""
    jobs.next_script = ["running"]

    def interrupt(now: float) -> None:
        clock.on_sleep = lambda _now: None
        raise KeyboardInterrupt

    clock.on_sleep = interrupt

    with pytest.raises(KeyboardInterrupt):
        with_settings(runner, cancel_on_termination=cancel).run(CONNECTION)

    assert jobs.cancelled == ([41] if cancel else [])


@pytest.mark.parametrize("made", [True, False])
def test_termination_while_the_answer_is_awaited_leaves_no_job(runner: SyncRunner, jobs: Jobs, *, made: bool) -> None:
    """The create may have happened though nobody heard of it: then it is found and cancelled."""

    def create_job(connection_id: str, job_type: str) -> Job:
        if made:
            jobs.add("running", status="running")
        raise KeyboardInterrupt

    runner.client.create_job = create_job  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        runner.run(CONNECTION)

    assert jobs.cancelled == ([41] if made else [])


def test_finished_job_is_never_sent_a_cancel(runner: SyncRunner, jobs: Jobs) -> None:
    """Airbyte's DELETE would stop whatever else runs on that connection."""
    jobs.add(status="succeeded")

    ended = runner.cancel(41)

    assert ended is not None
    assert ended.status == "succeeded"
    assert jobs.cancelled == []


def test_cancel_waits_until_the_job_has_stopped(runner: SyncRunner, jobs: Jobs) -> None:
    """DELETE may answer with a job that is not yet cancelled."""
    jobs.add("running", status="running")

    ended = runner.cancel(41)

    assert ended is not None
    assert ended.status == "cancelled"


def test_job_that_succeeded_while_being_cancelled_is_a_success(
    runner: SyncRunner, jobs: Jobs, server: HttpServer
) -> None:
    """The timeout came as the job ended: what Airbyte says counts."""
    jobs.next_script = ["running"]

    def finish(request: Request) -> Reply:
        jobs.scripts[41] = ["succeeded"]
        return Reply(200, jobs.jobs[41])

    server.on("DELETE", f"{API}/jobs/{{id}}", finish)

    assert with_settings(runner, timeout=5).run(CONNECTION).job.status == "succeeded"
