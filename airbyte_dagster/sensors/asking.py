"""Ask systems that may be slow or down, within a tick: Dagster gives a tick 60 s in all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from airbyte_dagster.errors import AirbyteDagsterError

_Answer = TypeVar("_Answer")

#: Leaves time for Dagster's own work within its 60 s.
TICK_SECONDS = 40.0


class Unanswered(AirbyteDagsterError):
    """A tick could not learn what it has to know; the text is the reason to do nothing this time."""


class Asker:
    """Asks one question at a time, each in a thread, and waits for the answer no longer than a tick may.

    A thread can't be ended from outside. One that is still busy when its time is over is told to give up, and its late
    answer is thrown away; until it has ended, nothing more is asked, so that ticks don't pile up threads.

    Args:
        seconds: How long to wait.
    """

    def __init__(self, seconds: float = TICK_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._asked: Future[Any] | None = None

    def ask(self, question: Callable[[], _Answer], *, give_up: Callable[[], None]) -> _Answer:
        """Return what `question` returns, or raise what it raises.

        Args:
            question: Runs in a thread.
            give_up: Called if the time is over; may end the question early.

        Raises:
            Unanswered: There was no answer in time, or a former question is still unanswered.
        """
        answer: Future[_Answer] = Future()
        with self._lock:
            if self._asked is not None and not self._asked.done():
                raise Unanswered("What an earlier tick asked for is still unanswered; nothing more is asked meanwhile.")
            self._asked = answer
        threading.Thread(target=_answer, args=(question, answer), name="sensor-question", daemon=True).start()
        wait([answer], self._seconds)
        if answer.done():
            return answer.result()
        give_up()
        raise Unanswered(f"There was no answer within {self._seconds:g} s.")


def _answer(question: Callable[[], _Answer], answer: Future[_Answer]) -> None:
    try:
        result = question()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
        answer.set_exception(error)
    else:
        answer.set_result(result)
