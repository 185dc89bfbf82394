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
    Job,
    Permission,
    Source,
    Stream,
    Workspace,
)
from airbyte_dagster.airbyte.times import parse_duration, parse_time
from airbyte_dagster.errors import UnexpectedAnswer


def parse_workspace(data: Any) -> Workspace:
    """Read a workspace."""
    data = _mapping(data, "a workspace")
    return Workspace(id=_id(data, "workspaceId", "a workspace"), name=text_of(data.get("name")), raw=data)


def parse_permissions(data: Any) -> list[Permission]:
    """Read the answer of ``GET /permissions``: one page that has all."""
    found = list_of(_mapping(data, "a list of permissions").get("data"))
    return [
        Permission(
            role=text_of(item.get("permissionType")),
            scope=text_of(item.get("scope")),
            scope_id=text_of(item.get("scopeId")),
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
        name=text_of(data.get("name")),
        workspace_id=text_of(data.get("workspaceId")),
        type=text_of(data.get(type_key)) or text_of(type_inside),
        definition_id=text_of(data.get("definitionId")) or None,
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
        name=text_of(data.get("name")),
        workspace_id=text_of(data.get("workspaceId")),
        source_id=text_of(data.get("sourceId")),
        destination_id=text_of(data.get("destinationId")),
        status=text_of(data.get("status")) or "active",
        streams=tuple(_stream(item) for item in list_of(streams) if isinstance(item, Mapping)),
        namespace_definition=text_of(data.get("namespaceDefinition")) or "destination",
        namespace_format=text_of(data.get("namespaceFormat")) or None,
        prefix=text_of(data.get("prefix")),
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
    job_id = integer_of(data.get("jobId"))
    if job_id is None:
        raise UnexpectedAnswer("Airbyte answered with a job that has no jobId.")
    start_time = parse_time(data.get("startTime"))
    if start_time is None:
        raise UnexpectedAnswer(f"Airbyte answered with a job ({job_id}) whose startTime is missing or not a time.")
    return Job(
        id=job_id,
        connection_id=text_of(data.get("connectionId")),
        job_type=text_of(data.get("jobType")),
        status=text_of(data.get("status")),
        start_time=start_time,
        last_updated=parse_time(data.get("lastUpdatedAt")),
        duration=parse_duration(data.get("duration")),
        rows=integer_of(data.get("rowsSynced")),
        bytes=integer_of(data.get("bytesSynced")),
    )


def _stream(data: Mapping[str, Any]) -> Stream:
    return Stream(
        name=text_of(data.get("name")),
        namespace=text_of(data.get("namespace")) or None,
        sync_mode=text_of(data.get("syncMode")) or DEFAULT_SYNC_MODE,
        cursor_field=_path(data.get("cursorField")),
        primary_key=_paths(data.get("primaryKey")),
        selected_fields=tuple(
            name for name in (_field_name(item) for item in list_of(data.get("selectedFields"))) if name
        ),
        raw=data,
    )


def _available_stream(data: Mapping[str, Any]) -> AvailableStream:
    return AvailableStream(
        name=_id(data, "streamName", "a stream"),
        # The server writes `streamnamespace`; the other spelling is there for servers that mend it.
        namespace=text_of(data.get("streamnamespace")) or text_of(data.get("streamNamespace")) or None,
        sync_modes=tuple(text_of(mode) for mode in list_of(data.get("syncModes"))),
        source_defined_cursor=bool(data.get("sourceDefinedCursorField")),
        primary_key=_paths(data.get("sourceDefinedPrimaryKey")),
        property_fields=_paths(data.get("propertyFields")),
    )


def _schedule(data: Any) -> str | None:
    if not isinstance(data, Mapping) or data.get("scheduleType") == "manual":
        return None
    cron = text_of(data.get("cronExpression")).strip()
    # The server appends its zone to the expression, which is always UTC.
    return cron.removesuffix("UTC").strip() or text_of(data.get("basicTiming")) or None


def _field_name(data: Any) -> str:
    if isinstance(data, Mapping):
        return next(iter(_path(data.get("fieldPath"))), "")
    return text_of(data)


def _paths(data: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(path for path in (_path(item) for item in list_of(data)) if path)


def _path(data: Any) -> tuple[str, ...]:
    if isinstance(data, str):
        return (data,) if data else ()
    return tuple(text_of(part) for part in list_of(data))


def list_of(data: Any) -> Sequence[Any]:
    """Return a list; nothing for anything else."""
    return data if isinstance(data, list) else []


def _mapping(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise UnexpectedAnswer(f"Airbyte answered with {_kind(data)} where {what} was expected.")
    return data


def _id(data: Mapping[str, Any], key: str, what: str) -> str:
    value = text_of(data.get(key))
    if not value:
        raise UnexpectedAnswer(f"Airbyte answered with {what} that has no {key}.")
    return value


def integer_of(value: Any) -> int | None:
    """Return an integer; ``None`` for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def text_of(value: Any) -> str:
    """Return a text; ``""`` for nothing."""
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
