"""Which jobs are dealt with: the bookkeeping alone, with neither Dagster nor Airbyte."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.airbyte.job_changes import JobChanges
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.sensors.job_cursor import OVERLAP, JobCursor, Waiting

START = dt.datetime(2026, 1, 5, 10, tzinfo=dt.timezone.utc)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def ended(job_id: int, seconds: float, status: str = "succeeded") -> Job:
    return Job(job_id, f"c-{job_id}", "sync", status, start_time=START, last_updated=at(seconds))


def active(job_id: int, seconds: float) -> Job:
    return Job(job_id, f"c-{job_id}", "sync", "running", start_time=START, duration=seconds)


def changes(*jobs: Job, complete: bool = True) -> JobChanges:
    return JobChanges(jobs, max((job.changed for job in jobs), default=None), complete, calls=1)


def ids(jobs: Iterable[Job]) -> list[int]:
    return [job.id for job in jobs]


def started(*jobs: Job, now: float = 0, is_all: bool = True) -> JobCursor:
    return JobCursor.starting("w", jobs, now=now, is_all=is_all)


def moved(
    cursor: JobCursor, found: JobChanges, *, done: Collection[int] | None = None, now: float = 1, **waiting: Waiting
) -> JobCursor:
    """Move on; all news are done unless told otherwise."""
    dealt = ids(cursor.news(found)) if done is None else done
    return cursor.moved(found, done=dealt, waiting={int(key[1:]): item for key, item in waiting.items()}, now=now)


def test_the_first_tick_takes_what_has_ended_as_known() -> None:
    """Jobs that had ended before are no news, not even those of the last seconds; those that run are, once they end."""
    cursor = started(ended(1, 100), ended(2, 100), active(3, 90), ended(4, 60))

    assert cursor.since == at(100) - OVERLAP
    assert cursor.floor == 4
    assert ids(cursor.news(changes(ended(1, 100), ended(2, 100), ended(3, 101), ended(5, 102)))) == [3, 5]


def test_an_empty_server_is_read_from_its_beginning() -> None:
    """Where there were no jobs, every job is news."""
    cursor = started()

    assert cursor.since is None
    assert moved(cursor, changes()).since is None
    assert ids(cursor.news(changes(ended(1, 5)))) == [1]
    assert moved(cursor, changes(ended(1, 5))).since == at(5) - OVERLAP


def test_a_full_first_page_knows_nothing_before_it() -> None:
    """What lies before the oldest of the jobs that were shown is not read again: its ids are not known."""
    cursor = started(ended(1, 100), ended(2, 95), is_all=False)

    assert cursor.since == at(96)
    assert started(ended(1, 100), ended(2, 100), is_all=False).since == at(100)


def test_jobs_are_news_once() -> None:
    """What is dealt with is not news again, though the next tick reads it again; jobs of the same second are."""
    cursor = started(ended(1, 100))
    found = changes(ended(1, 100), ended(2, 130))

    cursor = moved(cursor, found)

    assert cursor.since == at(130) - OVERLAP
    assert ids(cursor.news(found)) == []
    assert ids(cursor.news(changes(ended(2, 130), ended(3, 130)))) == [3]


def test_a_change_that_shows_late_is_news() -> None:
    """The next tick reads back a little, so that a job with an older time is not missed."""
    cursor = moved(started(ended(1, 100)), changes(ended(1, 100), ended(3, 200)))

    assert cursor.since is not None
    assert cursor.since <= at(175)
    assert ids(cursor.news(changes(ended(2, 175), ended(3, 200)))) == [2]


def test_reading_back_ends_when_nothing_can_show_late_any_more() -> None:
    """While nothing happens, what is read again each time is one second's jobs."""
    cursor = moved(started(ended(1, 50)), changes(*(ended(number, 60 + number) for number in range(10))), now=1000)
    again = changes(*(ended(number, 60 + number) for number in range(10)))

    cursor = moved(cursor, again, now=1000 + OVERLAP.total_seconds() - 1)
    assert cursor.since == at(69) - OVERLAP
    cursor = moved(cursor, again, now=1000 + OVERLAP.total_seconds())
    assert cursor.since == at(69)
    assert cursor.handled == {9}
    assert ids(cursor.news(changes(ended(9, 69), ended(20, 69)))) == [20]


def test_what_is_left_is_news_again() -> None:
    """The next tick reads from the first job that could not be dealt with, and knows those after it that were."""
    found = changes(ended(1, 100), ended(2, 200), ended(3, 300))

    cursor = moved(started(ended(9, 50)), found, done={1, 3})

    assert cursor.since == at(200)
    assert ids(cursor.news(changes(ended(2, 200), ended(3, 300)))) == [2]
    assert moved(cursor, changes(ended(2, 200), ended(3, 300))).since == at(300) - OVERLAP


def test_a_job_that_waits_holds_nothing_up() -> None:
    """A job that a run of ours will record is no news, is kept by itself, and is known when it is dealt with."""
    found = changes(ended(1, 100), ended(2, 200))

    cursor = moved(started(ended(9, 50)), found, _1=Waiting("c-1", 7))

    assert cursor.since == at(200) - OVERLAP
    assert ids(cursor.news(found)) == []
    assert cursor.waiting == {1: Waiting("c-1", 7)}
    after = moved(cursor, changes(ended(1, 200), ended(2, 200)), done={1})
    assert after.waiting == {}
    assert 1 in after.handled


def test_half_a_reading_goes_on_where_it_stopped() -> None:
    """After a reading that was cut short the next one begins further on, even where the way back would be longer."""
    cursor = started(ended(9, 50))
    assert cursor.since == at(20)

    cursor = moved(cursor, changes(ended(1, 40), complete=False))
    assert cursor.since == at(40)
    cursor = moved(cursor, changes(ended(2, 100), complete=False))
    assert cursor.since == at(70)


def test_what_half_a_reading_did_not_show_stays_known() -> None:
    """Ids are forgotten only by a reading that has come to the end."""
    cursor = replace(started(ended(9, 50)), handled=frozenset({7, 9}))

    assert {7, 9} <= moved(cursor, changes(ended(9, 50), complete=False)).handled
    assert moved(cursor, changes(ended(9, 50))).handled == {9}


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "null", "{}", '{"version": 0}', '{"version": 99, "workspace": "w"}', '{"version": 1}', "1"],
)
def test_another_text_is_no_cursor(text: str) -> None:
    """What this version did not write is not guessed at."""
    assert JobCursor.from_json(text) is None


def test_a_cursor_with_a_wrong_part_is_none() -> None:
    """Nor is one that somebody edited."""
    data = json.loads(started(ended(1, 5)).to_json())
    for wrong in ({"since": "yesterday"}, {"handled": 1}, {"waiting": [1]}, {"waiting": {"1": ["c"]}}, {"floor": "x"}):
        assert JobCursor.from_json(json.dumps({**data, **wrong})) is None


times = st.one_of(st.none(), st.datetimes(min_value=dt.datetime(1990, 1, 1), timezones=st.just(dt.timezone.utc)))  # noqa: DTZ001 - hypothesis adds the zone


@given(
    since=times,
    reached=times,
    seen=st.floats(0, 1e10),
    handled=st.frozensets(st.integers(0, 2**60)),
    waiting=st.dictionaries(st.integers(0, 2**60), st.builds(Waiting, st.uuids().map(str), st.floats(0, 1e10))),
)
def test_as_text_and_back(
    since: dt.datetime | None,
    reached: dt.datetime | None,
    seen: float,
    handled: frozenset[int],
    waiting: dict[int, Waiting],
) -> None:
    """A cursor that Dagster keeps is the one that comes back."""
    cursor = JobCursor("w", 7, since, reached, seen, handled, waiting)
    assert JobCursor.from_json(cursor.to_json()) == cursor


@given(data=st.data(), count=st.integers(0, 40))
def test_each_job_is_news_until_it_is_dealt_with_and_never_again(data: st.DataObject, count: int) -> None:
    """Whatever a server shows late, whatever a tick leaves, however often it is killed before its cursor is kept."""
    shows: list[tuple[float, Job]] = []
    for number in range(count):
        time = data.draw(st.floats(0, 300))
        delay = data.draw(st.floats(0, OVERLAP.total_seconds() - 1))
        shows.append((time + delay, ended(number, int(time))))
    now, cursor = 0.0, started(now=0)
    dealt_with: list[int] = []

    for _ in range(60):
        now += data.draw(st.floats(0, 40))
        shown = sorted((job for show, job in shows if show <= now), key=lambda job: (job.changed, job.id))
        found = changes(*(job for job in shown if cursor.since is None or job.changed >= cursor.since))
        news = ids(cursor.news(found))
        done = data.draw(st.lists(st.sampled_from(news), unique=True)) if news else []
        after = cursor.moved(found, done=done, waiting={}, now=now)
        if data.draw(st.integers(0, 4)):
            dealt_with += done
            cursor = after
    for _ in range(3):
        now += 400
        found = changes(*(job for _, job in shows if cursor.since is None or job.changed >= cursor.since))
        dealt_with += ids(cursor.news(found))
        cursor = moved(cursor, found, now=now)

    assert sorted(dealt_with) == list(range(count))
    last_second = [job.id for _, job in shows if job.changed == cursor.since]
    assert cursor.handled == frozenset(last_second)
