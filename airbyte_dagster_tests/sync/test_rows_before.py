"""Rows before a job are counted when no foreign job runs, and are unknown where another one may have come in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.engine import RowCounts
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster.sync.watching import FEW
from airbyte_dagster_tests.sync.syncing import DyingTransport, Killed, World, is_post
from benchmarks.simulated_airbyte import Fault, SimulatedTransport, connection_id

ONE = connection_id(0)
STREAM = StreamKey(None, "stream")
WAIT = SyncSettings(on_running="wait")


class Counter:
    """Counts 100 rows for each job of a connection that has ended, and says when."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.batches: list[list[str]] = []
        self.active: list[bool] = []

    def __call__(self, connection_ids: Sequence[str]) -> RowCounts:
        self.batches.append(list(connection_ids))
        jobs, now = self.world.jobs_of(), self.world.airbyte.now
        self.active += [any(job.active(now) for job in jobs.get(key, [])) for key in connection_ids]
        return {key: {STREAM: 100 * sum(not job.active(now) for job in jobs.get(key, []))} for key in connection_ids}


def test_rows_are_counted_in_batches_before_the_requests() -> None:
    """And are in the checkpoint by then, for a run that resumes this one."""
    world = World(100, job_seconds=5)
    counter = Counter(world)
    seen: list[Checkpoint] = []

    def look(method: str, path: str) -> Fault | None:
        if is_post(method, path):
            seen.append(list(world.store.kept.values())[-1])
        return None

    results = world.run(transport=world.transport(look), count_rows=counter)

    assert {result.rows_before[STREAM] for result in results.values()} == {0}
    assert {checkpoint.rows_before[STREAM] for checkpoint in seen} == {0}
    assert sorted(key for batch in counter.batches for key in batch) == world.ids
    assert len(counter.batches) <= 3


def test_rows_are_counted_after_the_foreign_job_and_before_ours() -> None:
    """wait: what the foreign one moved is not ours; the others do not wait for it."""
    world = World(3, job_seconds=lambda wanted: 300 if wanted == ONE else 20)
    world.start_elsewhere(ONE)
    world.clock.sleep(5)
    counter = Counter(world)

    results = world.run(settings=WAIT, count_rows=counter)

    assert counter.active == [False] * 3
    assert results[ONE].rows_before == {STREAM: 100}
    foreign, *_others, ours = world.airbyte.jobs
    job = results[ONE].job
    assert job is not None
    assert job.id == ours.id
    assert ours.created >= foreign.ends
    assert all(jobs[0].created < 1_800_000_010 for key, jobs in world.jobs_of().items() if key != ONE)


def test_rows_are_counted_again_after_another_foreign_job() -> None:
    """wait: one that begins between the count and the request is waited for, too."""
    world = World(1, job_seconds=30)
    counter = Counter(world)
    left = [True]

    def elsewhere(method: str, path: str) -> Fault | None:
        if left and is_post(method, path):
            left.clear()
            world.start_elsewhere(ONE)
            world.clock.sleep(1)
        return None

    result = world.run_one(transport=world.transport(elsewhere), settings=WAIT, count_rows=counter)

    assert counter.batches == [[ONE], [ONE]]
    assert (result.origin, result.rows_before) == ("new", {STREAM: 100})


@pytest.mark.parametrize("settings", [SyncSettings(), WAIT], ids=["attach", "wait"])
def test_rows_are_unknown_if_a_foreign_job_ended_between_count_and_request(settings: SyncSettings) -> None:
    """It began and ended in between; no 409 says so, but the list does."""
    world = World(2, job_seconds=0.4)
    counter = Counter(world)

    def count(connection_ids: Sequence[str]) -> RowCounts:
        rows = counter(connection_ids)
        world.start_elsewhere(ONE)
        world.clock.sleep(5)
        return rows

    results = world.run(settings=settings, count_rows=count)

    assert (results[ONE].origin, results[ONE].error, results[ONE].rows_before) == ("new", None, {})
    assert results[connection_id(1)].rows_before == {STREAM: 0}


def test_rows_are_unknown_if_a_foreign_job_ran_while_they_were_counted() -> None:
    """attach, in a run over many: it was active at the count, and had ended when ours was requested."""
    world = World(FEW + 1, job_seconds=4)
    world.start_elsewhere(ONE)
    world.clock.sleep(1)
    counter = Counter(world)

    def count(connection_ids: Sequence[str]) -> RowCounts:
        rows = counter(connection_ids)
        world.clock.sleep(6)
        return rows

    result = world.run(count_rows=count)[ONE]

    assert (result.origin, result.rows_before) == ("new", {})


def test_rows_before_a_joined_job_are_unknown() -> None:
    """It had moved some already."""
    world = World(1, job_seconds=30)
    world.start_elsewhere(ONE)
    world.clock.sleep(5)

    result = world.run_one(count_rows=Counter(world))

    assert (result.origin, result.rows_before, world.store.kept[ONE].rows_before) == ("attached", {}, {})


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_resumed_job_has_the_rows_of_its_checkpoint(*, is_alone: bool) -> None:
    """They are not counted again; and are unknown if another job came in between."""
    world = World(1, job_seconds=30)
    if not is_alone:
        world.start_elsewhere(ONE)
        world.clock.sleep(60)
    dying = DyingTransport(SimulatedTransport(world.airbyte), 3)
    counter = Counter(world)
    world.store.is_dead = lambda: dying.is_dead
    with pytest.raises(Killed):
        world.run_one(transport=dying, count_rows=counter)
    world.store.is_dead = lambda: False
    if not is_alone:
        world.store.kept[ONE] = Checkpoint(0, job_id=2, rows_before={STREAM: 0})

    result = world.run_one(count_rows=counter)

    assert (result.origin, result.rows_before) == ("resumed", {STREAM: 0} if is_alone else {})
    assert len(counter.batches) == 1


def test_rows_that_cannot_be_counted_are_unknown() -> None:
    """A warning; the syncs begin all the same."""
    world = World(12)

    def broken(_ids: Sequence[str]) -> RowCounts:
        raise OSError("no warehouse")

    results = world.run(count_rows=broken)

    assert {(result.error, len(result.rows_before)) for result in results.values()} == {(None, 0)}
    assert len([line for line in world.warnings if "no warehouse" in line]) == 1
