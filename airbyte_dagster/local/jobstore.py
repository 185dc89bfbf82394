"""Jobs in the database, and the rules of their states: a final state never changes, and an active one always ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from airbyte_dagster.local import problems
from airbyte_dagster.local.database import Database
from airbyte_dagster.local.engine import Failure, StreamStats
from airbyte_dagster.local.records import ACTIVE, Connection, Job
from airbyte_dagster.local.tableclaims import Key

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list.

    Args:
        connection_id: Only this connection's; then ``workspace_ids`` is not looked at, as with Airbyte.
        workspace_ids: Only these workspaces'; empty for all.
        status: One state.
        job_type: ``sync``, ``reset`` (also for what was asked as ``clear``) or ``refresh``.
        created_from: Epoch seconds, inclusive; so are the other three.
        created_to: See above.
        updated_from: See above.
        updated_to: See above.
        order_by: ``createdAt`` or ``updatedAt``.
        descending: Newest first.
    """

    connection_id: str | None = None
    workspace_ids: Sequence[str] = ()
    status: str | None = None
    job_type: str | None = None
    created_from: float | None = None
    created_to: float | None = None
    updated_from: float | None = None
    updated_to: float | None = None
    order_by: str = "createdAt"
    descending: bool = False


class JobStore:
    """The jobs.

    Args:
        database: Where they are kept.
        clock: Epoch seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def get(self, job_id: int) -> Job:
        """A job.

        Raises:
            ApiError: 409, which is what Airbyte answers for an unknown job.
        """
        found = self.find(job_id)
        if found is None:
            raise problems.state_conflict("Job is not currently running")
        return found

    def find(self, job_id: int) -> Job | None:
        """A job, None if there is none of this id."""
        with self._database.read() as session:
            return session.get(Job, job_id) if 0 < job_id < 2**63 else None

    def page(self, wanted: JobFilter, limit: int, offset: int) -> list[Job]:
        """A page of jobs."""
        conditions: list[ColumnElement[bool]] = []
        if wanted.connection_id:
            conditions.append(Job.connection_id == wanted.connection_id)
        elif wanted.workspace_ids:
            conditions.append(Job.workspace_id.in_(wanted.workspace_ids))
        if wanted.status:
            conditions.append(Job.status == wanted.status)
        if wanted.job_type:
            conditions.append(Job.type == ("reset" if wanted.job_type == "clear" else wanted.job_type))
        for column, low, high in (
            (Job.created_at, wanted.created_from, wanted.created_to),
            (Job.updated_at, wanted.updated_from, wanted.updated_to),
        ):
            if low is not None:
                conditions.append(column >= low)
            if high is not None:
                conditions.append(column <= high)
        key = Job.updated_at if wanted.order_by == "updatedAt" else Job.created_at
        order = (key.desc(), Job.id.desc()) if wanted.descending else (key, Job.id)
        query = select(Job).where(*conditions).order_by(*order).limit(limit).offset(offset)
        with self._database.read() as session:
            return list(session.scalars(query))

    def active(self, connection_id: str) -> Sequence[Job]:
        """The jobs of a connection that have not ended, oldest first."""
        with self._database.read() as session:
            return _active(session, connection_id)

    def last(self, connection_ids: Sequence[str], *, reading: bool = False) -> dict[str, Job]:
        """The newest job of each of these connections that has any; with ``reading`` the newest sync or refresh."""
        newest = select(func.max(Job.id)).where(Job.connection_id.in_(connection_ids)).group_by(Job.connection_id)
        if reading:
            newest = newest.where(Job.type != "reset")
        with self._database.read() as session:
            return {job.connection_id: job for job in session.scalars(select(Job).where(Job.id.in_(newest)))}

    def add_sync(self, connection_id: str, workspace_id: str) -> tuple[Job, bool]:
        """Ask for a sync; returns the job and whether it is new.

        A sync that only waits is the answer to a second request too. One that runs is a conflict.

        Raises:
            ApiError: 409 try-again-later, in Airbyte's words.
        """
        with self._database.write() as session:
            for job in _active(session, connection_id):
                if job.type == "sync" and job.status == "pending":
                    return job, False
                raise problems.try_again_later(f"A sync is already running for: {connection_id}")
            return self._add(session, connection_id, workspace_id, "sync"), True

    def add_refresh(self, connection_id: str, workspace_id: str, mode: str, streams: Iterable[Key] | None) -> Job:
        """Ask for a refresh: ``Truncate`` or ``Merge``, of some streams or, with None, of all.

        Raises:
            ApiError: 409 try-again-later while the connection has another job.
        """
        with self._database.write() as session:
            if _active(session, connection_id):
                raise problems.try_again_later(f"A sync is already running for: {connection_id}")
            return self._add(session, connection_id, workspace_id, "refresh", streams=streams, refresh_mode=mode)

    def add_reset(self, connection_id: str, workspace_id: str, streams: Iterable[Key] | None = None) -> Job:
        """Make a reset, of some streams or, with None, of all. End the connection's active jobs first."""
        with self._database.write() as session:
            return self._add(session, connection_id, workspace_id, "reset", streams=streams)

    def start(self, job_id: int) -> bool:
        """Make a pending job a running one; False if it is not pending any more."""
        now = self._clock()
        return self._set(Job.id == job_id, ("pending",), status="running", started_at=now, updated_at=now)

    def progress(self, job_id: int, stats: Sequence[dict[str, Any]]) -> None:
        """Note the counts of a running job."""
        self._set(Job.id == job_id, ("running",), stats=list(stats), updated_at=self._clock())

    def end(
        self, job_id: int, status: str, stats: Sequence[dict[str, Any]] | None, failure: dict[str, Any] | None = None
    ) -> bool:
        """Make an active job a final one; False if it is final already."""
        values: dict[str, Any] = {"status": status, "updated_at": self._clock(), "failure": self._stamp(failure)}
        if stats is not None:
            values["stats"] = list(stats)
        return self._set(Job.id == job_id, ACTIVE, **values)

    def fail_interrupted(self, message: str) -> None:
        """Fail all jobs that are active; for the start of a server, when none can be."""
        failure = {"message": message, "internal": "", "origin": "airbyte_platform", "kind": "system_error"}
        self._set(Job.id > 0, ACTIVE, status="failed", updated_at=self._clock(), failure=self._stamp(failure))

    def _stamp(self, failure: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if failure is None else {**failure, "timestamp": int(self._clock() * 1000)}

    def _set(self, which: ColumnElement[bool], states: tuple[str, ...], **values: Any) -> bool:
        with self._database.write() as session:
            changed = session.execute(
                update(Job)
                .where(which, Job.status.in_(states))
                .values(**values)
                .returning(Job.id, Job.type, Job.connection_id)
            ).all()
        if "status" in values:
            for job_id, kind, connection_id in changed:
                fields = {"job_id": job_id, "connection_id": connection_id}
                _LOG.info("Job %d, a %s: %s", job_id, kind, values["status"], extra=fields)
        return bool(changed)

    def _add(
        self,
        session: Session,
        connection_id: str,
        workspace_id: str,
        kind: str,
        *,
        streams: Iterable[Key] | None = None,
        refresh_mode: str | None = None,
    ) -> Job:
        if session.get_one(Connection, connection_id).status == "deprecated":  # since the caller has looked
            raise problems.state_conflict("Could not fulfill request")
        now = self._clock()
        job = Job(
            connection_id=connection_id,
            workspace_id=workspace_id,
            type=kind,
            status="pending",
            created_at=now,
            updated_at=now,
            stats=[],
            streams=None if streams is None else [list(key) for key in streams],
            refresh_mode=refresh_mode,
        )
        session.add(job)
        session.flush()
        return job


def _active(session: Session, connection_id: str) -> Sequence[Job]:
    query = select(Job).where(Job.connection_id == connection_id, Job.status.in_(ACTIVE)).order_by(Job.id)
    return session.scalars(query).all()


def stats_of(streams: Sequence[StreamStats]) -> list[dict[str, Any]]:
    """Counts per stream as `Job.stats` keeps them."""
    return [
        {
            "streamName": stream.name,
            "streamNamespace": stream.namespace,
            "recordsEmitted": stream.records_emitted,
            "bytesEmitted": stream.bytes_emitted,
            "recordsCommitted": stream.records_committed,
            "bytesCommitted": stream.bytes_committed,
            "status": stream.status,
        }
        for stream in streams
    ]


def failure_of(failure: Failure | None) -> dict[str, Any] | None:
    """A reason as `Job.failure` keeps it, but for its time."""
    if failure is None:
        return None
    return {
        "message": failure.message,
        "internal": failure.internal,
        "origin": failure.origin,
        "kind": failure.kind,
        "stream": list(failure.stream) if failure.stream else None,
    }
