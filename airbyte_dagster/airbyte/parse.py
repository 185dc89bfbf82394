"""Airbyte's JSON turned into records.

The parsers are lenient where servers differ and strict where a record would be useless: unknown keys are ignored,
missing optional ones get Airbyte's defaults, values of enums are kept as text, but an id must be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airbyte_dagster.airbyte.records import (
    DEFAULT_SYNC_MODE,
    ActorKind,
    AvailableStream,
    Connection,
    Destination,
    Failure,
    Job,
    Permission,
    Source,
    Stream,
    StreamKey,
    StreamStats,
    Workspace,
)
from airbyte_dagster.airbyte.times import parse_duration, parse_time
from airbyte_dagster.errors import UnexpectedAnswer


def parse_workspace(data: Any) -> Workspace:
    """Read a workspace."""
    data = _mapping(data, "a workspace")
    return Workspace(id=_id(data, "workspaceId", "a workspace"), name=_text(data.get("name")), raw=data)


def parse_permissions(data: Any) -> list[Permission]:
    """Read the answer of ``GET /permissions``: one page that has all."""
    found = _list(_mapping(data, "a list of permissions").get("data"))
    return [
        Permission(
            role=_text(item.get("permissionType")),
            scope=_text(item.get("scope")),
            scope_id=_text(item.get("scopeId")),
        )
        for item in found
        if isinstance(item, Mapping)
    ]


def parse_actor(kind: ActorKind, data: Any) -> Source | Destination:
    """Read a source or a destination.

    Real servers leave the type key out of ``configuration`` (SourceReadMapper.kt), others put it in; the record is the
    same. Connectors outside Airbyte's table have the type ``""`` or none.
    """
    what = f"a {kind}"
    data = _mapping(data, what)
    type_key = f"{kind}Type"
    configuration = data.get("configuration")
    configuration = dict(configuration) if isinstance(configuration, Mapping) else {}
    type_inside = configuration.pop(type_key, None)
    record = Source if kind == "source" else Destination
    return record(
        id=_id(data, f"{kind}Id", what),
        name=_text(data.get("name")),
        workspace_id=_text(data.get("workspaceId")),
        type=_text(data.get(type_key)) or _text(type_inside),
        definition_id=_text(data.get("definitionId")) or None,
        configuration=configuration,
        raw=data,
    )


def parse_connection(data: Any) -> Connection:
    """Read a connection with its selected streams."""
    data = _mapping(data, "a connection")
    configurations = data.get("configurations")
    streams = configurations.get("streams") if isinstance(configurations, Mapping) else None
    return Connection(
        id=_id(data, "connectionId", "a connection"),
        name=_text(data.get("name")),
        workspace_id=_text(data.get("workspaceId")),
        source_id=_text(data.get("sourceId")),
        destination_id=_text(data.get("destinationId")),
        status=_text(data.get("status")) or "active",
        streams=tuple(_stream(item) for item in _list(streams) if isinstance(item, Mapping)),
        namespace_definition=_text(data.get("namespaceDefinition")) or "destination",
        namespace_format=_text(data.get("namespaceFormat")) or None,
        prefix=_text(data.get("prefix")),
        schedule=_schedule(data.get("schedule")),
        raw=data,
    )


def parse_available_streams(data: Any) -> list[AvailableStream]:
    """Read the answer of ``GET /streams``: a bare array."""
    if isinstance(data, Mapping):
        data = data.get("data", data.get("streams"))
    if not isinstance(data, list):
        raise UnexpectedAnswer(f"Airbyte answered with {_kind(data)} where a list of streams was expected.")
    return [_available_stream(_mapping(item, "a stream")) for item in data]


def parse_job(data: Any) -> Job:
    """Read a job. An unknown status is kept: it is for the caller to treat it as active."""
    data = _mapping(data, "a job")
    job_id = _integer(data.get("jobId"))
    if job_id is None:
        raise UnexpectedAnswer("Airbyte answered with a job that has no jobId.")
    start_time = parse_time(data.get("startTime"))
    if start_time is None:
        raise UnexpectedAnswer(f"Airbyte answered with a job ({job_id}) whose startTime is missing or not a time.")
    return Job(
        id=job_id,
        connection_id=_text(data.get("connectionId")),
        job_type=_text(data.get("jobType")),
        status=_text(data.get("status")),
        start_time=start_time,
        last_updated=parse_time(data.get("lastUpdatedAt")),
        duration=parse_duration(data.get("duration")),
        rows=_integer(data.get("rowsSynced")),
        bytes=_integer(data.get("bytesSynced")),
    )


def parse_stream_stats(data: Any) -> tuple[StreamStats, ...] | None:
    """Read ``job.streamAggregatedStats`` of the configuration API; ``None`` if the answer has none."""
    job = data.get("job") if isinstance(data, Mapping) else None
    stats = job.get("streamAggregatedStats") if isinstance(job, Mapping) else None
    if not isinstance(stats, list):
        return None
    return tuple(
        StreamStats(
            name=_text(item.get("streamName")),
            namespace=_text(item.get("streamNamespace")) or None,
            rows=_integer(item.get("recordsCommitted")),
            bytes=_integer(item.get("bytesCommitted")),
        )
        for item in stats
        if isinstance(item, Mapping) and item.get("streamName")
    )


def parse_reset_streams(data: Any) -> frozenset[StreamKey] | None:
    """Read ``job.resetConfig.streamsToReset`` of the configuration API; ``None`` if the answer has none."""
    job = data.get("job") if isinstance(data, Mapping) else None
    config = job.get("resetConfig") if isinstance(job, Mapping) else None
    streams = config.get("streamsToReset") if isinstance(config, Mapping) else None
    if not isinstance(streams, list):
        return None
    return frozenset(
        StreamKey(_text(item.get("namespace")) or None, _text(item.get("name")))
        for item in streams
        if isinstance(item, Mapping)
    )


def parse_failure(data: Any) -> Failure | None:
    """Read why a job's last failed attempt failed; ``None`` if no attempt says."""
    attempts = [
        item["attempt"]
        for item in _list(data.get("attempts") if isinstance(data, Mapping) else None)
        if isinstance(item, Mapping) and isinstance(item.get("attempt"), Mapping)
    ]
    for attempt in reversed(attempts):
        summary = attempt.get("failureSummary")
        failures = _list(summary.get("failures")) if isinstance(summary, Mapping) else []
        for failure in failures:
            if not isinstance(failure, Mapping):
                continue
            message = _text(failure.get("externalMessage")) or _text(failure.get("internalMessage"))
            if message:
                return Failure(
                    origin=_text(failure.get("failureOrigin")) or "unknown",
                    message=" ".join(message.split()),
                    attempts=len(attempts),
                    type=_text(failure.get("failureType")) or None,
                )
    return None


def _stream(data: Mapping[str, Any]) -> Stream:
    return Stream(
        name=_text(data.get("name")),
        namespace=_text(data.get("namespace")) or None,
        sync_mode=_text(data.get("syncMode")) or DEFAULT_SYNC_MODE,
        cursor_field=_path(data.get("cursorField")),
        primary_key=_paths(data.get("primaryKey")),
        selected_fields=tuple(
            name for name in (_field_name(item) for item in _list(data.get("selectedFields"))) if name
        ),
        raw=data,
    )


def _available_stream(data: Mapping[str, Any]) -> AvailableStream:
    return AvailableStream(
        name=_id(data, "streamName", "a stream"),
        # The server writes `streamnamespace`; the other spelling is there for servers that mend it.
        namespace=_text(data.get("streamnamespace")) or _text(data.get("streamNamespace")) or None,
        sync_modes=tuple(_text(mode) for mode in _list(data.get("syncModes"))),
        source_defined_cursor=bool(data.get("sourceDefinedCursorField")),
        primary_key=_paths(data.get("sourceDefinedPrimaryKey")),
        property_fields=_paths(data.get("propertyFields")),
    )


def _schedule(data: Any) -> str | None:
    if not isinstance(data, Mapping) or data.get("scheduleType") == "manual":
        return None
    cron = _text(data.get("cronExpression")).strip()
    # The server appends its zone to the expression, which is always UTC.
    return cron.removesuffix("UTC").strip() or _text(data.get("basicTiming")) or None


def _field_name(data: Any) -> str:
    if isinstance(data, Mapping):
        return next(iter(_path(data.get("fieldPath"))), "")
    return _text(data)


def _paths(data: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(path for path in (_path(item) for item in _list(data)) if path)


def _path(data: Any) -> tuple[str, ...]:
    if isinstance(data, str):
        return (data,) if data else ()
    return tuple(_text(part) for part in _list(data))


def _list(data: Any) -> Sequence[Any]:
    return data if isinstance(data, list) else []


def _mapping(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise UnexpectedAnswer(f"Airbyte answered with {_kind(data)} where {what} was expected.")
    return data


def _id(data: Mapping[str, Any], key: str, what: str) -> str:
    value = _text(data.get(key))
    if not value:
        raise UnexpectedAnswer(f"Airbyte answered with {what} that has no {key}.")
    return value


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _kind(data: Any) -> str:
    names = {
        list: "a list",
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "nothing",
    }
    return names.get(type(data), "something else")
