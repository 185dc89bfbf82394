"""A database that fails to take a checkpoint stops no job, and is named at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pytest

from airbyte_dagster.errors import CheckpointNotSaved, SyncFailed
from airbyte_dagster.sync.checkpoints import Checkpoint, CheckpointKeeper
from airbyte_dagster_tests.sync.syncing import World
from benchmarks.simulated_airbyte import connection_id

ONE = connection_id(0)


class Failing:
    """Fails so many writes of the kind that is wanted."""

    def __init__(self, when: Callable[[Mapping[str, Checkpoint]], bool], times: int) -> None:
        self._when = when
        self.left = times

    def __call__(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        if self.left and self._when(checkpoints):
            self.left -= 1
            raise OSError("the disk is full")


def of_requests(checkpoints: Mapping[str, Checkpoint]) -> bool:
    return any(checkpoint.job_id is None for checkpoint in checkpoints.values())


def of_jobs(checkpoints: Mapping[str, Checkpoint]) -> bool:
    return any(checkpoint.job_id is not None for checkpoint in checkpoints.values())


@pytest.mark.parametrize("when", [of_requests, of_jobs])
def test_one_failed_write_is_written_again(when: Callable[[Mapping[str, Checkpoint]], bool]) -> None:
    """Nobody has to know."""
    world = World(30, job_seconds=10)
    world.store.failing = Failing(when, 1)

    results = world.run()

    assert {result.error for result in results.values()} == {None}
    assert {checkpoint.job_id is not None for checkpoint in world.store.kept.values()} == {True}
    assert world.warnings == []


@pytest.mark.parametrize("number", [1, 30])
def test_jobs_whose_checkpoint_cannot_be_written_are_watched_to_their_end(number: int) -> None:
    """Their results name the write that failed, although they succeeded."""
    world = World(number, job_seconds=10)
    world.store.failing = Failing(of_jobs, 10_000)

    results = world.run()

    assert len(results) == number
    assert set(world.statuses()) == {"succeeded"}
    for result in results.values():
        assert isinstance(result.error, CheckpointNotSaved)
        assert result.job is not None
        assert f"job {result.job.id}" in str(result.error)
        assert "OSError: the disk is full" in str(result.error)
        assert result.job.status == "succeeded"


def test_a_database_that_comes_back_before_the_end_gets_what_it_missed() -> None:
    """The checkpoint is written once more before the result."""
    world = World(3, job_seconds=600)
    failing = Failing(of_jobs, 10_000)
    world.store.failing = failing

    def recover(now: float) -> None:
        if now > 1100:
            failing.left = 0

    world.clock.on_sleep = recover
    results = world.run()

    assert {result.error for result in results.values()} == {None}
    assert {checkpoint.job_id is not None for checkpoint in world.store.kept.values()} == {True}


def test_the_error_of_the_job_comes_first() -> None:
    """A job that failed has failed."""
    world = World(1, fails=lambda _id, _earlier: True)
    world.store.failing = Failing(of_jobs, 10_000)

    assert isinstance(world.run_one().error, SyncFailed)


def test_what_cannot_be_remembered_is_not_requested() -> None:
    """A process that dies would leave a job that nobody knows; the others go on."""
    world = World(3)
    world.store.failing = Failing(lambda checkpoints: ONE in checkpoints, 10_000)

    results = world.run(max_concurrent=1)

    assert isinstance(results[ONE].error, CheckpointNotSaved)
    assert results[ONE].job is None
    assert not world.jobs_of()[ONE]
    assert [key for key, result in results.items() if result.error] == [ONE]


def test_jobs_whose_checkpoint_cannot_be_written_are_cancelled_like_others() -> None:
    """On a termination."""
    world = World(3, job_seconds=lambda wanted: 5 if wanted == ONE else 500)
    world.store.failing = Failing(of_jobs, 10_000)

    results = world.engine().run(world.ids)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert world.statuses() == ["succeeded", "cancelled", "cancelled"]


def test_checkpoints_that_cannot_be_read_start_nothing() -> None:
    """After several attempts: nobody knows which jobs exist."""
    world = World(3)
    attempts = []

    def load(connection_ids: Collection[str]) -> dict[str, Checkpoint]:
        attempts.append(connection_ids)
        raise OSError("no database")

    world.store.load = load  # type: ignore[method-assign]

    with pytest.raises(OSError, match="no database"):
        world.run()

    assert len(attempts) > 1
    assert world.airbyte.jobs == []


def test_a_checkpoint_that_is_written_later_is_no_error() -> None:
    """The write of the next one of the connection is as good as that of the one that failed."""
    world = World(1)
    keeper = CheckpointKeeper(world.store, world.clock.sleep, world.warnings.append)

    def broken(_checkpoints: object) -> None:
        raise OSError("no database")

    works, world.store.failing = world.store.failing, broken
    keeper.save({"one": Checkpoint(1)})
    assert keeper.error("one") is not None
    world.store.failing = works
    keeper.save({"one": Checkpoint(2)})

    assert keeper.error("one") is None
