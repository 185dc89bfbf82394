"""Jobs that go on by the clock alone, and the book of all that were ever made."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

#: A new job waits for so long before it runs, or for half of its time, if that is less.
PENDING_SECONDS = 0.5


@dataclass
class JobRow:
    """A job; all times in seconds since the epoch.

    Attributes:
        streams: Those of its connection when it was made.
        started: When it runs.
        ends: When it has ended, if nobody cancels it.
        fails: Whether it then has failed.
        written_late: By how many seconds its end is seen later than the time it has, as in a database whose rows are
            committed later than they are stamped.
        cancelled: When it was cancelled.
        asked: How many requests were answered with it: the one that made it, and those while it was pending.
        refused: How many requests were refused because it ran.
    """

    id: int
    connection_id: str
    job_type: str
    streams: tuple[str, ...]
    created: float
    started: float
    ends: float
    fails: bool = False
    written_late: float = 0.0
    cancelled: float | None = None
    asked: int = 1
    refused: int = 0

    def status(self, now: float) -> str:
        """Return its status, as it is seen at a time."""
        if self.cancelled is not None:
            return "cancelled"
        if now >= self.ends + self.written_late:
            return "failed" if self.fails else "succeeded"
        return "running" if now >= self.started else "pending"

    def active(self, now: float) -> bool:
        """Whether it is not seen to have ended."""
        return self.cancelled is None and now < self.ends + self.written_late

    def updated(self, now: float) -> float:
        """Return when its row changed last: only when its status does."""
        if self.cancelled is not None:
            return self.cancelled
        if now >= self.ends + self.written_late:
            return self.ends
        return self.started if now >= self.started else self.created

    def truth(self, now: float) -> dict[str, Any]:
        """Return all there is to know, as JSON."""
        return {
            "id": self.id,
            "connection_id": self.connection_id,
            "job_type": self.job_type,
            "status": self.status(now),
            "created": self.created,
            "ended": None if self.active(now) else self.updated(now),
            "asked": self.asked,
            "refused": self.refused,
        }


class JobBook:
    """All jobs, by id from 1 on.

    Attributes:
        rows: In the order of their ids.
    """

    def __init__(self) -> None:
        self.rows: list[JobRow] = []
        self._of: defaultdict[str, list[JobRow]] = defaultdict(list)

    def of(self, connection_id: str) -> list[JobRow]:
        """Return the jobs of a connection, oldest first."""
        return self._of.get(connection_id, [])

    def get(self, job_id: int) -> JobRow | None:
        """Return a job, if there is one with this id."""
        return self.rows[job_id - 1] if 0 < job_id <= len(self.rows) else None

    def active(self, connection_id: str, now: float) -> JobRow | None:
        """Return the job of a connection that has not ended; it has one at most."""
        jobs = self.of(connection_id)
        return jobs[-1] if jobs and jobs[-1].active(now) else None

    def add(
        self,
        connection_id: str,
        job_type: str,
        streams: tuple[str, ...],
        now: float,
        *,
        seconds: float,
        fails: bool,
        written_late: float,
    ) -> JobRow:
        """Make a job that takes so many seconds, from now to its end."""
        started = now + min(PENDING_SECONDS, seconds / 2)
        row = JobRow(
            len(self.rows) + 1,
            connection_id,
            job_type,
            streams,
            now,
            started,
            now + seconds,
            fails=fails,
            written_late=written_late,
        )
        self.rows.append(row)
        self._of[connection_id].append(row)
        return row
