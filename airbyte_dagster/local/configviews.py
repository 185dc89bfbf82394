"""Connections, sources and destinations as the configuration API shows them, and its catalogs read back.

Its words differ from the public API's: a stream has a ``config`` with two sync modes where the public API has one.
Shapes as in airbyte-platform's OpenAPI; pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.alias_generators import to_camel, to_snake

from airbyte_dagster.local import problems
from airbyte_dagster.local.configschemas import CatalogEntry, SyncCatalog, WebConnectionUpdate
from airbyte_dagster.local.configuration import masked
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import ACTIVE, Actor, Connection, Job
from airbyte_dagster.local.schemachanges import schema_change

# The public API's mode, and the configuration API's source and destination modes for it.
_MODES = {
    "full_refresh_overwrite": ("full_refresh", "overwrite"),
    "full_refresh_append": ("full_refresh", "append"),
    "full_refresh_overwrite_deduped": ("full_refresh", "overwrite_dedup"),
    "incremental_append": ("incremental", "append"),
    "incremental_deduped_history": ("incremental", "append_dedup"),
}
_NAMESPACES = {"source": "source", "destination": "destination", "custom_format": "customformat"}
_CHANGES = {
    "ignore": "ignore",
    "disable_connection": "disable",
    "propagate_columns": "propagate_columns",
    "propagate_fully": "propagate_fully",
}


def catalog_of(connection: Connection, discovered: Sequence[Json] = ()) -> Json:
    """A connection's ``syncCatalog``.

    Args:
        connection: The connection.
        discovered: What its source has; streams that the connection leaves out are shown, too, as not selected.
    """
    shown = [
        _stream(stream, _config(settings))
        for settings, stream in zip(connection.streams, connection.catalog, strict=True)
    ]
    known = {(stream["name"], stream.get("namespace")) for stream in connection.catalog}
    others = [stream for stream in discovered if (stream["name"], stream.get("namespace")) not in known]
    return {"streams": [*shown, *(_stream(stream, {**suggestion(stream), "selected": False}) for stream in others)]}


def discovered_catalog(discovered: Sequence[Json], suggested: Sequence[Json]) -> Json:
    """What a source has, each stream with the settings that Airbyte proposes for it.

    Args:
        discovered: The streams.
        suggested: Those of them that a connection gets by default; they are shown as selected.
    """

    def config(stream: Json) -> Json:
        chosen = any(stream is other for other in suggested)
        return {**suggestion(stream), "selected": chosen, "suggested": chosen}

    return {"streams": [_stream(stream, config(stream)) for stream in discovered]}


def suggestion(stream: Json) -> Json:
    """The settings that are proposed for a stream: read all of it, and replace what is there."""
    return _config(
        {
            "name": stream["name"],
            "syncMode": "full_refresh_overwrite",
            "cursorField": stream.get("default_cursor_field") or [],
            "primaryKey": stream.get("source_defined_primary_key") or [],
        }
    )


def _config(settings: Mapping[str, Any]) -> Json:
    mode, destination_mode = _MODES[settings["syncMode"]]
    fields = settings.get("selectedFields") or []
    return {
        "syncMode": mode,
        "destinationSyncMode": destination_mode,
        "cursorField": settings["cursorField"],
        "primaryKey": settings["primaryKey"],
        "aliasName": settings["name"],
        "selected": True,
        "suggested": False,
        "fieldSelectionEnabled": bool(fields),
        "selectedFields": fields,
        "hashedFields": [],
        "mappers": settings.get("mappers") or [],
    }


def _stream(stream: Json, config: Json) -> Json:
    shown = {to_camel(key): value for key, value in stream.items() if value is not None and key != "suggested"}
    shown.setdefault("sourceDefinedCursor", False)
    for key in ("defaultCursorField", "sourceDefinedPrimaryKey"):
        shown.setdefault(key, [])
    return {"stream": shown, "config": config}


def read_catalog(catalog: SyncCatalog) -> tuple[list[Json], list[Json]]:
    """A ``syncCatalog`` that a client gives.

    Returns:
        The settings of the selected streams in the words of the public API, and the ``AirbyteStream`` object of each.

    Raises:
        ApiError: 400 for two modes that don't go together.
    """
    chosen = [entry for entry in catalog.streams if entry.config.selected]
    return [_settings(entry) for entry in chosen], [_protocol(entry) for entry in chosen]


def streams_of(catalog: SyncCatalog) -> list[Json]:
    """The ``AirbyteStream`` object of each stream of a ``syncCatalog``, selected or not."""
    return [_protocol(entry) for entry in catalog.streams]


def _protocol(entry: CatalogEntry) -> Json:
    given = entry.stream.model_dump(exclude_none=True)
    return {to_snake(key): value for key, value in given.items()}


def _settings(entry: CatalogEntry) -> Json:
    config = entry.config
    wanted = (config.sync_mode, config.destination_sync_mode)
    if wanted == ("full_refresh", "append_dedup"):  # the name it had before
        wanted = ("full_refresh", "overwrite_dedup")
    mode = {modes: name for name, modes in _MODES.items()}.get(wanted)
    if mode is None:
        raise problems.bad_request(f"Cannot set sync mode to {' and '.join(wanted)} for stream {entry.stream.name}.")
    fields = config.selected_fields if config.field_selection_enabled else None
    return {
        "name": entry.stream.name,
        "namespace": entry.stream.namespace,
        "syncMode": mode,
        "cursorField": config.cursor_field or None,
        "primaryKey": config.primary_key or None,
        "selectedFields": [field.model_dump(by_alias=True) for field in fields or []] or None,
        "mappers": config.mappers or [],
    }


def connection(record: Connection, catalog: Json) -> Json:
    """A connection, as ``connections/get`` shows it."""
    schedule = record.schedule
    shown = {
        "connectionId": record.id,
        "name": record.name,
        "namespaceDefinition": _NAMESPACES[record.namespace_definition],
        "namespaceFormat": record.namespace_format,
        "prefix": record.prefix,
        "sourceId": record.source_id,
        "destinationId": record.destination_id,
        "operationIds": [],
        "syncCatalog": catalog,
        "scheduleType": schedule["scheduleType"],
        "status": record.status,
        "breakingChange": schema_change(record) == "breaking",
        "notifySchemaChanges": False,
        "nonBreakingChangesPreference": _CHANGES[record.schema_updates],
        "createdAt": record.created_at,
        "workspaceId": record.workspace_id,
        "tags": record.tags,
    }
    if schedule["scheduleType"] == "cron":
        cron = schedule["cronExpression"].removesuffix(" UTC")
        shown["scheduleData"] = {"cron": {"cronExpression": cron, "cronTimeZone": "UTC"}}
    return {key: value for key, value in shown.items() if value is not None}


def web_connection(record: Connection, catalog: Json, source: Actor, destination: Actor, latest: Job | None) -> Json:
    """A connection with all that its page in Airbyte shows, as ``web_backend/connections/get`` does.

    Args:
        record: The connection.
        catalog: Its ``syncCatalog``.
        source: Its source.
        destination: Its destination.
        latest: Its newest sync, if there is one.
    """
    return {
        **connection(record, catalog),
        "source": actor(source),
        "destination": actor(destination),
        "operations": [],
        "schemaChange": schema_change(record),
        **_latest(latest),
    }


def _latest(job: Job | None) -> Json:
    """What is shown of a connection's newest sync."""
    if job is None:
        return {"isSyncing": False}
    return {
        "isSyncing": job.status in ACTIVE,
        "latestSyncJobCreatedAt": int(job.created_at),
        "latestSyncJobStatus": job.status,
    }


def list_item(record: Connection, source: Actor | None, destination: Actor | None, latest: Job | None) -> Json:
    """A connection in ``web_backend/connections/list``, without its catalog."""
    whole = connection(record, {})
    kept = ("connectionId", "name", "scheduleType", "scheduleData", "status", "tags")
    return {
        **{key: whole[key] for key in kept if key in whole},
        **{end.kind: _snippet(end) for end in (source, destination) if end is not None},
        **{f"{end.kind}ActorDefinitionVersion": _version(end) for end in (source, destination) if end is not None},
        "schemaChange": schema_change(record),
        "onDemandEnabled": False,
        **_latest(latest),
    }


def _snippet(record: Actor) -> Json:
    return {
        f"{record.kind}Id": record.id,
        "name": record.name,
        f"{record.kind}DefinitionId": record.definition_id,
        f"{record.kind}Name": record.type,
    }


def _version(record: Actor) -> Json:
    """What there is to say of a connector's version; the tag is not known here."""
    return {
        "dockerRepository": f"airbyte/{record.kind}-{record.type}",
        "dockerImageTag": "unknown",
        "supportsRefreshes": record.kind == "destination",
        "supportState": "supported",
        "isVersionOverrideApplied": False,
        "supportsFileTransfer": False,
        "supportsDataActivation": False,
    }


def actor(record: Actor) -> Json:
    """A source or destination, secrets masked."""
    return {
        f"{record.kind}Id": record.id,
        f"{record.kind}DefinitionId": record.definition_id,
        f"{record.kind}Name": record.type,
        "name": record.name,
        "workspaceId": record.workspace_id,
        "connectionConfiguration": masked(record.configuration, record.secret_paths),
        "createdAt": record.created_at,
    }


def internal_names(changes: WebConnectionUpdate) -> Json:
    """A connection's settings in the configuration API's words as the store's; only those that are given."""
    namespaces = {word: stored for stored, word in _NAMESPACES.items()}
    schema_updates = {word: stored for stored, word in _CHANGES.items()}
    found = {
        "name": changes.name,
        "prefix": changes.prefix,
        "status": changes.status,
        "namespace_definition": namespaces.get(changes.namespace_definition or ""),
        "namespace_format": changes.namespace_format,
        "schema_updates": schema_updates.get(changes.non_breaking_changes_preference or ""),
    }
    return {key: value for key, value in found.items() if value is not None}
