"""Connections in the configuration API: whole catalogs, and where incremental syncs stopped."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import configproblems, configviews, connectionstate, problems, schemachanges, streams
from airbyte_dagster.local.configschemas import ConnectionId, StateReplace, WebConnectionGet, WebConnectionUpdate
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.engine import ConnectorFailed, Json, UnknownConnector
from airbyte_dagster.local.records import Actor, Connection
from airbyte_dagster.local.routes.connections import discovered

router = APIRouter(tags=["Configuration API"])


@router.post("/connections/get", summary="A connection with its catalog")
def get_connection(context: Ctx, body: ConnectionId) -> dict[str, Any]:
    """With the schemas of its streams."""
    record = _connection(context, body)
    return configviews.connection(record, configviews.catalog_of(record))


@router.post("/web_backend/connections/get", summary="A connection with its source, destination and newest sync")
def get_web_connection(context: Ctx, body: WebConnectionGet) -> dict[str, Any]:
    """Its catalog has the streams that are not selected, too. `withRefreshedCatalog` asks the source again."""
    return _web_connection(context, _connection(context, body), refresh=body.with_refreshed_catalog)


@router.post("/web_backend/connections/update", summary="Change a connection, its catalog too")
def update_web_connection(context: Ctx, body: WebConnectionUpdate) -> dict[str, Any]:
    """Absent fields stay. `skipReset` or not, nothing is emptied here."""
    record = _connection(context, body)
    if record.status == "deprecated":
        raise configproblems.not_found("STANDARD_SYNC", record.id)
    changes = configviews.internal_names(body)
    if body.sync_catalog is not None:
        settings, given = configviews.read_catalog(body.sync_catalog)
        # Without a selected stream there is nothing to check; the check would take the streams that it suggests.
        changes["streams"], changes["catalog"] = streams.select(given, settings) if settings else ([], [])
        changes |= schemachanges.reviewed(configviews.streams_of(body.sync_catalog))
    if changes:
        with configproblems.in_its_words():
            record = context.change_connection(record, **changes)
    if body.status == "deprecated":
        context.runner.cancel([record.id])
    return _web_connection(context, record)


@router.post("/state/get", summary="Where a connection's incremental syncs stopped")
def get_state(context: Ctx, body: ConnectionId) -> dict[str, Any]:
    """As its source told it; `not_set` if no sync has left any."""
    record = _connection(context, body)
    return connectionstate.to_api(record.id, context.states.of_connection(record.id))


@router.post("/state/create_or_update_safe", summary="Replace a connection's state")
def replace_state(context: Ctx, body: StateReplace) -> dict[str, Any]:
    """All of it; its next sync goes on from there. Refused (423) while a sync runs."""
    record = _connection(context, body)
    states = connectionstate.from_api(body.connection_state)
    if any(job.type != "reset" for job in context.jobs.active(record.id)):
        raise configproblems.sync_is_running()
    context.states.write(record.id, states)
    return connectionstate.to_api(record.id, context.states.of_connection(record.id))


def _connection(context: Context, body: ConnectionId) -> Connection:
    with configproblems.in_its_words():
        return context.store.connection(str(body.connection_id))


def _web_connection(context: Context, record: Connection, *, refresh: bool = False) -> Json:
    actors = context.store.actors_by_id([record.source_id, record.destination_id])
    source, destination = actors[record.source_id], actors[record.destination_id]
    newest = context.jobs.last([record.id], reading=True).get(record.id)
    catalog = configviews.catalog_of(record, _available(context, source, refresh=refresh))
    return configviews.web_connection(record, catalog, source, destination, newest)


def _available(context: Context, source: Actor, *, refresh: bool) -> list[Json]:
    """What the source has; nothing if it can't be asked, since the connection can be shown all the same."""
    if source.deleted:
        return []
    if refresh:
        return discovered(context, source, refresh=True)
    try:
        return context.engine.discover(source.type, source.configuration)
    except (ConnectorFailed, UnknownConnector, problems.ApiError):
        return []
