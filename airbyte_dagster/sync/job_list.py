"""Read what has changed in the list of all jobs of a workspace: one call for the changes of a hundred."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.job_changes import JobChanges
from airbyte_dagster.airbyte.records import Job

#: A read that shows nothing newer than a second that was shown so many seconds before: that one is over.
_OVER_SECONDS = 3.0
#: Other jobs were seen no longer than this before the first of our own was started.
_MARGIN = dt.timedelta(seconds=30)


class JobListReader:
    """Reads the jobs that have changed since the last read. `read` is called from one thread at a time.

    Args:
        client: Of the Airbyte.
        workspace_id: Where the jobs are.
        clock: Monotonic seconds.

    Attributes:
        newest: The highest id of a job that is known; 0 if there is none.
        newest_at: When that was known to be the newest, by the clock; ``None`` if it never was.
        last_calls: How many calls the last read took.
    """

    def __init__(self, client: AirbyteClient, workspace_id: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._client = client
        self._workspace_id = workspace_id
        self._since: dt.datetime | None = None
        self._covered_from: dt.datetime | None = None
        self._begin: dt.datetime | None = None
        self._first_shown = 0.0
        self._changed: defaultdict[str, dict[int, dt.datetime]] = defaultdict(dict)
        self.newest = 0
        self.newest_at: float | None = None
        self.last_calls = 1

    def find_newest(self) -> None:
        """Find the newest job of the workspace: one call.

        Raises:
            AirbyteError: Airbyte did not answer.
        """
        job = self._client.last_job(self._workspace_id)
        self.newest, self.newest_at = max(self.newest, job.id if job else 0), self._clock()

    def begin(self, time: dt.datetime, *, is_idle: bool) -> None:
        """Have the next read show what has changed from a time on, by Airbyte's clock, unless that was shown already.

        Args:
            time: The time.
            is_idle: Whether nothing is being watched, so that what changed before that time is of no interest.
        """
        if not is_idle and self._covered_from is None:
            time -= _MARGIN
        if is_idle or self._covered_from is None or time < self._covered_from:
            self._begin = self._covered_from = time

    def begin_with_newest(self) -> None:
        """Have the next read show the hundred jobs that changed last: for jobs that were not started just now."""
        self._begin = self._since = self._covered_from = None

    def read(self) -> Sequence[Job]:
        """Return the jobs that have changed; those of the last second that was read come again.

        The first read, if nobody said where it begins, shows the hundred that changed last.

        Raises:
            AirbyteError: Airbyte did not answer; the next read begins at the same place.
        """
        begin, self._begin = self._begin, None
        if begin is not None:
            self._since, self._first_shown = begin, self._clock()
        if self._since is None:
            jobs: Sequence[Job] = self._client.newest_jobs(self._workspace_id)
            self._since = self._covered_from = max((job.changed for job in jobs), default=None)
            self._first_shown = self._clock()
            self.last_calls, is_complete = 1, True
        else:
            changes = self._client.changed_jobs(self._workspace_id, self._since)
            self._step(changes)
            jobs, self.last_calls, is_complete = changes.jobs, changes.calls, changes.complete
        for job in jobs:
            self.newest = max(self.newest, job.id)
            self._changed[job.connection_id][job.id] = job.changed
        if is_complete and self.newest_at is not None:
            self.newest_at = self._clock()
        return jobs

    def _step(self, changes: JobChanges) -> None:
        """Move on to where the next read begins: the last second that was read, until that is over for certain.

        Jobs are stamped to the second, so more of the same one may follow; but where many were started in one, they
        would be read again each time.
        """
        if changes.reached is None:
            return
        now = self._clock()
        # What a running job says of its last change is never later than it was, and may be a second earlier.
        reached = max(changes.reached, self._since or changes.reached)
        is_same = changes.complete and reached == self._since
        is_over = is_same and now - self._first_shown >= _OVER_SECONDS
        if is_over or not is_same:
            self._first_shown = now
        self._since = reached + dt.timedelta(seconds=1) if is_over else reached

    def has_others(self, job: Job, since: dt.datetime, known: Collection[int]) -> bool:
        """Whether a connection had another job than this one: a newer one, or an older one that changed since a time.

        Args:
            job: The job.
            since: The time, by Airbyte's clock.
            known: Ids of older jobs that are known to have ended before it.
        """
        others = self._changed[job.connection_id]
        return any(
            other > job.id or (other < job.id and other not in known and changed >= since)
            for other, changed in others.items()
        )
