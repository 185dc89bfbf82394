"""Work that is done after the answer: a bounded queue, and a few threads."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

_Item = TypeVar("_Item", bound=Hashable)
_LOG = logging.getLogger("airbyte_dagster.webhook")


class BackgroundQueue(Generic[_Item]):
    """Takes items, each once while it waits, and handles them in threads, which start with the first one.

    Args:
        handle: Handles an item. Of what it raises the class and the place are logged: a text may quote anything.
        name: Of the threads.
        size: Most items that wait.
        threads: How many are handled at once.
    """

    def __init__(self, handle: Callable[[_Item], None], *, name: str, size: int, threads: int) -> None:
        self._handle = handle
        self._name = name
        self._size = size
        self._most_threads = threads
        self._waiting: deque[_Item] = deque()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._is_closed = False

    def put(self, item: _Item) -> bool:
        """Take an item, unless it waits already; return whether there was room."""
        with self._changed:
            if self._is_closed:
                return False
            if item in self._waiting:
                return True
            if len(self._waiting) >= self._size:
                return False
            self._waiting.append(item)
            self._changed.notify()
            if len(self._threads) < self._most_threads:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        return True

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether an item would be taken."""
        return not self._is_closed and len(self._waiting) < self._size

    def pause(self, seconds: float) -> bool:
        """Wait, unless the queue is closed meanwhile; return whether it is open still. For handlers that try again."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._is_closed, seconds)

    def close(self, seconds: float) -> int:
        """Take nothing more, and wait for what is being handled; return how many were left waiting."""
        with self._changed:
            self._is_closed = True
            left = len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return left

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                item = self._waiting.popleft()
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 - the next one is to be handled all the same
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(frame.filename).name}:{frame.lineno}"
                _LOG.error("%s: %s was raised at %s.", self._name, type(error).__name__, place)
