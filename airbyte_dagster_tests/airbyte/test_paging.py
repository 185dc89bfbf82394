"""Lists are read to their end, each item once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.errors import InvalidRequest
from airbyte_dagster_tests.airbyte.conftest import BASE, job, page
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request

PATH = f"{BASE}/connections"


def _connections(*numbers: int) -> list[dict[str, str]]:
    return [{"connectionId": f"c-{number}", "name": f"n-{number}"} for number in numbers]


def _paged(items: list[dict[str, str]]) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        offset, limit = int(request.query["offset"][0]), int(request.query["limit"][0])
        return page(*items[offset : offset + limit])

    return answer


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (250, 3)])
def test_all_pages(server: HttpServer, client: AirbyteClient, count: int, calls: int) -> None:
    """All items are found; a short or an empty page is the last; `next`, which is always there, is not followed."""
    server.on("GET", PATH, _paged(_connections(*range(count))))
    assert [connection.id for connection in client.connections("w-1")] == [f"c-{number}" for number in range(count)]
    assert len(server.requests) == calls
    assert {request.query["workspaceIds"][0] for request in server.requests} == {"w-1"}
    assert [request.query["offset"][0] for request in server.requests] == [str(100 * n) for n in range(calls)]
    assert {request.query["limit"][0] for request in server.requests} == {"100"}


@pytest.mark.parametrize(("count", "calls"), [(300, 5), (499, 5), (500, 7), (1000, 11), (1001, 11), (2000, 23)])
def test_pages_of_long_lists_are_read_side_by_side(
    server: HttpServer, client: AirbyteClient, count: int, calls: int
) -> None:
    """All items, in their order; a few pages more are asked for than there are, at most."""
    server.on("GET", PATH, _paged(_connections(*range(count))))
    assert [connection.id for connection in client.connections("w-1")] == [f"c-{number}" for number in range(count)]
    assert len(server.requests) == calls
    assert len({request.query["offset"][0] for request in server.requests}) == calls


def test_side_by_side_is_at_the_same_time(server: HttpServer, client: AirbyteClient) -> None:
    """Two pages wait for each other."""
    both = threading.Barrier(2, timeout=300)
    answer = _paged(_connections(*range(450)))

    def met(request: Request) -> Reply:
        if int(request.query["offset"][0]) >= 300:
            both.wait()
        return answer(request)

    server.on("GET", PATH, met)
    assert len(client.connections("w-1")) == 450


def test_a_list_that_grows_while_it_is_read(
    server: HttpServer, client: AirbyteClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two pages that are asked for together, the first may end before the second begins: then it is read again."""
    grown: set[int] = set()

    def answer(request: Request) -> Reply:
        offset = int(request.query["offset"][0])
        count = 401 if offset == 400 or offset in grown else 350
        grown.add(offset)
        return _paged(_connections(*range(count)))(request)

    server.on("GET", PATH, answer)
    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        found = client.connections("w-1")
    assert len(found) == 401
    assert "read once more" in caplog.text


def test_a_page_that_fails_fails_the_list(server: HttpServer, client: AirbyteClient) -> None:
    """Nothing is returned as if it were all."""
    answer = _paged(_connections(*range(450)))
    server.on(
        "GET",
        PATH,
        lambda request: Reply(400, {"message": "no"}) if request.query["offset"] == ["400"] else answer(request),
    )
    with pytest.raises(InvalidRequest):
        client.connections("w-1")


def _sources(count: int) -> list[dict[str, str]]:
    return [{"sourceId": f"s-{number}", "name": f"n-{number}"} for number in range(count)]


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [((), 0), ((0, 99), 1), ((0, 100), 2), (range(200), 2), (range(1000), 10), ((5, 5000), 12)],
)
def test_no_more_is_read_than_is_wanted(
    server: HttpServer, client: AirbyteClient, wanted: Sequence[int], calls: int
) -> None:
    """As few pages as may hold them; then on, until all are found or the list ends."""
    server.on("GET", f"{BASE}/sources", _paged(_sources(1000)))
    found = client.actors("source", "w-1", wanted=[f"s-{number}" for number in wanted])
    assert {f"s-{number}" for number in wanted if number < 1000} <= {source.id for source in found}
    assert len(server.requests) == calls


def test_what_is_wanted_is_there_though_the_list_moved(
    server: HttpServer, client: AirbyteClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Then it need not be read once more; if something is missing, it is."""
    moving = [page(*_sources(100)), page(*_sources(101)[99:])]
    server.on("GET", f"{BASE}/sources", *moving)
    assert len(client.actors("source", "w-1", wanted=["s-0", "s-100"])) == 101
    assert len(server.requests) == 2
    server.on("GET", f"{BASE}/sources", *moving, *moving)
    assert len(client.actors("source", "w-1", wanted=["s-0", "s-200"])) == 101
    assert len(server.requests) == 6


def test_unstable_list(server: HttpServer, client: AirbyteClient, caplog: pytest.LogCaptureFixture) -> None:
    """An item that is seen twice means that another may be missing: read again, merge, warn."""
    first = [_connections(*range(100)), _connections(99, *range(101, 110))]  # 100 has moved to the first page, unseen
    second = [_connections(*range(99), 100), _connections(99, *range(101, 110))]
    server.on("GET", PATH, *(page(*items) for items in [*first, *second]))
    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        found = client.connections("w-1")
    assert sorted(connection.id for connection in found) == sorted(f"c-{number}" for number in range(110))
    assert len(server.requests) == 4
    assert "/connections" in caplog.text


def test_stable_list_is_read_once(server: HttpServer, client: AirbyteClient, caplog: pytest.LogCaptureFixture) -> None:
    """There is no second reading and no warning without need."""
    server.on("GET", PATH, _paged(_connections(*range(120))))
    client.connections("w-1")
    assert len(server.requests) == 2
    assert caplog.records == []


def test_a_server_that_ignores_the_offset(server: HttpServer, client: AirbyteClient) -> None:
    """A server that shows its first page for ever doesn't keep the client for ever."""
    server.on("GET", PATH, page(*_connections(*range(100))))
    assert len(client.connections("w-1")) == 100
    assert len(server.requests) == 4


def test_last_jobs(server: HttpServer, client: AirbyteClient) -> None:
    """Jobs are asked for newest first, no more than needed, in one call."""
    server.on("GET", f"{BASE}/jobs", page(job(3), job(5), job(5), job(4)))
    assert [found.id for found in client.jobs("c-1", limit=3)] == [5, 4, 3]
    assert {key: values[0] for key, values in server.requests[0].query.items()} == {
        "connectionId": "c-1",
        "orderBy": "createdAt|DESC",
        "limit": "3",
        "offset": "0",
    }


def test_many_jobs(server: HttpServer, client: AirbyteClient) -> None:
    """More than a page of jobs takes more than one call, and a job that shifts to the next page is there once."""
    jobs = [job(number) for number in range(300, 0, -1)]

    def answer(request: Request) -> Reply:
        offset = max(0, int(request.query["offset"][0]) - 1)
        return page(*jobs[offset : offset + 100])

    server.on("GET", f"{BASE}/jobs", answer)
    assert [found.id for found in client.jobs("c-1", limit=150)] == list(range(300, 150, -1))
    assert len(server.requests) == 2
