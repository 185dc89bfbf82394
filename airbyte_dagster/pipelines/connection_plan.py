"""How a declared connection is said to Airbyte, and how it differs from the one that is there. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airbyte_dagster.airbyte import records
from airbyte_dagster.declaration import did_you_mean
from airbyte_dagster.errors import SpecError
from airbyte_dagster.pipelines import spec

#: What a stream has in Airbyte and keeps, unless it is declared, when the whole set is replaced.
_KEPT = (
    *("namespace", "cursorField", "primaryKey", "selectedFields"),
    *("mappers", "includeFiles", "destinationObjectName"),
)


def resolve_streams(declared: spec.Connection, available: Sequence[records.AvailableStream]) -> tuple[spec.Stream, ...]:
    """Return the streams to configure: the declared ones, checked, or all that the source offers.

    Streams are always named to Airbyte: left out, a real server may select none (``AirbyteCatalogHelper.kt``).

    Raises:
        SpecError: The source does not have a declared stream, has it in several namespaces of which none is declared,
            or the stream has not a declared sync mode or field.
    """
    if declared.streams is None:
        if not available:
            raise SpecError(f"The source of connection {declared.name!r} offers no streams.")
        return tuple(spec.Stream(name=stream.name, namespace=stream.namespace) for stream in available)
    problems = []
    for index, stream in enumerate(declared.streams):
        path = f"connection.streams.{index}"
        same = [item for item in available if item.name == stream.name and stream.namespace in (None, item.namespace)]
        if not same:
            names = sorted({item.name for item in available})
            problems.append(
                f"{path}.name: the source has no stream {stream.name!r}; "
                f"{did_you_mean(stream.name, names)}accepted: {', '.join(names)}"
            )
            continue
        if len(same) > 1:
            namespaces = sorted(str(item.namespace) for item in same)
            problems.append(
                f"{path}.namespace: the source has {stream.name!r} in several namespaces; "
                f"accepted: {', '.join(namespaces)}"
            )
            continue
        problems += _stream_problems(path, stream, same[0])
    if problems:
        raise SpecError(
            f"The streams of connection {declared.name!r} do not fit its source; the connection was not made:",
            problems=tuple(problems),
        )
    return declared.streams


def with_refreshed_streams(
    declared: spec.Connection, existing: records.Connection, available: Sequence[records.AvailableStream]
) -> spec.Connection:
    """Return the declaration with the streams that the source offers now.

    Declared streams are checked and stay as they are. Where none are named, streams that are new are added and those
    that are gone left out; the others keep their sync mode.

    Raises:
        SpecError: See `resolve_streams`.
    """
    streams = resolve_streams(declared, available)
    if declared.streams is None:
        modes = {(stream.namespace, stream.name): stream.sync_mode for stream in existing.streams}
        streams = tuple(
            stream.model_copy(update={"sync_mode": modes.get((stream.namespace, stream.name)) or stream.sync_mode})
            for stream in streams
        )
    return declared.model_copy(update={"streams": streams})


def _stream_problems(path: str, stream: spec.Stream, available: records.AvailableStream) -> list[str]:
    problems = []
    # The list never has this mode, although connections accept it (``StreamsController.kt``).
    modes = {*available.sync_modes, "full_refresh_overwrite_deduped"}
    if available.sync_modes and stream.sync_mode not in modes:
        problems.append(
            f"{path}.sync_mode: {stream.name!r} has no {stream.sync_mode!r}; accepted: {', '.join(sorted(modes))}"
        )
    fields = {field[0] for field in available.property_fields if field}
    unknown = sorted(set(stream.selected_fields) - fields) if fields else []
    if unknown:
        problems.append(
            f"{path}.selected_fields: {stream.name!r} has no {', '.join(unknown)}; "
            f"accepted: {', '.join(sorted(fields))}"
        )
    return problems


def connection_payload(declared: spec.Connection, streams: Sequence[spec.Stream]) -> dict[str, Any]:
    """Return the body of ``POST /connections``, without the ids of source and destination."""
    payload = {
        "name": declared.name,
        "status": declared.status or "active",
        "schedule": _schedule(declared),
        "namespaceDefinition": declared.namespace_definition,
        "prefix": declared.prefix,
        "configurations": {"streams": [_stream_payload(stream, {}) for stream in streams]},
    }
    if declared.namespace_format is not None:
        payload["namespaceFormat"] = declared.namespace_format
    return payload


def connection_changes(
    declared: spec.Connection, existing: records.Connection
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return what differs, by Airbyte's names, and the body of the PATCH that mends it; both empty if nothing does.

    What a declaration leaves open (a stream's cursor, key, fields; mappers; all streams) is kept as it is. The order
    of streams never matters.
    """
    changes: list[str] = []
    payload: dict[str, Any] = {}
    if declared.status is not None and declared.status != existing.status:
        changes.append("status")
        payload["status"] = declared.status
    if declared.namespace_definition != existing.namespace_definition or (
        declared.namespace_format is not None and declared.namespace_format != existing.namespace_format
    ):
        changes.append("namespaceDefinition")
        payload["namespaceDefinition"] = declared.namespace_definition
        if declared.namespace_format is not None:
            payload["namespaceFormat"] = declared.namespace_format
    if declared.prefix != existing.prefix:
        changes.append("prefix")
        payload["prefix"] = declared.prefix
    if declared.schedule is not None and _normal_cron(declared.schedule) != _normal_cron(existing.schedule or "manual"):
        changes.append("schedule")
        payload["schedule"] = _schedule(declared)
    if declared.streams is not None:
        stream_changes, streams = _stream_changes(declared.streams, existing.streams)
        if stream_changes:
            changes += stream_changes
            payload["configurations"] = {"streams": streams}
    return tuple(changes), payload


def _stream_changes(
    declared: Sequence[spec.Stream], existing: Sequence[records.Stream]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Airbyte replaces the whole set, so the body repeats the streams that do not change, as they are."""
    changes: list[str] = []
    body: list[dict[str, Any]] = []
    left = list(existing)
    for stream in declared:
        same = next(
            (item for item in left if item.name == stream.name and stream.namespace in (None, item.namespace)), None
        )
        if same is None:
            changes.append(f"streams.{stream.name} added")
            body.append(_stream_payload(stream, {}))
            continue
        left.remove(same)
        changes += [f"streams.{stream.name}.{part}" for part in _stream_differences(stream, same)]
        body.append(_stream_payload(stream, same.raw))
    changes += [f"streams.{stream.name} removed" for stream in left]
    return changes, body


def without_source_defined(
    declared: spec.Connection, payload: Mapping[str, Any], available: Sequence[records.AvailableStream]
) -> list[dict[str, Any]]:
    """Return the streams of a PATCH without the keys and cursors that the source defines, unless they are declared.

    Airbyte shows them as if somebody had set them, and some servers refuse to have them sent back. What somebody has
    set in Airbyte is sent, since it would be lost.

    Args:
        declared: What the PATCH was made of by `connection_changes`.
        payload: The PATCH.
        available: What the source offers.
    """
    offered = {stream.key: stream for stream in available}
    result = []
    for stream, sent in zip(declared.streams or (), payload["configurations"]["streams"], strict=True):
        defined = records.of_stream(records.StreamKey(sent.get("namespace"), stream.name), offered)
        left_out = set()
        if defined and defined.source_defined_cursor and not stream.cursor_field:
            left_out.add("cursorField")
        if defined and defined.primary_key and not stream.primary_key:
            left_out.add("primaryKey")
        result.append({key: value for key, value in sent.items() if key not in left_out})
    return result


def _stream_differences(declared: spec.Stream, existing: records.Stream) -> list[str]:
    different = []
    if existing.sync_mode != declared.sync_mode:
        different.append("syncMode")
    if declared.cursor_field and declared.cursor_field != existing.cursor_field:
        different.append("cursorField")
    if declared.primary_key and declared.primary_key != existing.primary_key:
        different.append("primaryKey")
    if declared.selected_fields and set(declared.selected_fields) != set(existing.selected_fields):
        different.append("selectedFields")
    return different


def _stream_payload(stream: spec.Stream, existing: Any) -> dict[str, Any]:
    payload = {key: existing[key] for key in _KEPT if existing.get(key)}
    payload |= {"name": stream.name, "syncMode": stream.sync_mode}
    if stream.namespace is not None:
        payload["namespace"] = stream.namespace
    if stream.cursor_field:
        payload["cursorField"] = list(stream.cursor_field)
    if stream.primary_key:
        payload["primaryKey"] = [list(path) for path in stream.primary_key]
    if stream.selected_fields:
        payload["selectedFields"] = [{"fieldPath": [name]} for name in stream.selected_fields]
    return payload


def _schedule(declared: spec.Connection) -> dict[str, str]:
    if declared.schedule in (None, "manual"):
        return {"scheduleType": "manual"}
    return {"scheduleType": "cron", "cronExpression": declared.schedule}


def _normal_cron(schedule: str) -> str:
    """Airbyte adds the zone, always UTC, to what it shows (``ConnectionReadMapper.kt``)."""
    return " ".join(schedule.removesuffix("UTC").split())
