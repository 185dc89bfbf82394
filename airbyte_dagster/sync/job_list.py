"""What list calls tell of all jobs of a workspace: one call for the news of a hundred, whoever watches them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.job_changes import JobChanges
from airbyte_dagster.airbyte.records import Job

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
