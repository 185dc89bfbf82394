"""What Airbyte has, as a declaration, and what no declaration can express."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import without_none
from airbyte_dagster.airbyte.records import ActorKind
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines import spec

_USUAL_MODE = spec.Stream.model_fields["sync_mode"].default
#: Modes that make no use of a primary key: of these, Airbyte shows the key that the source defines.
_MODES_WITHOUT_KEY = ("full_refresh_overwrite", "full_refresh_append")
#: Six fields, and a seventh for the year; not a time zone, which a declaration has no place for.
_QUARTZ_IN_UTC = re.compile(r"\S+(\s+\S+){5}(\s+[\d*,/-]+)?")


def actor_of(actors: Iterable[records.Actor], actor_id: str, kind: ActorKind) -> records.Actor:
    """Return the source or destination of a connection.

    Raises:
        ConfigurationError: It is not there: the lists were read one beside the other.
    """
    found = next((actor for actor in actors if actor.id == actor_id), None)
    if found is None:
        raise ConfigurationError(f"its {kind} {actor_id} is not among those that Airbyte lists")
    return found


def declared_actor(kind: ActorKind, actor: records.Actor) -> dict[str, Any]:
    """Return what declares a source or destination, its secrets masked.

    Raises:
        ConfigurationError: Its connector is not known.
    """
    if not actor.type and not actor.definition_id:
        raise ConfigurationError(f"Airbyte shows neither type nor definition of the {kind} {actor.name!r}")
    configuration = without_none(actor.configuration)
    if actor.type:
        return {"name": actor.name, "configuration": {f"{kind}Type": actor.type, **configuration}}
    return {"name": actor.name, "configuration": configuration, "definition_id": actor.definition_id}


def declared_streams(connection: records.Connection) -> tuple[list[Any], list[str]]:
    """Return the streams, and which of their settings are left out of them."""
    streams: list[Any] = []
    left: list[str] = []
    for stream in connection.streams:
        mode = stream.sync_mode or ""
        settings: dict[str, Any] = {"name": stream.name}
        if stream.namespace is not None:
            settings["namespace"] = stream.namespace
        if mode != _USUAL_MODE:
            settings["sync_mode"] = mode
        selected = list(stream.selected_fields)
        if _has_nested_selection(stream):
            left.append(f"the selected fields of stream {stream.name!r}: some are nested")
            selected = []
        if mode.startswith("incremental") and _are_selected([stream.cursor_field], selected):
            settings["cursor_field"] = _short(stream.cursor_field)
        if mode not in _MODES_WITHOUT_KEY and _are_selected(stream.primary_key, selected):
            parts = [_short(path) for path in stream.primary_key]
            settings["primary_key"] = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts
        if selected:
            settings["selected_fields"] = selected
        streams.append(settings if len(settings) > 1 else stream.name)
    return streams, left


def _are_selected(paths: Sequence[Sequence[str]], selected: Sequence[str]) -> bool:
    """Whether there are such paths, and all of them are in the fields that are declared, as they have to be."""
    return bool(paths) and all(path and (not selected or path[0] in selected) for path in paths)


def _short(path: Sequence[str]) -> str | list[str]:
    return path[0] if len(path) == 1 else list(path)


def _has_nested_selection(stream: records.Stream) -> bool:
    fields = stream.raw.get("selectedFields")
    paths = [item.get("fieldPath") for item in fields if isinstance(item, Mapping)] if isinstance(fields, list) else []
    return any(isinstance(path, list) and len(path) > 1 for path in paths)


def connection_settings(connection: records.Connection) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that are not Airbyte's defaults, and those that have to be left as they are."""
    settings: dict[str, Any] = {}
    left: list[str] = []
    if connection.namespace_definition != "destination":
        settings["namespace_definition"] = connection.namespace_definition
    if connection.namespace_definition == "custom_format":
        settings["namespace_format"] = connection.namespace_format
    if connection.prefix:
        settings["prefix"] = connection.prefix
    if connection.schedule is not None:
        is_cron = _QUARTZ_IN_UTC.fullmatch(connection.schedule)
        settings["schedule"] = connection.schedule if is_cron else None
        left += [] if is_cron else [f"its schedule, {connection.schedule!r}, which only Airbyte's own pages can set"]
    if connection.status != "active":
        settings["status"] = "inactive" if connection.status == "inactive" else None
        left += [] if connection.status == "inactive" else [f"its status, {connection.status!r}"]
    return settings, left


def settings_left(connection: records.Connection) -> list[str]:
    """Return the settings of a connection that a pipeline has no words for."""
    left: list[str] = []
    behaviour = connection.raw.get("nonBreakingSchemaUpdatesBehavior")
    if behaviour not in (None, "ignore"):
        left.append(f"what happens when the source's schema changes: {behaviour}")
    tags = connection.raw.get("tags")
    if isinstance(tags, list) and tags:
        left.append(f"its tags: {', '.join(str(tag.get('name')) for tag in tags if isinstance(tag, Mapping))}")
    for key, what in (("mappers", "mappers"), ("includeFiles", "files"), ("destinationObjectName", "objects")):
        names = [repr(stream.name) for stream in connection.streams if stream.raw.get(key)]
        if names:
            left.append(f"the {what} ({key}) of {', '.join(names)}")
    return left
