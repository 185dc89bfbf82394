"""Exactly one job for one request: lost answers, jobs that exist already, processes that died."""

from __future__ import annotations

import itertools
import json

import httpx
import pytest

from airbyte_dagster.airbyte.records import JobType
from airbyte_dagster.errors import (
    Conflict,
    OutcomeUnknown,
    ServerError,
    SyncAlreadyRunning,
    SyncFailed,
    SyncTimedOut,
    UnexpectedError,
)
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.settings import OnRunning, SyncSettings
from airbyte_dagster.sync.starting import LOST_CREATE_SECONDS
from airbyte_dagster_tests.sync.syncing import DyingTransport, Killed, OddTransport, World, is_post, once
from benchmarks.simulated_airbyte import Fault, SimulatedTransport, connection_id

ONE = connection_id(0)


def test_one_new_sync_takes_three_calls_besides_polls() -> None:
    """The newest job, the request, the stats."""
    world = World(1, job_seconds=30)

    world.run_one(describe=lambda job: world.client().job_stream_stats(job.id))

    polls = world.calls["GET /jobs/{number}"] + world.calls["GET /jobs"] - 1
    assert sum(world.calls.values()) - world.calls["POST /applications/token"] - polls == 3


def test_a_job_of_a_workspace_that_has_none() -> None:
    """The first job ever is new, not one that was there."""
    world = World(1)

    result = world.run_one()

    assert (result.origin, result.error, world.store.kept[ONE]) == ("new", None, Checkpoint(0, job_id=1))


# Lost answers


@pytest.mark.parametrize(
    "fault",
    [
        Fault("answer_lost"),
        Fault("bad_gateway", has_acted=True),
        Fault("gateway_timeout", has_acted=True),
        Fault("unavailable", has_acted=True),
        Fault("late", seconds=0),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_lost_answer_ends_in_the_job_that_was_made(fault: Fault) -> None:
    """The request is not repeated: the job is found by looking."""
    world = World(1)
    world.start_elsewhere(ONE)
    world.clock.sleep(60)

    result = world.run_one(transport=world.transport(once(fault)))

    assert (result.error, result.origin) == (None, "new")
    assert len(world.airbyte.jobs) == 2


def test_a_job_that_is_over_before_anybody_looks_is_ours() -> None:
    """Its id is above all that were there before."""
    world = World(1, job_seconds=0.1)

    result = world.run_one(transport=world.transport(once(Fault("answer_lost"))))

    assert (result.error, result.origin, len(world.airbyte.jobs)) == (None, "new", 1)


def test_a_lost_request_is_sent_again_only_when_the_server_has_surely_given_up() -> None:
    """A server waits up to 60 s for a job's id; until then a repeat might make a second one."""
    world = World(1)
    began = world.airbyte.now

    result = world.run_one(transport=world.transport(once(Fault("dropped"))))

    [job] = world.airbyte.jobs
    assert result.error is None
    assert job.created - began >= LOST_CREATE_SECONDS


def test_a_job_that_turns_up_late_is_taken() -> None:
    """The answer is lost, and the job appears 40 s later: no other is requested."""
    world = World(1)

    result = world.run_one(transport=world.transport(once(Fault("late", seconds=40))))

    assert (result.error, len(world.airbyte.jobs), world.airbyte.jobs[0].asked) == (None, 1, 1)


def test_looks_that_fail_do_not_end_the_search() -> None:
    """A refused look for the job of a lost answer is followed by another."""
    world = World(1)
    jobs = iter([None, 401, 401, 403, 404])  # the first look is before the request

    def odd(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET" and "connectionId" in str(request.url):
            status = next(jobs, None)
            return None if status is None else httpx.Response(status, json={})
        return None

    result = world.run_one(transport=OddTransport(world.transport(once(Fault("answer_lost"))), odd))

    assert (result.error, len(world.airbyte.jobs)) == (None, 1)


def test_no_answer_twice_and_no_job_is_unknown() -> None:
    """It is not called a failed sync; the error says what to do."""
    world = World(1)
    transport = world.transport(lambda method, path: Fault("dropped") if is_post(method, path) else None)

    result = world.run_one(transport=transport)

    assert isinstance(result.error, OutcomeUnknown)
    assert "a rerun attaches" in str(result.error)


def test_no_second_request_while_nobody_can_look() -> None:
    """After a lost answer, and looks that all fail, there is no repeat."""
    world = World(1)
    looks = itertools.count()

    def odd(request: httpx.Request) -> httpx.Response | None:
        is_look = request.method == "GET" and "connectionId" in str(request.url)
        return httpx.Response(403, json={}) if is_look and next(looks) else None  # the first is before the request

    result = world.run_one(transport=OddTransport(world.transport(once(Fault("dropped"))), odd))

    assert isinstance(result.error, OutcomeUnknown)
    assert world.airbyte.jobs == []


def test_a_refusal_is_told_in_airbytes_words() -> None:
    """A connection that is inactive: no job, no repeat."""
    world = World(1)
    world.airbyte.alter(ONE, status="inactive")

    result = world.run_one()

    assert isinstance(result.error, Conflict)
    assert "Could not fulfill request" in str(result.error)
    assert world.calls["POST /jobs"] == 1


def test_an_unexpected_error_of_one_start_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes the result of its connection, with the cause."""
    world = World(3)
    engine = world.engine()
    real = engine.client.create_job

    def create(wanted: str, job_type: JobType) -> object:
        if wanted == connection_id(1):
            raise ValueError("a year beyond 9999")
        return real(wanted, job_type)

    monkeypatch.setattr(engine.client, "create_job", create)
    results = {result.connection_id: result for result in engine.run(world.ids)}

    assert [key for key, result in results.items() if result.error] == [connection_id(1)]
    error = results[connection_id(1)].error
    assert isinstance(error, UnexpectedError)
    assert isinstance(error.__cause__, ValueError)


# Jobs of others


def foreign(world: World, seconds: float = 10) -> None:
    world.start_elsewhere(ONE)
    world.clock.sleep(seconds)


def test_a_running_job_is_joined() -> None:
    """attach, the default: nothing is made, and the checkpoint says that the job is not ours."""
    world = World(1, job_seconds=30)
    foreign(world)

    result = world.run_one()

    assert (result.origin, result.error, len(world.airbyte.jobs)) == ("attached", None, 1)
    assert (world.store.kept[ONE].job_id, world.store.kept[ONE].is_ours) == (1, False)


def test_a_queued_job_that_airbyte_answers_with_is_joined() -> None:
    """Airbyte answers 200 with a job that is only queued: its id says that it was there before."""
    world = World(1, job_seconds=30)
    foreign(world, seconds=0.1)

    result = world.run_one()

    assert (result.origin, world.store.kept[ONE].is_ours, len(world.airbyte.jobs)) == ("attached", False, 1)


def run_elsewhere_before_the_request(world: World) -> SimulatedTransport:
    """Somebody else starts a sync between our look and our request."""
    left = [True]

    def fault(method: str, path: str) -> None:
        if left and is_post(method, path):
            left.clear()
            foreign(world, seconds=1)

    return world.transport(fault)


def test_a_job_that_began_between_look_and_request_is_joined_not_ours() -> None:
    """Airbyte's 409 says so, although its id is above all that were known."""
    world = World(1, job_seconds=30)

    result = world.run_one(transport=run_elsewhere_before_the_request(world))

    assert (result.origin, result.error, len(world.airbyte.jobs)) == ("attached", None, 1)
    assert not world.store.kept[ONE].is_ours


def test_a_refusal_for_a_job_that_has_ended_meanwhile_requests_again() -> None:
    """Nothing runs, and nothing new is there: one more request is right."""
    world = World(1)
    refused: list[int] = []

    def odd(request: httpx.Request) -> httpx.Response | None:
        if not is_post(request.method, request.url.path) or refused:
            return None
        refused.append(1)
        problem = {"type": "x#try-again-later", "title": "try-again-later"}
        return httpx.Response(409, json={**problem, "data": {"message": "A sync is already running for: it"}})

    result = world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd))

    assert (result.error, result.origin, len(world.airbyte.jobs)) == (None, "new", 1)


@pytest.mark.parametrize(
    ("on_running", "origin", "jobs"), [("attach", "attached", 1), ("wait", "new", 2), ("fail", None, 1)]
)
def test_a_refusal_for_a_job_that_began_and_has_ended_meanwhile(
    on_running: OnRunning, origin: str | None, jobs: int
) -> None:
    """It was a foreign one's: taken, followed by ours, or an error, as any that is active."""
    world = World(1, job_seconds=5)

    def odd(request: httpx.Request) -> httpx.Response | None:
        if not is_post(request.method, request.url.path) or world.airbyte.jobs:
            return None
        world.start_elsewhere(ONE)
        world.clock.sleep(60)
        problem = {"type": "x#try-again-later", "title": "try-again-later"}
        return httpx.Response(409, json={**problem, "data": {"message": "A sync is already running for: it"}})

    transport = OddTransport(SimulatedTransport(world.airbyte), odd)
    result = world.run_one(transport=transport, settings=SyncSettings(on_running=on_running))

    assert (result.origin, len(world.airbyte.jobs)) == (origin, jobs)
    assert isinstance(result.error, SyncAlreadyRunning) is (on_running == "fail")


def test_a_lost_request_that_is_served_after_all_is_ours() -> None:
    """It turns up just before it is sent again, and runs: the refusal of the second is for the first."""
    world = World(1, job_seconds=30)
    posts = itertools.count()

    def fault(method: str, path: str) -> Fault | None:
        if not is_post(method, path):
            return None
        if next(posts) == 0:
            return Fault("dropped")
        foreign(world, seconds=1)
        return None

    result = world.run_one(transport=world.transport(fault))

    assert (result.origin, result.error, len(world.airbyte.jobs)) == ("new", None, 1)
    assert world.store.kept[ONE].is_ours


def test_a_queued_job_that_was_the_newest_of_all_is_joined() -> None:
    """In a run over many nobody looks at the connection before: its id is the highest that was known."""
    world = World(8, job_seconds=30)
    foreign(world, seconds=0.1)

    result = world.run()[ONE]

    assert (result.origin, result.error, world.store.kept[ONE].is_ours) == ("attached", None, False)


def test_a_running_job_refuses_where_that_is_wanted() -> None:
    """fail: the job's id is in the message."""
    world = World(1, job_seconds=30)
    foreign(world)

    result = world.run_one(settings=SyncSettings(on_running="fail"))

    assert isinstance(result.error, SyncAlreadyRunning)
    assert "Job 1" in str(result.error)


def test_a_job_that_began_just_before_the_request_refuses_too() -> None:
    """fail: it is not joined in between."""
    world = World(1, job_seconds=30)

    result = world.run_one(transport=run_elsewhere_before_the_request(world), settings=SyncSettings(on_running="fail"))

    assert isinstance(result.error, SyncAlreadyRunning)
    assert len(world.airbyte.jobs) == 1


@pytest.mark.parametrize("fails", [True, False])
def test_a_running_job_is_waited_for_however_it_ends(*, fails: bool) -> None:
    """wait: ours is requested after it."""
    world = World(1, job_seconds=30, fails=lambda _id, earlier: fails and earlier == 0)
    foreign(world)

    result = world.run_one(settings=SyncSettings(on_running="wait"))

    first, second = world.airbyte.jobs
    assert (result.origin, result.error, result.job and result.job.id) == ("new", None, second.id)
    assert second.created >= first.ends


def test_a_job_that_began_just_before_the_request_is_waited_for_too() -> None:
    """wait: Airbyte's 409 sends the connection back; the run that dies meanwhile does not take the other's for its."""
    world = World(1, job_seconds=30)
    settings = SyncSettings(on_running="wait")

    result = world.run_one(transport=run_elsewhere_before_the_request(world), settings=settings)

    first, second = world.airbyte.jobs
    assert (result.origin, result.job and result.job.id) == ("new", second.id)
    assert second.created >= first.ends


def test_a_foreign_job_is_not_taken_for_ours_by_a_resumed_run() -> None:
    """wait: the process dies while it waits for a job that began between look and request."""
    world = World(1, job_seconds=30)
    settings = SyncSettings(on_running="wait")
    dying = DyingTransport(run_elsewhere_before_the_request(world), 5)
    world.store.is_dead = lambda: dying.is_dead
    with pytest.raises(Killed):
        world.run_one(transport=dying, settings=settings)
    assert [job.id for job in world.airbyte.jobs] == [1]
    world.store.is_dead = lambda: False

    result = world.run_one(settings=settings)

    assert (result.origin, result.job and result.job.id) == ("new", 2)


def test_waiting_for_anothers_job_never_cancels_it() -> None:
    """wait with a timeout: our time is over, the other's job goes on."""
    world = World(1, job_seconds=300)
    foreign(world)

    result = world.run_one(settings=SyncSettings(on_running="wait", timeout=30))

    assert isinstance(result.error, SyncTimedOut)
    assert world.statuses() == ["running"]


@pytest.mark.parametrize("on_running", ["attach", "wait"])
def test_a_running_reset_is_no_sync_to_join(on_running: OnRunning) -> None:
    """It does not stand for the sync that was requested: that follows it."""
    world = World(1, job_seconds=30)
    world.client().create_job(ONE, "reset")
    world.clock.sleep(10)

    result = world.run_one(settings=SyncSettings(on_running=on_running))

    first, second = world.airbyte.jobs
    assert (first.job_type, second.job_type, result.origin) == ("reset", "sync", "new")
    assert result.job is not None
    assert result.job.id == second.id
    assert first.status(world.airbyte.now) == "succeeded"


@pytest.mark.parametrize("job_type", ["reset", "clear"])
def test_a_running_reset_is_joined_by_a_clear_and_the_other_way_round(job_type: JobType) -> None:
    """Airbyte shows both as resets; a second request would cancel the first."""
    world = World(1, job_seconds=30)
    world.client().create_job(ONE, "reset")
    world.clock.sleep(10)

    result = world.run_one(job_type)

    assert (result.origin, result.error, world.statuses()) == ("attached", None, ["succeeded"])


@pytest.mark.parametrize("job_type", ["reset", "clear"])
def test_a_lost_reset_is_found(job_type: JobType) -> None:
    """Under the type that Airbyte shows it with."""
    world = World(1)

    result = world.run_one(job_type, transport=world.transport(once(Fault("answer_lost"))))

    assert (result.origin, result.error, len(world.airbyte.jobs)) == ("new", None, 1)


# Former processes


@pytest.mark.parametrize("seconds", [2, 500])
def test_a_resumed_run_goes_on_with_its_job(seconds: float) -> None:
    """Whether it runs or has succeeded meanwhile; the checkpoint says whose it is."""
    world = World(1, job_seconds=100)
    world.start_elsewhere(ONE)
    world.clock.sleep(seconds)
    world.store.kept[ONE] = Checkpoint(0, job_id=1)

    result = world.run_one()

    assert (result.origin, result.error, len(world.airbyte.jobs)) == ("resumed", None, 1)


def test_a_resumed_run_finds_a_job_whose_id_it_never_learnt() -> None:
    """Any job above the one that was the newest before it requested its own."""
    world = World(1, job_seconds=100)
    world.run_one()
    world.start_elsewhere(ONE)
    world.store.kept[ONE] = Checkpoint(1, requested_at=world.airbyte.now - 1000)

    result = world.run_one()

    assert (result.origin, result.job and result.job.id, len(world.airbyte.jobs)) == ("resumed", 2, 2)


def test_a_former_job_that_gives_no_answer_is_followed_by_no_other() -> None:
    """It may be running: after the tolerance the run fails, and requests nothing."""
    world = World(1, job_seconds=3600)
    foreign(world)
    world.store.kept = {ONE: Checkpoint(0, job_id=1)}

    def odd(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(500, json={}) if request.url.path.endswith("/jobs/1") else None

    result = world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd))

    assert isinstance(result.error, ServerError)
    assert len(world.airbyte.jobs) == 1


def test_a_job_is_not_looked_for_by_the_clock_of_another_machine() -> None:
    """One that goes an hour ahead wrote when it was requested: it can be in the server for a minute all the same."""
    world = World(1, job_seconds=1)
    began = world.clock()
    world.store.kept = {ONE: Checkpoint(0, requested_at=world.airbyte.now + 3600)}

    assert world.run_one().origin == "new"
    assert world.clock() - began < 2 * LOST_CREATE_SECONDS


def test_a_failed_job_is_not_resumed() -> None:
    """It would make each retry fail at once."""
    world = World(1, fails=lambda _id, earlier: earlier == 0)
    assert isinstance(world.run_one().error, SyncFailed)

    result = world.run_one()

    assert (result.origin, result.error, result.job and result.job.id) == ("new", None, 2)


@pytest.mark.parametrize(("rows", "stats", "origin"), [(0, [], "new"), (0, None, "resumed"), (7, [], "resumed")])
def test_a_success_in_which_nothing_ran_is_not_resumed(rows: int, stats: list[object] | None, origin: str) -> None:
    """A launch that failed is recorded as a success with no rows and no stats; rows, or stats, show that it ran."""
    world = World(1)
    world.run_one()

    def odd(request: httpx.Request) -> httpx.Response | None:
        path, first = request.url.path, b'"id":1}' in request.content.replace(b" ", b"")
        if path.endswith("/public/v1/jobs/1"):
            told = SimulatedTransport(world.airbyte).handle_request(request)
            return httpx.Response(200, json={**json.loads(told.read()), "rowsSynced": rows})
        if first and path.endswith(("/jobs/get_without_logs", "/jobs/get_debug_info")) and stats is not None:
            return httpx.Response(200, json={"job": {"id": 1}, "attempts": [{"attempt": {"streamStats": stats}}]})
        return None

    result = world.run_one(transport=OddTransport(world.transport(), odd))

    assert (result.origin, result.error) == (origin, None)


def test_a_recorded_job_is_not_resumed() -> None:
    """Whoever runs its connection again wants a new one."""
    world = World(1)
    world.run_one()
    world.store.kept[ONE] = Checkpoint(0, job_id=1, is_recorded=True)

    result = world.run_one()

    assert (result.origin, result.job and result.job.id) == ("new", 2)


def test_a_job_that_the_server_does_not_know_is_forgotten() -> None:
    """Airbyte answers 409 for an unknown id; the server was set up again."""
    world = World(1)
    world.store.kept[ONE] = Checkpoint(0, job_id=7)

    result = world.run_one()

    assert (result.origin, result.error) == ("new", None)


@pytest.mark.parametrize("answer", [httpx.Response(200, html="<html>"), httpx.Response(403, json={})])
def test_one_odd_answer_about_a_former_job_says_nothing(answer: httpx.Response) -> None:
    """It is asked for again, and gone on with."""
    world = World(1, job_seconds=100)
    world.start_elsewhere(ONE)
    world.store.kept[ONE] = Checkpoint(0, job_id=1)
    left = [answer]

    def odd(request: httpx.Request) -> httpx.Response | None:
        return left.pop() if left and request.url.path.endswith("/jobs/1") else None

    result = world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd))

    assert (result.origin, result.error, len(world.airbyte.jobs)) == ("resumed", None, 1)


def test_the_checkpoint_is_written_before_the_request_and_completed_after() -> None:
    """So that no moment is left in which a crash loses the job."""
    world = World(1)
    world.run_one()
    seen: list[Checkpoint] = []

    def look(method: str, path: str) -> Fault | None:
        if is_post(method, path):
            seen.append(world.store.kept[ONE])
        return None

    world.store.kept.clear()
    world.run_one(transport=world.transport(look))

    assert seen == [Checkpoint(1)]
    assert seen[0].requested_at is not None
    assert world.store.kept[ONE] == Checkpoint(1, job_id=2)
    assert world.store.kept[ONE].requested_at is None


def test_a_checkpoint_is_renewed_before_a_late_request() -> None:
    """The second request of a lost one is 75 s late: whoever resumes must wait for its job as long as for a first's."""
    world = World(1)
    sent: list[tuple[float, float | None]] = []

    def look(method: str, path: str) -> Fault | None:
        if is_post(method, path):
            sent.append((world.airbyte.now, world.store.kept[ONE].requested_at))
        return None

    world.run_one(transport=world.transport(look, once(Fault("dropped"))))

    assert len(sent) == 2
    assert all(at - (requested or 0.0) < 1 for at, requested in sent)


def test_a_request_that_waited_for_its_turn_has_a_new_checkpoint() -> None:
    """Sixty-four are prepared together; each takes 30 s of the server here."""
    world = World(4)
    late: list[float] = []

    def look(method: str, path: str) -> Fault | None:
        if is_post(method, path):
            newest = max(checkpoint.requested_at or 0.0 for checkpoint in world.store.kept.values())
            late.append(world.airbyte.now - newest)
            world.clock.sleep(30)
        return None

    world.run(transport=world.transport(look))

    assert max(late) < 1


def test_no_connections_are_no_calls() -> None:
    """An empty run is none."""
    world = World(1)

    assert list(world.engine().run([])) == []
    assert world.calls.total() == 0
