"""Run one job on each of some connections: start, watch, time out, cancel; one connection or ten thousand.

The rule behind it all: exactly one job for one request. A lost answer, a job that is running already, a step that is
tried again, a process that died: each ends in watching the job that exists, never in a second one and never in a
failure that did not happen. Only ``succeeded`` is success.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job, JobType, StreamKey
from airbyte_dagster.sync.checkpoints import CheckpointStore, InMemoryCheckpoints
from airbyte_dagster.sync.loop import SyncLoop
from airbyte_dagster.sync.results import Progress, SyncResult
from airbyte_dagster.sync.settings import SyncSettings, SyncSlots
from airbyte_dagster.sync.tracing import SyncSpans

#: Rows of the streams of some connections.
RowCounts: TypeAlias = Mapping[str, Mapping[StreamKey, int]]


def _wait_for_one(seconds: float, futures: Iterable[Future[Any]]) -> None:
    wait(futures, timeout=seconds, return_when=FIRST_COMPLETED)


def _threads(width: int) -> Executor:
    return ThreadPoolExecutor(width, thread_name_prefix="airbyte")


@dataclass
class SyncEngine:
    """Runs one job on each of some connections of a workspace.

    Attributes:
        client: Of the Airbyte.
        workspace_id: Workspace of the connections.
        settings: Of each sync.
        checkpoints: Keeps which jobs are this run's. A checkpoint with `is_recorded` is not resumed: a new job is
            requested, so leave out the connections that are not to be synced again. A write that fails is tried again
            a few times. If it still fails, the job is not requested; of a job that has been requested already, the
            result carries `CheckpointNotSaved`, although the job itself is watched, and cancelled, like any other.
        max_concurrent: How many of the run's own syncs may be on their way at once; all if ``None``.
        slots: A start waits until it has one; given back when the job has ended, and when the run ends.
        count_rows: Called in a thread with the connections that are about to be started: after a foreign job has ended
            and before ours is requested; not for resumed jobs. Connections that it does not know are left out of what
            it returns. What it raises is a warning, and the rows are unknown. The result goes into the checkpoint and
            into `SyncResult.rows_before`; it is dropped if ours turns out not to be the only job since (a foreign one
            was joined, or ended between the count and our request).
        describe: Called in a thread with each job that succeeded; the result is `SyncResult.details`. A `SyncError`
            that it raises is how the sync ended; anything else is a warning, and the details are ``None``.
        log: Takes one line for people. Lines about single jobs are written only in runs over at most `FEW` connections.
        warn: Takes one line for people about what is odd.
        on_progress: Called when the numbers have changed.
        on_job: Called when a watched job's status or numbers have changed; only in runs over at most `FEW` connections.
        spans: For OpenTelemetry; told of jobs that start and end. Whoever takes the results says what became of them.
        clock: Monotonic seconds; replaced in tests.
        now: Seconds since the epoch; replaced in tests.
        sleep: Waits, in threads, until `terminate` at most; replaced in tests.
        pause: Waits up to some seconds for one of some futures; replaced in tests.
        executor: Makes what runs so many requests side by side; replaced in tests.
    """

    client: AirbyteClient
    workspace_id: str
    settings: SyncSettings = field(default_factory=SyncSettings)
    checkpoints: CheckpointStore = field(default_factory=InMemoryCheckpoints)
    max_concurrent: int | None = None
    slots: SyncSlots | None = None
    count_rows: Callable[[Sequence[str]], RowCounts] | None = None
    describe: Callable[[Job], Any] = lambda _job: None
    log: Callable[[str], None] = lambda _line: None
    warn: Callable[[str], None] = lambda _line: None
    on_progress: Callable[[Progress], None] = lambda _progress: None
    on_job: Callable[[Job], None] = lambda _job: None
    spans: SyncSpans = field(default_factory=SyncSpans)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] | None = None
    pause: Callable[[float, Iterable[Future[Any]]], None] = _wait_for_one
    executor: Callable[[int], Executor] = _threads
    stop: Future[bool] = field(default_factory=Future, init=False, repr=False)

    def run(
        self,
        connection_ids: Iterable[str],
        job_type: JobType = "sync",
        *,
        until: Literal["ended", "started"] = "ended",
    ) -> Iterator[SyncResult]:
        """Start a job on each connection, and yield one result for each; one that fails does not stop the others.

        The errors in the results: `SyncFailed`, `SyncCancelled`, `SyncTimedOut` (of an attached job too, which is left
        running), `SyncStatusUnknown` (no good answer for `poll_failure_tolerance`), `SyncAlreadyRunning`
        (`on_running` is ``fail``), `OutcomeUnknown` (no answer shows whether a job was created, and none was found),
        `CheckpointNotSaved`, `AirbyteError` (Airbyte refused the job), `UnexpectedError` (anything else).

        Whatever interrupts it (`terminate`, ``close`` of the iterator, an exception that is no `Exception`) cancels the
        jobs that this run, or the run that it resumes, requested, if `cancel_on_termination` is set. Jobs that it only
        joined are never cancelled.

        Args:
            connection_ids: The connections; each is synced once, however often it is named.
            job_type: What to run.
            until: ``ended`` yields each result when the job has ended; ``started`` when it has been started. Then
                the run ends when the last has been started, and the jobs that still run are left.

        Raises:
            AirbyteError: Airbyte did not say which its newest job is; nothing was started.
            Exception: The checkpoints could not be loaded; nothing was started.
        """
        loop = SyncLoop(self, list(dict.fromkeys(connection_ids)), job_type, is_watched=until == "ended")
        try:
            yield from loop.results()
            if self.stop.done() and self.stop.result() and self.settings.cancel_on_termination:
                loop.cancel()
        except BaseException as error:
            # What is no ordinary error is a termination: KeyboardInterrupt, Dagster's interrupt, a closed iterator.
            if not isinstance(error, Exception) and self.settings.cancel_on_termination:
                loop.cancel()
            raise
        finally:
            loop.close()

    def terminate(self, *, cancel: bool = True) -> None:
        """Make `run`, in another thread, end: it yields nothing more.

        Args:
            cancel: Whether it cancels its jobs, if the settings say so.
        """
        if not self.stop.done():
            self.stop.set_result(cancel)
