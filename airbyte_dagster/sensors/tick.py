"""Calls of systems that may be slow or down, within a sensor's tick: Dagster gives a tick 60 s in all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from airbyte_dagster.errors import AirbyteDagsterError

_Result = TypeVar("_Result")

#: Leaves time for Dagster's own work within its 60 s.
TICK_SECONDS = 40.0


class SkipTick(AirbyteDagsterError):
    """A tick could not read what it compares; the text is its skip reason."""


class TimeLimitedCall:
    """Calls one function at a time, each in a thread, and waits for its result no longer than a tick may.

    A thread can't be ended from outside. When the time is over, its late result is dropped; until it has ended, nothing
    more is called, so that ticks don't pile up threads.

    Args:
        seconds: How long to wait.
    """

    def __init__(self, seconds: float = TICK_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._running: Future[Any] | None = None

    def call(self, function: Callable[[], _Result], *, on_timeout: Callable[[], None] = lambda: None) -> _Result:
        """Return what a function returns, or raise what it raises.

        Args:
            function: Runs in a thread.
            on_timeout: Called when the time is over; may make the function end early.

        Raises:
            SkipTick: There was no result in time, or an earlier call still runs.
        """
        result: Future[_Result] = Future()
        with self._lock:
            if self._running is not None and not self._running.done():
                raise SkipTick("The request of an earlier tick is still unanswered; no other is made meanwhile.")
            self._running = result
        threading.Thread(target=_set_result, args=(function, result), name="sensor-tick", daemon=True).start()
        wait([result], self._seconds)
        if result.done():
            return result.result()
        on_timeout()
        raise SkipTick(f"There was no answer within {self._seconds:g} s.")


def _set_result(function: Callable[[], _Result], result: Future[_Result]) -> None:
    try:
        value = function()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        result.set_exception(error)
    else:
        result.set_result(value)
