"""Rows as Airbyte's JSON: absent values are left out, empty lists stay, times are to the second."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from benchmarks.simulated_airbyte.inventory import COLUMNS, WORKSPACE_ID, WORKSPACE_NAME, ActorRow, ConnectionRow
from benchmarks.simulated_airbyte.jobs import JobRow

Json = dict[str, Any]

#: Of each stream, in each job that succeeded.
ROWS, BYTES = 100, 5_000

_REFERENCE = "https://reference.airbyte.com/reference/errors"
_SCHEMA = {"type": "object", "properties": {name: {"type": ["null", "string"]} for name in COLUMNS}}


def time_text(seconds: float) -> str:
    """Write a time in UTC; seconds that are zero are left out."""
    moment = dt.datetime.fromtimestamp(int(seconds), dt.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.second else "%Y-%m-%dT%H:%MZ")


def duration_text(seconds: float) -> str:
    """Write a duration as Java does: no days, no parts that are zero."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if value]
    return "PT" + ("".join(parts) or "0S")


def problem(status: int, title: str, data: Mapping[str, Any], *, kind: str | None = None) -> Json:
    """Write an error; `kind` is what its type ends in, where that isn't the title."""
    return {
        "status": status,
        "type": f"{_REFERENCE}#{kind or title}",
        "title": title,
        "detail": "The request could not be fulfilled.",
        "documentationUrl": None,
        "data": dict(data),
    }


def workspace() -> Json:
    """Write the workspace."""
    return {"workspaceId": WORKSPACE_ID, "name": WORKSPACE_NAME, "dataResidency": "auto", "notifications": {}}


def actor(row: ActorRow) -> Json:
    """Write a source or a destination; the type is not in its configuration, as with the real server."""
    return {
        f"{row.kind}Id": row.id,
        "name": row.name,
        f"{row.kind}Type": row.type,
        "definitionId": f"{row.id[:-12]}{0:012}",
        "workspaceId": WORKSPACE_ID,
        "configuration": dict(row.configuration),
        "createdAt": 1_700_000_000,
    }


def connection(row: ConnectionRow) -> Json:
    """Write a connection with its selected streams."""
    shown = {
        "connectionId": row.id,
        "name": row.name,
        "sourceId": row.source_id,
        "destinationId": row.destination_id,
        "workspaceId": WORKSPACE_ID,
        "status": row.status,
        "schedule": dict(row.schedule),
        "dataResidency": "auto",
        "configurations": {"streams": [_stream(name) for name in row.streams]},
        "createdAt": row.created_at,
        "tags": [_tag(name) for name in row.tags],
        "namespaceDefinition": row.namespace_definition,
        "namespaceFormat": row.namespace_format,
        "nonBreakingSchemaUpdatesBehavior": "ignore",
        "prefix": row.prefix,
    }
    return {key: value for key, value in shown.items() if value is not None}


def connection_of_configuration_api(row: ConnectionRow) -> Json:
    """Write a connection with its catalog, as ``connections/get`` of the configuration API does."""
    config = {"syncMode": "full_refresh", "destinationSyncMode": "overwrite", "selected": True}
    return {
        "connectionId": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "sourceId": row.source_id,
        "destinationId": row.destination_id,
        "status": row.status,
        "syncCatalog": {
            "streams": [{"stream": {"name": name, "jsonSchema": _SCHEMA}, "config": config} for name in row.streams]
        },
    }


def available_stream(name: str) -> Json:
    """Write a stream that a source offers."""
    return {
        "streamName": name,
        "syncModes": ["full_refresh_overwrite", "full_refresh_append"],
        "defaultCursorField": [],
        "sourceDefinedCursorField": False,
        "sourceDefinedPrimaryKey": [["id"]],
        "propertyFields": [[column] for column in COLUMNS],
    }


def job(row: JobRow, now: float, *, with_stats: bool = True) -> Json:
    """Write a job as it is seen at a time; the answers to POST and DELETE have no stats."""
    status, updated = row.status(now), row.updated(now)
    shown: Json = {
        "jobId": row.id,
        "status": status,
        "jobType": row.job_type,
        "startTime": time_text(row.created),
        "connectionId": row.connection_id,
    }
    if status not in ("pending", "running"):
        shown["lastUpdatedAt"] = time_text(updated)
    if status != "pending":
        shown["duration"] = duration_text(updated - row.created)
    if with_stats:
        moved = len(row.streams) if status == "succeeded" and row.job_type == "sync" else 0
        shown |= {"bytesSynced": BYTES * moved, "rowsSynced": ROWS * moved}
    return shown


def job_of_configuration_api(row: JobRow, now: float) -> Json:
    """Write a job with what it moved of each stream, and why it failed."""
    status = row.status(now)
    stats = [
        {"streamName": name, "recordsEmitted": ROWS, "recordsCommitted": ROWS, "bytesCommitted": BYTES}
        for name in row.streams
        if status == "succeeded" and row.job_type == "sync"
    ]
    shown: Json = {"id": row.id, "configType": row.job_type, "configId": row.connection_id, "status": status}
    attempt: Json = {"id": 0, "status": status, "createdAt": int(row.created), "updatedAt": int(row.updated(now))}
    if status == "failed":
        failure = {"failureOrigin": "source", "externalMessage": "The source went away."}
        attempt["failureSummary"] = {"failures": [failure], "partialSuccess": False}
    return {"job": {**shown, "streamAggregatedStats": stats}, "attempts": [{"attempt": attempt}]}


def _stream(name: str) -> Json:
    return {
        "name": name,
        "syncMode": "full_refresh_overwrite",
        "primaryKey": [["id"]],
        "mappers": [],
        "selectedFields": [],
    }


def _tag(name: str) -> Json:
    return {"tagId": f"tag-{name}", "name": name, "color": "FF5733", "workspaceId": WORKSPACE_ID}
