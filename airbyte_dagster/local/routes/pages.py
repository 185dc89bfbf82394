"""The pages of `airbyte_dagster.local.pages`, at the addresses where Airbyte's own web application has its pages.

They need no token: a browser has none. The guard keeps other hosts away, and nothing in them is secret.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from airbyte_dagster.local import pages
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.jobstore import JobFilter
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Workspace

router = APIRouter(include_in_schema=False)

_MOST = 100
_MOST_JOBS = 50


class _Missing(Exception):
    """Nothing is there."""


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise _Missing from None


def _answer(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, headers=pages.HEADERS)


def _workspace(context: Context, text: str) -> Workspace:
    return context.store.workspace(_id(text))


def _workspace_page(context: Context, workspace_id: str) -> str:
    record = _workspace(context, workspace_id)
    connections = context.store.connections([record.id], limit=_MOST)
    return pages.workspace(
        record,
        context.store.actors("source", [record.id], limit=_MOST),
        context.store.actors("destination", [record.id], limit=_MOST),
        connections,
        context.jobs.last([one.id for one in connections]),
    )


def _actor_page(context: Context, workspace_id: str, kind: str, actor_id: str) -> str:
    home = _workspace(context, workspace_id)
    record = context.store.actor(kind, _id(actor_id))
    if record.workspace_id != home.id:
        raise _Missing
    return pages.actor(record, home, context.store.connections([], actor_id=record.id, limit=_MOST))


def _connection_page(context: Context, workspace_id: str, connection_id: str) -> str:
    home = _workspace(context, workspace_id)
    record = context.store.connection(_id(connection_id))
    if record.workspace_id != home.id:
        raise _Missing
    ends = context.store.actors_by_id([record.source_id, record.destination_id])
    jobs = context.jobs.page(JobFilter(connection_id=record.id, descending=True), _MOST_JOBS, 0)
    return pages.connection(record, home, ends.get(record.source_id), ends.get(record.destination_id), jobs)


@router.get("/")
def root(context: Ctx) -> Response:
    """To the default workspace."""
    return RedirectResponse(f"/workspaces/{context.store.workspace_id}", 302)


@router.get("/workspaces/{workspace_id}")
def workspace(context: Ctx, workspace_id: str) -> Response:
    """A workspace."""
    try:
        return _answer(_workspace_page(context, workspace_id))
    except (ApiError, _Missing):
        return _answer(pages.missing(), 404)


@router.get("/workspaces/{workspace_id}/source/{actor_id}")
def source(context: Ctx, workspace_id: str, actor_id: str) -> Response:
    """A source."""
    try:
        return _answer(_actor_page(context, workspace_id, "source", actor_id))
    except (ApiError, _Missing):
        return _answer(pages.missing(), 404)


@router.get("/workspaces/{workspace_id}/destination/{actor_id}")
def destination(context: Ctx, workspace_id: str, actor_id: str) -> Response:
    """A destination."""
    try:
        return _answer(_actor_page(context, workspace_id, "destination", actor_id))
    except (ApiError, _Missing):
        return _answer(pages.missing(), 404)


@router.get("/workspaces/{workspace_id}/connections/{connection_id}")
@router.get("/workspaces/{workspace_id}/connections/{connection_id}/status")
@router.get("/workspaces/{workspace_id}/connections/{connection_id}/timeline")
def connection(context: Ctx, workspace_id: str, connection_id: str) -> Response:
    """A connection, with its jobs."""
    try:
        return _answer(_connection_page(context, workspace_id, connection_id))
    except (ApiError, _Missing):
        return _answer(pages.missing(), 404)
