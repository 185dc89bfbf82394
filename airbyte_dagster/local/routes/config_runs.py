"""Starting jobs in the configuration API, which can refresh and clear streams one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import configproblems, problems, views
from airbyte_dagster.local.configschemas import ConnectionId, ConnectionRefresh, ConnectionStream, ConnectionStreams
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import Connection, Job
from airbyte_dagster.local.tableclaims import Key, keys_of

router = APIRouter(prefix="/connections", tags=["Configuration API"])


@router.post("/sync", summary="Start a sync")
def sync(context: Ctx, body: ConnectionId) -> dict[str, Any]:
    """Answers as soon as the job exists."""
    record = _connection(context, body, active=True)
    return _started(context.runner.sync(record.id, record.workspace_id))


@router.post("/refresh", summary="Read streams from their beginning")
def refresh(context: Ctx, body: ConnectionRefresh) -> dict[str, Any]:
    """`Truncate` leaves only rows of this reading, `Merge` keeps the others. Without streams, all are refreshed."""
    record = _connection(context, body, active=True)
    streams = _keys(record, body.streams) if body.streams else None
    return {"job": views.config_api_job(context.runner.refresh(record, body.refresh_mode, streams))}


@router.post("/clear", summary="Empty the tables of a connection")
@router.post("/reset", include_in_schema=False)
def clear(context: Ctx, body: ConnectionId) -> dict[str, Any]:
    """What runs on the connection is cancelled. `reset` is the name that it had before."""
    return _started(context.runner.clear(_connection(context, body)))


@router.post("/clear/stream", summary="Empty the tables of some streams")
@router.post("/reset/stream", include_in_schema=False)
def clear_streams(context: Ctx, body: ConnectionStreams) -> dict[str, Any]:
    """Their next sync reads them from their beginning; the other streams stay as they are."""
    record = _connection(context, body)
    return _started(context.runner.clear(record, _keys(record, body.streams)))


def _connection(context: Context, body: ConnectionId, *, active: bool = False) -> Connection:
    with configproblems.in_its_words():
        record = context.store.connection(str(body.connection_id))
    if record.status == "deprecated" or (active and record.status != "active"):
        raise problems.state_conflict("Could not fulfill request")
    return record


def _keys(record: Connection, streams: Iterable[ConnectionStream]) -> list[Key]:
    """The streams that are named.

    Raises:
        ApiError: 422: the connection has no such stream.
    """
    known = keys_of(record.streams)
    wanted = [(stream.stream_namespace or None, stream.stream_name) for stream in streams]
    for key in wanted:
        if key not in known:
            where = f" in the namespace {key[0]}" if key[0] else ""
            raise problems.unprocessable(f"$.streams: the connection has no stream {key[1]}{where}")
    return wanted


def _started(job: Job) -> Json:
    return {"job": views.config_api_job(job), "attempts": []}
