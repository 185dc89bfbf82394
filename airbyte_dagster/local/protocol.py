"""What a connector writes by Airbyte's protocol, read within bounds of memory and time."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time

from airbyte_dagster.local.engine import ConnectorFailed, Json

MOST_BYTES_OF_MESSAGE = 32_000_000
"""Of one line of a connector's output; a catalog of 20,000 fields has about a tenth of that."""
MOST_BYTES_OF_ERRORS = 64_000
"""Of the end of a connector's stderr, which is kept for its last line."""
ANSWERS = {"SPEC": "spec", "CATALOG": "catalog", "CONNECTION_STATUS": "connectionStatus"}
"""The types of messages that answer something, and where their content is."""
_BLOCK = 65536


class Reply:
    """What one run of a connector has written so far.

    Args:
        name: The connector's, for messages.

    Attributes:
        answers: The first message of each kind in `ANSWERS`.
        error: What the connector reported as an error, if it did.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers: list[Json] = []
        self.error: str | None = None
        self._line = bytearray()
        self._errors = b""

    def read(self, process: subprocess.Popen[bytes], timeout: float) -> int:
        """Read all that a process writes, to its end; its exit code.

        Raises:
            TimeoutExpired: It did not end in time.
            ConnectorFailed: It wrote a line of more than `MOST_BYTES_OF_MESSAGE`.
        """
        deadline = time.monotonic() + timeout
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
        with process.stdout as output, process.stderr as errors, selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ, self._take_output)
            selector.register(errors, selectors.EVENT_READ, self._take_errors)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise subprocess.TimeoutExpired(process.args, timeout)
                for key, _ in selector.select(left):
                    block = os.read(key.fd, _BLOCK)
                    if block:
                        key.data(block)
                    else:
                        selector.unregister(key.fileobj)
        self._take_line()
        return process.wait(max(deadline - time.monotonic(), 0))

    def last_words(self) -> str:
        """The last line of stderr that says something, or that there was none."""
        lines = self._errors.decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _take_errors(self, block: bytes) -> None:
        self._errors = (self._errors + block)[-MOST_BYTES_OF_ERRORS:]

    def _take_output(self, block: bytes) -> None:
        *ends, rest = block.split(b"\n")
        for end in ends:
            self._line += end
            self._take_line()
        self._line += rest
        if len(self._line) > MOST_BYTES_OF_MESSAGE:
            most = MOST_BYTES_OF_MESSAGE // 1_000_000
            raise ConnectorFailed(f"The connector {self.name} wrote a line of more than {most} MB")

    def _take_line(self) -> None:
        message = parse_message(self._line.decode(errors="replace"))
        self._line.clear()
        if message is None:
            return
        trace = message.get("trace") if message["type"] == "TRACE" else None
        error = trace.get("error") if isinstance(trace, dict) else None
        if isinstance(error, dict) and self.error is None:
            self.error = str(error.get("message") or error.get("internal_message") or "unknown error")
        content = message.get(ANSWERS.get(str(message["type"]), ""))
        if isinstance(content, dict) and all(message["type"] != other["type"] for other in self.answers):
            self.answers.append(message)


def parse_message(line: str) -> Json | None:
    """The Airbyte message of a line of output, or None: connectors print other things too."""
    if not line.startswith("{"):
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and "type" in message else None
