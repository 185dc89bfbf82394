"""Streams: how a discovered one looks in the API, and which settings of it a connection may have.

The rules and the wording follow airbyte-platform's ``AirbyteCatalogHelper``; every refusal is a 400.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airbyte_dagster.local import problems
from airbyte_dagster.local.engine import Json

FULL_REFRESH = ("full_refresh_overwrite", "full_refresh_append", "full_refresh_overwrite_deduped")
INCREMENTAL = ("incremental_append", "incremental_deduped_history")
NEEDS_KEY = ("full_refresh_overwrite_deduped", "incremental_deduped_history")
DEFAULT_MODE = "full_refresh_overwrite"


def offered_modes(stream: Json) -> list[str]:
    """The sync modes that a stream can be given here."""
    supported = stream.get("supported_sync_modes") or ["full_refresh"]
    modes: list[str] = []
    if "full_refresh" in supported:
        modes += FULL_REFRESH
    if "incremental" in supported:
        modes += INCREMENTAL
    return modes


def view(stream: Json, *, with_modes: bool) -> Json:
    """A discovered stream as ``GET /streams`` shows it.

    Airbyte leaves ``syncModes`` out when no destination is named, and never lists ``full_refresh_overwrite_deduped``
    though connections accept it.
    """
    shown: Json = {"streamName": stream["name"]}
    if stream.get("namespace"):
        shown["streamnamespace"] = stream["namespace"]
    if with_modes:
        shown["syncModes"] = [mode for mode in offered_modes(stream) if mode != "full_refresh_overwrite_deduped"]
    shown["defaultCursorField"] = stream.get("default_cursor_field") or []
    shown["sourceDefinedCursorField"] = bool(stream.get("source_defined_cursor"))
    shown["sourceDefinedPrimaryKey"] = stream.get("source_defined_primary_key") or []
    shown["propertyFields"] = list(_fields(stream.get("json_schema") or {}, []))
    return shown


def _fields(schema: Json, path: list[str]) -> Iterator[list[str]]:
    for name, child in (schema.get("properties") or {}).items():
        yield [*path, name]
        if isinstance(child, dict):
            yield from _fields(child, [*path, name])


def select(discovered: Sequence[Json], wanted: Sequence[Mapping[str, Any]]) -> tuple[list[Json], list[Json]]:
    """Check what a connection asks for and fill in the defaults.

    Args:
        discovered: The source's streams.
        wanted: The request's ``configurations.streams``. Empty means what Airbyte then takes: the streams that the
            source suggests, or its only stream, in ``full_refresh_overwrite``.

    Returns:
        The streams as the connection's answers show them, and the discovered stream of each.

    Raises:
        ApiError: 400 that names the stream and says what would be valid.
    """
    if not wanted:
        chosen = [stream for stream in discovered if stream.get("suggested")] or (
            list(discovered) if len(discovered) == 1 else []
        )
        return [_shown(stream, DEFAULT_MODE, {}) for stream in chosen], chosen
    shown: list[Json] = []
    catalog: list[Json] = []
    for entry in wanted:
        stream = _find(discovered, entry)
        if any(stream is other for other in catalog):
            raise problems.bad_request(f"Duplicate stream found in configuration for: {entry['name']}.")
        shown.append(_checked(stream, entry))
        catalog.append(stream)
    return shown, catalog


def _find(discovered: Sequence[Json], entry: Mapping[str, Any]) -> Json:
    name, namespace = entry["name"], entry.get("namespace")
    named = [stream for stream in discovered if stream["name"] == name]
    if len(named) == 1:  # a sole match by name is taken whatever the namespace, as Airbyte does
        return named[0]
    for stream in named:
        if (stream.get("namespace") or None) == (namespace or None):
            return stream
    names = sorted({str(stream["name"]) for stream in discovered})
    raise problems.bad_request(f"Invalid stream found: {name}. The list of valid streams include: {names}.")


def _checked(stream: Json, entry: Mapping[str, Any]) -> Json:
    name = stream["name"]
    mode = entry.get("syncMode") or DEFAULT_MODE
    if entry.get("syncMode") and mode not in offered_modes(stream):
        raise problems.bad_request(
            f"Cannot set sync mode to {mode} for stream {name}. Valid sync modes are: {offered_modes(stream)}"
        )
    fields = [tuple(path) for path in _fields(stream.get("json_schema") or {}, [])]
    settings: Json = {
        "cursorField": _cursor(stream, entry, mode, fields),
        "primaryKey": _primary_key(stream, entry, mode, fields),
        "selectedFields": _selected(stream, entry),
    }
    chosen = {item["fieldPath"][0] for item in settings["selectedFields"]}
    if chosen:
        for key in settings["primaryKey"] if mode in NEEDS_KEY else []:
            if key[0] not in chosen:
                raise problems.bad_request(
                    f"Primary key field {key} cannot be removed from the selected fields of stream {name}."
                )
        if mode in INCREMENTAL and settings["cursorField"] and settings["cursorField"][0] not in chosen:
            raise problems.bad_request(
                f"Cursor field {settings['cursorField']} must be a selected field of stream {name}."
            )
    return _shown(stream, mode, {**settings, "mappers": entry.get("mappers") or []})


def _shown(stream: Json, mode: str, settings: Json) -> Json:
    shown: Json = {"name": stream["name"]}
    if stream.get("namespace"):
        shown["namespace"] = stream["namespace"]
    shown["syncMode"] = mode
    shown["cursorField"] = settings.get("cursorField") or stream.get("default_cursor_field") or []
    shown["primaryKey"] = settings.get("primaryKey") or stream.get("source_defined_primary_key") or []
    shown["mappers"] = settings.get("mappers") or []
    shown["selectedFields"] = settings.get("selectedFields") or []
    return shown


def _cursor(stream: Json, entry: Mapping[str, Any], mode: str, fields: list[tuple[str, ...]]) -> list[str]:
    name, asked, default = (
        stream["name"],
        list(entry.get("cursorField") or []),
        stream.get("default_cursor_field") or [],
    )
    if mode not in INCREMENTAL:
        return asked
    if stream.get("source_defined_cursor"):
        if asked and asked != default:
            raise problems.bad_request(
                f"Cursor Field {asked} is already defined by source for stream: {name}. "
                "Do not include a cursor field configuration for this stream."
            )
        return list(default)
    cursor = asked or list(default)
    if not cursor:
        raise problems.bad_request(
            f"No default cursor field for stream: {name}. Please include a cursor field configuration for this stream."
        )
    if fields and tuple(cursor) not in fields:
        valid = sorted(path[0] for path in fields if len(path) == 1)
        raise problems.bad_request(
            f"Invalid cursor field for stream: {name}. The list of valid cursor fields include: {valid}."
        )
    return cursor


def _primary_key(stream: Json, entry: Mapping[str, Any], mode: str, fields: list[tuple[str, ...]]) -> list[list[str]]:
    name, asked = stream["name"], [list(path) for path in entry.get("primaryKey") or []]
    defined = stream.get("source_defined_primary_key") or []
    if mode not in NEEDS_KEY:
        return asked
    if defined:
        if asked and asked != defined:
            raise problems.bad_request(
                f"Primary key for stream: {name} is already pre-defined. "
                "Please do NOT include a primary key configuration for this stream."
            )
        return [list(path) for path in defined]
    if not asked:
        raise problems.bad_request(
            f"No default primary key for stream: {name}. Please include a primary key configuration for this stream."
        )
    if len({tuple(path) for path in asked}) != len(asked):
        raise problems.bad_request(
            f"Duplicate primary key detected for stream: {name}, please don't provide the same column more than once."
        )
    for path in asked:
        if fields and tuple(path) not in fields:
            valid = sorted(field[0] for field in fields if len(field) == 1)
            raise problems.bad_request(
                f"Invalid primary key for stream: {name}. The list of valid primary keys fields: {valid}."
            )
    return asked


def _selected(stream: Json, entry: Mapping[str, Any]) -> list[Json]:
    name, asked = stream["name"], entry.get("selectedFields") or []
    known = set((stream.get("json_schema") or {}).get("properties") or {})
    for item in asked:
        path = item.get("fieldPath") or []
        if not path:
            raise problems.bad_request(f"Selected field path cannot be empty for stream: {name}.")
        if len(path) > 1:
            raise problems.bad_request(f"Nested field selection not supported for stream {name}.")
        if known and path[0] not in known:
            raise problems.bad_request(
                f"Invalid fields selected for stream {name}: {path[0]}. The fields are: {sorted(known)}."
            )
    return [{"fieldPath": list(item["fieldPath"])} for item in asked]
