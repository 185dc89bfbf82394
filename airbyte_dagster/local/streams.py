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


def select(
    discovered: Sequence[Json], wanted: Sequence[Mapping[str, Any]], default: Sequence[Json] = ()
) -> tuple[list[Json], list[Json]]:
    """Check what a connection asks for and fill in the defaults.

    Args:
        discovered: The source's streams.
        wanted: The request's ``configurations.streams``. Empty means the default.
        default: Streams to take if none is named, in ``full_refresh_overwrite``.

    Returns:
        The streams as the connection's answers show them, and the discovered stream of each.

    Raises:
        ApiError: 400 that names the stream and says what would be valid.
    """
    if not wanted:
        return [_shown(stream, DEFAULT_MODE, {}) for stream in default], list(default)
    shown: list[Json] = []
    catalog: list[Json] = []
    for entry in wanted:
        stream = _find(discovered, entry)
        if any(stream is other for other in catalog):
            raise problems.bad_request(
                f"Duplicate stream found in configuration for stream name [{entry['name']}] "
                f"in namespace [{_null(entry.get('namespace'))}]."
            )
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
    # The second sentence is ours: Airbyte's sends its reader to the documentation instead.
    there = sorted(
        {f"{one['name']} in {one['namespace']}" if one.get("namespace") else one["name"] for one in discovered}
    )
    raise problems.bad_request(
        f"No streams found with name [{name}] and namespace [{_null(namespace)}]. The streams are: {_java(there)}."
    )


def _checked(stream: Json, entry: Mapping[str, Any]) -> Json:
    name, mode = stream["name"], entry.get("syncMode") or DEFAULT_MODE
    selected = _selected(stream, entry, mode)
    # Airbyte lets the default pass whatever the stream supports.
    if mode != DEFAULT_MODE and mode not in offered_modes(stream):
        raise problems.bad_request(
            f"Cannot set sync mode to {mode} for stream {name}. Valid sync modes are: {_java(offered_modes(stream))}"
        )
    settings: Json = {
        "cursorField": _cursor(stream, entry, mode),
        "primaryKey": _primary_key(stream, entry, mode),
        "selectedFields": selected,
    }
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


def _effective_cursor(stream: Json, entry: Mapping[str, Any]) -> list[str]:
    default = list(stream.get("default_cursor_field") or [])
    return default if stream.get("source_defined_cursor") else list(entry.get("cursorField") or []) or default


def _effective_key(stream: Json, entry: Mapping[str, Any]) -> list[list[str]]:
    return [list(path) for path in stream.get("source_defined_primary_key") or entry.get("primaryKey") or []]


def _cursor(stream: Json, entry: Mapping[str, Any], mode: str) -> list[str]:
    """The cursor of an incremental mode, checked; for the others what the source says, whatever was asked."""
    name, asked = stream["name"], list(entry.get("cursorField") or [])
    default = list(stream.get("default_cursor_field") or [])
    if mode not in INCREMENTAL:
        return default
    if stream.get("source_defined_cursor"):
        if asked and set(asked) != set(default):
            raise problems.bad_request(
                f"Cursor Field {_java(asked)} is already defined by source for stream: {name}. "
                "Do not include a cursor field configuration for this stream."
            )
    elif asked:
        valid = list(_fields(stream.get("json_schema") or {}, []))
        if valid and asked not in valid:
            raise problems.bad_request(
                f"Invalid cursor field for stream: {name}. The list of valid cursor fields include: {_java(valid)}."
            )
    elif not default:
        raise problems.bad_request(
            f"No default cursor field for stream: {name}. Please include a cursor field configuration for this stream."
        )
    return _effective_cursor(stream, entry)


def _primary_key(stream: Json, entry: Mapping[str, Any], mode: str) -> list[list[str]]:
    """The key of a mode that has one, checked; for the others what the source says, if anything."""
    name, asked = stream["name"], [list(path) for path in entry.get("primaryKey") or []]
    defined = stream.get("source_defined_primary_key") or []
    if mode not in NEEDS_KEY:
        return _effective_key(stream, entry) if mode == "incremental_append" else defined
    if defined and asked and asked != defined:
        raise problems.bad_request(
            f"Primary key for stream: {name} is already pre-defined. "
            f"Please remove the primaryKey or provide the value as {_java(defined)}."
        )
    if not defined and not asked:
        raise problems.bad_request(
            f"No default primary key for stream: {name}. Please include a primary key configuration for this stream."
        )
    valid = list(_fields(stream.get("json_schema") or {}, []))
    for path in asked:
        if valid and path not in valid:
            raise problems.bad_request(
                f"Invalid primary key for stream: {name}. The list of valid primary keys fields: {_java(valid)}."
            )
    if len({tuple(path) for path in asked}) != len(asked):
        raise problems.bad_request(
            f"Duplicate primary key detected for stream: {name}, "
            f"please don't provide the same column more than once. Key: {_java(asked)}"
        )
    return _effective_key(stream, entry)


def _selected(stream: Json, entry: Mapping[str, Any], mode: str) -> list[Json]:
    """The selected fields, checked. Left out means all; an empty list is refused, though answers show it for all."""
    name, asked = stream["name"], entry.get("selectedFields")
    if asked is None:
        return []
    known = list((stream.get("json_schema") or {}).get("properties") or {})
    valid = f"The list of valid field names includes: {_java(known)}."
    if not asked:
        raise problems.bad_request(f"No fields selected for stream {name}. {valid}")
    chosen: list[str] = []
    for item in asked:
        path = item.get("fieldPath") or []
        if not path:
            raise problems.bad_request(f"Selected field path cannot be empty for stream:  {name}.")
        if len(path) > 1:
            raise problems.bad_request(f"Nested field selection not supported for stream {name}.")
        chosen.append(path[0])
    if len(set(chosen)) != len(chosen):
        raise problems.bad_request(f"Duplicate fields selected in configuration for stream: {name}.")
    if known and not set(chosen) <= set(known):
        raise problems.bad_request(f"Invalid fields selected for stream {name}. {valid}")
    if mode in NEEDS_KEY and any(path and path[0] not in chosen for path in _effective_key(stream, entry)):
        raise problems.bad_request(
            f"Primary key fields are not selected properly for stream: {name}. "
            "Please include primary key(s) in the configuration for this stream."
        )
    cursor = _effective_cursor(stream, entry) if mode in INCREMENTAL else []
    if cursor and cursor[0] not in chosen:
        raise problems.bad_request(
            f"Cursor field is not selected properly for stream: {name}. "
            "Please include the cursor field in selected fields for this stream."
        )
    return [{"fieldPath": [field]} for field in chosen]


def _null(value: str | None) -> str:
    return "null" if value is None else value


def _java(values: Any) -> str:
    """A list, or a list of lists, as Java writes it: ``[[id], [name]]``."""
    return f"[{', '.join(map(_java, values))}]" if isinstance(values, list) else str(values)
