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
