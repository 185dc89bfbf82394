"""Where incremental reads stopped: what the connector is told, and what it tells.

PyAirbyte keeps the states of single streams only, and in the warehouse; it drops or refuses a ``GLOBAL`` or ``LEGACY``
one, so the next sync would read everything again. Here the server keeps them all, as the connector wrote them.
"""

# PyAirbyte is imported where it is used, since that takes seconds.
# ruff: noqa: PLC0415

from __future__ import annotations

import copy
import json
from typing import Any

from airbyte_dagster.local.work.reporting import Failure, Reporter

Message = dict[str, Any]


def kind_of(state: Message) -> str:
    """``STREAM``, ``GLOBAL`` or ``LEGACY``; a state without a type is of the last kind, by the protocol."""
    return str(state.get("type") or "LEGACY")


def name_of(state: Message) -> str:
    """The stream of a ``STREAM`` state."""
    return str(state["stream"]["stream_descriptor"]["name"])


def without_streams(states: list[Message], gone: set[str], names: list[str]) -> list[Message]:
    """The states as if these streams had never been read.

    Args:
        states: What the server has kept.
        gone: Streams whose tables aren't there.
        names: All streams that are read together.

    Raises:
        Failure: A ``LEGACY`` state does not tell its streams apart, and only some of the tables are gone.
    """
    if not gone:
        return states
    kept: list[Message] = []
    for state in copy.deepcopy(states):
        if kind_of(state) == "STREAM":
            if name_of(state) not in gone:
                kept.append(state)
        elif gone.issuperset(names):
            continue
        elif kind_of(state) == "GLOBAL":
            streams = state["global"].get("stream_states") or []
            state["global"]["stream_states"] = [s for s in streams if s["stream_descriptor"]["name"] not in gone]
            kept.append(state)
        elif any(name in state["data"] for name in names):
            state["data"] = {key: value for key, value in state["data"].items() if key not in gone}
            kept.append(state)
        else:
            raise Failure(
                f"The tables of {', '.join(sorted(gone))} are gone, and this source has one state for all streams: "
                "reset the connection to read everything again",
                origin="airbyte_platform",
                kind="config_error",
            )
    return kept


class States:
    """The states of one read.

    Args:
        index: The group's place in the request, which the server knows it by.
        given: What the last read left.
        reporter: Tells the server.
    """

    def __init__(self, index: int, given: list[Message], reporter: Reporter) -> None:
        self._index = index
        self._reporter = reporter
        self.given = given
        self._seen: dict[str, Message] = {}
        self._whole: Message | None = None

    def see(self, line: str) -> None:
        """Take note of a line of the connector, if it is a state."""
        if '"STATE"' not in line:
            return
        try:
            message = json.loads(line)
        except ValueError:
            return
        state = message.get("state") if isinstance(message, dict) and message.get("type") == "STATE" else None
        if not isinstance(state, dict):
            return
        if kind_of(state) == "STREAM":
            self._seen[name_of(state)] = state
        else:
            self._whole = state

    def commit_stream(self, name: str) -> None:
        """The rows of a stream are in the warehouse: its state counts from now on."""
        if name in self._seen:
            self._reporter.say(type="state", group=self._index, states=[self._seen[name]])

    def commit_all(self) -> None:
        """The rows of all streams are in the warehouse: a state for all of them counts, too."""
        if self._whole is not None:
            self._reporter.say(type="state", group=self._index, states=[self._whole])

    def file_text(self) -> str:
        """What the connector reads: a list of states, or, for a ``LEGACY`` one, that alone."""
        legacy = [state["data"] for state in self.given if kind_of(state) == "LEGACY"]
        return json.dumps(legacy[-1] if legacy else self.given)

    def provider(self) -> Any:
        """For PyAirbyte's reading: gives the connector its state as it wrote it."""
        from airbyte.shared.state_providers import StaticInputState

        text = self.file_text()

        class Provider(StaticInputState):  # type: ignore[misc, unused-ignore]
            def to_state_input_file_text(self) -> str:
                return text

        return Provider([])

    def writer(self) -> Any:
        """For PyAirbyte's writing: told of a stream's state once its rows are in the warehouse."""
        from airbyte.shared.state_writers import StateWriterBase

        commit = self.commit_stream

        class Writer(StateWriterBase):  # type: ignore[misc, unused-ignore]
            def _write_state(self, state_message: Any) -> None:
                if state_message.stream is not None:
                    commit(state_message.stream.stream_descriptor.name)

        return Writer()
