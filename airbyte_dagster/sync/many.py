"""Sync many connections, watched together: one loop, one list call for the news of all, whatever their number.

What holds for one sync (see `sync`) holds for each of them: exactly one job for one request. How a job is started and
judged is left to `sync.SyncRunner`; here is when to start which, and how to notice that they end.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.job_changes import JobChanges
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import AirbyteDagsterError, AirbyteError
from airbyte_dagster.sync.runner import (
    JobNote,
    Origin,
    Started,
    SyncRunner,
    SyncSettings,
    newest_active,
    status_unknown,
)

#: Requests on the way at once: Airbyte may take a minute to start a job, and starts several side by side.
SIDE_BY_SIDE = 16
#: Starts that are handed to the threads ahead of time; what is noted about them is written in one go.
_BATCH = 64
#: A start that had to wait so long for its turn is noted anew, with the time at which it is asked for.
_FRESH_SECONDS = 10.0
#: While jobs are being started, this often is looked which have been.
_START_SECONDS = 0.2
#: Seconds between two looks at the list: the first for a few young jobs, the second for hundreds, ...
_LEAST_SECONDS, _MANY_SECONDS = 0.4, 3.0
#: ... and for each call of a look that took several.
_CALL_SECONDS = 1.2
_LOOKS_PER_AGE = 20
#: A job that no list has shown for so long is asked for by itself: a row may be written later than its time says.
_UNSEEN_SECONDS = 60.0

#: A look that shows nothing newer than a second that was shown so many seconds before: that one is over.
_OVER_SECONDS = 3.0


class JobBoard:
    """Reads what has changed since it last looked.

    Args:
        client: Asks.
        workspace_id: Where the jobs are.
        clock: Monotonic seconds.

    Attributes:
        newest: The highest id of a job that was seen.
        opened_at: The same, when the board was opened: jobs with a higher id began later.
        last_calls: How many calls the last look took.
    """

    def __init__(self, client: AirbyteClient, workspace_id: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._client = client
        self._workspace_id = workspace_id
        self._since: dt.datetime | None = None
        self._first_shown = 0.0
        self._since_opened: defaultdict[str, set[int]] = defaultdict(set)
        self.newest = 0
        self.opened_at = 0
        self.last_calls = 1

    def open(self) -> None:
        """Note where the workspace's jobs are before anything is started: two calls.

        Raises:
            AirbyteError: Airbyte can't be asked.
        """
        changed = self._client.newest_jobs(self._workspace_id)
        created = self._client.last_job(self._workspace_id)
        self._since = max((job.changed for job in changed), default=None)
        self.opened_at = self.newest = max([job.id for job in changed] + ([created.id] if created else []), default=0)

    def look(self) -> Sequence[Job]:
        """Return the jobs that have changed; those of the last second that was read come again.

        Raises:
            AirbyteError: Airbyte can't be asked; the next look begins at the same place.
        """
        changes = self._client.changed_jobs(self._workspace_id, self._since)
        self._step(changes)
        self.last_calls = changes.calls
        for job in changes.jobs:
            self.newest = max(self.newest, job.id)
            if job.id > self.opened_at:
                self._since_opened[job.connection_id].add(job.id)
        return changes.jobs

    def _step(self, changes: JobChanges) -> None:
        """Move on to where the next look begins: the last second that was read, until that is over for certain.

        Jobs are stamped to the second, so more of the same one may follow; but where many were started in one, they
        would be read again with each look.
        """
        if changes.reached is None:
            return
        now = self._clock()
        # What is told of a running job's last change is never later than it was, and may be a second earlier.
        reached = max(changes.reached, self._since or changes.reached)
        is_same = changes.complete and reached == self._since
        is_over = is_same and now - self._first_shown >= _OVER_SECONDS
        if is_over or not is_same:
            self._first_shown = now
        self._since = reached + dt.timedelta(seconds=1) if is_over else reached

    def has_others(self, connection_id: str, job_id: int) -> bool:
        """Whether a connection had another job than this one since the board was opened."""
        return bool(self._since_opened[connection_id] - {job_id})


class ManyMemory(Protocol):
    """Where a run keeps the `JobNote` of each of its connections; it survives the process. Called from threads."""

    def recall(self, connection_id: str) -> JobNote | None:
        """Return the note, if this run (or the one it retries) left one and has not used it up."""

    def note_all(self, notes: Mapping[str, JobNote]) -> None:
        """Keep notes, by connection, in place of the former, all at once."""


@dataclass(frozen=True)
class Outcome:
    """How the sync of one connection ended.

    Attributes:
        job: The job, if there was one. It succeeded if there is no `error`; it is on its way if it is not watched.
        origin: As in `sync.Started`.
        error: Why it did not succeed: what `SyncRunner.run` would have raised.
        learnt: What `ManySyncs.learn` returned for the job.
        is_alone: Whether no other job of the connection was seen since the run began.
    """

    connection_id: str
    job: Job | None = None
    origin: Origin | None = None
    error: AirbyteDagsterError | None = None
    learnt: Any = None
    is_alone: bool = True


@dataclass(frozen=True)
class Progress:
    """Where a run is; the four are all of its connections."""

    waiting: int
    active: int
    succeeded: int
    failed: int


@dataclass
class _Watched:
    """A job that is on its way; times in seconds of the clock.

    Attributes:
        is_ours: Whether the job is what was wanted; else its end is waited for, to start ours.
    """

    job: Job
    origin: Origin
    since: float
    seen: float
    is_ours: bool


@dataclass(frozen=True)
class _Busy:
    """A connection syncs already, and its own sync is to come after that."""

    job: Job


class _Terminated(Exception):
    """Somebody called `ManySyncs.terminate` while a start waited."""


def _wait_for_one(seconds: float, futures: Iterable[Future[Any]]) -> None:
    wait(futures, timeout=seconds, return_when=FIRST_COMPLETED)


@dataclass
class ManySyncs:
    """Runs a sync of each of some connections of a workspace, once.

    Attributes:
        settings: Of each sync.
        memory: Keeps which jobs are this run's.
        most: How many may be on their way at once; all of them if ``None``.
        learn: Called with each job that has succeeded, in a thread, before the outcome is told: for more that is to be
            asked about it. What it raises is an error of this package.
        on_progress: Called when something has changed, at most once for each look.
        warn: Takes one line for people about what is odd.
        clock: Monotonic seconds; replaced in tests.
        now: Seconds since the epoch; replaced in tests.
        sleep: Waits, in the threads, no longer than until `terminate`; replaced in tests.
        pause: Waits up to some seconds for one of some futures; replaced in tests.
        executor: Makes what runs the requests side by side; replaced in tests.
    """

    client: AirbyteClient
    workspace_id: str
    settings: SyncSettings
    memory: ManyMemory
    most: int | None = None
    learn: Callable[[Job], Any] = lambda _job: None
    on_progress: Callable[[Progress], None] = lambda _progress: None
    warn: Callable[[str], None] = lambda _line: None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] | None = None
    pause: Callable[[float, Iterable[Future[Any]]], None] = _wait_for_one
    executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="airbyte")
    stop: Future[None] = field(default_factory=Future, init=False, repr=False)

    def run(self, connection_ids: Sequence[str]) -> Iterator[Outcome]:
        """Start all, and yield each when it has ended. One that fails does not stop the others.

        What interrupts it cancels the jobs, if the settings say so.

        Raises:
            AirbyteError: Airbyte did not tell what is there before anything was started.
        """
        run = _Run(self, connection_ids)
        try:
            yield from run.outcomes()
            if self.stop.done() and self.settings.cancel_on_termination:
                run.cancel_all()
        except BaseException as error:
            if not isinstance(error, Exception) and self.settings.cancel_on_termination:
                run.cancel_all()
            raise
        finally:
            run.close()

    def start_all(self, connection_ids: Sequence[str]) -> Iterator[Outcome]:
        """Start all, and yield each when it has begun: whoever wants to know its end looks for it.

        Raises:
            AirbyteError: As `run`.
        """
        run = _Run(self, connection_ids)
        try:
            yield from run.started()
        finally:
            run.close()

    def terminate(self) -> None:
        """Make `run`, in another thread, cancel its jobs, if the settings say so, and end."""
        if not self.stop.done():
            self.stop.set_result(None)


class _Run:
    """One call of `ManySyncs.run`."""

    def __init__(self, many: ManySyncs, connection_ids: Sequence[str]) -> None:
        self._many = many
        self._queued = deque(dict.fromkeys(connection_ids))
        self._executor = many.executor()
        self._board = JobBoard(many.client, many.workspace_id, many.clock)
        self._noted: dict[str, JobNote] = {}
        self._starting: dict[Future[Started | _Busy], str] = {}
        self._watched: dict[str, _Watched] = {}
        self._judged: dict[Future[tuple[Job, Any]], tuple[str, _Watched]] = {}
        self._next_look = 0.0
        self._silent_since: float | None = None
        self._succeeded = self._failed = 0

    def outcomes(self) -> Iterator[Outcome]:
        self._board.open()
        while (self._queued or self._starting or self._watched or self._judged) and not self._is_stopped:
            self._start()
            self._many.pause(self._seconds_to_wait(), [*self._judged, self._many.stop])
            for connection_id, result in self._collect_starts():
                if isinstance(result, AirbyteDagsterError):
                    yield self._ended(Outcome(connection_id, error=result))
                else:
                    self._watch(connection_id, result)
            if self._watched and self._many.clock() >= self._next_look:
                yield from self._look()
                self._many.on_progress(self._progress())
            yield from self._collect_judged()

    def started(self) -> Iterator[Outcome]:
        self._board.open()
        while (self._queued or self._starting) and not self._is_stopped:
            self._start()
            self._many.pause(_START_SECONDS, [self._many.stop])
            for connection_id, result in self._collect_starts():
                if isinstance(result, AirbyteDagsterError):
                    yield Outcome(connection_id, error=result)
                else:
                    origin = result.origin if isinstance(result, Started) else "attached"
                    yield Outcome(connection_id, result.job, origin)

    @property
    def _is_stopped(self) -> bool:
        return self._many.stop.done()

    def _progress(self) -> Progress:
        active = len(self._starting) + len(self._watched) + len(self._judged)
        return Progress(len(self._queued), active, self._succeeded, self._failed)

    def _seconds_to_wait(self) -> float:
        """Return how long nothing can be due; starts are taken up together, so that they are noted in one go."""
        seconds = _START_SECONDS if self._starting else _MANY_SECONDS
        if not self._watched:
            return seconds
        return max(0.0, min(seconds, self._next_look - self._many.clock()))

    # Starting

    def _start(self) -> None:
        room = _BATCH - len(self._starting)
        if self._many.most is not None:
            on_their_way = len(self._starting) + sum(item.is_ours for item in self._watched.values())
            room = min(room, self._many.most - on_their_way)
        chosen = [self._queued.popleft() for _ in range(min(room, len(self._queued)))]
        recalled = {connection_id: self._many.memory.recall(connection_id) for connection_id in chosen}
        self._noted.update({key: note for key, note in recalled.items() if note is not None})
        # Kept before anything is asked for: if this process dies, the next one knows what may be there.
        now = self._many.now()
        self._note({key: JobNote(self._board.newest, asked=now) for key, note in recalled.items() if note is None})
        for connection_id, note in recalled.items():
            self._starting[self._executor.submit(self._begin, connection_id, note, self._board.newest)] = connection_id

    def _begin(self, connection_id: str, note: JobNote | None, newest: int) -> Started | _Busy:
        """Start a job, in a thread; by default it is left to Airbyte to say that the connection syncs already."""
        runner = self._runner(_StartMemory(self._many.memory, note, self._noted))
        match self._many.settings.on_running:
            case "attach":
                return runner.start(connection_id, newest=newest)
            case "fail":
                return runner.start(connection_id)
        jobs = self._many.client.jobs(connection_id)
        active = newest_active(jobs, "sync")
        if active is not None and (note is None or active.id <= note.after):
            return _Busy(active)
        return runner.start(connection_id, newest=max((job.id for job in jobs), default=newest))

    def _runner(self, memory: _StartMemory | None = None, settings: SyncSettings | None = None) -> SyncRunner:
        many = self._many
        runner = SyncRunner(
            many.client,
            settings or many.settings,
            warn=many.warn,
            clock=many.clock,
            now=many.now,
            sleep=many.sleep or self._sleep,
        )
        return replace(runner, memory=memory) if memory else runner

    def _sleep(self, seconds: float) -> None:
        wait([self._many.stop], timeout=seconds)
        if self._is_stopped:
            raise _Terminated

    def _note(self, notes: Mapping[str, JobNote]) -> None:
        if notes:
            self._noted.update(notes)
            self._many.memory.note_all(notes)

    def _collect_starts(self) -> list[tuple[str, Started | _Busy | AirbyteDagsterError]]:
        results: list[tuple[str, Started | _Busy | AirbyteDagsterError]] = []
        for future in [future for future in self._starting if future.done()]:
            connection_id = self._starting.pop(future)
            try:
                results.append((connection_id, future.result()))
            except AirbyteDagsterError as error:
                results.append((connection_id, error))
        self._note({key: self._noted[key] for key, result in results if isinstance(result, Started)})
        return results

    # Watching

    def _watch(self, connection_id: str, found: Started | _Busy) -> None:
        now = self._many.clock()
        is_ours = isinstance(found, Started)
        origin: Origin = found.origin if isinstance(found, Started) else "attached"
        self._watched[connection_id] = _Watched(found.job, origin, now, now, is_ours)
        # The wait that is right for old jobs is too long for a young one.
        self._next_look = min(max(self._next_look, now), now + self._look_wait(now))

    def _look_wait(self, now: float) -> float:
        youngest = min((now - item.since for item in self._watched.values()), default=0.0)
        least = min(_MANY_SECONDS, _LEAST_SECONDS + len(self._watched) / 100)
        return max(least, min(self._many.settings.poll_ceiling, youngest / _LOOKS_PER_AGE))

    def _look(self) -> Iterator[Outcome]:
        """Take up what the list says of the jobs that are watched."""
        began = self._many.clock()
        wait_seconds = self._look_wait(began)
        calls = 1
        try:
            news = {job.id: job for job in self._board.look()}
            calls = self._board.last_calls
            self._silent_since = None
        except AirbyteError as error:
            news = {}
            if self._silent_since is None:
                self._silent_since = began
                self._many.warn(f"Jobs could not be asked for, which says nothing about the syncs: {error.message}")
        now = self._many.clock()
        for item in self._watched.values():
            job = news.get(item.job.id)
            if job is not None:
                item.job, item.seen = job, now
        if self._silent_since is None:
            calls += self._ask_for_unseen(now, most=max(1, int(wait_seconds / 2)))
        # However much there is to read: in the long run one call a second.
        pause = calls * _CALL_SECONDS if calls > 1 else 0.0
        self._next_look = max(began + wait_seconds, now + pause)
        yield from self._take_up(now)

    def _ask_for_unseen(self, now: float, most: int) -> int:
        """Ask for the jobs that no list has shown for long, at most so many; return the number of calls."""
        unseen = [item for item in self._watched.values() if item.job.active and now - item.seen >= _UNSEEN_SECONDS]
        asked = sorted(unseen, key=lambda item: item.seen)[:most]
        for item in asked:
            item.seen = now
            try:
                item.job = self._many.client.job(item.job.id)
            except AirbyteError as error:
                self._many.warn(f"Job {item.job.id} could not be asked for: {error.message}")
        return len(asked)

    def _take_up(self, now: float) -> Iterator[Outcome]:
        """Hand on what has ended, or is over its time."""
        settings = self._many.settings
        silent = 0.0 if self._silent_since is None else now - self._silent_since
        for connection_id, item in list(self._watched.items()):
            if not item.job.active:
                del self._watched[connection_id]
                if item.is_ours:
                    self._judge(connection_id, item, self._runner().judge)
                else:
                    self._queued.appendleft(connection_id)
            elif settings.timeout is not None and now - item.since >= settings.timeout:
                del self._watched[connection_id]
                leave = settings if item.is_ours else replace(settings, cancel_on_timeout=False)
                self._judge(connection_id, item, self._runner(settings=leave).time_out)
            elif self._silent_since is not None and silent >= settings.poll_failure_tolerance:
                del self._watched[connection_id]
                error = status_unknown(item.job, silent)
                yield self._ended(Outcome(connection_id, item.job, item.origin, error))

    def _judge(self, connection_id: str, item: _Watched, how: Callable[[Job], Job]) -> None:
        self._judged[self._executor.submit(self._judge_and_learn, item.job, how)] = (connection_id, item)

    def _judge_and_learn(self, job: Job, how: Callable[[Job], Job]) -> tuple[Job, Any]:
        succeeded = how(job)
        return succeeded, self._many.learn(succeeded)

    def _collect_judged(self) -> Iterator[Outcome]:
        for future in [future for future in self._judged if future.done()]:
            connection_id, item = self._judged.pop(future)
            is_alone = not self._board.has_others(connection_id, item.job.id)
            try:
                job, learnt = future.result()
                outcome = Outcome(connection_id, job, item.origin, learnt=learnt, is_alone=is_alone)
            except AirbyteDagsterError as error:
                outcome = Outcome(connection_id, item.job, item.origin, error)
            yield self._ended(outcome)

    def _ended(self, outcome: Outcome) -> Outcome:
        if outcome.error is None:
            self._succeeded += 1
        else:
            self._failed += 1
        return outcome

    # Ending

    def cancel_all(self) -> None:
        """Cancel the jobs that are on their way, side by side, those that are just asked for, too."""
        runner = replace(self._runner(), sleep=self._many.sleep or time.sleep)
        asked = {connection_id: None for future, connection_id in self._starting.items() if not future.cancel()}
        wait(self._starting)
        job_ids: dict[str, int | None] = dict(asked)
        for future, connection_id in self._starting.items():
            if connection_id in asked and future.exception() is None and isinstance(found := future.result(), Started):
                job_ids[connection_id] = found.job.id
        job_ids |= {key: item.job.id for key, item in self._watched.items() if item.is_ours}
        ends = [
            self._executor.submit(runner.cancel_asked, connection_id, self._noted[connection_id].after, job_id)
            for connection_id, job_id in job_ids.items()
        ]
        wait(ends)

    def close(self) -> None:
        """Give up the threads; requests that are on their way end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class _StartMemory:
    """The `sync.JobMemory` of one start: what is known is not asked for, and ids of jobs are written later, together.

    Args:
        memory: Keeps.
        recalled: What it had of the connection.
        noted: What was noted of each connection; takes what is to be written.
    """

    def __init__(self, memory: ManyMemory, recalled: JobNote | None, noted: dict[str, JobNote]) -> None:
        self._memory = memory
        self._recalled = recalled
        self._noted = noted

    def recall(self, connection_id: str) -> JobNote | None:  # noqa: ARG002
        return self._recalled

    def note(self, connection_id: str, note: JobNote) -> None:
        if note.job_id is None and not self._is_written(self._noted.get(connection_id), note):
            self._memory.note_all({connection_id: note})
        self._noted[connection_id] = note

    @staticmethod
    def _is_written(written: JobNote | None, note: JobNote) -> bool:
        is_fresh = written is not None and (note.asked or 0.0) - (written.asked or 0.0) < _FRESH_SECONDS
        return is_fresh and written == note
