"""The pages of `airbyte_dagster.local.pages`, at the addresses where Airbyte's own web application has its pages.

They need no token: a browser has none. The guard keeps other hosts away, and nothing in them is secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from airbyte_dagster.local import destinations, joblogs, pages, plan
from airbyte_dagster.local.connectionwarnings import warnings_of
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.jobstore import JobFilter
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Actor, Connection, Job, Workspace

router = APIRouter(include_in_schema=False)

MOST = 100
"""Items of a kind on a page; further pages have the rest."""

_MOST_JOBS = 50
_MOST_LOG_BYTES = 200_000
_MOST_OFFSET = 10**9

#: What the page of a connection may offer besides syncing, cancelling and deleting: the address' last part, and words.
_REFRESH = ("refresh", "Refresh")
_CLEAR = ("clear", "Clear")


def _offset(text: Annotated[str, Query(alias="offset")] = "") -> int:
    return min(int(text), _MOST_OFFSET) if text.isascii() and text.isdecimal() else 0


PageOffset = Annotated[int, Depends(_offset)]


class Missing(Exception):
    """Nothing is there."""


def answer(html: str, status: int = 200) -> HTMLResponse:
    """A page, with the headers that all of them have."""
    return HTMLResponse(html, status, headers=pages.HEADERS)


def find_workspace(context: Context, workspace_id: str) -> Workspace:
    """A workspace.

    Raises:
        Missing: There is none, or it is deleted.
    """
    try:
        return context.store.workspace(_id(workspace_id))
    except ApiError:
        raise Missing from None


def find_actor(context: Context, workspace_id: str, kind: str, actor_id: str) -> tuple[Workspace, Actor]:
    """A source or destination, with its workspace.

    Raises:
        Missing: There is none in that workspace.
    """
    home = find_workspace(context, workspace_id)
    try:
        record = context.store.actor(kind, _id(actor_id))
    except ApiError:
        raise Missing from None
    if record.workspace_id != home.id:
        raise Missing
    return home, record


def find_connection(context: Context, workspace_id: str, connection_id: str) -> tuple[Workspace, Connection]:
    """A connection, also a deleted one, with its workspace.

    Raises:
        Missing: There is none in that workspace.
    """
    home = find_workspace(context, workspace_id)
    try:
        record = context.store.connection(_id(connection_id))
    except ApiError:
        raise Missing from None
    if record.workspace_id != home.id:
        raise Missing
    return home, record


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Missing from None


def _find_job(context: Context, record: Connection, job_id: str) -> Job | None:
    """A job of a connection; None for one of another connection, too."""
    try:
        found = context.jobs.get(int(job_id))
    except (ApiError, ValueError):
        return None
    return found if found.connection_id == record.id else None


def connections_of(context: Context, actor: Actor, offset: int = 0) -> tuple[Sequence[Connection], bool]:
    """Connections that a source or destination is part of, as many as a page has, and whether there are more."""
    found = context.store.connections([], actor_id=actor.id, limit=MOST + 1, offset=offset)
    return found[:MOST], len(found) > MOST


def _turns(path: str, offset: int, *, more: bool) -> list[tuple[str, str]]:
    """Where the pages before and after this one are, if there are any."""
    before = [("Previous", f"{path}?offset={max(offset - MOST, 0)}")] if offset else []
    return [*before, ("Next", f"{path}?offset={offset + MOST}")] if more else before


def connection_page(context: Context, home: Workspace, record: Connection, message: str = "") -> str:
    """A connection's page, with the reason why something was refused if there is one."""
    found = context.store.actors_by_id([record.source_id, record.destination_id])
    destination = found.get(record.destination_id)
    can_refresh = record.status == "active" and not context.jobs.active(record.id)
    return pages.connection(
        record,
        home,
        {"source": found.get(record.source_id), "destination": destination},
        context.jobs.page(JobFilter(connection_id=record.id, descending=True), _MOST_JOBS, 0),
        context.forms.token,
        tables=_tables(context, record, destination),
        actions=[_REFRESH, _CLEAR] if can_refresh else [_CLEAR],
        warnings=warnings_of(context, record) if record.status != "deprecated" else (),
        message=message,
    )


def _tables(context: Context, record: Connection, destination: Actor | None) -> list[str]:
    """The table of each stream, by the same rule that it is written by; none if that can't be known any more."""
    if destination is None or destination.deleted:  # its configuration is gone
        return []
    try:
        warehouse = destinations.warehouse(destination.type, destination.configuration, context.places)
    except ApiError:  # a directory that was allowed once
        return []
    places = [plan.place_of(record, warehouse, stream.get("namespace"), stream["name"]) for stream in record.catalog]
    return [str(place) for place in places]


def _job_page(context: Context, home: Workspace, record: Connection, job: Job, *, follow: bool) -> str:
    log, is_cut = joblogs.read_end(context.home.job_log(job.id), _MOST_LOG_BYTES)
    return pages.job(job, record, home, log, context.forms.token, log_is_cut=is_cut, follow=follow)


@router.get("/")
def root(context: Ctx) -> Response:
    """To the default workspace."""
    return RedirectResponse(f"/workspaces/{context.store.workspace_id}", 302)


@router.get("/workspaces/{workspace_id}")
def workspace(context: Ctx, workspace_id: str, offset: PageOffset) -> Response:
    """A workspace."""
    record = find_workspace(context, workspace_id)
    sources, destinations = (
        context.store.actors(kind, [record.id], limit=MOST + 1, offset=offset) for kind in ("source", "destination")
    )
    connections = context.store.connections([record.id], limit=MOST + 1, offset=offset)
    more = any(len(items) > MOST for items in (sources, destinations, connections))
    return answer(
        pages.workspace(
            record,
            sources[:MOST],
            destinations[:MOST],
            connections[:MOST],
            context.jobs.last([one.id for one in connections[:MOST]]),
            others=[one for one in context.store.workspaces([], limit=MOST) if one.id != record.id],
            turns=_turns(f"/workspaces/{record.id}", offset, more=more),
        )
    )


@router.get("/workspaces/{workspace_id}/source/{actor_id}")
def source(context: Ctx, workspace_id: str, actor_id: str, offset: PageOffset) -> Response:
    """A source."""
    return _actor(context, *find_actor(context, workspace_id, "source", actor_id), offset)


@router.get("/workspaces/{workspace_id}/destination/{actor_id}")
def destination(context: Ctx, workspace_id: str, actor_id: str, offset: PageOffset) -> Response:
    """A destination."""
    return _actor(context, *find_actor(context, workspace_id, "destination", actor_id), offset)


def _actor(context: Context, home: Workspace, record: Actor, offset: int) -> Response:
    using, more = connections_of(context, record, offset)
    turns = _turns(f"/workspaces/{home.id}/{record.kind}/{record.id}", offset, more=more)
    return answer(pages.actor(record, home, using, turns))


@router.get("/workspaces/{workspace_id}/connections/{connection_id}")
@router.get("/workspaces/{workspace_id}/connections/{connection_id}/status")
def connection(context: Ctx, workspace_id: str, connection_id: str) -> Response:
    """A connection, with its jobs."""
    return answer(connection_page(context, *find_connection(context, workspace_id, connection_id)))


@router.get("/workspaces/{workspace_id}/connections/{connection_id}/timeline")
def timeline(
    context: Ctx,
    workspace_id: str,
    connection_id: str,
    job_id: Annotated[str, Query(alias="jobId")] = "",
    follow: str = "true",
) -> Response:
    """A job with its log, as Airbyte opens it; the connection if none is named, or one that isn't its own."""
    home, record = find_connection(context, workspace_id, connection_id)
    job = _find_job(context, record, job_id)
    if job is None:
        return answer(connection_page(context, home, record))
    return answer(_job_page(context, home, record, job, follow=follow != "false"))


@router.get("/workspaces/{workspace_id}/connections/{connection_id}/jobs/{job_id}/log")
def log(context: Ctx, workspace_id: str, connection_id: str, job_id: str) -> Response:
    """A job's whole log, as text."""
    _, record = find_connection(context, workspace_id, connection_id)
    job = _find_job(context, record, job_id)
    if job is None:
        raise Missing
    return PlainTextResponse(joblogs.read(context.home.job_log(job.id)), headers=pages.HEADERS)
