"""How connections and their streams fare, as the configuration API says it. Pure functions.

Rules of airbyte-platform's ``ConnectionsHandler.getConnectionStatuses`` and of its stream statuses.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airbyte_dagster.local import configviews, views
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import ACTIVE, Connection, Job
from airbyte_dagster.local.schemachanges import schema_change

_STATUSES = uuid.UUID("5d0a9b1e-6a3f-4f0e-9d54-2f1f6c0b7c11")
_RUN_STATES = {"STARTED": "RUNNING", "RUNNING": "RUNNING", "COMPLETE": "COMPLETE"}


def connection_status(record: Connection, jobs: Sequence[Job]) -> Json:
    """A connection's status.

    Args:
        record: The connection.
        jobs: Its last jobs, the newest first.
    """
    active = jobs[0] if jobs and jobs[0].status in ACTIVE else None
    ended = next((job for job in jobs if job.status in {"succeeded", "failed"}), None)
    succeeded = next((job for job in jobs if job.status == "succeeded"), None)
    latest = next((job for job in jobs if job.type != "reset"), None)
    failure = ended.failure if ended is not None and ended.status == "failed" else None
    shown = {
        "connectionId": record.id,
        "connectionSyncStatus": _sync_status(record, jobs, ended, failure),
        "scheduleData": configviews.connection(record, {}).get("scheduleData"),
        "lastSuccessfulSync": int(succeeded.updated_at) if succeeded else None,
        "activeJob": views.config_api_job(active) if active else None,
        "lastSyncJobId": ended.id if ended else None,
        "lastSyncAttemptNumber": 0 if ended and ended.started_at is not None else None,
        "lastSyncJobCreatedAt": int(latest.created_at) if latest else None,
        "failureReason": views.failure_reason(failure) if failure else None,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _sync_status(record: Connection, jobs: Sequence[Job], ended: Job | None, failure: Mapping[str, Any] | None) -> str:
    newest = jobs[0] if jobs else None
    if newest is not None and newest.status in ACTIVE:
        return "running" if newest.status == "running" else "pending"
    if schema_change(record) == "breaking" or (failure or {}).get("kind") == "config_error":
        return "failed"
    if record.status != "active":
        return "paused"
    if newest is not None and newest.status == "cancelled":
        return "incomplete"
    if newest is None or ended is None or newest.type == "reset":
        return "pending"
    return "incomplete" if ended.status == "failed" else "synced"


def sync_progress(connection_id: str, job: Job | None) -> Json:
    """How far a connection's running job is, as a whole and by stream.

    Args:
        connection_id: The connection.
        job: Its job that runs, if one does.
    """
    if job is None or job.status != "running":
        return {"connectionId": connection_id, "streams": [], "configType": "sync"}
    kind = views.config_type(job)
    counts = ("recordsEmitted", "recordsCommitted", "bytesEmitted", "bytesCommitted")
    return {
        "connectionId": connection_id,
        "jobId": job.id,
        "configType": kind,
        "syncStartedAt": int((job.started_at or job.created_at) * 1000),
        **{key: views.total(job, key) for key in counts},
        "streams": [
            {**_named(stream), **{key: stream[key] for key in counts}, "configType": kind} for stream in job.stats
        ],
    }


def stream_statuses(job: Job) -> Iterator[Json]:
    """The status of each stream of a job that was begun."""
    for stream in job.stats:
        state = _run_state(job, stream)
        key = f"{job.id} {stream['streamNamespace']} {stream['streamName']}"
        shown = {
            "id": str(uuid.uuid5(_STATUSES, key)),
            "workspaceId": job.workspace_id,
            "connectionId": job.connection_id,
            "jobId": job.id,
            "jobType": "RESET" if job.type == "reset" else "SYNC",
            "attemptNumber": 0,
            **_named(stream),
            "runState": state,
            "transitionedAt": int(job.updated_at * 1000),
        }
        if state == "INCOMPLETE":
            shown["incompleteRunCause"] = "CANCELED" if job.status == "cancelled" else "FAILED"
        yield shown


def _run_state(job: Job, stream: Mapping[str, Any]) -> str:
    said = stream.get("status")
    arrived = stream["recordsCommitted"] >= stream["recordsEmitted"]
    if job.status == "succeeded":
        return "COMPLETE"
    if job.status not in ACTIVE:  # what the connector read to its end counts only if it arrived
        return "COMPLETE" if said == "COMPLETE" and arrived else "INCOMPLETE"
    if said == "COMPLETE" and not arrived:
        return "RUNNING"
    return _RUN_STATES.get(said or "", "RUNNING" if stream["recordsEmitted"] else "PENDING")


def _named(stream: Mapping[str, Any]) -> Json:
    named = {"streamName": stream["streamName"]}
    if stream["streamNamespace"] is not None:
        named["streamNamespace"] = stream["streamNamespace"]
    return named
