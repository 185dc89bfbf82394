"""Jobs are watched to their end: whatever a single answer is like, it says nothing about the sync."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import SyncCancelled, SyncFailed, SyncStatusUnknown, SyncTimedOut, UnexpectedError
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.job_list import JobListReader
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster.sync.watching import JobWatcher, Update
from airbyte_dagster_tests.sync.syncing import Killed, OddTransport, World
from benchmarks.simulated_airbyte import WORKSPACE_ID, Fault, SimulatedTransport, connection_id

ONE = connection_id(0)
ODD = {
    "404 html": lambda: httpx.Response(404, html="<html>no such page</html>"),
    "404": lambda: httpx.Response(404, json={"title": "resource-not-found"}),
    "200 html": lambda: httpx.Response(200, html="<html>sign in</html>"),
    "200 of another kind": lambda: httpx.Response(200, json={"data": [{"jobId": "x"}]}),
    "403": lambda: httpx.Response(403, html="<html>forbidden</html>"),
    "401": lambda: httpx.Response(401, json={}),
    "409": lambda: httpx.Response(409, json={"title": "state-conflict"}),
    "500": lambda: httpx.Response(500, json={}),
    "503": lambda: httpx.Response(503),
    "429": lambda: httpx.Response(429),
}


def between(world: World, begin: float, end: float, answer: Callable[[], httpx.Response]) -> httpx.BaseTransport:
    """A transport on which every look at jobs is answered so for a while, in seconds from now."""
    now = world.clock()

    def odd(request: httpx.Request) -> httpx.Response | None:
        is_due = request.method == "GET" and begin <= world.clock() - now < end
        return answer() if is_due else None

    return OddTransport(SimulatedTransport(world.airbyte), odd)


@pytest.mark.parametrize("number", [1, 12])
@pytest.mark.parametrize("name", ODD)
def test_no_answer_ends_the_watching_of_a_healthy_job(name: str, number: int) -> None:
    """Four minutes of it, for one as for many; then they are found to have succeeded."""
    world = World(number, job_seconds=300)

    results = world.run(transport=between(world, 10, 250, ODD[name]))

    assert {result.error for result in results.values()} == {None}


@pytest.mark.parametrize("number", [1, 12])
@pytest.mark.parametrize("name", ["403", "200 html", "503"])
def test_answers_that_stay_odd_end_the_watching_not_the_jobs(name: str, number: int) -> None:
    """When the tolerance has passed: the error says that they may still run; nothing is cancelled."""
    world = World(number, job_seconds=3000)
    began = world.clock()

    results = world.run(transport=between(world, 10, 10_000, ODD[name]))

    assert {type(result.error) for result in results.values()} == {SyncStatusUnknown}
    assert "may still be running" in str(results[ONE].error)
    assert set(world.statuses()) == {"running"}
    # Each failed call may itself be repeated for two minutes.
    assert 310 <= world.clock() - began < 560


def test_the_tolerance_begins_with_the_last_good_answer() -> None:
    """A job of ten minutes that is not to be read twice, for four minutes each: its age is no matter."""
    world = World(1, job_seconds=900)
    now = world.clock()

    def odd(request: httpx.Request) -> httpx.Response | None:
        age = world.clock() - now
        is_due = request.method == "GET" and (310 <= age < 540 or 560 <= age < 800)
        return httpx.Response(403, json={}) if is_due else None

    assert world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd)).error is None


def test_a_read_that_failed_is_forgotten_when_the_list_is_read_again() -> None:
    """One failed read, and then good ones, which have nothing to show of a job that runs on: they are answers, too."""
    world = World(12, job_seconds=300)

    results = world.run(transport=between(world, 10, 14, ODD["403"]), settings=SyncSettings(poll_failure_tolerance=30))

    assert {result.error for result in results.values()} == {None}
    assert len(world.warnings) == 1


def test_jobs_are_read_one_by_one_where_the_list_is_refused() -> None:
    """An ingress, or a role, may allow one and not the other."""
    world = World(1, job_seconds=900)

    def odd(request: httpx.Request) -> httpx.Response | None:
        is_list = request.method == "GET" and "updatedAt" in str(request.url)
        return httpx.Response(403, json={}) if is_list else None

    assert world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd)).error is None


@pytest.mark.parametrize("number", [1, 12])
def test_a_job_that_airbyte_no_longer_knows_is_given_up(number: int) -> None:
    """No list shows it, and to the question for it the answer is that there is none: for as long as the tolerance."""
    world = World(number, job_seconds=100_000)

    def odd(request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET" or world.clock() < 1010:
            return None
        is_one = request.url.path.rsplit("/", 1)[-1].isdigit()
        return (
            httpx.Response(409, json={"title": "state-conflict"}) if is_one else httpx.Response(200, json={"data": []})
        )

    # The timeout is far away: whoever does not give it up is over it, in virtual time.
    results = world.run(
        transport=OddTransport(SimulatedTransport(world.airbyte), odd), settings=SyncSettings(timeout=2000)
    )

    assert {type(result.error) for result in results.values()} == {SyncStatusUnknown}


def test_a_job_that_no_list_shows_is_asked_for() -> None:
    """Its row was committed late: the list has been read beyond it. After a minute it is asked for by itself."""
    world = World(12, job_seconds=30, written_late=lambda job_id: 15.0 if job_id == 3 else 0.0)
    began = world.clock()

    # Whoever never asked for it would meet with its end when it is over its time.
    results = world.run(settings=SyncSettings(timeout=600))

    assert {result.error for result in results.values()} == {None}
    assert world.clock() - began < 150


def test_every_other_end_is_an_error() -> None:
    """Failed and cancelled are never success; the error has the job's id, status and, where it is known, the reason."""
    world = World(2, job_seconds=20, fails=lambda wanted, _earlier: wanted == ONE)

    def cancel(now: float) -> None:
        if now > 1010 and world.airbyte.jobs[1].cancelled is None:
            world.client().cancel_job(2)

    world.clock.on_sleep = cancel
    results = world.run()
    failed, cancelled = results[ONE].error, results[connection_id(1)].error

    assert isinstance(failed, SyncFailed)
    assert (failed.job_id, failed.status) == (1, "failed")
    assert "after 1 attempt(s): The source went away. (source)" in str(failed)
    assert isinstance(cancelled, SyncCancelled)
    assert (cancelled.job_id, cancelled.status) == (2, "cancelled")


def test_what_a_job_without_rows_does_is_said_once() -> None:
    """Each line of local Airbyte; another one on this machine has none, so it is asked no second time."""
    says = iter(["", "installing the connector", "installing the connector", "it is ready"])
    world = World(1, job_seconds=60)
    world.server_url = "http://127.0.0.1:1/api/public/v1"

    def local(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("get_without_logs"):
            return None
        return httpx.Response(200, json={"job": {"lastLogLine": next(says, "it is ready")}})

    assert world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), local)).error is None
    assert [line for line in world.lines if " " in line.partition("Job 1: ")[2]] == [
        "Job 1: installing the connector",
        "Job 1: it is ready",
    ]

    world, asked = World(1, job_seconds=60), []
    world.server_url = "http://localhost:1/api/public/v1"

    def other(request: httpx.Request) -> httpx.Response | None:
        asked.append(request.url.path)
        return None

    assert world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), other)).error is None
    assert sum(path.endswith("get_without_logs") for path in asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html>"),
        httpx.Response(200, json={"attempts": "none"}),
        httpx.Response(200, json=[1]),
        httpx.Response(403, json={}),
    ],
)
def test_a_reason_that_cannot_be_read_is_no_reason(answer: httpx.Response) -> None:
    """The job has failed all the same, and its log has the reason."""
    world = World(1, fails=lambda _id, _earlier: True)

    def odd(request: httpx.Request) -> httpx.Response | None:
        return answer if request.url.path.endswith("get_debug_info") else None

    error = world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd)).error

    assert isinstance(error, SyncFailed)
    assert "Its log in Airbyte" in str(error)


def test_an_unexpected_error_of_one_evaluation_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes the result of its connection."""
    world = World(3)

    def broken(_client: object, job: Job) -> Job:
        if job.connection_id == ONE:
            raise KeyError("x")
        return job

    monkeypatch.setattr("airbyte_dagster.sync.loop.evaluate_job", broken)
    results = world.run()

    assert [key for key, result in results.items() if result.error] == [ONE]
    assert isinstance(results[ONE].error, UnexpectedError)


def test_details_of_a_job_that_succeeded() -> None:
    """What cannot be described is a warning, and the details are unknown."""
    world = World(2)

    def describe(job: Job) -> int:
        if job.connection_id == ONE:
            raise RuntimeError("no stats")
        return job.id

    results = world.run(describe=describe)

    assert (results[ONE].error, results[ONE].details) == (None, None)
    assert results[connection_id(1)].details == 2
    assert len([line for line in world.warnings if "no stats" in line]) == 1


def test_an_unknown_status_warns_once_and_is_no_success() -> None:
    """A newer server may know more: the job is watched on."""
    world = World(1, job_seconds=30)

    def odd(request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET" or world.clock() > 1020:
            return None
        answer = SimulatedTransport(world.airbyte).handle_request(request)
        return httpx.Response(200, json=_with_status(answer.json(), "reticulating"))

    result = world.run_one(transport=OddTransport(SimulatedTransport(world.airbyte), odd))

    assert result.error is None
    assert len([line for line in world.warnings if "unknown status 'reticulating'" in line]) == 1


def _with_status(found: dict[str, object], status: str) -> dict[str, object]:
    if "data" in found:
        rows = found["data"]
        assert isinstance(rows, list)
        return {**found, "data": [{**row, "status": status} for row in rows]}
    return {**found, "status": status}


def test_numbers_of_a_few_are_shown_when_they_move() -> None:
    """No list shows a job again that only moves rows, so it is asked for by itself; many are not written about."""
    world = World(1, job_seconds=60)
    seen: list[tuple[str, int | None]] = []

    def odd(request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET" or not request.url.path.endswith("/jobs/1"):
            return None
        answer = SimulatedTransport(world.airbyte).handle_request(request).json()
        return httpx.Response(200, json={**answer, "rowsSynced": int(world.clock() - 1000) // 30})

    transport = OddTransport(SimulatedTransport(world.airbyte), odd)
    world.run_one(transport=transport, on_job=lambda job: seen.append((job.status, job.rows)))

    assert len(seen) == len(set(seen))
    assert next(status for status, _rows in seen) == "pending"
    assert ("running", 1) in seen
    assert seen[-1] == ("succeeded", 100)


def test_many_are_not_written_about_one_by_one() -> None:
    """Neither with a line each, nor with a call each."""
    world = World(12)
    seen: list[Job] = []

    world.run(on_job=seen.append)

    assert seen == []
    assert world.lines == []


# Timeouts


def test_a_timeout_cancels_and_says_so() -> None:
    """At once, not at the next poll; a checkpoint or not, no orphan is left."""
    world = World(1, job_seconds=3600)
    began = world.clock()

    error = world.run_one(settings=SyncSettings(timeout=610)).error

    assert isinstance(error, SyncTimedOut)
    assert "Job 1 was still running after 610 s and was cancelled" in str(error)
    assert world.statuses() == ["cancelled"]
    assert 610 <= world.clock() - began < 612


def test_a_job_that_ends_just_before_its_timeout_has_ended() -> None:
    """The list is read once more when the time is over: what has ended by then is no timeout, whoever started it."""
    world = World(1, job_seconds=608)

    assert world.run_one(settings=SyncSettings(timeout=609, cancel_on_timeout=False)).error is None


def test_a_timeout_can_leave_the_job_running() -> None:
    """cancel_on_timeout off: the message says that it runs on."""
    world = World(1, job_seconds=3600)

    error = world.run_one(settings=SyncSettings(timeout=60, cancel_on_timeout=False)).error

    assert "was left running" in str(error)
    assert world.statuses() == ["running"]


@pytest.mark.parametrize("number", [1, 12])
def test_a_joined_job_is_not_cancelled_at_a_timeout(number: int) -> None:
    """Somebody else started it: it is left running, and the error says so."""
    world = World(number, job_seconds=3600)
    world.start_elsewhere(*world.ids)
    world.clock.sleep(10)

    results = world.run(settings=SyncSettings(timeout=60))

    assert {type(result.error) for result in results.values()} == {SyncTimedOut}
    assert all("left running, since it was started by somebody else" in str(item.error) for item in results.values())
    assert set(world.statuses()) == {"running"}


def test_a_resumed_job_is_cancelled_at_a_timeout_if_a_former_process_requested_it() -> None:
    """The checkpoint says whose it is."""
    world = World(2, job_seconds=3600)
    world.start_elsewhere(connection_id(1))
    world.clock.sleep(10)

    def die(now: float) -> None:
        if now > 1020:
            world.clock.on_sleep = lambda _now: None
            raise Killed

    world.clock.on_sleep = die
    with pytest.raises(Killed):
        world.run(settings=SyncSettings(cancel_on_termination=False))

    results = world.run(settings=SyncSettings(timeout=60))

    assert {key: result.origin for key, result in results.items()} == {ONE: "resumed", connection_id(1): "attached"}
    assert world.statuses() == ["running", "cancelled"]


def test_a_job_that_succeeds_while_being_cancelled_is_a_success() -> None:
    """The timeout came as the job ended: what Airbyte says counts."""
    world = World(1, job_seconds=60.3)

    def slow(method: str, _path: str) -> Fault | None:
        if method == "GET" and world.clock() >= 1059:
            world.clock.sleep(0.6)
        return None

    result = world.run_one(transport=world.transport(slow), settings=SyncSettings(timeout=60))

    assert (result.error, world.statuses()) == (None, ["succeeded"])
    assert world.calls["DELETE /jobs/{number}"] == 0


def watcher_of(world: World, settings: SyncSettings | None = None) -> JobWatcher:
    client = world.client()
    return JobWatcher(
        client,
        JobListReader(client, WORKSPACE_ID, world.clock),
        settings or SyncSettings(),
        is_few=False,
        on_job=lambda _job: None,
        warn=world.warnings.append,
        log=world.lines.append,
        clock=world.clock,
    )


def test_a_job_that_was_unknown_once_and_is_known_again_is_watched_on() -> None:
    """The tolerance begins again with the next answer that there is none."""
    world = World(1, job_seconds=36_000)
    watcher = watcher_of(world)
    job = world.client().create_job(ONE, "sync")
    watcher.add(job, "new", Checkpoint(0, job_id=job.id))

    for update in (Update(missing={job.id}, began=world.clock()), Update({job.id: job}, began=world.clock())):
        watcher.apply(update)
    world.clock.sleep(3600)

    assert list(watcher.changes()) == []


def test_a_young_job_is_looked_for_soon_though_old_ones_are_not() -> None:
    """The wait that is right for old jobs is too long for it."""
    world = World(2, job_seconds=36_000)
    watcher, client = watcher_of(world), world.client()
    old = client.create_job(ONE, "sync")
    watcher.add(old, "new", Checkpoint(0, job_id=old.id))
    world.clock.sleep(3600)
    watcher.apply(Update(began=world.clock()))
    assert watcher.next_read - world.clock() == 10

    young = client.create_job(connection_id(1), "sync")
    watcher.add(young, "new", Checkpoint(0, job_id=young.id))

    assert watcher.next_read - world.clock() < 0.5


def test_a_long_list_is_read_about_once_a_second() -> None:
    """In the long run: what took many calls is followed by a pause for each of them."""
    world = World(1, job_seconds=36_000)
    watcher = watcher_of(world)
    job = world.client().create_job(ONE, "sync")
    watcher.add(job, "new", Checkpoint(0, job_id=job.id))

    watcher.apply(Update(calls=20, began=world.clock()))

    assert watcher.next_read - world.clock() >= 20


def test_a_success_in_which_nothing_ran_is_a_failure() -> None:
    """What describes the job may find that: it is how the sync ended, and no warning."""
    world = World(1)

    def describe(job: Job) -> None:
        raise SyncFailed("nothing ran", job_id=job.id, status=job.status)

    assert isinstance(world.run_one(describe=describe).error, SyncFailed)
    assert world.warnings == []
