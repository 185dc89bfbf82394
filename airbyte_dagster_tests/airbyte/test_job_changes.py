"""Reading jobs that changed: each once, none left out, however the list moves meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.job_changes import JobChanges, read_changes
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.airbyte.times import parse_time, time_text
from airbyte_dagster.errors import UnexpectedAnswer
from airbyte_dagster_tests.airbyte.conftest import BASE, MakeClient, job, page
from airbyte_dagster_tests.http_server import HttpServer, Reply

START = dt.datetime(2026, 1, 5, 10, tzinfo=dt.timezone.utc)
SIZE = 5


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


class JobList:
    """A list of jobs as a server keeps it: sorted by the exact time of the last change, shown to the second."""

    def __init__(self) -> None:
        self.changed: dict[int, float] = {}
        self.active: set[int] = set()
        self.pages = 0
        self.before_page: Callable[[int], None] = lambda _number: None

    def change(self, job_id: int, seconds: float, *, active: bool = False) -> None:
        self.changed[job_id] = seconds
        self.active = self.active | {job_id} if active else self.active - {job_id}

    def page(self, since: dt.datetime | None, offset: int) -> list[Job]:
        self.pages += 1
        self.before_page(self.pages)
        shown = sorted((time, job_id) for job_id, time in self.changed.items() if since is None or at(time) >= since)
        return [self.job(job_id) for _, job_id in shown[offset : offset + SIZE]]

    def job(self, job_id: int) -> Job:
        time = at(int(self.changed[job_id]))
        made = Job(job_id, "c", "sync", "succeeded", start_time=START, last_updated=time)
        if job_id in self.active:
            return replace(made, status="running", last_updated=None, duration=(time - START).total_seconds())
        return made

    def read(self, since: dt.datetime | None = None, max_pages: int = 100) -> JobChanges:
        return read_changes(self.page, since, page_size=SIZE, max_pages=max_pages)


def ids(jobs: Sequence[Job]) -> list[int]:
    return [found.id for found in jobs]


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (12, 3)])
def test_all_pages(count: int, pages: int) -> None:
    """A short page is the last; each further page begins with the last job of the one before, and so brings four."""
    jobs = JobList()
    for number in range(count):
        jobs.change(number, number * 10)

    found = jobs.read()

    assert ids(found.jobs) == list(range(count))
    assert found.complete
    assert found.reached == (at((count - 1) * 10) if count else None)
    assert jobs.pages == pages


def test_since_is_inclusive_to_the_second() -> None:
    """Jobs that changed within the second that is asked for are among them, whatever their fraction."""
    jobs = JobList()
    for number, seconds in enumerate((9.9, 10.0, 10.5, 11.0)):
        jobs.change(number, seconds)

    assert ids(jobs.read(at(10)).jobs) == [1, 2, 3]


@pytest.mark.parametrize("moving", [[2], [1, 2], [0, 1, 2, 3, 4]])
def test_jobs_that_end_meanwhile_hide_none(moving: list[int]) -> None:
    """Jobs of the first page move to the end: what moved up is seen, by however many, and the jobs as they ended."""
    jobs = JobList()
    for number in range(12):
        jobs.change(number, number, active=number in moving)

    def end(page_number: int) -> None:
        for job_id in moving if page_number == 2 else ():
            jobs.change(job_id, 100 + job_id)

    jobs.before_page = end
    found = jobs.read()

    assert sorted(ids(found.jobs)) == list(range(12))
    assert ids(found.jobs)[-len(moving) :] == moving
    assert not any(job.active for job in found.jobs)


def test_a_change_that_shows_late_hides_none() -> None:
    """A job appears among those that were read already: the others are seen, and it by a reading that looks back."""
    jobs = JobList()
    for number in range(12):
        jobs.change(number, number)
    jobs.before_page = lambda number: jobs.change(99, 1.5) if number == 3 else None

    assert sorted(ids(jobs.read().jobs)) == list(range(12))
    assert 99 in ids(jobs.read(at(1)).jobs)


def test_a_bound_of_pages_is_gone_on_from() -> None:
    """After so many pages the rest is left; going on from what was reached comes to all of them, and ends."""
    jobs = JobList()
    for number in range(40):
        jobs.change(number, number)
    seen: set[int] = set()
    since, readings = None, 0

    while True:
        found = jobs.read(since, max_pages=2)
        readings += 1
        seen |= set(ids(found.jobs))
        if found.complete:
            break
        assert found.reached is not None
        assert since is None or found.reached > since
        since = found.reached

    assert seen == set(range(40))
    assert readings == 5


def test_more_jobs_of_one_second_than_pages() -> None:
    """Where going on would begin at the same second, more is read, up to a later one."""
    jobs = JobList()
    for number in range(30):
        jobs.change(number, 10 if number < 25 else 20)

    found = jobs.read(at(10), max_pages=2)

    assert set(ids(found.jobs)) >= set(range(25))
    assert found.reached is not None
    assert found.reached > at(10)


def test_active_jobs_only() -> None:
    """Jobs that run tell no time; they are read through all the same."""
    jobs = JobList()
    for number in range(12):
        jobs.change(number, number, active=True)

    found = jobs.read(max_pages=1)

    assert len(found.jobs) == 12
    assert found.complete


@pytest.mark.parametrize("order", ["unstable", "no offset"])
def test_a_server_that_shows_no_end_is_given_up(order: str) -> None:
    """Jobs of one instant in ever another order, or the first page for ever, don't hold the reader for ever."""
    jobs = JobList()
    for number in range(12):
        jobs.change(number, 10)

    def get_page(since: dt.datetime | None, offset: int) -> list[Job]:
        shown = jobs.page(since, 0 if order == "no offset" else offset)
        return [*shown[jobs.pages % 3 :], *shown[: jobs.pages % 3]] if order == "unstable" else shown

    found = read_changes(get_page, at(10), page_size=SIZE, max_pages=3)

    assert jobs.pages <= 30
    assert found.complete == (order == "unstable")


moves = st.lists(
    st.tuples(
        st.integers(2, 12), st.sampled_from(["ends", "begins", "shows late"]), st.integers(0, 30), st.integers(0, 29)
    ),
    max_size=6,
)


@given(
    times=st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=30), moves=moves, max_pages=st.integers(1, 20)
)
def test_nothing_that_had_ended_is_left_out(
    times: list[tuple[float, bool]], moves: list[tuple[int, str, int, int]], max_pages: int
) -> None:
    """Whatever moves between two pages: all that had ended before the reading, up to what was reached, is found."""
    jobs = JobList()
    for number, (seconds, active) in enumerate(times):
        jobs.change(number, seconds, active=active)
    ended = {number for number in jobs.changed if number not in jobs.active}

    def move(page_number: int) -> None:
        for when, what, seconds, number in moves:
            if when != page_number:
                continue
            if what == "ends" and jobs.active:
                jobs.change(sorted(jobs.active)[number % len(jobs.active)], 100 + when)
            elif what == "begins":
                jobs.change(1000 + number, 100 + when, active=True)
            elif what == "shows late":
                jobs.change(2000 + number, seconds)

    jobs.before_page = move
    found = jobs.read(max_pages=max_pages)

    assert len(set(ids(found.jobs))) == len(found.jobs)
    reached = found.reached or at(1e6)
    for number in ended:
        if found.complete or at(int(jobs.changed[number])) < reached:
            assert number in ids(found.jobs)


# The client


def test_what_is_asked(server: HttpServer, client: AirbyteClient) -> None:
    """By workspace, first changed first, 100 with a call, from a time in UTC; the newest the other way round."""
    server.on("GET", f"{BASE}/jobs", page(job(7, "succeeded", lastUpdatedAt="2026-01-05T10:01Z"), job(9)))

    found = client.changed_jobs("w-1", at(2.5).astimezone(dt.timezone(dt.timedelta(hours=2))))
    assert [changed.id for changed in found.jobs] == [7, 9]
    assert (found.reached, found.complete) == (at(60), True)
    client.changed_jobs("w-1", None)
    assert [changed.id for changed in client.newest_jobs("w-1")] == [7, 9]

    first, second, newest = ({key: values[0] for key, values in sent.query.items()} for sent in server.requests)
    general = {"workspaceIds": "w-1", "limit": "100", "offset": "0"}
    assert first == {**general, "orderBy": "updatedAt|ASC", "updatedAtStart": "2026-01-05T10:00:02.500000Z"}
    assert second == {**general, "orderBy": "updatedAt|ASC"}
    assert newest == {**general, "orderBy": "updatedAt|DESC"}


def test_a_page_with_no_job_in_it(server: HttpServer, client: AirbyteClient) -> None:
    """An answer that can't be read says what was asked."""
    server.on("GET", f"{BASE}/jobs", page({"status": "running"}))
    with pytest.raises(UnexpectedAnswer, match=r"GET /jobs: .*no jobId"):
        client.changed_jobs("w-1", None)


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ({"status": "succeeded", "lastUpdatedAt": "2026-01-05T10:01Z", "duration": "PT1S"}, 60),
        ({"status": "running", "duration": "PT12S"}, 19),
        ({"status": "pending"}, 7),
        ({"status": "running", "duration": "-PT5S"}, 7),
    ],
)
def test_when_a_job_changed(server: HttpServer, client: AirbyteClient, more: dict[str, Any], changed: int) -> None:
    """Finished jobs tell it; of others it is the start and what the server counts since."""
    server.on("GET", f"{BASE}/jobs/42", Reply(200, {**job(), **more}))
    assert client.job(42).changed == at(changed)


@given(st.datetimes(timezones=st.just(dt.timezone.utc)))
def test_times_are_written_as_they_are_read(time: dt.datetime) -> None:
    """A time that is sent is the one that was shown."""
    assert parse_time(time_text(time)) == time


@pytest.mark.parametrize(
    ("answer", "streams"),
    [
        (
            {"job": {"resetConfig": {"streamsToReset": [{"name": "users"}, {"name": "a", "namespace": "n"}]}}},
            {(None, "users"), ("n", "a")},
        ),
        ({"job": {"resetConfig": {"streamsToReset": []}}}, set()),
        ({"job": {}}, None),
        ({"job": {"resetConfig": None}}, None),
        ("x", None),
    ],
)
def test_streams_of_a_reset(server: HttpServer, make_client: MakeClient, answer: Any, streams: Any) -> None:
    """The configuration API knows them; where it does not, it is all of them."""
    server.on("POST", "/api/v1/jobs/get_without_logs", Reply(200, answer))
    assert make_client().reset_streams(42) == streams
