"""How what a source has differs from what a connection was made of, and the connection that follows. Pure functions.

Rules and words of airbyte-platform's ``CatalogDiffHelpers`` and ``ApplySchemaChangeHelper``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airbyte_dagster.local import streams
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import Connection
from airbyte_dagster.local.tableclaims import Key, keys_of

#: Keywords of a JSON schema that say nothing of the values.
_SILENT = frozenset({"properties", "items", "description", "title", "examples", "default", "$comment"})


@dataclass(frozen=True)
class StreamChange:
    """What became of one stream of a source.

    Attributes:
        kind: ``add_stream``, ``remove_stream`` or ``update_stream``.
        key: Its namespace and name.
        added: Paths of the fields that are new.
        removed: Paths of the fields that are gone.
        altered: Paths of the fields that have another type.
        primary_key: Whether the source defines another primary key.
        breaking: Whether the connection can't go on: a field is gone that is its cursor or in its primary key, or the
            source defines another primary key than the one that the rows are deduplicated by.
    """

    kind: str
    key: Key
    added: tuple[tuple[str, ...], ...] = ()
    removed: tuple[tuple[str, ...], ...] = ()
    altered: tuple[tuple[str, ...], ...] = ()
    primary_key: bool = False
    breaking: bool = False

    def __str__(self) -> str:
        namespace, name = self.key
        stream = f"'{namespace}.{name}'" if namespace else f"'{name}'"
        if self.kind != "update_stream":
            return f"{'Added new' if self.kind == 'add_stream' else 'Removed'} stream {stream}"
        parts = [
            f"{what} fields [{', '.join(repr('.'.join(path)) for path in paths)}]"
            for what, paths in (("Added", self.added), ("Removed", self.removed), ("Altered", self.altered))
            if paths
        ]
        return f"Modified stream {stream}: {', '.join([*parts, *['Changed primary key'] * self.primary_key])}"


def differences(connection: Connection, discovered: Sequence[Json]) -> list[StreamChange]:
    """What is different in a source since the streams of a connection were chosen.

    Args:
        connection: Streams that it leaves out count only as there or not.
        discovered: The streams that the source has now.
    """
    selected = keys_of(connection.catalog)
    now = dict(zip(keys_of(discovered), discovered, strict=True))
    known = {(key[0], key[1]) for key in connection.known} if connection.known is not None else now.keys()
    before = list(dict.fromkeys([*selected, *sorted(known, key=str)]))
    changes = [StreamChange("remove_stream", key) for key in before if key not in now]
    changes += [StreamChange("add_stream", key) for key in now if key not in before]
    for key, old, settings in zip(selected, connection.catalog, connection.streams, strict=True):
        if key in now:
            changes += _updated(key, old, now[key], settings)
    return changes


def drift_of(changes: Sequence[StreamChange]) -> Json | None:
    """What `Connection.drift` says of these changes; None if there are none."""
    if not changes:
        return None
    kind = "breaking" if any(change.breaking for change in changes) else "non_breaking"
    return {"change": kind, "words": [str(change) for change in changes]}


def schema_change(connection: Connection) -> str:
    """Whether a connection's source has changed, as far as it is known: Airbyte's ``schemaChange``."""
    return str(connection.drift["change"]) if connection.drift else "no_change"


def reviewed(discovered: Sequence[Json]) -> Json:
    """The columns of a connection whose streams were just chosen of these."""
    return {"known": [list(key) for key in keys_of(discovered)], "drift": None}


def can_break(connection: Connection) -> bool:
    """Whether any change of its source can be a breaking one for a connection."""
    return any(_cursor(settings) or _deduped(settings) for settings in connection.streams)


def propagated(connection: Connection, discovered: Sequence[Json], changes: Sequence[StreamChange]) -> Json:
    """The columns of a connection that follows its source.

    Args:
        connection: With ``propagate_columns`` its streams are changed, with ``propagate_fully`` streams come and go.
        discovered: The streams that the source has now.
        changes: How they differ; none of them breaking.
    """
    fully = connection.schema_updates == "propagate_fully"
    now = dict(zip(keys_of(discovered), discovered, strict=True))
    by_key = {change.key: change for change in changes}
    shown: list[Json] = []
    catalog: list[Json] = []
    for key, settings, old in zip(keys_of(connection.catalog), connection.streams, connection.catalog, strict=True):
        change = by_key.get(key)
        if change and change.kind == "remove_stream" and fully:
            continue
        updated = change is not None and change.kind == "update_stream"
        shown.append(_with_new_fields(settings, change) if change and updated else settings)
        catalog.append(now[key] if updated else old)
    for change in changes if fully else ():
        if change.kind == "add_stream":
            settings, _ = streams.select([now[change.key]], [_by_default(now[change.key])])
            shown += settings
            catalog.append(now[change.key])
    # A stream that is gone and stays selected makes every sync fail, so it is said as long as that is so.
    left = [change for change in changes if change.kind == "remove_stream" and change.key in keys_of(catalog)]
    return {**reviewed(discovered), "streams": shown, "catalog": catalog, "drift": drift_of(left)}


def _updated(key: Key, old: Json, new: Json, settings: Mapping[str, Any]) -> list[StreamChange]:
    before, after = (dict(_fields(stream.get("json_schema") or {}, ())) for stream in (old, new))
    if not after:  # a source that goes by its data, and has none just now, does not know its fields
        after = before
    removed = tuple(path for path in before if path not in after)
    old_key, new_key = (stream.get("source_defined_primary_key") or [] for stream in (old, new))
    vital = {_cursor(settings), *(_paths(settings["primaryKey"]) if _deduped(settings) else ())}
    change = StreamChange(
        "update_stream",
        key,
        added=tuple(path for path in after if path not in before),
        removed=removed,
        altered=tuple(path for path in before if path in after and before[path] != after[path]),
        primary_key=old_key != new_key,
        breaking=bool(vital.intersection(removed))
        or (
            old_key != new_key
            and bool(new_key)
            and _deduped(settings)
            and _paths(settings["primaryKey"]) != _paths(new_key)
        ),
    )
    return [change] if change.added or change.removed or change.altered or change.primary_key else []


def _fields(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every field, within others too, with what its schema says of its own values; not into alternatives."""
    if not isinstance(schema, dict) or "oneOf" in schema or "anyOf" in schema:
        return
    children = [((*path, name), child) for name, child in (schema.get("properties") or {}).items()]
    if isinstance(schema.get("items"), dict):
        children.append(((*path, "items"), schema["items"]))
    for where, child in children:
        own = {word: value for word, value in child.items() if word not in _SILENT} if isinstance(child, dict) else {}
        yield where, own
        yield from _fields(child, where)


def _with_new_fields(settings: Json, change: StreamChange) -> Json:
    """Where only some fields are selected, the new ones are, too."""
    fields = settings.get("selectedFields") or []
    if not fields:
        return settings
    there = [field["fieldPath"] for field in fields]
    new = [{"fieldPath": list(path)} for path in change.added if len(path) == 1 and list(path) not in there]
    return {**settings, "selectedFields": [*fields, *new]}


def _by_default(stream: Json) -> Json:
    """The settings of a stream that is added by itself (``configureDefaultSyncModesForNewStream``)."""
    mode = streams.DEFAULT_MODE
    if stream.get("source_defined_cursor") and stream.get("default_cursor_field"):
        if stream.get("source_defined_primary_key"):
            mode = "incremental_deduped_history"
        elif "full_refresh" not in (stream.get("supported_sync_modes") or ["full_refresh"]):
            mode = "incremental_append"
    entry = {"name": stream["name"], "namespace": stream.get("namespace")}
    return {**entry, "syncMode": mode if mode in streams.offered_modes(stream) else streams.DEFAULT_MODE}


def _cursor(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The cursor that a stream is read by, empty for none."""
    return tuple(settings["cursorField"]) if settings["syncMode"] in streams.INCREMENTAL else ()


def _deduped(settings: Mapping[str, Any]) -> bool:
    return settings["syncMode"] in streams.NEEDS_KEY


def _paths(key: Sequence[Sequence[str]]) -> set[tuple[str, ...]]:
    return {tuple(path) for path in key}
