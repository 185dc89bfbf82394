"""Which of a workspace's jobs are dealt with, kept between ticks. No Dagster and no Airbyte in here.

A tick reads the jobs that changed at or after a time. Some of these are known from the tick before: that time is a
whole second, which has several jobs; and it lies a little back, since a server may show a change later than its time
says. So the cursor has the ids of what was dealt with from that time on. Jobs that a run of ours is about to record
wait in the cursor by themselves, and hold nothing else up.

Times are the server's, and are compared only with each other. This machine's clock measures how long something took.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from airbyte_dagster.airbyte.job_changes import JobChanges
from airbyte_dagster.airbyte.records import Job

#: How much later than its own time a change may appear in the server's list.
OVERLAP = dt.timedelta(seconds=30)
#: How long a run of ours may take to record a job after the job has ended; seconds.
RUN_PATIENCE = 3600.0
_VERSION = 1


@dataclass(frozen=True)
class Waiting:
    """A finished job that a run of ours is about to record.

    Attributes:
        since: When it was first seen, by this machine's clock; epoch seconds.
    """

    connection_id: str
    since: float


@dataclass(frozen=True)
class JobCursor:
    """What is known from former ticks.

    Attributes:
        workspace_id: The workspace that this is of.
        floor: The highest id of a job when the sensor began: of later ones, all were seen.
        since: From when on to read, inclusive; ``None`` for all that there are.
        reached: The time of the newest change that was seen.
        reached_at: When that one was first seen, by this machine's clock; epoch seconds.
        handled: Jobs that changed at or after `since` and are dealt with.
        waiting: Jobs that runs of ours are about to record.
        noted: The last entry of `NotedJobs` that is dealt with; 0 if none is: they are numbered from 1 on.
        looked_at: When all that had changed was last seen, by this machine's clock; epoch seconds. ``None`` if
            something was left.
    """

    workspace_id: str
    floor: int = 0
    since: dt.datetime | None = None
    reached: dt.datetime | None = None
    reached_at: float = 0.0
    handled: frozenset[int] = frozenset()
    waiting: Mapping[int, Waiting] = field(default_factory=dict)
    noted: int = 0
    looked_at: float | None = None

    @classmethod
    def starting(cls, workspace_id: str, newest: Sequence[Job], *, now: float, is_all: bool) -> JobCursor:
        """Return the cursor of a first tick: jobs that have ended by now are none of its business.

        Args:
            workspace_id: The workspace.
            newest: Its jobs that changed last.
            now: This machine's clock; epoch seconds.
            is_all: Whether it has no others.
        """
        if not newest:
            return cls(workspace_id, reached_at=now)
        reached = max(job.changed for job in newest)
        oldest = min(job.changed for job in newest)
        # What lies before the oldest of these is not known by its id.
        known_from = dt.datetime.min.replace(tzinfo=dt.timezone.utc) if is_all else oldest + dt.timedelta(seconds=1)
        since = max(reached - OVERLAP, min(known_from, reached))
        handled = frozenset(job.id for job in newest if not job.active and job.changed >= since)
        return cls(workspace_id, max(job.id for job in newest), since, reached, now, handled)

    def news(self, changes: JobChanges) -> list[Job]:
        """Return the jobs that have ended and are not dealt with, in the order in which they were made."""
        known = self.handled | self.waiting.keys()
        return sorted((job for job in changes.jobs if not job.active and job.id not in known), key=lambda job: job.id)

    def with_noted(self, jobs: Collection[int], last: int) -> JobCursor:
        """Return the cursor after jobs that a receiver of notices has recorded, up to its last entry."""
        waiting = {job_id: item for job_id, item in self.waiting.items() if job_id not in jobs}
        return replace(self, handled=self.handled | set(jobs), waiting=waiting, noted=last)

    def moved(
        self, changes: JobChanges, *, done: Collection[int], waiting: Mapping[int, Waiting], now: float
    ) -> JobCursor:
        """Return the cursor for the next tick. News that are neither done nor waiting are news again then.

        Args:
            changes: What this tick read, from `since` on.
            done: Jobs that are dealt with.
            waiting: All that wait for a run of ours.
            now: This machine's clock when the tick began; epoch seconds.
        """
        left = [job for job in self.news(changes) if job.id not in done and job.id not in waiting]
        reached = max(filter(None, (self.reached, changes.reached)), default=None)
        reached_at = now if reached != self.reached else self.reached_at
        since = self._next_since(changes, is_settled=now - reached_at >= OVERLAP.total_seconds())
        if left and since is not None:
            since = min(since, *(job.changed for job in left))
        seen = {job.id: job.changed for job in changes.jobs}
        handled = (self.handled | set(done)) - waiting.keys()
        kept = frozenset(
            job_id
            for job_id in handled
            if ((since is None or seen[job_id] >= since) if job_id in seen else not changes.complete)
        )
        looked_at = None if left or not changes.complete else now
        return JobCursor(
            self.workspace_id, self.floor, since, reached, reached_at, kept, dict(waiting), self.noted, looked_at
        )

    def _next_since(self, changes: JobChanges, *, is_settled: bool) -> dt.datetime | None:
        """Return from when on to read next, if nothing is left. It never goes back."""
        if changes.reached is None:
            return self.since
        back = changes.reached if is_settled and changes.complete else changes.reached - OVERLAP
        if self.since is None or back > self.since:
            return back
        # Of a long list only a part was read: going on has to come further than this time.
        return self.since if changes.complete else max(self.since, changes.reached)

    # As text

    def to_json(self) -> str:
        """Return the cursor as Dagster keeps it."""
        return json.dumps(
            {
                "version": _VERSION,
                "workspace": self.workspace_id,
                "floor": self.floor,
                "since": self.since.isoformat() if self.since else None,
                "reached": self.reached.isoformat() if self.reached else None,
                "reached_at": self.reached_at,
                "handled": sorted(self.handled),
                "waiting": {str(key): [item.connection_id, item.since] for key, item in sorted(self.waiting.items())},
                "noted": self.noted,
                "looked_at": self.looked_at,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> JobCursor | None:
        """Read what `to_json` returned; ``None`` for anything else."""
        try:
            data = json.loads(text)
            if data["version"] != _VERSION:
                return None
            return cls(
                str(data["workspace"]),
                int(data["floor"]),
                _time(data["since"]),
                _time(data["reached"]),
                float(data["reached_at"]),
                frozenset(int(job_id) for job_id in data["handled"]),
                {int(key): Waiting(str(where), float(since)) for key, (where, since) in data["waiting"].items()},
                int(data.get("noted", 0)),
                None if data.get("looked_at") is None else float(data["looked_at"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
