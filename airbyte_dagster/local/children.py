"""Processes that must not outlive the server: connectors being asked something, and uv installing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, Any


class Children:
    """Starts processes, each in a group of its own, and can end all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[Any]] = set()
        self._closed = False

    @contextlib.contextmanager
    def start(
        self,
        command: list[str],
        *,
        env: dict[str, str],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
        cwd: str | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process, without stdin, for the time of the block; its whole group is gone after it.

        Raises:
            OSError: It can't be started, or all were told to end.
        """
        with self._lock:
            if self._closed:
                raise OSError(0, "the server is ending")
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            yield process
        finally:
            end_group(process)
            with self._lock:
                self._running.discard(process)

    def close(self) -> None:
        """End all processes; none can be started any more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            end_group(process)


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill what is left of a process's group, and reap the process."""
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: subprocess.Popen[Any], number: int) -> None:
    """Send a signal to a process's group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
