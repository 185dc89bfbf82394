"""Where incremental reads stopped: what the connector is given, and what is kept of what it writes."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from typing import Any

from airbyte_dagster.local.engine import Failure, Json
from airbyte_dagster.local.work.reporting import Failed, StreamKey


def kind_of(state: Json) -> str:
    """Return ``STREAM``, ``GLOBAL`` or ``LEGACY``; a state without a type is of the last kind, by the protocol."""
    return str(state.get("type") or "LEGACY")


def key_of(entry: Json) -> StreamKey:
    """Return the stream of an entry with a ``stream_descriptor``."""
    descriptor = entry["stream_descriptor"]
    return (descriptor.get("namespace") or None, str(descriptor["name"]))


def without_streams(states: Sequence[Json], gone: Collection[StreamKey], keys: Collection[StreamKey]) -> list[Json]:
    """Return the states as if some streams had never been read.

    Args:
        states: What the server has kept.
        gone: Streams that are to be read from their beginning, as those whose tables aren't there.
        keys: All streams that are read incrementally.

    Raises:
        Failed: A ``LEGACY`` state does not tell its streams apart, and only some of them are gone.
    """
    kept: list[Json] = []
    for state in copy.deepcopy(list(states)):
        kind = kind_of(state)
        if kind == "STREAM":
            if key_of(state["stream"]) in keys and key_of(state["stream"]) not in gone:
                kept.append(state)
        elif not gone:
            kept.append(state)
        elif set(keys) <= set(gone):
            continue
        elif kind == "GLOBAL":
            streams = state["global"].get("stream_states") or []
            state["global"]["stream_states"] = [entry for entry in streams if key_of(entry) not in gone]
            kept.append(state)
        elif any(name in state["data"] for _, name in keys):
            lost = {name for _, name in gone}
            state["data"] = {key: value for key, value in state["data"].items() if key not in lost}
            kept.append(state)
        else:
            names = ", ".join(sorted(name for _, name in gone))
            message = (
                f"The tables of {names} are gone, and this source has one state for all streams: "
                "clear the connection to read everything again"
            )
            raise Failed(Failure(message, kind="config_error"))
    return kept


def input_of(states: Sequence[Json]) -> Any:
    """Return what the connector reads: a list of states, or, for a ``LEGACY`` one, its data alone."""
    legacy = [state["data"] for state in states if kind_of(state) == "LEGACY"]
    return legacy[-1] if legacy else list(states)


class SeenStates:
    """The states that a connector has written in this read."""

    def __init__(self) -> None:
        self._streams: dict[StreamKey, Json] = {}
        self._whole: Json | None = None

    def add(self, state: Json) -> StreamKey | None:
        """Take note of a state; returns its stream, or None for a state of all streams."""
        if kind_of(state) != "STREAM":
            self._whole = state
            return None
        key = key_of(state["stream"])
        self._streams[key] = state
        return key

    def latest(self, keys: Collection[StreamKey]) -> list[Json]:
        """Return the last state of each of these streams, and the last one of all of them."""
        streams = [state for key, state in self._streams.items() if key in keys]
        return [*streams, self._whole] if self._whole is not None else streams
