"""Outcomes of many syncs while they are watched: Dagster's writing of one batch does not hold up the watching."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from airbyte_dagster.sync.many import ManySyncs, Outcome

#: Most outcomes that are handed on together: the first of them is not to wait long for the last.
_BATCH = 50


def outcomes_in_background(syncs: ManySyncs, connection_ids: list[str]) -> Iterator[list[Outcome]]:
    """Run the syncs in a thread of their own, and yield what has ended meanwhile, in batches.

    If the caller is interrupted, or stops, the syncs are terminated and waited for.
    """
    ended: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()

    def watch() -> None:
        try:
            for outcome in syncs.run(connection_ids):
                ended.put(outcome)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the outcomes
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
            syncs.terminate()
            thread.join()


def _waiting(
    ended: queue.SimpleQueue[Outcome | BaseException | None],
) -> Iterator[Outcome | BaseException | None]:
    """Wait for one, and take what else is there."""
    yield ended.get()
    for _ in range(_BATCH - 1):
        try:
            yield ended.get_nowait()
        except queue.Empty:
            return
