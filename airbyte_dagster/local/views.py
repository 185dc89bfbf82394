"""Records as Airbyte's JSON. Absent values are left out, empty lists stay (``NON_ABSENT`` in Airbyte's settings)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

from airbyte_dagster.local import definitions
from airbyte_dagster.local.configuration import masked
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import ACTIVE, Actor, Connection, Job, Workspace


def iso(seconds: float) -> str:
    """A time in UTC as Airbyte writes it: seconds are left out when they are zero, ``2023-03-25T01:30Z``."""
    moment = datetime.fromtimestamp(int(seconds), tz=timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%MZ" if moment.second == 0 else "%Y-%m-%dT%H:%M:%SZ")


def iso_duration(seconds: float) -> str:
    """A duration as Java writes it: ``PT0S``, ``PT1H1M1S``, ``PT25H``; never days."""
    whole = max(int(seconds), 0)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if value]
    return "PT" + ("".join(parts) or "0S")


def workspace(record: Workspace) -> Json:
    """A workspace."""
    return {
        "workspaceId": record.id,
        "name": record.name,
        "dataResidency": "auto",
        "notifications": record.notifications,
    }


def actor(record: Actor, *, strict: bool) -> Json:
    """A source or destination, secrets masked.

    Args:
        record: The record.
        strict: Leave the type key out of ``configuration``, as the real server does. It is there by default, since
            the SDK can't decode a configuration without it.
    """
    type_key = f"{record.kind}Type"
    configuration = masked(record.configuration, record.secret_paths)
    custom = record.definition_id == definitions.custom_id(record.type)  # has no name that a client would know
    if not strict and not record.deleted and not custom:
        configuration[type_key] = record.type
    return {
        f"{record.kind}Id": record.id,
        "name": record.name,
        type_key: "" if custom else record.type,
        "definitionId": record.definition_id,
        "workspaceId": record.workspace_id,
        "configuration": configuration,
        "createdAt": record.created_at,
    }


def connection(record: Connection) -> Json:
    """A connection with its selected streams."""
    shown = {
        "connectionId": record.id,
        "name": record.name,
        "sourceId": record.source_id,
        "destinationId": record.destination_id,
        "workspaceId": record.workspace_id,
        "status": record.status,
        "schedule": record.schedule,
        "dataResidency": "auto",
        "configurations": {"streams": record.streams},
        "createdAt": record.created_at,
        "tags": record.tags,
        "namespaceDefinition": record.namespace_definition,
        "namespaceFormat": record.namespace_format,
        "nonBreakingSchemaUpdatesBehavior": record.schema_updates,
        "prefix": record.prefix,
    }
    return {key: value for key, value in shown.items() if value is not None}


def job(record: Job, *, with_counts: bool) -> Json:
    """A job.

    ``lastUpdatedAt`` is there only when the job has ended; ``duration`` is absent while it is pending. The counts are
    absent in the answers to POST and DELETE and always numbers elsewhere. While the job runs they are what was read
    so far, afterwards what is in the warehouse.
    """
    shown: Json = {
        "jobId": record.id,
        "status": record.status,
        "jobType": record.type,
        "startTime": iso(record.created_at),
        "connectionId": record.connection_id,
    }
    if record.status not in ACTIVE:
        shown["lastUpdatedAt"] = iso(record.updated_at)
    if record.status != "pending":
        shown["duration"] = iso_duration(record.updated_at - record.created_at)
    if with_counts:
        shown["bytesSynced"], shown["rowsSynced"] = _synced(record, "bytes"), _synced(record, "records")
    return shown


def _synced(record: Job, what: str) -> int:
    return total(record, f"{what}Emitted" if record.status in ACTIVE else f"{what}Committed")


def total(record: Job, key: str) -> int:
    """A count of all streams of a job, by its name in ``streamAggregatedStats``."""
    return sum(int(stream[key]) for stream in record.stats)


_COUNTS = ("recordsEmitted", "bytesEmitted", "recordsCommitted", "bytesCommitted")


def config_type(record: Job) -> str:
    """What the configuration API calls a job's type: ``sync``, ``refresh``, or ``reset_connection`` for a clear."""
    return record.type if record.type != "reset" else "reset_connection"


def config_api_job(record: Job) -> Json:
    """A job as the configuration API shows it, with counts in total and per stream."""
    return {
        "id": record.id,
        "configType": config_type(record),
        "configId": record.connection_id,
        "createdAt": int(record.created_at),
        "updatedAt": int(record.updated_at),
        **({"startedAt": int(record.started_at)} if record.started_at else {}),
        "status": record.status,
        "aggregatedStats": {key: total(record, key) for key in _COUNTS},
        "streamAggregatedStats": [
            _descriptor_keys(stream) | {key: stream[key] for key in _COUNTS} for stream in record.stats
        ],
        **_about(record),
    }


def _about(record: Job) -> Json:
    """Which streams a refresh or a reset is about, if it is about some only."""
    if record.streams is None or record.type == "sync":
        return {}
    found = [descriptor((key[0], key[1])) for key in record.streams]
    if record.type == "refresh":
        return {"refreshConfig": {"streamsToRefresh": found}}
    return {"resetConfig": {"streamsToReset": found}}


def descriptor(key: tuple[str | None, str]) -> Json:
    """A stream's ``StreamDescriptor``."""
    namespace, name = key
    return {"name": name} if namespace is None else {"name": name, "namespace": namespace}


def _descriptor_keys(stream: Mapping[str, Any]) -> Json:
    return {key: stream[key] for key in ("streamName", "streamNamespace") if stream[key] is not None}


def config_api_attempt(record: Job, events: Sequence[Mapping[str, Any]]) -> Json:
    """A job's only attempt, with its counts, its log and, if it failed, the reason."""
    attempt: Json = {
        "id": 0,
        "status": record.status if record.status in {"running", "succeeded"} else "failed",
        "createdAt": int(record.started_at or record.created_at),
        "updatedAt": int(record.updated_at),
        "bytesSynced": _synced(record, "bytes"),
        "recordsSynced": _synced(record, "records"),
        "totalStats": {key: total(record, key) for key in _COUNTS},
        "streamStats": [
            {**_descriptor_keys(stream), "stats": {key: stream[key] for key in _COUNTS}} for stream in record.stats
        ],
    }
    if record.status not in ACTIVE:
        attempt["endedAt"] = int(record.updated_at)
    if record.failure is not None:
        attempt["failureSummary"] = {
            "failures": [failure_reason(record.failure)],
            "partialSuccess": any(stream["recordsCommitted"] for stream in record.stats),
        }
    return {"attempt": attempt, "logType": "structured", "logs": {"events": list(events), "version": "1"}}


def failure_reason(failure: Mapping[str, Any]) -> Json:
    """A `Job.failure` as Airbyte's ``FailureReason``."""
    shown = {
        "failureOrigin": failure["origin"],
        "failureType": failure["kind"],
        "externalMessage": failure["message"],
        "internalMessage": failure["internal"],
        "timestamp": failure["timestamp"],
    }
    if stream := failure.get("stream"):
        shown["streamDescriptor"] = descriptor((stream[0], stream[1]))
    return shown


def page(
    data: list[Json], base_url: str, path: str, *, limit: int, offset: int, kept: Sequence[tuple[str, str]]
) -> Json:
    """A page of a list.

    As Airbyte does it, ``next`` is there whenever the page isn't empty, even on the last one, and ``previous`` is
    empty on the first.

    Args:
        data: The page's items.
        base_url: The public API's own URL.
        path: The list's path below it.
        limit: Most items on a page.
        offset: Items before this page.
        kept: The parameters that survive into the links.
    """

    def link(at: int, limits: int = 1) -> str:
        return f"{base_url}{path}?{urlencode([*kept, *[('limit', limit)] * limits, ('offset', at)], safe=',')}"

    return {
        # Airbyte builds both with one builder, so `previous` has the limit of `next` as well as its own.
        "previous": link(max(offset - limit, 0), 2 if data else 1) if offset > 0 else "",
        "next": link(offset + limit) if data else "",
        "data": data,
    }
