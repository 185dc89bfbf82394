"""Many syncs of one workspace, started and watched by one loop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal

import pytest

from airbyte_dagster.errors import SyncAlreadyRunning, SyncFailed, SyncStatusUnknown, SyncTimedOut
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.loop import SIDE_BY_SIDE
from airbyte_dagster.sync.results import Progress
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster_tests.sync.syncing import DyingTransport, Inline, Killed, World, once
from benchmarks.simulated_airbyte import Fault, SimulatedTransport, connection_id

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
    seen: list[Progress] = []
    most = Most(world)

    results = world.run(max_concurrent=3, on_progress=seen.append)

    assert most.active == 3
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


# Until they have started


def test_starts_can_be_left_to_themselves() -> None:
    """For syncs that nobody waits for: each result comes as soon as its job has begun; the run ends with the last."""
    world = World(30, job_seconds=3600)
    world.airbyte.delete(connection_id(3))

    results = world.run(until="started")

    assert world.clock() < 1010
    assert {key for key, result in results.items() if result.error} == {connection_id(3)}
    assert all(result.job and result.job.active for result in results.values() if not result.error)
    assert set(world.statuses()) <= {"pending", "running"}
    assert {item.job_id is not None for key, item in world.store.kept.items() if key != connection_id(3)} == {True}


def test_a_limit_holds_for_starts_that_are_left_to_themselves() -> None:
    """It is watched on while some wait; the last ones are left running, and nothing is said of ends."""
    world = World(10, job_seconds=60)
    most = Most(world)

    results = world.run(until="started", max_concurrent=2)

    assert most.active == 2
    assert len(world.airbyte.jobs) == len(results) == 10
    assert {result.error for result in results.values()} == {None}
    assert 1 <= sum(status in ("pending", "running") for status in world.statuses()) <= 2


def test_a_busy_connection_is_waited_for_even_if_only_starts_are_wanted() -> None:
    """wait: what is new since the foreign job is synced by ours; the others are started at once."""
    world = World(4, job_seconds=300)
    world.start_elsewhere(world.ids[0])
    world.clock.sleep(10)

    results = world.run(until="started", settings=SyncSettings(on_running="wait"))

    foreign, *_others, ours = world.airbyte.jobs
    job = results[world.ids[0]].job
    assert job is not None
    assert job.id == ours.id
    assert foreign.ends <= ours.created < foreign.ends + 20
    assert list(results)[-1] == world.ids[0]


def test_jobs_that_are_left_to_themselves_are_not_timed_out() -> None:
    """Nobody waits for them: only their number is limited."""
    world = World(3, job_seconds=100)

    results = world.run(until="started", max_concurrent=1, settings=SyncSettings(timeout=50))

    assert {result.error for result in results.values()} == {None}
    assert "cancelled" not in world.statuses()


# Slots


class Most:
    """The highest number of jobs that were active at once."""

    def __init__(self, world: World) -> None:
        self.active = 0
        self._world = world
        world.clock.on_sleep = self._look

    def _look(self, _now: float) -> None:
        self.active = max(self.active, sum(job.active(self._world.airbyte.now) for job in self._world.airbyte.jobs))


class Slots:
    """So many slots, as those of a pool."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.taken: set[str] = set()
        self.released: list[str] = []
        self.tries = 0

    def acquire(self, connection_id: str) -> bool:
        self.tries += 1
        if len(self.taken) >= self.number:
            return False
        assert connection_id not in self.taken
        self.taken.add(connection_id)
        return True

    def release(self, connection_id: str) -> None:
        self.taken.discard(connection_id)
        self.released.append(connection_id)


@pytest.mark.parametrize("until", ["ended", "started"])
def test_a_start_waits_for_a_slot(until: Literal["ended", "started"]) -> None:
    """Each is given back when its job has ended, or the run; one try a second is enough."""
    world = World(10, job_seconds=60)
    most, slots = Most(world), Slots(3)
    began = world.clock()

    results = world.run(until=until, slots=slots)

    assert most.active == 3
    assert {result.error for result in results.values()} == {None}
    assert slots.taken == set()
    assert slots.tries <= 13 + (world.clock() - began)


def test_slots_are_given_back_by_those_that_do_not_start() -> None:
    """A connection that is gone, one that waits for a foreign job, and one that fails."""
    world = World(4, job_seconds=100, fails=lambda wanted, _earlier: wanted == connection_id(3))
    world.airbyte.delete(connection_id(0))
    world.start_elsewhere(connection_id(1))
    world.clock.sleep(2)
    slots = Slots(1)

    results = world.run(slots=slots, settings=SyncSettings(on_running="wait"))

    assert len(results) == 4
    assert slots.taken == set()
    assert slots.released.count(connection_id(1)) == 2


def test_an_interrupted_run_gives_slots_and_its_place_back() -> None:
    """The place in the queue, too: the connection that waits for its turn is released."""
    world = World(4, job_seconds=lambda wanted: 5 if wanted == connection_id(0) else 500)
    slots = Slots(2)

    results = world.engine(slots=slots).run(world.ids)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert slots.taken == set()
    assert set(slots.released) >= set(world.ids[:3])


def test_slots_that_fail_are_tried_again() -> None:
    """A database that is away for a while."""
    world = World(3)

    class Away(Slots):
        def acquire(self, connection_id: str) -> bool:
            if self.tries < 3:
                self.tries += 1
                raise OSError("no database")
            return super().acquire(connection_id)

        def release(self, connection_id: str) -> None:
            super().release(connection_id)
            raise OSError("no database")

    assert {result.error for result in world.run(slots=Away(9)).values()} == {None}
    assert any("no database" in line for line in world.warnings)


@pytest.mark.parametrize("connections", [1, 8])
def test_a_newest_job_that_was_known_long_ago_is_no_bound_for_ours(connections: int) -> None:
    """A slot came after an hour, in which somebody else synced: that job is not taken for the one of a lost answer."""
    world = World(connections, job_seconds=30)

    class Late(Slots):
        def acquire(self, connection_id: str) -> bool:
            if world.clock() < 2000:
                return False
            if not world.airbyte.jobs:
                world.start_elsewhere(connection_id)
                world.clock.sleep(60)
            return super().acquire(connection_id)

    result = world.run(slots=Late(1), transport=world.transport(once(Fault("dropped"))))[world.ids[0]]

    assert (result.origin, result.job and result.job.id) == ("new", 2)


def test_a_connection_that_is_named_twice_is_synced_once() -> None:
    """In a run over many as over a few."""
    for connections in (1, 8):
        world = World(connections)

        assert len(world.run([*world.ids, *world.ids])) == connections
        assert len(world.airbyte.jobs) == connections


class Slow(Inline):
    """Does what is submitted at the third pause of the loop from then on, as threads that wait for an answer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: list[list[Callable[[], None]]] = [[], [], []]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        submit = super().submit
        self._work[-1].append(lambda: future.set_result(submit(fn, *args, **kwargs).result()))
        return future

    def pause(self, seconds: float, _futures: object) -> None:
        self._world.clock.sleep(max(seconds, 0.01))
        due, *later = self._work
        self._work = [*later, []]
        for work in due:
            work()


def test_what_is_being_started_counts_as_on_its_way() -> None:
    """A request may take a minute: the limit holds meanwhile, too."""
    world = World(12, job_seconds=30)
    most, slow = Most(world), Slow(world)

    results = world.run(max_concurrent=3, executor=lambda _width: slow, pause=slow.pause)

    assert {result.error for result in results.values()} == {None}
    assert most.active == 3


def test_a_foreign_job_that_is_waited_for_takes_nobodys_place() -> None:
    """The limit is of the run's own syncs: the others do not wait for it."""
    foreign = {connection_id(number) for number in range(4)}
    world = World(8, job_seconds=lambda wanted: 1000 if wanted in foreign else 5)
    world.start_elsewhere(*foreign)
    world.clock.sleep(2)
    began = world.airbyte.now

    results = world.run(settings=SyncSettings(on_running="wait"), max_concurrent=2)

    assert {(result.error, result.origin) for result in results.values()} == {(None, "new")}
    ends = [jobs[-1].ends for key, jobs in world.jobs_of().items() if key not in foreign]
    assert max(ends) - began < 500
