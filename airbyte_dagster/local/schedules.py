"""Starting the syncs of connections that have a schedule, while the server is up.

What came due while it was down is not made up for. A machine that slept, or a clock that jumped, gets one sync for all
times that it missed; when a clock that was wrong is set back, schedules count from the right time on.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable

from airbyte_dagster.local.jobs import JobRunner
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.quartz import BadCron, Cron
from airbyte_dagster.local.store import Store

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_OF_CORRECTION = 60.0
"""A clock is set back by less to correct it, which must not make anything due twice."""


class Scheduler:
    """Looks once a second whether a sync is due.

    Args:
        store: Where the connections are.
        runner: Starts the syncs.
        clock: Epoch seconds.
    """

    def __init__(self, store: Store, runner: JobRunner, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._due: dict[str, tuple[str, float | None]] = {}
        """Per connection, its expression and when it is due next."""
        self._latest = 0.0
        """The time of the last look."""
        self._crons: dict[str, Cron | None] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        """Start looking, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Start nothing any more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def tick(self) -> None:
        """Start what came due since the last look; a schedule that is new or changed counts from now on."""
        now = self._clock()
        if now < self._latest - _SECONDS_OF_CORRECTION:
            self._due = {}  # reckoned from a time that was wrong
        self._latest = now
        due: dict[str, tuple[str, float | None]] = {}
        for connection_id, workspace_id, expression in self._store.scheduled():
            known, at = self._due.get(connection_id, ("", None))
            if known == expression and (at is None or at > now):
                due[connection_id] = (known, at)
                continue
            due[connection_id] = (expression, self._next(expression, now))
            if known == expression:
                with contextlib.suppress(ApiError):  # it still runs from before: this time is left out
                    self._runner.sync(connection_id, workspace_id)
        self._due = due
        self._crons = {expression: self._crons[expression] for expression, _ in due.values()}

    def _next(self, expression: str, now: float) -> float | None:
        if expression not in self._crons:
            try:
                self._crons[expression] = Cron(expression.removesuffix(" UTC"))
            except BadCron:
                self._crons[expression] = None
        cron = self._crons[expression]
        return cron.after(now) if cron else None

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - as when the disk is full for a moment; later ticks may work
                traceback.print_exception(error, file=sys.stderr)
