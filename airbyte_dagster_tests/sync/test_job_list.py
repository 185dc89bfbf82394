"""The reader of the list: nothing that changed is left out, and nothing is read for ever."""

from __future__ import annotations

import datetime as dt

import pytest

from airbyte_dagster.airbyte.job_changes import JobChanges
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import ServerUnreachable
from airbyte_dagster.sync.job_list import JobListReader
from airbyte_dagster_tests.sync.syncing import World
from benchmarks.simulated_airbyte import WORKSPACE_ID, Fault, connection_id


def reader_of(world: World) -> JobListReader:
    return JobListReader(world.client(), WORKSPACE_ID, world.clock)


def at(world: World, seconds: float = 0.0) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(world.airbyte.now + seconds), dt.timezone.utc)


def test_a_second_is_read_until_it_is_over_for_certain() -> None:
    """Jobs are stamped to the second: another one of the same second may be shown by a later read."""
    world = World(3, job_seconds=600)
    reader = reader_of(world)
    reader.begin(at(world), is_idle=True)
    world.start_elsewhere(connection_id(0))
    world.clock.sleep(0.1)
    first = reader.read()
    world.start_elsewhere(connection_id(1))
    world.clock.sleep(0.1)
    second = reader.read()

    assert [job.id for job in first] == [1]
    assert [job.id for job in second] == [1, 2]


def test_a_second_that_is_over_is_not_read_again() -> None:
    """Where a thousand jobs began in one, they would be read with each look."""
    world = World(150, job_seconds=600)
    reader = reader_of(world)
    reader.begin(at(world), is_idle=True)
    world.start_elsewhere(*world.ids)
    world.clock.sleep(10)

    reads = []
    for _ in range(3):
        reads.append(len(reader.read()))
        world.clock.sleep(4)

    assert reads == [150, 150, 0]


def test_a_list_that_moves_while_it_is_read_leaves_nothing_out() -> None:
    """A job of the first page changes before the second is read: all that come after it move up by one."""
    world = World(150, job_seconds=lambda wanted: 5 if wanted < connection_id(20) else 600)
    world.start_elsewhere(*world.ids)
    world.clock.sleep(1)
    pages = []

    def move(method: str, path: str) -> Fault | None:
        if method == "GET" and path.endswith("/jobs"):
            pages.append(1)
            if len(pages) == 2:
                world.clock.sleep(10)  # twenty have ended, and are last now
        return None

    client = world.client(world.transport(move))
    reader = JobListReader(client, WORKSPACE_ID, world.clock)
    reader.begin(at(world, -60), is_idle=True)

    found = {job.id: job for job in reader.read()}

    assert set(found) == set(range(1, 151))
    assert {found[number].status for number in range(1, 21)} == {"succeeded"}


def test_a_read_that_fails_begins_again_at_the_same_place() -> None:
    """What changed meanwhile is shown by the next."""
    world = World(1, job_seconds=600)
    refused = [True] * 5  # as often as a call is sent

    def refuse(method: str, path: str) -> Fault | None:
        return Fault("refused") if (method, path[-5:]) == ("GET", "/jobs") and refused and refused.pop() else None

    reader = JobListReader(world.client(world.transport(refuse)), WORKSPACE_ID, world.clock)
    world.start_elsewhere(connection_id(0))
    reader.begin(at(world), is_idle=True)
    with pytest.raises(ServerUnreachable):
        reader.read()

    assert [job.id for job in reader.read()] == [1]


def test_without_a_begin_the_newest_are_shown() -> None:
    """One call; the next read shows what changed after them."""
    world = World(120, job_seconds=600)
    world.start_elsewhere(*world.ids[:110])
    world.clock.sleep(30)
    world.start_elsewhere(*world.ids[110:])
    reader = reader_of(world)

    assert len(reader.read()) == 100
    assert (reader.last_calls, reader.newest) == (1, 120)
    assert {job.id for job in reader.read()} == set(range(111, 121))


def test_the_newest_job_of_all_is_known() -> None:
    """Of a workspace with none it is 0; it moves with what is read."""
    world = World(2, job_seconds=600)
    reader = reader_of(world)
    reader.find_newest()
    assert (reader.newest, reader.newest_at) == (0, world.clock())
    reader.begin(at(world), is_idle=True)
    world.start_elsewhere(*world.ids)
    world.clock.sleep(1)
    reader.read()

    assert (reader.newest, reader.newest_at) == (2, world.clock())


def test_other_jobs_of_a_connection_are_told_from_one() -> None:
    """A newer one, or an older one that changed since a time and is not known to have ended before."""
    world = World(2, job_seconds=5)
    reader = reader_of(world)
    reader.begin(at(world), is_idle=True)
    world.start_elsewhere(*world.ids)
    world.clock.sleep(10)
    world.start_elsewhere(connection_id(0))
    world.clock.sleep(10)
    jobs: dict[int, Job] = {job.id: job for job in reader.read()}

    assert reader.has_others(jobs[1], at(world), ())
    assert not reader.has_others(jobs[2], at(world, -60), ())
    assert not reader.has_others(jobs[3], at(world, -10), ())
    assert reader.has_others(jobs[3], at(world, -16), ())
    assert not reader.has_others(jobs[3], at(world, -16), {1})
    assert reader.has_others(jobs[3], jobs[1].changed, ())


def test_what_others_started_just_before_our_first_job_is_shown() -> None:
    """While something is watched already, 30 s of margin are read; while nothing is, what was before is no interest."""
    for is_idle, shown in ((False, [1]), (True, [])):
        world = World(1, job_seconds=5)
        world.start_elsewhere(connection_id(0))
        world.clock.sleep(25)
        reader = reader_of(world)
        reader.begin(at(world), is_idle=is_idle)

        assert [job.id for job in reader.read()] == shown, is_idle


def test_a_later_beginning_leaves_nothing_out_and_an_earlier_one_is_read_from() -> None:
    """Jobs of several starts are watched with one reader: it begins at the earliest time, and goes on from there."""
    world = World(3, job_seconds=5)
    earliest = at(world)
    for number in range(3):
        world.start_elsewhere(connection_id(number))
        world.clock.sleep(10)
    reader = reader_of(world)
    reader.begin(earliest + dt.timedelta(seconds=10), is_idle=True)
    reader.begin(earliest + dt.timedelta(seconds=20), is_idle=False)

    assert [job.id for job in reader.read()] == [2, 3]
    reader.begin(earliest + dt.timedelta(seconds=20), is_idle=False)
    assert [job.id for job in reader.read()] == [3]
    reader.begin(earliest, is_idle=False)
    assert [job.id for job in reader.read()] == [1, 2, 3]


def test_a_job_that_says_an_earlier_second_does_not_move_the_reader_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running job's last change is computed, and may be a second early: the seconds before are not read again."""
    world = World(1, job_seconds=600)
    reader = reader_of(world)
    asked: list[dt.datetime] = []
    reached = iter([at(world, 10), at(world, 9), at(world, 9)])

    def changed_jobs(_workspace_id: str, since: dt.datetime) -> JobChanges:
        asked.append(since)
        return JobChanges((), next(reached), complete=True, calls=1)

    monkeypatch.setattr(reader._client, "changed_jobs", changed_jobs)
    reader.begin(at(world), is_idle=True)
    for _ in range(3):
        reader.read()

    assert asked == [at(world), at(world, 10), at(world, 10)]
