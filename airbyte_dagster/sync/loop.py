"""One call of `SyncEngine.run`: takes each connection from its turn to its result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airbyte_dagster.airbyte.records import Job, JobType
from airbyte_dagster.errors import AirbyteDagsterError, SyncError, UnexpectedError
from airbyte_dagster.sync.cancelling import MOST_AT_ONCE, JobCanceller
from airbyte_dagster.sync.checkpoints import Checkpoint, CheckpointKeeper
from airbyte_dagster.sync.job_list import JobListReader
from airbyte_dagster.sync.jobs import evaluate_job, status_unknown
from airbyte_dagster.sync.results import Progress, SyncResult
from airbyte_dagster.sync.start_queue import Start, StartQueue
from airbyte_dagster.sync.starting import Busy, JobStarter, Started, Terminated
from airbyte_dagster.sync.watching import FEW, Change, JobWatcher, Update, Watched

if TYPE_CHECKING:
    from airbyte_dagster.sync.engine import SyncEngine

#: Requests on the way at once: Airbyte may take a minute to start a job, and starts several side by side.
SIDE_BY_SIDE = 16
#: While jobs are being started, this often it is looked which have been.
_START_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 3.0
_WAITING_SECONDS = 1.0
#: How long a termination waits for the newest statuses, before it cancels by the last known ones.
_STATUS_SECONDS = 1.0
#: How long it looks for a job whose request was under way.
_UNDER_WAY_SECONDS = 10.0


class SyncLoop:
    """Takes each connection from its turn to its result, in one thread; all calls are made in others.

    It is started by its queue, watched, and evaluated. A foreign job sends it back to the queue when that has ended.

    Args:
        engine: What to do.
        connection_ids: Each once.
        job_type: What to run.
        is_watched: Whether the end of each job is waited for.
    """

    def __init__(
        self, engine: SyncEngine, connection_ids: Sequence[str], job_type: JobType, *, is_watched: bool
    ) -> None:
        self._engine = engine
        self._client = engine.client
        self._is_watched = is_watched
        self._is_few = len(connection_ids) <= FEW
        self._total = len(connection_ids)
        self._requests, self._reads = engine.executor(SIDE_BY_SIDE), engine.executor(SIDE_BY_SIDE)
        self._checkpoints = CheckpointKeeper(engine.checkpoints, engine.sleep or self._rest, engine.warn)
        self._reader = JobListReader(engine.client, engine.workspace_id, engine.clock)
        self._watcher = JobWatcher(
            engine.client,
            self._reader,
            engine.settings,
            is_few=self._is_few,
            on_job=engine.on_job,
            log=engine.log,
            warn=engine.warn,
            clock=engine.clock,
        )
        self._starter = JobStarter(
            engine.client,
            engine.settings,
            job_type,
            self._checkpoints,
            engine.log if self._is_few else lambda _line: None,
            engine.clock,
            engine.now,
            engine.sleep or self._sleep,
            engine.stop,
        )
        self._canceller = JobCanceller(
            engine.client, engine.settings, engine.warn, engine.clock, engine.sleep or time.sleep
        )
        self._queue = StartQueue(
            engine,
            connection_ids,
            job_type,
            self._starter,
            self._checkpoints,
            reader=self._reader,
            requests=self._requests,
            counts=self._reads,
        )
        self._reading: Future[Update] | None = None
        self._evaluating: dict[Future[tuple[Job, Any]], tuple[str, Watched]] = {}
        self._succeeded = self._failed = 0
        self._progress: Progress | None = None

    def results(self) -> Iterator[SyncResult]:
        """Yield one result for each connection, until `SyncEngine.terminate` is called.

        Raises:
            AirbyteError: Airbyte did not say which its newest job is.
        """
        self._queue.open()
        while self._has_work and not self._is_stopped:
            yield from self._start()
            self._engine.pause(*self._pause())
            yield from self._take_starts()
            self._read()
            yield from self._take_changes()
            yield from self._take_evaluated()
            self._report()

    @property
    def _is_stopped(self) -> bool:
        return self._engine.stop.done()

    @property
    def _has_work(self) -> bool:
        has_starts = bool(self._queue.waiting or self._queue.begun or self._evaluating)
        is_awaited = self._is_watched or any(item.is_foreign for item in self._watcher.jobs.values())
        return has_starts or (is_awaited and bool(self._watcher.jobs))

    def _pause(self) -> tuple[float, list[Future[Any]]]:
        """Return how long nothing can be due, and what may end it."""
        futures = [*self._queue.futures(), *self._evaluating, self._engine.stop]
        futures += [self._reading] if self._reading else []
        seconds = _WAITING_SECONDS if self._queue.waiting else _LONGEST_PAUSE_SECONDS
        seconds = _START_SECONDS if self._queue.begun else seconds
        if self._watcher.jobs and self._reading is None:
            seconds = min(seconds, self._watcher.next_read - self._engine.clock())
        return max(0.0, seconds), futures

    def _report(self) -> None:
        foreign = sum(item.is_foreign for item in self._watcher.jobs.values())
        waiting = len(self._queue.waiting) + foreign
        if self._is_watched:
            active = self._total - waiting - self._succeeded - self._failed
        else:
            active = self._total - waiting - self._failed
        progress = Progress(waiting, active, self._succeeded if self._is_watched else 0, self._failed)
        if progress != self._progress:
            self._progress = progress
            self._engine.on_progress(progress)

    def _sleep(self, seconds: float) -> None:
        self._rest(seconds)
        if self._is_stopped:
            raise Terminated

    def _rest(self, seconds: float) -> None:
        wait([self._engine.stop], timeout=seconds)

    # Starting

    def _start(self) -> Iterator[SyncResult]:
        self._queue.admit(sum(not item.is_foreign for item in self._watcher.jobs.values()))
        for connection_id, error in self._queue.request():
            yield self._ended(SyncResult(connection_id, error=_known(error, connection_id)))

    def _take_starts(self) -> Iterator[SyncResult]:
        started, others = self._queue.take()
        for future, start in started.items():
            connection_id = self._queue.starting[future]
            counted = self._queue.counted(connection_id)
            item = self._watcher.add(start.job, start.origin, start.checkpoint, counted=counted)
            # Not before: whatever interrupts this, `cancel` finds the job in one of the two.
            self._queue.is_watched(future)
            if self._is_watched:
                self._engine.spans.started(item.job, item.origin, start.checkpoint.requested_at)
            else:
                yield SyncResult(connection_id, item.job, item.origin, self._checkpoints.error(connection_id))
        for connection_id, found in others:
            if isinstance(found, Busy):
                self._watcher.add(found.job, "attached", None)
            else:
                yield self._ended(SyncResult(connection_id, error=_known(found, connection_id)))

    # Watching

    def _read(self) -> None:
        is_due = self._engine.clock() >= self._watcher.next_read
        if self._reading is None and is_due and any(item.job.active for item in self._watcher.jobs.values()):
            self._reading = self._reads.submit(self._watcher.read, self._watcher.unseen())
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            self._watcher.apply(reading.result())

    def _take_changes(self) -> Iterator[SyncResult]:
        """Hand on what has ended, is over its time, or gives no answer."""
        for connection_id, item, change, silent in self._watcher.changes():
            if item.is_foreign and change == "ended":
                self._queue.waiting.appendleft(connection_id)
                continue
            self._queue.release(connection_id)
            if not self._is_watched and not item.is_foreign:
                continue  # its result was that it has been started
            if change == "unknown":
                error = status_unknown(item.job, silent)
                yield self._ended(SyncResult(connection_id, item.job, item.origin, error))
            else:
                future = self._reads.submit(self._evaluate, item, change)
                self._evaluating[future] = (connection_id, item)

    def _evaluate(self, item: Watched, change: Change) -> tuple[Job, Any]:
        if change == "timed_out":
            job = self._canceller.time_out(item.job, is_ours=item.is_ours)
        else:
            job = evaluate_job(self._client, item.job)
        try:
            return job, self._engine.describe(job)
        except SyncError:
            raise
        except Exception as error:  # noqa: BLE001 - details are an extra
            self._engine.warn(f"Job {job.id} succeeded, but its details could not be read: {error}")
            return job, None

    def _take_evaluated(self) -> Iterator[SyncResult]:
        for future in [future for future in self._evaluating if future.done()]:
            connection_id, item = self._evaluating.pop(future)
            rows = item.checkpoint.rows_before if item.checkpoint and self._watcher.is_alone(item) else {}
            try:
                job, details = future.result()
            except Exception as error:  # noqa: BLE001 - one that fails does not stop the others
                known = _known(error, connection_id)
                yield self._ended(SyncResult(connection_id, item.job, item.origin, known, rows_before=rows))
                continue
            lost = self._checkpoints.error(connection_id, tries_again=True)
            yield self._ended(SyncResult(connection_id, job, item.origin, lost, details, rows))

    def _ended(self, result: SyncResult) -> SyncResult:
        self._engine.spans.ended(result.job)
        if result.error is None:
            self._succeeded += 1
        else:
            self._failed += 1
        self._queue.release(result.connection_id)
        return result

    # Ending

    def cancel(self) -> None:
        """Cancel the jobs that this run, or the one that it resumes, requested: all at once, then wait for their end.

        Those whose request is under way are found, and cancelled, afterwards. Joined ones are left running.
        """
        # Not even begun: only what a former process has requested can exist.
        unbegun: list[Future[Any]] = [*self._queue.starting, *self._evaluating]
        for future in unbegun:
            future.cancel()
        late = {future: key for future, key in self._queue.starting.items() if not future.cancelled()}
        watched = [item for item in self._watcher.jobs.values() if not item.is_foreign]
        watched += [item for future, (_key, item) in self._evaluating.items() if future.cancelled()]
        self._update_statuses()
        active = [item for item in watched if item.job.active]
        self._log_joined([item.job for item in active if not item.is_ours])
        ours = [item.job for item in active if item.is_ours]
        known = [*late.values(), *(item.job.connection_id for item in watched)]
        former = {key: item for key, item in self._queue.resumable.items() if item.is_ours and key not in known}
        executor = self._engine.executor(max(1, min(MOST_AT_ONCE, len(ours) + len(late) + len(former))))
        try:
            sent: list[Future[Any]] = [self._canceller.send(executor, job) for job in ours]
            sent += [executor.submit(self._cancel_requested, key, item) for key, item in former.items()]
            sent += [executor.submit(self._cancel_late, key, future) for future, key in late.items()]
            wait(sent)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _update_statuses(self) -> None:
        """Read the list once more, so that no finished job is sent a DELETE."""
        if not any(item.job.active for item in self._watcher.jobs.values()):
            return
        reading = self._reading or self._reads.submit(self._watcher.read, [])
        self._reading = None
        if not reading.done():
            self._engine.pause(_STATUS_SECONDS, [reading])
        if reading.done() and reading.exception() is None:
            self._watcher.apply(reading.result())

    def _log_joined(self, jobs: Sequence[Job]) -> None:
        if jobs:
            ids = ", ".join(str(job.id) for job in jobs)
            self._engine.log(f"Terminated: left running, since this run did not start them: jobs {ids}.")

    def _cancel_late(self, connection_id: str, future: Start) -> None:
        """Cancel the job of a start that was under way, in a thread, however far it has come."""
        error = future.exception()  # waits for it
        if error is None and isinstance(started := future.result(), Started):
            if not started.checkpoint.is_ours:
                self._log_joined([started.job])
            elif started.job.active:
                self._canceller.cancel_if_active(started.job.id)
        elif error is not None and (error.is_requested if isinstance(error, Terminated) else _is_interrupt(error)):
            checkpoint = self._checkpoints.current.get(connection_id) or self._queue.resumable.get(connection_id)
            if checkpoint is not None and checkpoint.is_ours:
                self._cancel_requested(connection_id, checkpoint)

    def _cancel_requested(self, connection_id: str, checkpoint: Checkpoint) -> None:
        """Cancel the job of a checkpoint, in a thread, if there is one."""
        job_id = checkpoint.job_id
        if job_id is None and checkpoint.requested_at is not None:
            starter = replace(self._starter, sleep=self._engine.sleep or time.sleep)
            try:
                job = starter.look_for(connection_id, checkpoint.after, _UNDER_WAY_SECONDS)
            except Exception as error:  # noqa: BLE001 - nobody may be kept from cancelling the others
                self._engine.warn(f"Terminated while a job of {connection_id} was requested; it may run: {error}")
                return
            job_id = None if job is None else job.id
        if job_id is not None:
            self._canceller.cancel_if_active(job_id)

    def close(self) -> None:
        """Give up threads and slots; requests that are on their way end by themselves."""
        for executor in (self._requests, self._reads):
            executor.shutdown(wait=False, cancel_futures=True)
        self._queue.close()


def _is_interrupt(error: BaseException) -> bool:
    return not isinstance(error, Exception)


def _known(error: BaseException, connection_id: str) -> AirbyteDagsterError:
    """Return an error as a result has it."""
    if isinstance(error, AirbyteDagsterError):
        return error
    known = UnexpectedError(
        f"The sync of connection {connection_id} met with an unexpected {type(error).__name__}: {error}",
        guidance="Its job, if there is one, is left as it is; a rerun goes on with it.",
    )
    known.__cause__ = error
    return known
