"""One ``airbyte-dagster dev`` for a Dagster instance: two daemons on one would start everything twice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airbyte_dagster.errors import AirbyteDagsterError

_FILE = "airbyte-dagster-dev.json"


class DevRunsAlready(AirbyteDagsterError):
    """Another ``dev`` runs for this instance; the message has the address of its UI."""


class DevLock:
    """The lock that the one ``dev`` holds; its file tells others where that one's UI is.

    Attributes:
        descriptor: The open file. The lock is free when every process that has it open has closed it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def announce(self, url: str | None) -> None:
        """Write down which process this is and, once known, the address of its UI."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)


@contextmanager
def only_dev(dagster_home: Path, say: Callable[[str], None]) -> Iterator[DevLock]:
    """Be the one ``dev`` of a Dagster instance for a block.

    What a killed ``dev`` left is waited for: it is being ended.

    Args:
        dagster_home: The instance's directory.
        say: Takes a line for people.

    Raises:
        DevRunsAlready: Another one runs.
    """
    descriptor = os.open(dagster_home / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = _record(descriptor)
            if _lives(record.get("pid")):
                raise _refusal(record, dagster_home) from None
            say("Waiting for the end of what a killed `airbyte-dagster dev` left …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        lock = DevLock(descriptor)
        lock.announce(None)
        yield lock
    finally:
        os.close(descriptor)


def _record(descriptor: int) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        record = json.loads(os.pread(descriptor, 4096, 0))
        if isinstance(record, dict):
            return record
    return {}


def _lives(pid: object) -> bool:
    """Whether there is such a process; that it is ours follows from the lock, which something holds."""
    if not isinstance(pid, int):
        return True  # it is just being written
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refusal(record: dict[str, Any], dagster_home: Path) -> DevRunsAlready:
    where = f"its UI is at {record['url']}" if record.get("url") else "its UI is about to start"
    return DevRunsAlready(
        f"airbyte-dagster dev runs already for {dagster_home} (process {record.get('pid', 'unknown')}): {where}.",
        guidance="Use that one, or end it with Ctrl-C; for another beside it, give another --home.",
    )
