"""Which states are kept of those that connectors write."""

from __future__ import annotations

from typing import Any

import pytest

from airbyte_dagster.local.statestore import StateStore
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


def stream(name: str, value: int, namespace: str | None = None) -> dict[str, Any]:
    descriptor = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": {"at": value}}}


def whole(value: int) -> dict[str, Any]:
    return {"type": "LEGACY", "data": {"users": value}}


@pytest.fixture
def connections(api: Api) -> tuple[str, str]:
    source, destination = api.source(count=1), api.destination()
    return api.connection(source, destination, ["users"]), api.connection(source, destination, ["products"])


@pytest.fixture
def states(airbyte: RunningAirbyte) -> StateStore:
    return StateStore(airbyte.store.database)


def test_a_stream_replaces_its_own_state(states: StateStore, connections: tuple[str, str]) -> None:
    """Not that of its namesake in another namespace, nor that of another connection."""
    one, two = connections
    states.keep(one, [stream("users", 1, "a"), stream("users", 1, "b"), stream("orders", 1)])
    states.keep(two, [stream("users", 9, "a")])
    states.keep(one, [stream("users", 2, "a")])

    kept = states.of_connection(one)
    assert sorted(kept, key=str) == sorted(
        [stream("users", 2, "a"), stream("users", 1, "b"), stream("orders", 1)], key=str
    )
    assert states.of_connection(two) == [stream("users", 9, "a")]


def test_a_state_of_all_streams_stands_alone(states: StateStore, connections: tuple[str, str]) -> None:
    """A source that was upgraded goes over from one kind to the other: what the former wrote says nothing any more."""
    one = connections[0]
    states.keep(one, [stream("users", 1), stream("orders", 1)])
    states.keep(one, [whole(2), whole(3)])
    assert states.of_connection(one) == [whole(3)]

    states.keep(one, [stream("users", 4)])
    assert states.of_connection(one) == [stream("users", 4)]


def test_streams_are_forgotten_by_namespace_and_name(states: StateStore, connections: tuple[str, str]) -> None:
    """The others go on where they stopped."""
    one = connections[0]
    states.keep(one, [stream("users", 1, "a"), stream("users", 1, "b")])
    states.forget_streams(one, {("a", "users")})
    assert states.of_connection(one) == [stream("users", 1, "b")]


def test_what_one_state_says_of_a_stream_is_forgotten(states: StateStore, connections: tuple[str, str]) -> None:
    """The rest of it stays."""
    one = connections[0]
    states.keep(one, [{"type": "LEGACY", "data": {"users": 1, "orders": 2}}])
    states.forget_streams(one, {(None, "users")})
    assert states.of_connection(one) == [{"type": "LEGACY", "data": {"orders": 2}}]


def test_a_stream_that_is_read_as_a_whole_keeps_no_state(states: StateStore, api: Api) -> None:
    """When it is read incrementally again, it begins at its beginning."""
    streams = [{"name": name, "syncMode": "incremental_append"} for name in ("users", "products")]
    connection = api.connection(api.source(count=1), api.destination(), streams)
    api.finish(api.sync(connection))
    assert len(states.of_connection(connection)) == 2

    streams[0]["syncMode"] = "full_refresh_append"
    api.ok("PATCH", f"/connections/{connection}", json={"configurations": {"streams": streams}})
    api.finish(api.sync(connection))

    [left] = states.of_connection(connection)
    assert left["stream"]["stream_descriptor"]["name"] == "products"
