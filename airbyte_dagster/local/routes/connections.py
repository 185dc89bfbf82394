"""Connections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request

from airbyte_dagster.local import definitions, drift, problems, schemachanges, streams, suggestions, views
from airbyte_dagster.local.deps import (
    Context,
    Ctx,
    IncludeDeleted,
    Limit,
    Offset,
    WorkspaceIds,
    base_url,
    kept_filters,
    uuids,
)
from airbyte_dagster.local.engine import ConnectorFailed, Json, UnknownConnector
from airbyte_dagster.local.quartz import BadCron, Cron
from airbyte_dagster.local.records import Actor
from airbyte_dagster.local.schemas import ConnectionCreate, ConnectionPatch, Schedule, Streams, Tag

router = APIRouter(prefix="/connections", tags=["5. Connections"])

_CRON_FIELDS = (6, 7)
_QUARTZ = "https://www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html"
_EXAMPLE = {
    "Faker to DuckDB": {
        "value": {
            "name": "my_connection_using_api",
            "sourceId": "put the sourceId here",
            "destinationId": "put the destinationId here",
            "configurations": {
                "streams": [
                    {"name": name, "syncMode": "full_refresh_overwrite"} for name in ("users", "products", "purchases")
                ]
            },
            "schedule": {"scheduleType": "manual"},
        }
    }
}


def discovered(context: Context, source: Actor, *, refresh: bool = False) -> list[Json]:
    """The streams of a source, from the cache if its configuration was asked before.

    Args:
        context: The parts of the server.
        source: The source.
        refresh: Ask the connector in any case, and note which connections differ from what it has now.

    Raises:
        ApiError: 500 unexpected-problem with the connector's message, as with Airbyte.
    """
    try:
        found = context.engine.discover(source.type, source.configuration, refresh=refresh)
    except UnknownConnector:
        raise problems.value_not_found(source.type, definitions.unknown_source(source.type)) from None
    except ConnectorFailed as error:
        raise problems.unexpected(str(error)) from error
    if refresh:
        drift.note(context.store, source.id, found)
    return found


def _selected(context: Context, source: Actor, wanted: Streams | None) -> Json:
    """The columns of a connection that say which streams it has."""
    entries: list[Mapping[str, Any]] = [
        entry.model_dump(by_alias=True) for entry in (wanted.streams if wanted else None) or []
    ]
    found = discovered(context, source)
    shown, catalog = streams.select(found, entries, suggestions.suggested(source.type, found))
    return {"streams": shown, "catalog": catalog, **schemachanges.reviewed(found)}


def _schedule(asked: Schedule | None) -> Json:
    """A schedule as the answers show it: Quartz, always in UTC."""
    if asked is None or asked.schedule_type == "manual":
        return {"scheduleType": "manual"}
    if asked.cron_expression is None:
        raise problems.bad_request("Missing cron expression in the schedule.")
    cron = re.sub(r"\s+UTC\s*$", "", asked.cron_expression).strip()
    fields = cron.split()
    if len(fields) not in _CRON_FIELDS:
        raise problems.bad_request(
            f"The cron expression {asked.cron_expression} is not valid. Error: a Quartz expression has 6 or 7 fields, "
            f"not {len(fields)}. Please check the cron expression format at {_QUARTZ}"
        )
    try:
        Cron(cron)
    except BadCron as error:
        raise problems.bad_request(
            f"The cron expression {asked.cron_expression} is not valid. Error: {error}. "
            f"Please check the cron expression format at {_QUARTZ}"
        ) from None
    # Airbyte wants plain numbers there, and looks at the minutes only if there is a field for the year.
    if not all(field.isdecimal() for field in fields[: len(fields) - _CRON_FIELDS[0] + 1]):
        raise problems.bad_request(
            f"The cron expression {asked.cron_expression} is not valid or is less than the one hour minimum. "
            "The seconds and minutes values cannot be `*`."
        )
    return {"scheduleType": "cron", "cronExpression": f"{' '.join(fields)} UTC"}


def _tags(context: Context, wanted: Sequence[Tag], workspace_id: str) -> list[Json]:
    return context.tags.resolve([str(tag.tag_id) for tag in wanted], workspace_id)


@router.get("", summary="List connections")
def list_connections(
    *,
    request: Request,
    context: Ctx,
    workspace_ids: WorkspaceIds = None,
    tag_ids: Annotated[list[str] | None, Query(alias="tagIds")] = None,
    include_deleted: IncludeDeleted = False,
    limit: Limit = 20,
    offset: Offset = 0,
) -> dict[str, Any]:
    """A page at a time."""
    ids = uuids(workspace_ids)
    found = context.store.connections(
        ids, tag_ids=uuids(tag_ids), include_deleted=include_deleted, limit=limit, offset=offset
    )
    kept = kept_filters(ids, include_deleted=include_deleted)
    data = [views.connection(record) for record in found]
    return views.page(data, base_url(request), "/connections", limit=limit, offset=offset, kept=kept)


@router.post("", summary="Create a connection")
def create_connection(
    context: Ctx, body: Annotated[ConnectionCreate, Body(openapi_examples=_EXAMPLE)]
) -> dict[str, Any]:
    """Without streams those are taken that the source suggests, or its only one, which may be none."""
    source = context.store.actor("source", str(body.source_id))
    destination = context.store.actor("destination", str(body.destination_id))
    if source.workspace_id != destination.workspace_id:
        raise problems.bad_request("Source and destination are in different workspaces.")
    schedule = _schedule(body.schedule)
    tags = _tags(context, body.tags or [], source.workspace_id)
    selected = _selected(context, source, body.configurations)
    record = context.store.add_connection(
        workspace_id=source.workspace_id,
        source_id=source.id,
        destination_id=destination.id,
        name=body.name or f"{source.name} <> {destination.name}",
        status=body.status or "active",
        schedule=schedule,
        namespace_definition=body.namespace_definition or "destination",
        namespace_format=body.namespace_format,
        prefix=body.prefix or "",
        schema_updates=body.non_breaking_schema_updates_behavior or "ignore",
        tags=tags,
        **selected,
    )
    return views.connection(record)


@router.get("/{connection_id}", summary="Get a connection")
def get_connection(context: Ctx, connection_id: UUID) -> dict[str, Any]:
    """A deleted one is still shown, with status `deprecated`."""
    return views.connection(context.store.connection(str(connection_id)))


@router.patch("/{connection_id}", summary="Change a connection")
def patch_connection(context: Ctx, connection_id: UUID, body: ConnectionPatch) -> dict[str, Any]:
    """Absent fields stay; `configurations.streams`, unless it is empty, replaces all streams."""
    record = context.store.live_connection(str(connection_id))
    changes = {
        "name": body.name,
        "status": body.status,
        "namespace_definition": body.namespace_definition,
        "namespace_format": body.namespace_format,
        "prefix": body.prefix,
        "schema_updates": body.non_breaking_schema_updates_behavior,
        "schedule": _schedule(body.schedule) if body.schedule else None,
        "tags": _tags(context, body.tags, record.workspace_id) if body.tags is not None else None,
    }
    selected: Json = {}
    if body.configurations is not None and body.configurations.streams:
        source = context.store.actor("source", record.source_id)
        selected = _selected(context, source, body.configurations)
    given = {key: value for key, value in changes.items() if value is not None} | selected
    changed = context.change_connection(record, **given)
    if changed.status == "deprecated":  # it is deleted by that, as with DELETE
        context.runner.cancel([record.id])
    return views.connection(changed)


@router.delete("/{connection_id}", status_code=204, summary="Delete a connection")
def delete_connection(context: Ctx, connection_id: UUID) -> None:
    """Delete it; its running sync is cancelled. The tables stay."""
    context.store.delete_connection(str(connection_id))
    context.runner.cancel([str(connection_id)])
