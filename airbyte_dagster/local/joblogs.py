"""The logs of jobs: one file per job, which keeps its end when it grows too long, and as many of them as fit.

Standard library only, so that the command line loads fast.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

MOST_BYTES_PER_JOB = 10_000_000
MOST_BYTES = 200_000_000
MOST_JOBS = 1000
_NAME = re.compile(r"job-([0-9]+)\.log(\.1)?")


class JobLog:
    """Writes a job's log, readable by the user only, each line with its time.

    Half of what is allowed is in the file itself; what came before is beside it, named ``.log.1``, and what came
    before that is gone. An error while writing, as with a full disk, ends the log and not the job.

    Args:
        path: The file.
        most_bytes: How much is kept.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES_PER_JOB) -> None:
        self._path = path
        self._half = most_bytes // 2
        self._file: int | None = None
        self._size = 0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, line: str) -> None:
        """Add a line."""
        if self._file is None:
            return
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = f"{now} {line[: self._half // 4]}\n".encode(errors="replace")
        try:
            if self._size + len(data) > self._half:
                self.close()
                self._path.replace(older(self._path))
                self._open()
            self._size += os.write(self._file, data)
        except OSError:
            self.close()

    def close(self) -> None:
        """End the log."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


def older(path: Path) -> Path:
    """Where the part of a log is that didn't fit into its file."""
    return path.with_name(f"{path.name}.1")


def read(path: Path) -> str:
    """A whole log, the older part first; empty if there is none."""
    found = b""
    for part in (older(path), path):
        with contextlib.suppress(OSError):
            found += part.read_bytes()
    return found.decode(errors="replace")


def read_end(path: Path, most_bytes: int) -> tuple[str, bool]:
    """The last whole lines of a log that fit, and whether there are more before them; empty if there is no log.

    Args:
        path: Its file.
        most_bytes: How much may be read.
    """
    found, is_cut = b"", False
    for part in (path, older(path)):
        with contextlib.suppress(OSError), part.open("rb") as file:
            size, room = os.fstat(file.fileno()).st_size, most_bytes - len(found)
            is_cut = is_cut or size > room
            file.seek(max(size - room, 0))
            found = file.read(room) + found
    if is_cut:
        found = found.partition(b"\n")[2]
    return found.decode(errors="replace"), is_cut


def follow(path: Path, has_ended: Callable[[], bool], wait: Callable[[], None]) -> Iterator[str]:
    """A log as it grows, in pieces, until its job has ended.

    Args:
        path: Its file.
        has_ended: Whether the job has.
        wait: Called between two looks.
    """
    inode, position = 0, 0
    while True:
        last = has_ended()  # asked first, so that what was written before the end is still read
        parts = {part.stat().st_ino: part for part in (older(path), path) if part.exists()}
        if inode in parts and parts[inode] == path:
            parts = {inode: path}  # the older part was read when it was the newer one
        for found, part in parts.items():
            with contextlib.suppress(OSError), part.open("rb") as file:
                file.seek(position if found == inode else 0)
                data = file.read()
                inode, position = found, file.tell()
                yield data.decode(errors="replace")
        if last:
            return
        wait()


def prune(directory: Path, keep: set[int], *, most_jobs: int = MOST_JOBS, most_bytes: int = MOST_BYTES) -> None:
    """Delete the oldest logs until what is left fits.

    Args:
        directory: Where they are.
        keep: Jobs whose logs stay in any case, as they run.
        most_jobs: How many jobs' logs are kept.
        most_bytes: How much all of them may be.
    """
    files: dict[int, list[Path]] = {}
    for file in directory.iterdir() if directory.is_dir() else ():
        if match := _NAME.fullmatch(file.name):
            files.setdefault(int(match[1]), []).append(file)
    size = 0
    for jobs, job in enumerate(sorted(files, reverse=True), 1):
        with contextlib.suppress(OSError):
            size += sum(file.stat().st_size for file in files[job])
        if job not in keep and (jobs > most_jobs or size > most_bytes):
            for file in files[job]:
                file.unlink(missing_ok=True)
