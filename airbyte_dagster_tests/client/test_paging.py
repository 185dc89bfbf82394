"""Lists are read to their end, each item once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airbyte_dagster.client import AirbyteClient
from airbyte_dagster_tests.client.conftest import BASE, job, page
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
