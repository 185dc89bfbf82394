"""Watch jobs: what the list of jobs says of all of them, with each read; when to read it; when to stop waiting."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import ACTIVE_STATUSES, FINAL_STATUSES, Job
from airbyte_dagster.errors import (
    AirbyteError,
    Conflict,
    NotFound,
    RateLimited,
    RequestTimedOut,
    ServerError,
    ServerUnreachable,
)
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.job_list import JobListReader
from airbyte_dagster.sync.results import JobOrigin
from airbyte_dagster.sync.settings import SyncSettings

#: Up to so many connections, each job is written about.
FEW = 5
#: Seconds between two reads of the list: the first for a few young jobs, the second for hundreds, ...
_LEAST_SECONDS, _MANY_SECONDS = 0.4, 3.0
#: ... and for each call of a read that took several.
_CALL_SECONDS = 1.2
_READS_PER_AGE = 20
#: A job that no list has shown for so long is asked for by itself: a row may be written later than its time says.
_UNSEEN_SECONDS = 60.0
#: Of a few jobs the numbers are of interest, too, which no list shows while the job runs: sooner, while they are young.
_FEW_UNSEEN_SECONDS, _FEW_PER_AGE = 2.0, 5
_SERVER_IS_AWAY = (ServerUnreachable, RequestTimedOut, RateLimited, ServerError)


@dataclass
class Watched:
    """A job that is on its way; times in seconds of the clock.

    Attributes:
        checkpoint: Names the job; ``None`` for a foreign one whose end is waited for, to request ours.
        began: When it was first watched.
        seen: When Airbyte last showed it.
        missing: Since when Airbyte has said that it does not know the job; ``None`` while it knows it.
        counted_at: When the rows before it were counted, by Airbyte's clock, and no later than that.
        ended_before: Ids of jobs of the connection that had ended before that.
    """

    job: Job
    origin: JobOrigin
    checkpoint: Checkpoint | None
    began: float
    seen: float
    missing: float | None = None
    counted_at: dt.datetime | None = None
    ended_before: Collection[int] = ()

    @property
    def is_foreign(self) -> bool:
        """Whether its end is only waited for, to request ours."""
        return self.checkpoint is None

    @property
    def is_ours(self) -> bool:
        """Whether this run, or the one that it resumes, requested it: then it may be cancelled."""
        return self.checkpoint is not None and self.checkpoint.is_ours


@dataclass(frozen=True)
class Update:
    """What one read has brought.

    Attributes:
        jobs: By id.
        missing: Ids of jobs that Airbyte says it does not know.
        calls: How many calls it took.
        began: When it began, by the clock.
        error: Why the list could not be read.
        lines: What jobs that have no rows yet do or wait for, by id, as far as Airbyte says it.
    """

    jobs: Mapping[int, Job] = field(default_factory=dict)
    missing: Collection[int] = ()
    calls: int = 1
    began: float = 0.0
    error: Exception | None = None
    lines: Mapping[int, str] = field(default_factory=dict)


#: ``ended``: it has; ``timed_out``: it was active for longer than the settings allow; ``unknown``: no good answer for
#: too long.
Change: TypeAlias = Literal["ended", "timed_out", "unknown"]


class JobWatcher:
    """Jobs that are on their way, by connection.

    `read` does the calls, in a thread; everything else belongs to one other thread.

    Args:
        client: Of the Airbyte.
        reader: Reads the list.
        settings: Of each sync.
        is_few: Whether single jobs are of interest.
        on_job: Called when the status or the numbers of one of a few jobs have changed.
        log: Takes one line for people.
        warn: Takes one line for people about what is odd.
        clock: Monotonic seconds.

    Attributes:
        jobs: Those that are watched.
        next_read: When the list is to be read again.
    """

    def __init__(
        self,
        client: AirbyteClient,
        reader: JobListReader,
        settings: SyncSettings,
        *,
        is_few: bool,
        on_job: Callable[[Job], None],
        log: Callable[[str], None],
        warn: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._reader = reader
        self._settings = settings
        self._is_few = is_few
        self._on_job = on_job
        self._log = log
        self._warn = warn
        self._clock = clock
        self._silent_since: float | None = None
        self._warned: set[str] = set()
        self._said: dict[int, str] = {}
        self._says_lines = is_few
        self.jobs: dict[str, Watched] = {}
        self.next_read = 0.0

    def add(
        self,
        job: Job,
        origin: JobOrigin,
        checkpoint: Checkpoint | None,
        *,
        counted: tuple[float, Collection[int]] | None = None,
    ) -> Watched:
        """Watch a job.

        Args:
            job: The job.
            origin: Where it came from.
            checkpoint: Names it; ``None`` for a foreign one.
            counted: When the rows before it were counted, by the clock, and the jobs that had ended by then.
        """
        now = self._clock()
        item = Watched(job, origin, checkpoint, now, now)
        if origin == "new":
            item.counted_at = job.start_time
            if counted is not None:
                # No later than that, and by Airbyte's clock, to the second.
                item.counted_at -= dt.timedelta(seconds=now - counted[0] + 1)
                item.ended_before = counted[1]
            self._reader.begin(item.counted_at, is_idle=not self.jobs)
        elif not self.jobs:
            self._reader.begin_with_newest()
        self.jobs[job.connection_id] = item
        # The wait that is right for old jobs is too long for a young one.
        self.next_read = min(max(self.next_read, now), now + self._read_wait(now))
        self._show(job)
        return item

    def _read_wait(self, now: float) -> float:
        youngest = min((now - item.began for item in self.jobs.values()), default=0.0)
        least = min(_MANY_SECONDS, _LEAST_SECONDS + len(self.jobs) / 100)
        return max(least, min(self._settings.poll_ceiling, youngest / _READS_PER_AGE))

    # One read

    def unseen(self) -> list[int]:
        """Return the jobs that no list has shown for long, so many as a read may ask for."""
        now = self._clock()
        waited = {id(item): now - item.seen for item in self.jobs.values() if item.job.active}
        found = [item for item in self.jobs.values() if waited.get(id(item), 0.0) >= self._unseen_seconds(item, now)]
        most = max(1, int(self._read_wait(now) / 2))
        return [item.job.id for item in sorted(found, key=lambda item: item.seen)[:most]]

    def _unseen_seconds(self, item: Watched, now: float) -> float:
        if not self._is_few:
            return _UNSEEN_SECONDS
        return min(_UNSEEN_SECONDS, max(_FEW_UNSEEN_SECONDS, (now - item.began) / _FEW_PER_AGE))

    def read(self, unseen: Sequence[int]) -> Update:
        """Read the list, and then ask for jobs that it does not show; what fails is in the update."""
        began = self._clock()
        error: Exception | None = None
        jobs: dict[int, Job] = {}
        missing: set[int] = set()
        calls = 1
        try:
            jobs = {job.id: job for job in self._reader.read()}
            calls = self._reader.last_calls
        except Exception as caught:  # noqa: BLE001 - whatever an answer is like, it says nothing about the jobs
            error = caught
        if isinstance(error, _SERVER_IS_AWAY):
            return Update(calls=calls, began=began, error=error)
        for job_id in unseen:
            if job_id in jobs:
                continue
            calls += 1
            try:
                jobs[job_id] = self._client.job(job_id)
            except (NotFound, Conflict) as caught:
                missing.add(job_id)
                self._warn_of(f"Airbyte does not know job {job_id}: {caught.message}")
            except AirbyteError as caught:
                self._warn_of(f"Job {job_id} could not be read: {caught.message}")
        lines = self._lines([jobs[job_id] for job_id in unseen if job_id in jobs])
        return Update(jobs, missing, calls, began, error, lines)

    def _lines(self, jobs: Sequence[Job]) -> dict[int, str]:
        """Ask what jobs without rows do: one that waits or is installed for would look as if it hung."""
        lines = {}
        for job in jobs:
            if self._says_lines and job.active and not job.rows:
                line = self._client.job_log_line(job.id)
                self._says_lines = line is not None
                lines[job.id] = line or ""
        return lines

    def _warn_of(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            self._warn(line)

    def apply(self, update: Update) -> None:
        """Take over what a read has brought."""
        now = self._clock()
        if update.error is None:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = update.began
            self._warn(f"The jobs could not be read, which says nothing about the syncs: {update.error}")
        for item in self.jobs.values():
            job = update.jobs.get(item.job.id)
            if job is not None:
                has_moved = _numbers(job) != _numbers(item.job)
                item.job, item.seen, item.missing = job, now, None
                if has_moved:
                    self._show(job)
            elif item.job.id in update.missing:
                item.missing = update.began if item.missing is None else item.missing
                item.seen = now
        for job_id, line in update.lines.items():
            if line and self._said.get(job_id) != line:
                self._said[job_id] = line
                self._log(f"Job {job_id}: {line}")
        # However much there is to read: in the long run one call a second.
        pause = update.calls * _CALL_SECONDS if update.calls > 1 + self._is_few else 0.0
        self.next_read = max(update.began + self._read_wait(now), now + pause)
        if self._settings.timeout is not None:
            ends = [item.began + self._settings.timeout for item in self.jobs.values()]
            self.next_read = min([self.next_read, *(end for end in ends if end > now)])

    def _show(self, job: Job) -> None:
        if job.status not in FINAL_STATUSES | ACTIVE_STATUSES:
            self._warn_of(f"Job {job.id} has the unknown status {job.status!r}; still watching it.")
        if self._is_few:
            self._on_job(job)

    def changes(self) -> Iterator[tuple[str, Watched, Change, float]]:
        """Yield what is no longer to be watched, and why, and for how long it was silent."""
        now = self._clock()
        for connection_id, item in list(self.jobs.items()):
            silent = max(now - self._heard(item, now), 0.0 if item.missing is None else now - item.missing)
            if not item.job.active:
                yield connection_id, self.jobs.pop(connection_id), "ended", silent
            elif self._settings.timeout is not None and now - item.began >= self._settings.timeout:
                yield connection_id, self.jobs.pop(connection_id), "timed_out", silent
            elif silent >= self._settings.poll_failure_tolerance:
                yield connection_id, self.jobs.pop(connection_id), "unknown", silent

    def _heard(self, item: Watched, now: float) -> float:
        """Return when the last good answer about a job came; now, if nothing has failed since."""
        return now if self._silent_since is None else max(self._silent_since, item.seen)

    def is_alone(self, item: Watched) -> bool:
        """Whether no other job of the connection can have changed its rows since they were counted."""
        if item.counted_at is None:
            return True
        return not self._reader.has_others(item.job, item.counted_at, item.ended_before)


def _numbers(job: Job) -> tuple[str, int | None, int | None]:
    return job.status, job.rows, job.bytes
