"""Results of syncs while they are watched: Dagster's recording of one batch does not hold up the watching."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Literal

from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster.sync.results import SyncResult

#: Most results that are handed on together: the first of them is not to wait long for the last.
_BATCH = 50


class BackgroundSyncs:
    """An engine that runs in a thread of its own.

    Whoever takes its results stops it, if not all are taken. It is no generator with a ``finally``, since those that
    Dagster leaves behind end in the order in which Python finds them: this one would before its caller could say
    whether the jobs go on.

    Args:
        engine: Runs the syncs.
        connection_ids: Of which connections.
        until: See `SyncEngine.run`.
    """

    def __init__(self, engine: SyncEngine, connection_ids: Sequence[str], until: Literal["ended", "started"]) -> None:
        self._engine = engine
        self._ended: queue.SimpleQueue[SyncResult | BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._watch, args=(connection_ids, until), name="airbyte-syncs", daemon=True
        )
        self._thread.start()

    def batches(self) -> Iterator[list[SyncResult]]:
        """Yield what has ended meanwhile, until all have.

        Raises:
            BaseException: What the engine raised.
        """
        is_over = False
        while not is_over:
            batch = []
            for item in self._waiting():
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    is_over = True
                else:
                    batch.append(item)
            if batch:
                yield batch

    def stop(self, *, cancel: bool) -> None:
        """End the engine, and wait for it.

        Args:
            cancel: Whether its jobs are cancelled, if the settings say so.
        """
        self._engine.terminate(cancel=cancel)
        self._thread.join()

    def _watch(self, connection_ids: Sequence[str], until: Literal["ended", "started"]) -> None:
        try:
            for result in self._engine.run(connection_ids, until=until):
                self._ended.put(result)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the results
            self._ended.put(error)
        self._ended.put(None)

    def _waiting(self) -> Iterator[SyncResult | BaseException | None]:
        """Wait for one, and take what else there is."""
        yield self._ended.get()
        for _ in range(_BATCH - 1):
            try:
                yield self._ended.get_nowait()
            except queue.Empty:
                return
