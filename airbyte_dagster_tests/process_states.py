"""What the processes below this one are at, for the message of a test that waited in vain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def states_below() -> str:
    """A line for each process, and for what each of its threads waits in, as far as the system tells."""
    return "\n".join(line for child in psutil.Process().children(recursive=True) for line in _lines(child))


def _lines(process: psutil.Process) -> Iterator[str]:
    try:
        yield f"{process.pid} below {process.ppid()}: {process.status()}, {' '.join(process.cmdline())[:200]}"
    except psutil.Error as error:  # it has ended meanwhile
        yield f"{process.pid}: {error!r}"
    for thread in sorted(Path(f"/proc/{process.pid}/task").glob("*")):
        yield f"  {thread.name}: " + ", ".join(f"{name} {_read(thread / name)}" for name in ("wchan", "syscall"))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        return str(error.strerror)
