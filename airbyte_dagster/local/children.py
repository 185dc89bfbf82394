"""Processes that must not outlive this one: connectors being asked something, uv installing, Dagster's services."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

_REAPER = Path(__file__).with_name("reaper.py")
# A process begins its work only when the reaper knows of it: there is no moment in which it could be lost. A server
# that is killed before that leaves the pipe at its end, and the process ends. The command is never read by the shell.
_GATE = 'read -r _ || exit 1; exec "$@"'


class Children:
    """Starts processes, each in a group of its own, and can end all of them.

    They end, too, when this process is killed: a reaper, started with the first of them, sees to that.

    Args:
        grace: Seconds that they then have to end by themselves, once interrupted; 0 to kill them at once.
        keep_open: File descriptors that the reaper holds open, such as that of a lock: it is free again only when
            nothing of these processes is left.
    """

    def __init__(self, *, grace: float = 0.0, keep_open: Sequence[int] = ()) -> None:
        self._grace = grace
        self._keep_open = tuple(keep_open)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[Any]] = set()
        self._closed = False
        self._reaper: subprocess.Popen[str] | None = None

    @contextlib.contextmanager
    def start(
        self,
        command: list[str],
        *,
        env: dict[str, str],
        stdout: int | IO[bytes] | None,
        stderr: int | IO[bytes] | None,
        cwd: str | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process, with nothing on its stdin, for the time of the block; its whole group is gone after it.

        ``None`` for an output shares that of this process.

        Raises:
            OSError: It can't be started, or all were told to end.
        """
        if shutil.which(command[0]) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
        with self._lock:
            if self._closed:
                raise OSError(0, "the server is ending")
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
            self._running.add(process)
            self._tell_reaper(f"+{process.pid}")
        _open_gate(process)
        try:
            yield process
        finally:
            end_group(process)
            with self._lock:
                self._running.discard(process)
                self._tell_reaper(f"-{process.pid}")

    def close(self) -> None:
        """End all processes; none can be started any more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            end_group(process)
        with self._lock:
            reaper, self._reaper = self._reaper, None
        if reaper is not None:
            reaper.communicate()

    def _tell_reaper(self, line: str) -> None:
        if self._reaper is None:
            if self._closed:
                return
            self._reaper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_REAPER), str(self._grace)],
                stdin=subprocess.PIPE,
                text=True,
                pass_fds=self._keep_open,
                start_new_session=True,  # Ctrl-C is for the server, which ends it in its own time
            )
        assert self._reaper.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.write(f"{line}\n")
            self._reaper.stdin.flush()


def _open_gate(process: subprocess.Popen[bytes]) -> None:
    gate, process.stdin = process.stdin, None  # `communicate` would use it
    assert gate is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(BrokenPipeError), gate:
        gate.write(b"\n")


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill what is left of a process's group, and reap the process."""
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: subprocess.Popen[Any], number: int) -> None:
    """Send a signal to a process's group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
