"""States in the words of the configuration API, and in those of the protocol, which the store keeps. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from airbyte_dagster.local import problems
from airbyte_dagster.local.configschemas import ConnectionState, StreamState
from airbyte_dagster.local.engine import Json


def to_api(connection_id: str, states: Sequence[Json]) -> Json:
    """A connection's states as ``state/get`` shows them: ``stream``, ``global``, ``legacy`` or ``not_set``."""
    streams = [state["stream"] for state in states if state.get("type") == "STREAM"]
    wholes = [state["global"] for state in states if state.get("type") == "GLOBAL"]
    legacy = [state.get("data") for state in states if (state.get("type") or "LEGACY") == "LEGACY"]
    if wholes:
        # Streams that are read together have one such state; where a connection has two, the API has room for one.
        shown = {"streamStates": [_entry(stream) for whole in wholes for stream in whole.get("stream_states") or []]}
        shared = {key: value for whole in wholes for key, value in (whole.get("shared_state") or {}).items()}
        return {"stateType": "global", "connectionId": connection_id, "globalState": {"sharedState": shared, **shown}}
    if streams:
        shown_streams = [_entry(stream) for stream in streams]
        return {"stateType": "stream", "connectionId": connection_id, "streamState": shown_streams}
    if legacy:
        return {"stateType": "legacy", "connectionId": connection_id, "state": legacy[-1]}
    return {"stateType": "not_set", "connectionId": connection_id}


def from_api(state: ConnectionState) -> list[Json]:
    """What a client gives, as a connector reads it.

    Raises:
        ApiError: 422 for a state that lacks what its type says.
    """
    if state.state_type == "not_set":
        return []
    if state.state_type == "stream" and state.stream_state is not None:
        return [{"type": "STREAM", "stream": _protocol(entry)} for entry in state.stream_state]
    if state.state_type == "global" and state.global_state is not None:
        given = state.global_state
        streams = [_protocol(entry) for entry in given.stream_states]
        return [{"type": "GLOBAL", "global": {"shared_state": given.shared_state, "stream_states": streams}}]
    if state.state_type == "legacy" and state.state is not None:
        return [{"type": "LEGACY", "data": state.state}]
    raise problems.unprocessable(f"$.connectionState: there is no state of its type, {state.state_type}")


def _entry(stream: Json) -> Json:
    descriptor = stream["stream_descriptor"]
    shown = {key: descriptor[key] for key in ("name", "namespace") if descriptor.get(key) is not None}
    return {"streamDescriptor": shown, "streamState": stream.get("stream_state")}


def _protocol(entry: StreamState) -> Json:
    descriptor = entry.stream_descriptor.model_dump(exclude_none=True)
    return {"stream_descriptor": descriptor, "stream_state": entry.stream_state}
