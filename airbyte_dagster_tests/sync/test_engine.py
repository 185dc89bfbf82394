"""Many syncs of one workspace, started and watched by one loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airbyte_dagster.errors import SyncAlreadyRunning, SyncFailed, SyncStatusUnknown, SyncTimedOut
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster.sync.loop import SIDE_BY_SIDE
from airbyte_dagster.sync.results import Progress
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster_tests.sync.syncing import DyingTransport, Killed, World
from benchmarks.simulated_airbyte import WORKSPACE_ID, Fault, SimulatedTransport, connection_id

A_FEW = 20


def test_each_is_synced_once_and_told_of() -> None:
    """One job for each connection, and an result that is Airbyte's own."""
    world = World(A_FEW, job_seconds=5)

    results = world.run()

    assert {len(jobs) for jobs in world.jobs_of().values()} == {1}
    assert set(results) == set(world.ids)
    for result in results.values():
        assert (result.error, result.origin) == (None, "new")
        assert result.job is not None
        assert result.job.status == "succeeded"


def test_a_connection_that_is_named_twice_syncs_once() -> None:
    """Several of its streams may have been selected."""
    world = World(1)

    assert len(world.run([*world.ids, *world.ids])) == 1
    assert len(world.airbyte.jobs) == 1


def test_calls_do_not_grow_with_the_time_nor_with_the_number_of_those_that_watch() -> None:
    """A POST for each sync, and then one list call for all: not one for each."""
    world = World(A_FEW, job_seconds=5)

    world.run()

    assert world.calls["POST /jobs"] == A_FEW
    assert world.calls["GET /jobs/{number}"] == 0
    assert sum(world.calls.values()) <= A_FEW + 20


def test_a_thousand_take_no_more_than_a_call_a_second_and_one_each() -> None:
    """However many there are."""
    world = World(1000, job_seconds=60)

    results = world.run()

    minutes = (world.clock() - 1000.0) / 60
    assert {result.error for result in results.values()} == {None}
    assert {len(jobs) for jobs in world.jobs_of().values()} == {1}
    assert sum(world.calls.values()) - len(world.ids) <= 60 * minutes


def test_notes_are_written_together() -> None:
    """The memory is a database: a thousand starts are not two thousand writes."""
    world = World(1000, job_seconds=60)

    world.run()

    assert world.store.writes < 100
    assert {note.job_id is not None for note in world.store.kept.values()} == {True}


def test_no_more_are_on_their_way_than_wanted() -> None:
    """The rest waits, and begins as others end."""
    world = World(A_FEW, job_seconds=10)
    most = 0
    seen: list[Progress] = []

    def look(_now: float) -> None:
        nonlocal most
        most = max(most, sum(job.active(world.airbyte.now) for job in world.airbyte.jobs))

    world.clock.on_sleep = look
    results = world.run(max_concurrent=3, on_progress=seen.append)

    assert most == 3
    assert len(results) == A_FEW
    assert all(progress.waiting + progress.active + progress.succeeded + progress.failed == A_FEW for progress in seen)


def test_a_failure_stops_no_other() -> None:
    """It is told with its job; all others go on."""
    world = World(A_FEW, fails=lambda wanted, _earlier: wanted == connection_id(7))

    results = world.run(max_concurrent=4)

    assert [key for key, result in results.items() if result.error] == [connection_id(7)]
    assert isinstance(results[connection_id(7)].error, SyncFailed)


def test_a_connection_that_is_gone_is_an_error_of_its_own() -> None:
    """It never has a job; the others sync."""
    world = World(3)
    world.airbyte.delete(connection_id(1))

    results = world.run()

    assert [key for key, result in results.items() if result.error] == [connection_id(1)]
    assert results[connection_id(1)].job is None


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_short_sync_is_noticed_at_once(number: int) -> None:
    """Within half a second of its end, as for a single sync."""
    world = World(number, job_seconds=3)
    told = {}

    for result in world.engine().run(world.ids):
        told[result.connection_id] = world.airbyte.now

    assert all(told[job.connection_id] - job.ends <= 0.5 for job in world.airbyte.jobs)


def test_long_syncs_are_asked_about_less_and_less() -> None:
    """Two of two hours: no call a second."""
    world = World(2, job_seconds=7200)

    world.run()

    assert sum(world.calls.values()) < 1400


def test_an_end_that_the_list_does_not_show_is_found() -> None:
    """A row may be committed later than it is stamped; then it is before what was read already."""
    world = World(3, job_seconds=lambda wanted: 30 if wanted == connection_id(0) else 40, written_late=lambda _id: 15.0)

    results = world.run()

    assert {result.error for result in results.values()} == {None}


def test_one_that_syncs_already_is_watched() -> None:
    """By default: no second job is made, nor asked for twice."""
    world = World(3, job_seconds=30)
    world.start_elsewhere(connection_id(1))
    world.clock.sleep(10)

    results = world.run()

    assert {len(jobs) for jobs in world.jobs_of().values()} == {1}
    assert results[connection_id(1)].origin == "attached"
    assert results[connection_id(1)].error is None


def test_one_that_syncs_already_is_waited_for_if_that_is_wanted() -> None:
    """Then its own sync follows; meanwhile all others begin, whatever the number of those that are waited for."""
    busy = SIDE_BY_SIDE + 4
    world = World(busy + 2, job_seconds=300)
    world.start_elsewhere(*world.ids[:busy])
    world.clock.sleep(10)
    began = world.airbyte.now

    results = world.run(settings=SyncSettings(on_running="wait"))

    jobs = world.jobs_of()
    assert [len(jobs[key]) for key in world.ids] == [2] * busy + [1, 1]
    assert all(jobs[key][-1].created < began + 10 for key in world.ids[busy:])
    assert {result.origin for result in results.values()} == {"new"}
    assert all(results[key].job.id == jobs[key][-1].id for key in world.ids)  # type: ignore[union-attr]


def test_one_that_syncs_already_fails_if_that_is_wanted() -> None:
    """Alone, and without a job of its own."""
    world = World(3, job_seconds=30)
    world.start_elsewhere(connection_id(1))

    results = world.run(settings=SyncSettings(on_running="fail"))

    assert [key for key, result in results.items() if result.error] == [connection_id(1)]
    assert isinstance(results[connection_id(1)].error, SyncAlreadyRunning)


def test_a_timeout_is_of_each() -> None:
    """One that takes too long is cancelled; the others are not."""
    world = World(3, job_seconds=lambda wanted: 500 if wanted == connection_id(1) else 5)

    results = world.run(settings=SyncSettings(timeout=60))

    assert isinstance(results[connection_id(1)].error, SyncTimedOut)
    assert [job.status(world.airbyte.now) for jobs in world.jobs_of().values() for job in jobs] == [
        "succeeded",
        "cancelled",
        "succeeded",
    ]


def test_an_outage_says_nothing_about_the_syncs() -> None:
    """They succeed in the end; one warning tells of it."""
    world = World(5, job_seconds=60)
    transport = SimulatedTransport(
        world.airbyte,
        lambda method, _path: Fault("refused") if method == "GET" and 1010 < world.clock() < 1200 else None,
    )

    results = world.run(transport=transport)

    assert {result.error for result in results.values()} == {None}
    assert len(world.warnings) == 1


def test_an_outage_that_does_not_end_gives_up_the_watching_not_the_syncs() -> None:
    """Each is unknown; nothing is cancelled, and a rerun goes on with the same jobs."""
    world = World(3, job_seconds=600)
    transport = SimulatedTransport(
        world.airbyte, lambda method, _path: Fault("refused") if method == "GET" and world.clock() > 1010 else None
    )

    results = world.run(transport=transport, settings=SyncSettings(poll_failure_tolerance=120))
    again = world.run()

    assert {type(result.error) for result in results.values()} == {SyncStatusUnknown}
    assert {(result.error, result.origin) for result in again.values()} == {(None, "resumed")}
    assert {len(jobs) for jobs in world.jobs_of().values()} == {1}


def test_whoever_is_killed_finds_the_jobs_again() -> None:
    """Those that have ended meanwhile, those that run, and those whose id was never learnt."""
    world = World(30, job_seconds=lambda wanted: 5 if wanted < connection_id(10) else 100)
    transport = DyingTransport(SimulatedTransport(world.airbyte), 26, has_acted=True)
    world.store.is_dead = lambda: transport.is_dead

    with pytest.raises(Killed):
        world.run(transport=transport)
    began = len(world.airbyte.jobs)
    world.store.is_dead = lambda: False
    world.clock.sleep(20)
    results = world.run()

    assert 0 < began < len(world.ids)
    assert {len(jobs) for jobs in world.jobs_of().values()} == {1}
    assert {result.error for result in results.values()} == {None}
    assert sum(result.origin == "resumed" for result in results.values()) == began


def test_a_failed_job_of_the_run_before_is_tried_anew_and_that_is_remembered() -> None:
    """The checkpoint of the new job replaces the old one before it is requested."""
    world = World(1, fails=lambda _id, earlier: earlier == 0)
    world.run()
    [failed] = world.airbyte.jobs
    dying = DyingTransport(SimulatedTransport(world.airbyte), 2, has_acted=True)
    world.store.is_dead = lambda: dying.is_dead

    with pytest.raises(Killed):
        world.run(transport=dying)
    assert len(world.airbyte.jobs) == 2
    assert world.store.kept[world.ids[0]] == Checkpoint(after=failed.id)
    world.store.is_dead = lambda: False
    results = world.run()

    assert len(world.airbyte.jobs) == 2
    assert results[world.ids[0]].origin == "resumed"


def test_a_job_that_is_made_after_the_process_died_is_waited_for() -> None:
    """A server may serve a request a minute after whoever sent it is gone."""
    world = World(1)
    transport = DyingTransport(
        SimulatedTransport(
            world.airbyte,
            lambda method, path: Fault("late", seconds=50.0) if (method, path[-5:]) == ("POST", "/jobs") else None,
        ),
        3,
        has_acted=True,
    )
    world.store.is_dead = lambda: transport.is_dead

    with pytest.raises(Killed):
        world.run(transport=transport)
    world.store.is_dead = lambda: False
    world.clock.sleep(5)
    results = world.run()

    assert results[world.ids[0]].origin == "resumed"
    assert len(world.airbyte.jobs) == 1


def test_starts_can_be_left_to_themselves() -> None:
    """For syncs that nobody waits for: told of as soon as each has begun."""
    world = World(5, job_seconds=3600, fails=lambda _id, _earlier: False)
    world.airbyte.delete(connection_id(3))

    results = list(world.engine().run(world.ids, until="started"))

    assert world.clock() < 1010
    assert {result.connection_id for result in results if result.error} == {connection_id(3)}
    assert all(result.job and result.job.active for result in results if not result.error)
    assert {note.job_id is not None for key, note in world.store.kept.items() if key != connection_id(3)} == {True}


class Running:
    """Many syncs in threads of their own, which wait for real."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.syncs = SyncEngine(
            world.client(),
            WORKSPACE_ID,
            SyncSettings(),
            world.store,
            clock=world.clock,
            **options,
        )
        self.results: list[object] = []
        self.thread = threading.Thread(target=lambda: self.results.extend(self.syncs.run(world.ids)))
        self.thread.start()

    def end(self) -> None:
        self.syncs.terminate()
        self.thread.join(30)
        assert not self.thread.is_alive()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_termination_cancels_what_is_on_its_way() -> None:
    """All that were started, and nothing more is started."""
    world = World(6, job_seconds=3600)

    running = Running(world, max_concurrent=4)
    running.wait_until(lambda: len(world.airbyte.jobs) == 4)
    running.end()

    assert [job.status(world.airbyte.now) for job in world.airbyte.jobs] == ["cancelled"] * 4


def test_termination_cancels_a_job_whose_answer_was_lost() -> None:
    """It is looked for, and found."""
    world = World(1, job_seconds=3600)
    asked = threading.Event()

    def fault(method: str, path: str) -> Fault | None:
        if (method, path.endswith("/jobs")) == ("POST", True):
            asked.set()
            return Fault("late", seconds=0.0)
        return None

    client_transport = SimulatedTransport(world.airbyte, fault)
    world.client = lambda transport=None: World.client(world, client_transport)  # type: ignore[method-assign]
    running = Running(world)
    running.wait_until(asked.is_set)
    running.end()

    assert {job.status(world.airbyte.now) for job in world.airbyte.jobs} <= {"cancelled"}
    assert len(world.airbyte.jobs) == 1


def test_whoever_stops_to_listen_cancels() -> None:
    """As a run does whose process is interrupted while it takes up the results."""
    world = World(3, job_seconds=lambda wanted: 5 if wanted == connection_id(0) else 500)

    results = world.engine().run(world.ids)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert [job.status(world.airbyte.now) for job in world.airbyte.jobs] == ["succeeded", "cancelled", "cancelled"]


def test_nothing_is_cancelled_if_that_is_not_wanted() -> None:
    """With cancel_on_termination off."""
    world = World(3, job_seconds=lambda wanted: 5 if wanted == connection_id(0) else 500)

    results = world.engine(settings=SyncSettings(cancel_on_termination=False)).run(world.ids)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert [job.cancelled for job in world.airbyte.jobs] == [None] * 3
