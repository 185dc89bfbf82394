"""Lists in the configuration API: connections, how they fare, and how their streams do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import configproblems, configstatus, configviews, problems
from airbyte_dagster.local.configschemas import (
    ConnectionId,
    ConnectionIds,
    StreamStatuses,
    WorkspaceConnections,
    WorkspaceId,
)
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.jobstore import JobFilter
from airbyte_dagster.local.records import Connection, Job

router = APIRouter(tags=["Configuration API"])

_MOST_JOBS = 10
_PAGE = 100


@router.post("/connections/list", summary="The connections of a workspace with their catalogs")
def list_connections(context: Ctx, body: WorkspaceId) -> dict[str, Any]:
    """All of them at once."""
    return {
        "connections": [
            configviews.connection(record, configviews.catalog_of(record))
            for record in _connections(context, str(body.workspace_id))
        ]
    }


@router.post("/web_backend/connections/list", summary="The connections of a workspace with their newest sync")
def list_web_connections(context: Ctx, body: WorkspaceConnections) -> dict[str, Any]:
    """A page; `cursor` is the last connection of the page before. `schemaChange` says whether the source changed."""
    sources, destinations = ({str(one) for one in ids or []} for ids in (body.source_id, body.destination_id))
    found = [
        record
        for record in _connections(context, str(body.workspace_id))
        if (not sources or record.source_id in sources) and (not destinations or record.destination_id in destinations)
    ]
    after = 0
    if body.cursor is not None:
        ids = [record.id for record in found]
        if str(body.cursor) not in ids:
            raise problems.unprocessable("$.cursor: no connection of this list")
        after = ids.index(str(body.cursor)) + 1
    page = found[after : after + body.page_size]
    ends = context.store.actors_by_id([end for record in page for end in (record.source_id, record.destination_id)])
    latest = context.jobs.last([record.id for record in page], reading=True)
    items = [
        configviews.list_item(
            record, ends.get(record.source_id), ends.get(record.destination_id), latest.get(record.id)
        )
        for record in page
    ]
    return {"connections": items, "page_size": body.page_size, "num_connections": len(found)}


@router.post("/connections/status", summary="How connections fare")
def connection_statuses(context: Ctx, body: ConnectionIds) -> list[dict[str, Any]]:
    """`running`, `pending`, `failed`, `paused`, `incomplete` or `synced`, with the reason of the last failure."""
    return [
        configstatus.connection_status(record, _jobs(context, record.id))
        for record in (_connection(context, str(one)) for one in body.connection_ids)
    ]


@router.post("/connections/sync_progress", summary="How far a connection's job is")
def sync_progress(context: Ctx, body: ConnectionId) -> dict[str, Any]:
    """Counts per stream while it runs; no streams when nothing does."""
    record = _connection(context, str(body.connection_id))
    running = [job for job in context.jobs.active(record.id) if job.status == "running"]
    return configstatus.sync_progress(record.id, running[0] if running else None)


@router.post("/stream_statuses/list", summary="How streams fared in jobs")
def list_stream_statuses(context: Ctx, body: StreamStatuses) -> dict[str, Any]:
    """Of the oldest job first. A failed job can have complete streams."""
    start = body.pagination.row_offset // body.pagination.page_size * body.pagination.page_size
    found = (
        status
        for job in _jobs_of(context, body)
        for status in configstatus.stream_statuses(job)
        if body.job_type in {None, status["jobType"]}
        and body.attempt_number in {None, status["attemptNumber"]}
        and body.stream_name in {None, status["streamName"]}
        and body.stream_namespace in {None, status.get("streamNamespace")}
    )
    return {"streamStatuses": list(islice(found, start, start + body.pagination.page_size))}


def _jobs_of(context: Context, body: StreamStatuses) -> Iterator[Job]:
    workspace, connection = str(body.workspace_id), str(body.connection_id) if body.connection_id else None
    if body.job_id is not None:
        job = context.jobs.find(body.job_id)
        if job is not None and job.workspace_id == workspace and connection in {None, job.connection_id}:
            yield job
        return
    wanted = JobFilter(connection_id=connection, workspace_ids=[workspace])
    offset = 0
    while page := context.jobs.page(wanted, _PAGE, offset):
        yield from (job for job in page if job.workspace_id == workspace)
        offset += _PAGE


def _connection(context: Context, connection_id: str) -> Connection:
    with configproblems.in_its_words():
        return context.store.connection(connection_id)


def _connections(context: Context, workspace_id: str) -> Iterator[Connection]:
    """All connections of a workspace, oldest first."""
    with configproblems.in_its_words():
        context.store.workspace(workspace_id)
    offset = 0
    while page := context.store.connections([workspace_id], limit=_PAGE, offset=offset):
        yield from page
        offset += _PAGE


def _jobs(context: Context, connection_id: str) -> list[Job]:
    return context.jobs.page(JobFilter(connection_id=connection_id, descending=True), _MOST_JOBS, 0)
