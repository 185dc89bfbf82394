"""A termination cancels what this run, or the run that it resumes, requested: all at once, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.sync.cancelling import MOST_AT_ONCE, JobCanceller
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request
from airbyte_dagster_tests.sync.syncing import Inline, OddTransport, World, is_post
from benchmarks.simulated_airbyte import WORKSPACE_ID, Fault, SimulatedTransport, connection_id

ONE = connection_id(0)


class Running:
    """A run in threads of its own, which wait for real."""

    def __init__(self, world: World, transport: httpx.BaseTransport | None = None, **options: Any) -> None:
        self.world = world
        self.engine = SyncEngine(
            world.client(transport),
            WORKSPACE_ID,
            checkpoints=world.store,
            clock=world.clock,
            now=lambda: world.airbyte.now,
            log=world.lines.append,
            warn=world.warnings.append,
            **options,
        )
        self.results: list[object] = []
        self.thread = threading.Thread(target=lambda: self.results.extend(self.engine.run(world.ids)))
        self.thread.start()

    def end(self) -> None:
        self.engine.terminate()
        self.thread.join(300)
        assert not self.thread.is_alive()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_termination_cancels_what_is_on_its_way() -> None:
    """All that were started, and nothing more is started."""
    world = World(6, job_seconds=3600)

    running = Running(world, max_concurrent=4)
    running.wait_until(lambda: len(world.airbyte.jobs) == 4)
    running.end()

    assert world.statuses() == ["cancelled"] * 4


def test_two_hundred_jobs_are_sent_their_delete_at_once() -> None:
    """Airbyte answers each when its job has stopped, after seconds: none waits for the answer to another."""
    number = 200
    world = World(number, job_seconds=3600)
    barrier = threading.Barrier(number)

    def together(method: str, _path: str) -> Fault | None:
        if method == "DELETE":
            barrier.wait(300)
        return None

    running = Running(world, world.transport(together))
    running.wait_until(lambda: sum(item.job_id is not None for item in world.store.kept.values()) == number)
    running.end()

    assert set(world.statuses()) == {"cancelled"}
    assert world.calls["DELETE /jobs/{number}"] == number
    assert world.calls["GET /jobs/{number}"] == 0


def test_the_network_takes_as_many_requests_at_once() -> None:
    """The client's own connections are no bottleneck."""
    number = 150
    assert number < MOST_AT_ONCE
    barrier = threading.Barrier(number)

    def together(_request: Request) -> Reply:
        barrier.wait(300)
        return Reply(200, {"jobId": 1, "status": "cancelled", "jobType": "sync", "startTime": "2026-01-05T10:00Z",
                           "connectionId": ONE})  # fmt: skip

    with HttpServer() as server, ThreadPoolExecutor(number) as threads:
        server.on("DELETE", "/api/public/v1/jobs/{id}", together)
        client = AirbyteClient(ClientSettings(server_url=f"{server.url}/api/public/v1"))
        jobs = list(threads.map(client.cancel_job, range(number)))
        client.close()

    assert {job.status for job in jobs} == {"cancelled"}


def test_termination_cancels_a_job_whose_answer_was_lost() -> None:
    """It is looked for, and found."""
    world = World(1, job_seconds=3600)
    requested = threading.Event()

    def fault(method: str, path: str) -> Fault | None:
        if is_post(method, path):
            requested.set()
            return Fault("late", seconds=0.0)
        return None

    running = Running(world, world.transport(fault))
    running.wait_until(requested.is_set)
    running.end()

    assert world.statuses() == ["cancelled"]


def test_termination_cancels_jobs_whose_requests_are_under_way() -> None:
    """Their answers come after it; those that no thread has sent yet are not sent."""
    world = World(30, job_seconds=3600)
    sent = threading.Semaphore(0)
    goes_on = threading.Event()

    def fault(method: str, path: str) -> Fault | None:
        if is_post(method, path):
            sent.release()
            goes_on.wait(300)
        return None

    running = Running(world, world.transport(fault))
    for _ in range(16):
        assert sent.acquire(timeout=300)
    running.engine.terminate()
    goes_on.set()
    running.end()

    assert world.statuses() == ["cancelled"] * 16


def test_a_finished_job_is_never_sent_a_delete() -> None:
    """It would stop whatever else runs on the connection: here a sync that somebody else started meanwhile."""
    world = World(3, job_seconds=3600)
    running = Running(world)
    running.wait_until(lambda: sum(item.job_id is not None for item in world.store.kept.values()) == 3)
    # The watcher's clock stands still, so it does not read the list again by itself.
    [ended] = world.jobs_of()[ONE]
    ended.ends = world.airbyte.now
    world.start_elsewhere(ONE)
    running.end()

    assert [job.status(world.airbyte.now) for job in world.jobs_of()[ONE]] == ["succeeded", "pending"]
    assert world.statuses().count("cancelled") == 2


def test_a_job_that_has_ended_since_its_start_was_under_way_is_never_sent_a_delete() -> None:
    """The answer to its request came after the termination, and is old by then: the job is read before its DELETE."""
    world = World(2, job_seconds=3600)
    two = connection_id(1)
    beneath = SimulatedTransport(world.airbyte)
    made, terminated, goes_on = threading.Event(), threading.Event(), threading.Event()

    def odd(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET" and terminated.is_set():
            goes_on.set()
        if not is_post(request.method, request.url.path) or two not in request.content.decode():
            return None
        answer = beneath.handle_request(request)
        made.set()
        goes_on.wait(300)
        return answer

    running = Running(world, OddTransport(beneath, odd))
    running.wait_until(lambda: made.is_set() and ONE in world.store.kept and world.store.kept[ONE].job_id is not None)
    [ended] = world.jobs_of()[two]
    ended.ends = world.airbyte.now
    world.start_elsewhere(two)
    terminated.set()
    running.end()

    assert [job.status(world.airbyte.now) for job in world.jobs_of()[two]] == ["succeeded", "pending"]
    assert [job.status(world.airbyte.now) for job in world.jobs_of()[ONE]] == ["cancelled"]


def test_a_job_that_has_ended_by_its_timeout_is_never_sent_a_delete() -> None:
    """Its last known status is old: it is read again first, and has succeeded; another job runs by then."""
    world = World(1, job_seconds=30)
    client = world.client()
    job = client.create_job(ONE, "sync")
    world.clock.sleep(60)
    world.start_elsewhere(ONE)
    settings = SyncSettings(timeout=60)
    canceller = JobCanceller(client, settings, world.warnings.append, world.clock, world.clock.sleep)

    assert canceller.time_out(job, is_ours=True).status == "succeeded"
    assert world.statuses() == ["succeeded", "pending"]
    assert world.calls["DELETE /jobs/{number}"] == 0


def test_termination_does_not_wait_for_a_list_that_does_not_answer() -> None:
    """Then the last known statuses count."""
    world = World(2, job_seconds=3600)
    blocked = threading.Event()

    def fault(method: str, path: str) -> Fault | None:
        if method == "GET" and path.endswith("/jobs") and world.airbyte.jobs:
            blocked.wait(300)
        return None

    running = Running(world, world.transport(fault))
    running.wait_until(lambda: sum(item.job_id is not None for item in world.store.kept.values()) == 2)
    running.end()
    blocked.set()

    assert world.statuses() == ["cancelled"] * 2


def results_of(world: World, **options: Any) -> Iterator[object]:
    return world.engine(**options).run(world.ids)


def test_joined_jobs_are_let_go() -> None:
    """Somebody else started them; the log says so."""
    world = World(4, job_seconds=lambda wanted: 5 if wanted == ONE else 500)
    world.start_elsewhere(connection_id(1), connection_id(2))
    world.clock.sleep(2)

    results = results_of(world)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert [jobs[-1].status(world.airbyte.now) for _key, jobs in sorted(world.jobs_of().items())] == [
        "succeeded",
        "running",
        "running",
        "cancelled",
    ]
    assert any("left running, since this run did not start them: jobs 1, 2." in line for line in world.lines)


def test_whoever_stops_to_listen_cancels() -> None:
    """As a run does whose process is interrupted while it takes up the results."""
    world = World(3, job_seconds=lambda wanted: 5 if wanted == ONE else 500)

    results = results_of(world)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert world.statuses() == ["succeeded", "cancelled", "cancelled"]


def test_nothing_is_cancelled_if_that_is_not_wanted() -> None:
    """With cancel_on_termination off."""
    world = World(3, job_seconds=lambda wanted: 5 if wanted == ONE else 500)

    results = results_of(world, settings=SyncSettings(cancel_on_termination=False))
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert [job.cancelled for job in world.airbyte.jobs] == [None] * 3


def test_a_termination_cancels_nothing_if_that_is_not_wanted() -> None:
    """By a call from another thread."""
    world = World(2, job_seconds=3600)

    running = Running(world, settings=SyncSettings(cancel_on_termination=False))
    running.wait_until(lambda: sum(item.job_id is not None for item in world.store.kept.values()) == 2)
    running.end()

    assert [job.cancelled for job in world.airbyte.jobs] == [None] * 2


def test_an_ordinary_error_cancels_nothing() -> None:
    """Whatever fails in the run: a retry of it goes on with the jobs."""
    world = World(2, job_seconds=500)
    errors = [RuntimeError("the log is full")]

    def broken(_job: Job) -> None:
        if len(world.airbyte.jobs) == 2 and errors:
            raise errors.pop()

    with pytest.raises(RuntimeError):
        world.run(on_job=broken)

    assert [job.cancelled for job in world.airbyte.jobs] == [None] * 2


class Busy(Inline):
    """Has no thread for what would end a job that is over its time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future() if fn.__name__ == "_evaluate" else super().submit(fn, *args, **kwargs)


def test_a_job_that_is_about_to_be_given_up_is_cancelled() -> None:
    """Its time was over, but no thread had taken that up when the run was terminated."""
    world = World(1, job_seconds=3600)
    engine: SyncEngine

    def pause(seconds: float, _futures: object) -> None:
        world.clock.sleep(max(seconds, 0.01))
        if world.airbyte.jobs and world.airbyte.now - world.airbyte.jobs[0].created > 100:
            engine.terminate()

    engine = world.engine(settings=SyncSettings(timeout=60), executor=lambda _width: Busy(), pause=pause)

    assert list(engine.run(world.ids)) == []
    assert world.statuses() == ["cancelled"]


@pytest.mark.parametrize("is_made", [True, False])
def test_an_interrupt_while_the_answer_is_awaited_leaves_no_job(*, is_made: bool) -> None:
    """The job may have been made though nobody heard of it: then it is found and cancelled."""
    world = World(1, job_seconds=500)
    engine = world.engine()

    def create_job(connection_id: str, job_type: str) -> Job:
        if is_made:
            world.start_elsewhere(connection_id)
        raise KeyboardInterrupt

    engine.client.create_job = create_job  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        list(engine.run(world.ids))

    assert world.statuses() == (["cancelled"] if is_made else [])


def test_an_interrupt_while_checkpoints_are_written_cancels_their_jobs() -> None:
    """They have just been started, and nobody watches them yet."""
    world = World(3, job_seconds=500)

    def interrupt(checkpoints: Any) -> None:
        if any(checkpoint.job_id is not None for checkpoint in checkpoints.values()):
            raise KeyboardInterrupt

    world.store.failing = interrupt

    with pytest.raises(KeyboardInterrupt):
        world.run()

    assert world.statuses() == ["cancelled"] * 3


@pytest.mark.parametrize("is_ours", [True, False])
def test_jobs_of_a_resumed_run_that_were_not_looked_at_yet(*, is_ours: bool) -> None:
    """The former process requested them, or only joined them."""
    world = World(6, job_seconds=500)
    world.start_elsewhere(*world.ids)
    world.clock.sleep(2)
    world.store.kept = {key: Checkpoint(0, job_id=n + 1, is_ours=is_ours) for n, key in enumerate(world.ids)}
    # One more has been requested; whether it was made is not known.
    world.store.kept[ONE] = Checkpoint(0, requested_at=world.airbyte.now, is_ours=is_ours)

    def interrupt(_now: float) -> None:
        world.clock.on_sleep = lambda _now: None
        raise KeyboardInterrupt

    world.clock.on_sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run(max_concurrent=2)

    assert set(world.statuses()) == {"cancelled" if is_ours else "running"}


def test_a_job_of_others_after_ours_has_ended_is_let_go() -> None:
    """A former process had requested ours without learning its id: any later job may be it, until it is found."""
    world = World(2, job_seconds=lambda wanted: 5 if wanted == ONE else 500)
    world.start_elsewhere(ONE)
    world.store.kept = {ONE: Checkpoint(0, requested_at=world.airbyte.now)}

    results = results_of(world)
    next(results)
    world.start_elsewhere(ONE)
    results.close()  # type: ignore[attr-defined]

    first, others = world.jobs_of()[ONE]
    assert (first.cancelled, others.cancelled) == (None, None)
    assert world.statuses().count("cancelled") == 1


def test_a_job_that_cannot_be_looked_at_is_named() -> None:
    """It is not cancelled unseen."""
    world = World(1, job_seconds=500)
    job = world.client().create_job(ONE, "sync")
    transport = OddTransport(SimulatedTransport(world.airbyte), lambda _request: httpx.Response(403, json={}))
    client = world.client(transport)
    canceller = JobCanceller(client, SyncSettings(), world.warnings.append, world.clock, world.clock.sleep)

    assert canceller.cancel_if_active(job.id) is None
    assert any("Job 1 could not be cancelled" in line for line in world.warnings)


def test_cancelling_waits_until_the_jobs_have_stopped() -> None:
    """DELETE may answer with a job that is not yet cancelled."""
    world = World(2, job_seconds=lambda wanted: 5 if wanted == ONE else 500)
    looks = iter(["running", "running", "cancelled", "cancelled"])

    def odd(request: httpx.Request) -> httpx.Response | None:
        if request.method == "DELETE" or request.url.path.endswith("/jobs/2"):
            answer = SimulatedTransport(world.airbyte).handle_request(request).json()
            return httpx.Response(200, json={**answer, "status": next(looks)})
        return None

    results = results_of(world, transport=OddTransport(SimulatedTransport(world.airbyte), odd))
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert next(looks) == "cancelled"
    assert next(looks, None) is None


def test_one_that_cannot_be_cancelled_stops_no_other() -> None:
    """It is named in a warning."""
    world = World(3, job_seconds=lambda wanted: 5 if wanted == ONE else 500)

    def odd(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, html="<html>") if (request.method, request.url.path[-1]) == ("DELETE", "2") else None

    results = results_of(world, transport=OddTransport(SimulatedTransport(world.airbyte), odd))
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert world.statuses() == ["succeeded", "running", "cancelled"]
    assert any("Job 2 could not be cancelled" in line for line in world.warnings)
