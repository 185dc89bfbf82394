"""A workspace is read with list calls alone, few of them, and its JSON is small, has no secret, and is read again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.errors import ConfigurationError, WorkspaceError
from airbyte_dagster.workspaces.snapshot import OtherVersion, WorkspaceSnapshot, take_snapshot
from airbyte_dagster_tests.airbyte.conftest import BASE, page, problem
from airbyte_dagster_tests.clock import FakeClock
from airbyte_dagster_tests.conftest import client_of
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.workspaces.records import connection, snapshot, stream
from benchmarks.simulated_airbyte import (
    CLIENT_ID,
    CLIENT_SECRET,
    WORKSPACE_ID,
    SimulatedAirbyte,
    SimulatedTransport,
)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


def taken(server: HttpServer) -> WorkspaceSnapshot:
    with AirbyteClient(ClientSettings(server_url=server.url, max_attempts=1)) as client:
        return take_snapshot(client, "w-1")


def actor(kind: str, number: int, **changes: Any) -> dict[str, Any]:
    return {f"{kind}Id": f"{kind}-{number}", "name": f"{kind} {number}", "configuration": {}, **changes}


def a_connection(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "connectionId": f"c-{number}",
        "name": f"connection {number}",
        "sourceId": f"source-{number}",
        "destinationId": "destination-1",
        "status": "active",
        "createdAt": 1700000000 + number,
        "configurations": {"streams": [{"name": "users", "syncMode": "incremental_append"}]},
        **changes,
    }


def paged(server: HttpServer, path: str, items: list[dict[str, Any]]) -> None:
    def answer(request: Request) -> Reply:
        offset, limit = int(request.query["offset"][0]), int(request.query["limit"][0])
        return page(*items[offset : offset + limit])

    server.on("GET", f"{BASE}/{path}", answer)


# Calls


@pytest.mark.parametrize(("count", "calls"), [(1, 4), (99, 4), (200, 8), (1000, 25)])
def test_few_calls(count: int, calls: int) -> None:
    """The request for a token is among them, and each connection has a source of its own."""
    clock = FakeClock()
    airbyte = SimulatedAirbyte(connections=count, streams=5, job_seconds=60, clock=clock)
    # Tokens are shared by the whole process: this address is no other test's.
    address = f"http://{uuid.uuid4()}.test/api/public/v1"
    settings = ClientSettings(address, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    with AirbyteClient(settings, transport=SimulatedTransport(airbyte), clock=clock, sleep=clock.sleep) as client:
        found = take_snapshot(client, WORKSPACE_ID)

        assert len(found.connections) == count
        assert len({one.source.name for one in found.connections}) == count
        assert all(one.destination.type == "duckdb" and len(one.streams) == 5 for one in found.connections)
        assert client.calls <= calls


def test_list_calls_alone(server: HttpServer) -> None:
    """Of sources and destinations no more is read than the connections have."""
    paged(server, "connections", [a_connection(number % 3) | {"connectionId": f"c-{number}"} for number in range(5)])
    paged(server, "sources", [actor("source", number) for number in range(250)])
    paged(server, "destinations", [actor("destination", number) for number in range(100)])

    found = taken(server)

    assert [request.path.removeprefix(BASE) for request in server.requests[:1]] == ["/connections"]
    assert sorted(request.path.removeprefix(BASE) for request in server.requests[1:]) == ["/destinations", "/sources"]
    assert {one.source.name for one in found.connections} == {"source 0", "source 1", "source 2"}


def test_the_other_end_on_a_later_page(server: HttpServer) -> None:
    """The list is read as far as it takes; what is not there is known by its id."""
    paged(server, "connections", [a_connection(230), a_connection(999)])
    paged(server, "sources", [actor("source", number, sourceType="faker") for number in range(250)])
    paged(server, "destinations", [])

    one, other = taken(server).connections

    assert (one.source.name, one.source.type) == ("source 230", "faker")
    assert (other.source.id, other.source.name, other.source.type) == ("source-999", "source-999", "")
    assert one.destination.name == "destination-1"


def test_a_workspace_that_is_not_there(server: HttpServer) -> None:
    """Airbyte lists nothing for it, which must not be taken for an empty one."""
    paged(server, "connections", [])
    server.on("GET", f"{BASE}/workspaces/w-1", problem(404, "resource-not-found"))
    paged(server, "workspaces", [{"workspaceId": "w-2", "name": "Two"}])

    with pytest.raises(WorkspaceError, match=r"w-1.*Two"):
        taken(server)


def test_an_empty_workspace(server: HttpServer) -> None:
    """Two calls."""
    paged(server, "connections", [])
    server.on("GET", f"{BASE}/workspaces/w-1", Reply(200, {"workspaceId": "w-1", "name": "One"}))

    assert taken(server).connections == ()
    assert len(server.requests) == 2


# What is kept


def test_what_airbyte_tells(airbyte: RunningAirbyte, api: Api) -> None:
    """All parts of a connection that assets are made of, from a real server."""
    source, destination = api.source(count=5), api.destination(schema="raw")
    made = api.connection(
        source,
        destination,
        [{"name": "users", "syncMode": "incremental_deduped_history"}, "products"],
        name="shop",
        prefix="p_",
        schedule={"scheduleType": "cron", "cronExpression": "0 0 6 * * ?"},
    )
    with client_of(airbyte) as client:
        found = take_snapshot(client, airbyte.workspace_id)

    (one,) = found.connections
    assert (found.server_url, found.workspace_id) == (airbyte.server_url, airbyte.workspace_id)
    assert (one.id, one.name, one.status, one.prefix) == (made, "shop", "active", "p_")
    assert one.schedule == "0 0 6 * * ?"
    assert one.created_at > 1_700_000_000
    assert (one.source.type, one.source.place) == ("faker", {})
    assert one.destination.type == "duckdb"
    assert one.destination.place["schema"] == "raw"
    assert {(item.name, item.sync_mode) for item in one.streams} == {
        ("users", "incremental_deduped_history"),
        ("products", "full_refresh_overwrite"),
    }
    assert next(item for item in one.streams if item.name == "users").primary_key == (("id",),)


def test_no_secret_is_kept(server: HttpServer) -> None:
    """Of a destination, nothing but where it is; of a source, nothing of its configuration."""
    configuration = {
        "destination_path": "md:lms?motherduck_token=PLANTED",
        "host": "reader:PLANTED@db.example.com",
        "port": 5432,
        "database": "lake",
        "schema": {"PLANTED": 1},
        "motherduck_api_key": "PLANTED",
        "password": "PLANTED",
    }
    paged(server, "connections", [a_connection(1)])
    paged(server, "sources", [actor("source", 1, configuration={"password": "PLANTED", "host": "PLANTED"})])
    paged(server, "destinations", [actor("destination", 1, configuration=configuration)])

    found = taken(server)

    (one,) = found.connections
    assert one.destination.place == {
        "destination_path": "md:lms",
        "host": "db.example.com",
        "port": 5432,
        "database": "lake",
    }
    assert "PLANTED" not in found.to_json()


@pytest.mark.parametrize("tags", [None, "x", [1], [{"name": "nightly", "tagId": "t"}]])
def test_tags_are_names(server: HttpServer, tags: Any) -> None:
    """What is no tag is left out."""
    paged(server, "connections", [a_connection(1, tags=tags, createdAt="soon")])
    paged(server, "sources", [])
    paged(server, "destinations", [])

    (one,) = taken(server).connections

    assert one.tags == (("nightly",) if isinstance(tags, list) and tags[0] != 1 else ())
    assert one.created_at == 0


# JSON


def test_it_is_read_as_it_was_written() -> None:
    """All of it, in any language, and each actor once however many connections share it."""
    whole = snapshot(
        connection("größe", [stream("a"), Stream("b", "ns", "incremental_append", primary_key=(("id",), ("x", "y")))]),
        connection("二", [], tags=("t",), schedule="0 0 6 * * ?", namespace_format="${SOURCE_NAMESPACE}"),
    )

    assert WorkspaceSnapshot.from_json(whole.to_json()) == whole
    assert whole.to_json().count("/data/lake.duckdb") == 1


def test_it_is_small() -> None:
    """For what it is kept, loading a large workspace reads it in each process."""
    whole = snapshot(*(connection(f"connection {n}", [f"stream {m}" for m in range(10)]) for n in range(200)))

    assert len(whole.to_json()) < 200 * (400 + 10 * 70)


def test_another_version_is_said() -> None:
    content = {**json.loads(snapshot().to_json()), "version": 99, "connections": "in some other way"}

    with pytest.raises(OtherVersion, match="another version"):
        WorkspaceSnapshot.from_json(json.dumps(content))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '"x"',
        "{}",
        '{"version": 1}',
        snapshot(connection("a")).to_json().replace('"streams"', '"strems"'),
        snapshot(connection("a")).to_json().replace('"status"', '"state"'),
        snapshot(connection("a")).to_json()[:-5],
    ],
)
def test_something_else_is_said(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not the state of a workspace") as caught:
        WorkspaceSnapshot.from_json(text)
    assert not isinstance(caught.value, OtherVersion)
