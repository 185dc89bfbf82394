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


def results_in_background(
    engine: SyncEngine, connection_ids: Sequence[str], until: Literal["ended", "started"]
) -> Iterator[list[SyncResult]]:
    """Run the engine in a thread of its own, and yield what has ended meanwhile, in batches.

    If the caller is interrupted, or stops, the engine is terminated and waited for.

    Args:
        engine: Runs the syncs.
        connection_ids: Of which connections.
        until: See `SyncEngine.run`.
    """
    ended: queue.SimpleQueue[SyncResult | BaseException | None] = queue.SimpleQueue()

    def watch() -> None:
        try:
            for result in engine.run(connection_ids, until=until):
                ended.put(result)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the results
            ended.put(error)
        ended.put(None)

    thread = threading.Thread(target=watch, name="airbyte-syncs", daemon=True)
    thread.start()
    try:
        is_over = False
        while not is_over:
            batch = []
            for item in _waiting(ended):
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    is_over = True
                else:
                    batch.append(item)
            if batch:
                yield batch
    finally:
        if thread.is_alive():
            engine.terminate()
            thread.join()


def _waiting(
    ended: queue.SimpleQueue[SyncResult | BaseException | None],
) -> Iterator[SyncResult | BaseException | None]:
    """Wait for one, and take what else there is."""
    yield ended.get()
    for _ in range(_BATCH - 1):
        try:
            yield ended.get_nowait()
        except queue.Empty:
            return
