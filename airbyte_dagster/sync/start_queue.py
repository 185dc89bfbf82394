"""Bring each connection to its job when its turn has come: room, slot, rows before, checkpoint, request."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, TypeAlias

from airbyte_dagster.airbyte.records import JobType, StreamKey
from airbyte_dagster.sync.checkpoints import Checkpoint, CheckpointKeeper
from airbyte_dagster.sync.job_list import JobListReader
from airbyte_dagster.sync.starting import Busy, JobStarter, Ready, Started, Terminated
from airbyte_dagster.sync.watching import FEW

if TYPE_CHECKING:
    from airbyte_dagster.sync.engine import SyncEngine

#: Connections that are being started: more than are requested at once, so that checkpoints are written together.
_BATCH = 64
_SLOT_SECONDS = 1.0
#: How old the knowledge of the workspace's newest job may be when another is requested.
_NEWEST_SECONDS = 30.0

Start: TypeAlias = "Future[Started | Busy | Ready]"


class StartQueue:
    """The connections that have no job yet; used by one thread, all calls are made in others.

    A connection waits, is prepared (where a job may exist already), is ready, has its rows counted, is requested.

    Args:
        engine: What to do.
        connection_ids: Each once.
        job_type: What to run.
        starter: Starts jobs.
        checkpoints: Keeps them.
        reader: Knows the newest job.
        requests: Runs what starts jobs.
        counts: Runs what counts rows.

    Attributes:
        waiting: Those whose turn has not come.
        starting: Those that are prepared or requested.
        resumable: Checkpoints of former processes that have not been looked at yet.
    """

    def __init__(
        self,
        engine: SyncEngine,
        connection_ids: Sequence[str],
        job_type: JobType,
        starter: JobStarter,
        checkpoints: CheckpointKeeper,
        *,
        reader: JobListReader,
        requests: Executor,
        counts: Executor,
    ) -> None:
        self._engine = engine
        self._job_type: JobType = job_type
        self._starter = starter
        self._checkpoints = checkpoints
        self._reader = reader
        self._requests, self._counts = requests, counts
        self._is_few = len(connection_ids) <= FEW
        self._met_foreign: set[str] = set()
        self._ready: dict[str, Ready] = {}
        self._counting: tuple[Future[Mapping[str, Mapping[StreamKey, int]]], dict[str, Ready]] | None = None
        self._counted: dict[str, tuple[float, Collection[int]]] = {}
        self._has_slot: set[str] = set()
        self._next_slot = 0.0
        self.waiting = deque(connection_ids)
        self.starting: dict[Start, str] = {}
        self.resumable: dict[str, Checkpoint] = {}

    def open(self) -> None:
        """Load what former processes have left, and find the newest job, if that is needed: one call.

        Raises:
            AirbyteError: Airbyte did not answer.
        """
        self.resumable = self._checkpoints.load(list(self.waiting))
        if any(not self._is_prepared(connection_id) for connection_id in self.waiting):
            self._reader.find_newest()

    @property
    def begun(self) -> int:
        """How many connections are between their turn and their job."""
        return len(self.starting) + len(self._ready) + (len(self._counting[1]) if self._counting else 0)

    def futures(self) -> list[Future[Any]]:
        """Return what is to be taken up at once when it is done.

        Starts are taken up together, so that their checkpoints are written in one go, unless they are few.
        """
        counting: list[Future[Any]] = [self._counting[0]] if self._counting else []
        return counting + (list(self.starting) if len(self.starting) <= FEW else [])

    def _is_prepared(self, connection_id: str) -> bool:
        """Whether it has to be looked first which jobs the connection has.

        In a run over many it is left to Airbyte to say that one is active, which saves a call for each connection. In a
        run over a few it costs no more than to look for the newest job of all, and says which jobs have ended before.
        """
        is_plain = not self._is_few and self._engine.settings.on_running == "attach" and self._job_type == "sync"
        return not is_plain or connection_id in self.resumable or connection_id in self._met_foreign

    def admit(self, on_their_way: int) -> None:
        """Begin with the connections whose turn has come.

        Args:
            on_their_way: How many syncs of this run have been started, and have not ended.
        """
        clock, limit = self._engine.clock(), self._engine.max_concurrent
        newest_at = self._reader.newest_at
        is_known = newest_at is not None and clock - newest_at < _NEWEST_SECONDS
        room = _BATCH - self.begun
        if limit is not None:
            room = min(room, limit - self.begun - on_their_way)
        for _ in range(min(room, len(self.waiting))):
            connection_id = self.waiting[0]
            if not self._has_slot_for(connection_id):
                return
            self.waiting.popleft()
            if is_known and not self._is_prepared(connection_id):
                self._ready[connection_id] = Ready(self._reader.newest)
            else:
                checkpoint = self.resumable.get(connection_id)
                self.starting[self._requests.submit(self._starter.prepare, connection_id, checkpoint)] = connection_id

    def request(self) -> Iterator[tuple[str, Exception]]:
        """Count the rows of the connections that are ready, one batch at a time, and then request their jobs.

        Yields:
            Connections whose job is not requested, since their checkpoint could not be written.
        """
        if self._engine.count_rows is None:
            ready, self._ready = self._ready, {}
            yield from self._submit(ready, {})
            return
        if self._ready and self._counting is None:
            ready, self._ready = self._ready, {}
            now = self._engine.clock()
            self._counted.update({key: (now, item.ended) for key, item in ready.items()})
            self._counting = (self._counts.submit(self._engine.count_rows, list(ready)), ready)
        if self._counting is not None and self._counting[0].done():
            future, ready = self._counting
            self._counting = None
            try:
                rows = future.result()
            except Exception as error:  # noqa: BLE001 - the rows are an extra
                self._engine.warn(f"The rows of {len(ready)} connection(s) could not be counted: {error}")
                rows = {}
            yield from self._submit(ready, rows)

    def _submit(
        self, ready: Mapping[str, Ready], rows: Mapping[str, Mapping[StreamKey, int]]
    ) -> Iterator[tuple[str, Exception]]:
        now = self._engine.now()
        checkpoints = {
            key: Checkpoint(item.after, requested_at=now, rows_before=dict(rows.get(key, {})))
            for key, item in ready.items()
        }
        # Kept before anything is requested: if this process dies, the next one knows what may exist.
        self._checkpoints.save(checkpoints)
        for connection_id, checkpoint in checkpoints.items():
            error = self._checkpoints.error(connection_id)
            if error is not None:
                yield connection_id, error
            else:
                self.starting[self._requests.submit(self._starter.request, connection_id, checkpoint)] = connection_id

    def take(self) -> tuple[dict[Start, Started], list[tuple[str, Busy | Exception]]]:
        """Take up the starts that are done.

        Returns:
            Those that have a job, which stay in `starting` until `is_watched` is called, and what became of others.
        """
        started: dict[Start, Started] = {}
        others: list[tuple[str, Busy | Exception]] = []
        for future, connection_id in [item for item in self.starting.items() if item[0].done()]:
            error = future.exception()
            if isinstance(error, Terminated):
                continue
            if error is not None and not isinstance(error, Exception):
                raise error
            found = error or future.result()
            if isinstance(found, Started):
                started[future] = found
                continue
            del self.starting[future]
            self.resumable.pop(connection_id, None)
            if isinstance(found, Ready):
                self._ready[connection_id] = found
                continue
            others.append((connection_id, found))
            if isinstance(found, Busy):
                self._met(connection_id, found)
        self._checkpoints.save({self.starting[future]: item.checkpoint for future, item in started.items()})
        return started, others

    def _met(self, connection_id: str, busy: Busy) -> None:
        """Give way to a foreign job."""
        if connection_id in self._checkpoints.current:
            # Nothing is requested any more: the foreign job must not be taken for ours by a resumed run.
            self._checkpoints.save({connection_id: Checkpoint(busy.job.id)})
        self.release(connection_id)
        self._met_foreign.add(connection_id)

    def is_watched(self, future: Start) -> None:
        """Say that the job of a start is watched by now."""
        self.resumable.pop(self.starting.pop(future), None)

    def counted(self, connection_id: str) -> tuple[float, Collection[int]] | None:
        """Return when the rows before the job were counted, by the clock, and which jobs had ended by then."""
        return self._counted.pop(connection_id, None)

    def _has_slot_for(self, connection_id: str) -> bool:
        slots = self._engine.slots
        if slots is None or connection_id in self._has_slot:
            return True
        if self._engine.clock() < self._next_slot:
            return False
        try:
            is_given = slots.acquire(connection_id)
        except Exception as error:  # noqa: BLE001 - a database that is away for a while
            self._engine.warn(f"No slot could be taken: {error}")
            is_given = False
        if is_given:
            self._has_slot.add(connection_id)
        else:
            self._next_slot = self._engine.clock() + _SLOT_SECONDS
        return is_given

    def release(self, connection_id: str) -> None:
        """Give back the slot of a connection, if it has one."""
        slots = self._engine.slots
        if slots is None or connection_id not in self._has_slot:
            return
        self._has_slot.discard(connection_id)
        try:
            slots.release(connection_id)
        except Exception as error:  # noqa: BLE001 - as above; Dagster frees the slots of a run that has ended
            self._engine.warn(f"A slot could not be given back: {error}")

    def close(self) -> None:
        """Give back all slots, and the place in the queue."""
        if self.waiting:
            self._has_slot.add(self.waiting[0])
        for connection_id in list(self._has_slot):
            self.release(connection_id)
