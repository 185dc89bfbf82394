"""What the worker reports to the server: counts, states, and why a job failed."""

from __future__ import annotations

import errno
import json
import sys
import threading
from dataclasses import asdict, replace
from typing import Any, TextIO

from airbyte_dagster.local.engine import Failure, Json, StreamStats

SECONDS_BETWEEN_REPORTS = 0.5
StreamKey = tuple[str | None, str]
_FULL = {
    errno.ENOSPC: ("No space left on device", "The disk is full: no space left on device"),
    errno.EDQUOT: ("Disk quota exceeded", "The disk is full: the quota is exceeded"),
    errno.EFBIG: ("File too large", "The file can't grow any more: it is as large as the system allows"),
}


class Failed(Exception):
    """The job can't go on.

    Args:
        failure: Why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Reporter:
    """Counts rows and bytes per stream and reports them twice a second, if they changed.

    Args:
        channel: Where lines of JSON go.
    """

    def __init__(self, channel: TextIO) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._changed = False
        self._streams: dict[StreamKey, StreamStats] = {}
        # A thread of its own, since a source that stalls would otherwise leave its last rows unreported.
        threading.Thread(target=self._report, daemon=True).start()

    def _report(self) -> None:
        pause = threading.Event()
        while True:
            if self._changed:
                self._changed = False
                self.say(type="progress")
            pause.wait(SECONDS_BETWEEN_REPORTS)

    def say(self, **message: Any) -> None:
        """Send a message, with the counts so far."""
        with self._lock:
            streams = [asdict(entry) for entry in self._streams.values()]
            self._channel.write(json.dumps({**message, "streams": streams}) + "\n")
            self._channel.flush()

    def fail(self, failed: Failed) -> None:
        """Send the reason as the last message."""
        self.say(type="failed", failure=asdict(failed.failure))

    def keep_states(self, states: list[Json]) -> None:
        """Tell the server what the next read goes on from."""
        if states:
            self.say(type="state", states=states)

    def log(self, text: str) -> None:
        """Write a line to the job's log."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the log

    def update(self, key: StreamKey, **counts: Any) -> None:
        """Set some counts of a stream, or its status."""
        with self._lock:
            entry = self._streams.get(key) or StreamStats(key[1], key[0])
            self._streams[key] = replace(entry, **counts)
            self._changed = True


def explain(error: BaseException, prefix: str = "", origin: str = "destination") -> Failed:
    """Return the reason for an error, in its own words but where these say too little."""
    if isinstance(error, Failed):
        return error
    text = f"{type(error).__name__}: {error}"
    for number, (words, message) in _FULL.items():
        if words in text or getattr(error, "errno", None) == number:
            return Failed(Failure(message, text, origin="destination"))
    return Failed(Failure(prefix + (first_line(str(error)) or type(error).__name__), text, origin=origin))


def first_line(text: str) -> str:
    """Return the first line of a text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def last_line(text: str) -> str:
    """Return the last line of a text that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
