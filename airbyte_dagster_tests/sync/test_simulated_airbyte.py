"""The simulated Airbyte answers as the real one, as far as those who are tested against it rely on it."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.errors import Conflict, NotFound, RequestTimedOut, SyncAlreadyRunning
from airbyte_dagster_tests.clock import FakeClock
from benchmarks.simulated_airbyte import (
    CLIENT_ID,
    CLIENT_SECRET,
    KINDS,
    SERVER_URL,
    WORKSPACE_ID,
    Fault,
    RandomFaults,
    SimulatedAirbyte,
    SimulatedTransport,
    connection_id,
)
from benchmarks.simulated_airbyte.faults import Kind
from benchmarks.simulated_airbyte.process import running_simulation

FIRST, SECOND, THIRD = (connection_id(number) for number in range(3))
START = dt.datetime(2027, 1, 15, 8, 0, 0, 500_000, tzinfo=dt.timezone.utc)

_NUMBERS = itertools.count()


class Simulated:
    """An Airbyte, its clock, and a client of it."""

    def __init__(
        self, connections: int = 3, faults: Callable[[str, str], Fault | None] | None = None, **options: Any
    ) -> None:
        self.clock = FakeClock()
        self.airbyte = SimulatedAirbyte(
            connections, 2, clock=self.clock, start=START.timestamp(), job_seconds=10, **options
        )
        self.transport = SimulatedTransport(self.airbyte, faults or (lambda _method, _path: None))
        # The tokens of other servers with the same address must not be taken for this one's.
        url = SERVER_URL.replace("airbyte", f"simulated-{next(_NUMBERS)}")
        settings = ClientSettings(url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        self.client = AirbyteClient(settings, transport=self.transport, clock=self.clock, sleep=self.clock.sleep)


def once(fault: Fault, method: str, path: str) -> Callable[[str, str], Fault | None]:
    """One fault, at the first call of this kind."""
    left = [fault]
    return lambda verb, way: left.pop() if left and (verb, way.rsplit("v1", 1)[1]) == (method, path) else None


def test_lists_have_pages_and_show_no_deleted_connection() -> None:
    """A hundred a page; one that is deleted can still be asked for; what was renamed is shown so."""
    simulated = Simulated(connections=250)
    simulated.airbyte.delete(FIRST)
    simulated.airbyte.alter(SECOND, name="renamed", streams=["a"])

    found = {connection.id: connection for connection in simulated.client.connections(WORKSPACE_ID)}

    assert len(found) == 249
    assert FIRST not in found
    assert (found[SECOND].name, [stream.name for stream in found[SECOND].streams]) == ("renamed", ["a"])
    assert (found[THIRD].prefix, len(found[THIRD].streams)) == ("c2_", 2)
    assert simulated.client.connection(FIRST).status == "deprecated"
    assert len(simulated.client.actors("source", WORKSPACE_ID)) == 250
    assert len(simulated.client.actors("destination", WORKSPACE_ID)) == 3
    assert simulated.airbyte.calls == {
        "POST /applications/token": 1,
        "GET /connections": 3,
        "GET /connections/{id}": 1,
        "GET /sources": 3,
        "GET /destinations": 1,
    }


def test_next_page_is_named_even_after_the_last_one() -> None:
    """It is empty only on a page that is empty; the parameters of jobs that it loses are lost."""
    airbyte = Simulated(connections=2).airbyte
    query = {"limit": "2", "workspaceIds": WORKSPACE_ID, "orderBy": "createdAt|DESC"}

    last = airbyte.answer("GET", "/api/public/v1/connections", query).json
    empty = airbyte.answer("GET", "/api/public/v1/connections", {**query, "offset": "2"}).json

    assert last["next"].endswith(f"?workspaceIds={WORKSPACE_ID}&limit=2&offset=2")
    assert (empty["data"], empty["next"]) == ([], "")
    assert airbyte.answer("GET", "/api/public/v1/connections", {"limit": "101"}).status == 400


def test_jobs_go_on_by_the_clock() -> None:
    """Pending, running, succeeded; the row moves only when the status does, and its times are to the second."""
    simulated = Simulated()
    job = simulated.client.create_job(FIRST, "sync")
    assert (job.id, job.status, job.rows, job.duration) == (1, "pending", None, None)

    simulated.clock.sleep(2)
    running = simulated.client.job(1)
    simulated.clock.sleep(7)
    assert simulated.client.job(1) == running
    assert (running.status, running.rows, running.last_updated) == ("running", 0, None)

    simulated.clock.sleep(1)
    ended = simulated.client.job(1)
    assert (ended.status, ended.duration, ended.rows) == ("succeeded", 10, 200)
    assert ended.last_updated == START.replace(second=10, microsecond=0)
    stats = simulated.client.job_stream_stats(1)
    assert stats is not None
    assert [(item.name, item.rows) for item in stats] == [("stream_0", 100), ("stream_1", 100)]
    assert simulated.airbyte.truth()[0]["ended"] == START.timestamp() + 10


def test_one_sync_of_a_connection_at_a_time() -> None:
    """A pending one is the answer to a second request, a running one refuses it; both are counted."""
    simulated = Simulated()
    first = simulated.client.create_job(FIRST, "sync")

    assert simulated.client.create_job(FIRST, "sync") == first
    simulated.clock.sleep(1)
    with pytest.raises(SyncAlreadyRunning, match=f"already running for: {FIRST}"):
        simulated.client.create_job(FIRST, "sync")
    simulated.clock.sleep(10)
    assert simulated.client.create_job(FIRST, "sync").id == 2

    assert [(job.id, job.asked, job.refused) for job in simulated.airbyte.jobs] == [(1, 2, 1), (2, 1, 0)]


def test_what_is_not_there() -> None:
    """Unknown connections are 404, unknown jobs 409; a deleted or inactive connection syncs no more."""
    simulated = Simulated()
    simulated.airbyte.alter(SECOND, status="inactive")
    simulated.client.create_job(THIRD, "sync")
    simulated.client.delete_connection(THIRD)

    with pytest.raises(NotFound):
        simulated.client.create_job(connection_id(9), "sync")
    for wanted in (SECOND, THIRD):
        with pytest.raises(Conflict, match="Could not fulfill request"):
            simulated.client.create_job(wanted, "sync")
    with pytest.raises(Conflict, match="not currently running"):
        simulated.client.job(99)
    assert simulated.client.job(1).status == "cancelled"


def test_cancelling_stops_what_runs_on_the_connection() -> None:
    """Whichever job is named: an old one's answer is unchanged, and the new one is stopped."""
    simulated = Simulated()
    simulated.client.create_job(FIRST, "sync")
    simulated.clock.sleep(20)
    simulated.client.create_job(FIRST, "sync")

    assert simulated.client.cancel_job(1).status == "succeeded"
    assert simulated.client.job(2).status == "cancelled"


def test_failures_say_why() -> None:
    """Which jobs fail is decided from outside; the configuration API has the reason."""
    simulated = Simulated(fails=lambda wanted, earlier: wanted == FIRST and earlier == 0)
    for wanted in (FIRST, SECOND):
        simulated.client.create_job(wanted, "sync")
    simulated.clock.sleep(10)
    simulated.client.create_job(FIRST, "sync")
    simulated.clock.sleep(10)

    assert [job["status"] for job in simulated.airbyte.truth()] == ["failed", "succeeded", "succeeded"]
    failure = simulated.client.job_failure(1)
    assert failure is not None
    assert failure.message == "The source went away."


def test_list_of_jobs_has_filters_and_orders() -> None:
    """Bounds are inclusive and are of the row as it was last written; the oldest is first if nothing is said."""
    simulated = Simulated()
    for wanted, seconds in ((FIRST, 5), (SECOND, 5), (THIRD, 4)):
        simulated.client.create_job(wanted, "sync")
        simulated.clock.sleep(seconds)

    def ids(**query: str) -> list[int]:
        answer = simulated.airbyte.answer("GET", "/api/public/v1/jobs", {"workspaceIds": WORKSPACE_ID, **query})
        return [job["jobId"] for job in answer.json["data"]]

    assert ids() == ids(orderBy="createdAt|ASC") == [1, 2, 3]
    assert ids(orderBy="updatedAt|DESC") == [3, 1, 2]
    assert ids(connectionId=SECOND, workspaceIds="another") == [2]
    assert ids(workspaceIds="another") == ids(jobType="reset") == []
    assert ids(status="running") == [2, 3]
    # The row of the third changed last when it began to run, 10.5 s after the start.
    assert ids(updatedAtStart="2027-01-15T08:00:11Z") == [3]
    assert ids(updatedAtStart="2027-01-15T08:00:11.001Z") == []
    assert ids(createdAtStart="2027-01-15T08:00:05.500Z", createdAtEnd="2027-01-15T08:00:05.500Z") == [2]
    assert simulated.airbyte.answer("GET", "/api/public/v1/jobs", {"orderBy": "updatedAt"}).status == 400
    changes = simulated.client.changed_jobs(WORKSPACE_ID, START + dt.timedelta(seconds=6))
    assert [job.id for job in changes.jobs] == [1, 3]


def test_end_may_be_seen_late() -> None:
    """As a row that is committed later than it is stamped: then it has the earlier time."""
    simulated = Simulated(written_late=lambda _job_id: 3.0)
    simulated.client.create_job(FIRST, "sync")

    simulated.clock.sleep(12)
    assert simulated.client.job(1).status == "running"
    simulated.clock.sleep(1)
    assert simulated.client.job(1).last_updated == START.replace(second=10, microsecond=0)


def test_tokens_end() -> None:
    """By the clock, or all at once; the client signs in again."""
    simulated = Simulated(token_seconds=100)
    simulated.client.workspaces()
    simulated.airbyte.expire_tokens()
    simulated.client.workspaces()
    simulated.clock.sleep(101)
    simulated.client.workspaces()

    assert simulated.airbyte.calls["POST /applications/token"] == 3
    assert httpx.Client(transport=simulated.transport).get(f"{SERVER_URL}/jobs").status_code == 401


@pytest.mark.parametrize(
    ("fault", "jobs", "is_told"),
    [
        (Fault("rate_limited"), 1, True),
        (Fault("refused"), 1, True),
        (Fault("expired"), 1, True),
        (Fault("bad_gateway", has_acted=True), 1, False),
        (Fault("gateway_timeout"), 0, False),
        (Fault("dropped"), 0, False),
        (Fault("answer_lost"), 1, False),
        (Fault("late", seconds=30), 0, False),
    ],
)
def test_faults_leave_what_they_say(fault: Fault, jobs: int, is_told: bool) -> None:
    """Whether the server has acted is one thing, whether the client is told another."""
    simulated = Simulated(faults=once(fault, "POST", "/jobs"))

    if is_told:
        assert simulated.client.create_job(FIRST, "sync").id == 1
    else:
        with pytest.raises(RequestTimedOut):
            simulated.client.create_job(FIRST, "sync")

    assert len(simulated.airbyte.jobs) == jobs


def test_late_call_is_acted_on_at_its_time() -> None:
    """Not when it is next looked at."""
    simulated = Simulated(faults=once(Fault("late", seconds=30), "POST", "/jobs"))
    with pytest.raises(RequestTimedOut):
        simulated.client.create_job(FIRST, "sync")

    simulated.clock.sleep(50)

    assert simulated.airbyte.truth()[0]["created"] == START.timestamp() + 30
    assert simulated.client.job(1).status == "succeeded"


def test_lists_may_shift_between_pages() -> None:
    """A row that moves is seen twice, or not at all, by who takes the pages as they come."""
    simulated = Simulated(connections=250)
    pages = []
    for number in range(3):
        query = {"limit": "100", "offset": str(100 * number)}
        pages += simulated.airbyte.answer("GET", "/api/public/v1/connections", query).json["data"]
        for seed in range(10):
            simulated.airbyte.shift(random.Random(seed))  # noqa: S311

    assert len(pages) == 250
    assert len({item["connectionId"] for item in pages}) < 250


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    """So a schedule that failed can be tried again; every kind comes, about as often as asked."""

    def run(seed: int) -> list[Fault | None]:
        faults = RandomFaults(seed, rate=0.25)
        return [faults("GET", "/jobs") for _ in range(1000)]

    kinds: set[Kind] = {fault.kind for fault in run(1) if fault is not None}
    assert run(1) == run(1) != run(2)
    assert kinds == set(KINDS)
    assert 200 < sum(fault is not None for fault in run(1)) < 300


def test_server_is_a_process_of_its_own() -> None:
    """It answers the client over HTTP, tells what lies behind, and takes changes."""
    with running_simulation(150, 2, job_seconds=0, latency=0) as simulation:
        settings = ClientSettings(simulation.server_url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        with AirbyteClient(settings) as client:
            job = client.create_job(FIRST, "sync")
            simulation.alter(SECOND, name="renamed", streams=["a"])
            simulation.delete(FIRST)
            found = {connection.id: connection for connection in client.connections(WORKSPACE_ID)}

            assert client.job(job.id).status == "succeeded"
            assert len(found) == 149
            assert (found[SECOND].name, len(found[SECOND].streams)) == ("renamed", 1)
        assert [item["connection_id"] for item in simulation.truth()] == [FIRST]
        assert simulation.calls()["GET /connections"] == 2
        simulation.forget_records()
        assert simulation.records() == []
        assert httpx.get(f"{simulation.server_url}/jobs", trust_env=False).status_code == 401
        assert httpx.get(f"{simulation.server_url}/health", trust_env=False).text == "Successful operation"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{simulation.server_url}/health", trust_env=False)
