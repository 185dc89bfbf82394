"""How far a run over many connections is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airbyte_dagster.sync.results import Progress

#: Seconds between two lines of progress of many.
_PROGRESS_SECONDS = 10.0


class ProgressLog:
    """Tells how far many syncs are: not more often than people read."""

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._shown: Progress | None = None
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        """Log where the run is, if it is time."""
        with self._lock:
            if progress == self._shown or self._clock() < self._next:
                return
            self._shown, self._next = progress, self._clock() + _PROGRESS_SECONDS
        ended = f"{progress.succeeded:,} succeeded, {progress.failed:,} failed"
        self._log(f"{ended}, {progress.active:,} on their way, {progress.waiting:,} waiting.")
