"""What the worker tells the server: counts, states, and why a job failed."""

from __future__ import annotations

import errno
import json
import sys
import threading
import time
from typing import Any

SECONDS_BETWEEN_REPORTS = 0.5
_FULL = {
    errno.ENOSPC: ("No space left on device", "The disk is full: no space left on device"),
    errno.EDQUOT: ("Disk quota exceeded", "The disk is full: the quota is exceeded"),
    errno.EFBIG: ("File too large", "The file can't grow any more: it is as large as the system allows"),
}


class Failure(Exception):
    """Why the job failed.

    Args:
        message: One sentence for the user.
        internal: Details for whoever debugs it.
        origin: ``source``, ``destination`` or ``airbyte_platform``, as Airbyte's ``failureOrigin``.
        kind: ``config_error``, ``system_error`` or ``transient_error``, as Airbyte's ``failureType``.
    """

    def __init__(self, message: str, internal: str = "", *, origin: str, kind: str = "system_error") -> None:
        super().__init__(message)
        self.message, self.internal, self.origin, self.kind = message, internal, origin, kind


class Reporter:
    """Counts rows and bytes per stream over all reads of the job and reports them twice a second, if they changed."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._changed = False
        self._streams: dict[tuple[str, str | None], dict[str, int]] = {}
        threading.Thread(target=self._report, daemon=True).start()

    def _report(self) -> None:
        # A thread of its own, since a source that stalls would otherwise leave its last rows unreported.
        while True:
            if self._changed:
                self._changed = False
                self.say(type="progress")
            time.sleep(SECONDS_BETWEEN_REPORTS)

    def say(self, **message: Any) -> None:
        """Send a message, with the counts so far in the shape of Airbyte's ``streamAggregatedStats``."""
        with self._lock:
            streams = [
                {"streamName": name, "streamNamespace": namespace, **counts}
                for (name, namespace), counts in self._streams.items()
            ]
            self._channel.write(json.dumps({**message, "streams": streams}) + "\n")
            self._channel.flush()

    def log(self, text: str) -> None:
        """Write a line to the job's log."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the log

    def read(self, stream: str, namespace: str | None, rows: int, size: int) -> None:
        """Note how much was read of a stream so far."""
        with self._lock:
            entry = self._entry(stream, namespace)
            entry["recordsEmitted"], entry["bytesEmitted"] = rows, max(size, 0)
            self._changed = True

    def commit(self, stream: str, namespace: str | None) -> None:
        """Note that all that was read of a stream is in the warehouse."""
        with self._lock:
            entry = self._entry(stream, namespace)
            entry["recordsCommitted"], entry["bytesCommitted"] = entry["recordsEmitted"], entry["bytesEmitted"]
            self._changed = True

    def fail(self, failure: Failure) -> None:
        """Send the reason, with the counts up to it."""
        self.log(f"Failed: {failure.message}\n{failure.internal}")
        self.say(
            type="failed",
            message=failure.message,
            internal=failure.internal,
            origin=failure.origin,
            kind=failure.kind,
        )

    def _entry(self, stream: str, namespace: str | None) -> dict[str, int]:
        empty = {"recordsEmitted": 0, "bytesEmitted": 0, "recordsCommitted": 0, "bytesCommitted": 0}
        return self._streams.setdefault((stream, namespace), empty)


def explain(error: BaseException, prefix: str = "") -> Failure:
    """Turn what PyAirbyte raised into a reason; ``prefix`` goes before a message that says too little by itself."""
    chain = [error]
    while (following := chain[-1].__cause__ or getattr(chain[-1], "original_exception", None)) is not None:
        chain.append(following)
    for link in chain:
        if isinstance(link, Failure):
            return link
    text = "\n".join(f"{type(link).__name__}: {link}" for link in chain)
    for number, (words, message) in _FULL.items():
        if words in text or any(getattr(link, "errno", None) == number for link in chain):
            return Failure(message, text, origin="destination")
    code = next((c["exit_code"] for link in chain if (c := getattr(link, "context", None)) and "exit_code" in c), None)
    if code is not None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Failure(f"The source connector {how} without saying why", text, origin="source")
    of_source = any(type(link).__name__.startswith("AirbyteConnector") for link in chain)
    message = prefix + (first_line(str(chain[-1])) or type(error).__name__)
    return Failure(message, text, origin="source" if of_source else "destination")


def first_line(text: str) -> str:
    """The first line of a text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
