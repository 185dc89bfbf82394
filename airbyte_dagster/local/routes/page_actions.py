"""What the pages' buttons do: the same as the calls of the API, by forms that only this server's pages have."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from airbyte_dagster.local import pages
from airbyte_dagster.local.deps import Context, Ctx, get_context
from airbyte_dagster.local.problems import ApiError, words_of
from airbyte_dagster.local.records import Workspace
from airbyte_dagster.local.routes import connections, jobs
from airbyte_dagster.local.routes.pages import answer, connection_page, connections_of, find_actor, find_connection
from airbyte_dagster.local.schemas import JobCreate

router = APIRouter(include_in_schema=False)

_CONNECTION = "/workspaces/{workspace_id}/connections/{connection_id}"
_ACTOR = "/workspaces/{workspace_id}/{kind}/{actor_id}/delete"
_TABLES_STAY = "The tables that it wrote stay as they are."
_NOT_BACK = "This can't be taken back."


async def _form(request: Request) -> dict[str, str]:
    return await get_context(request).forms.read(request)


Form = Annotated[dict[str, str], Depends(_form)]


def _to(path: str) -> Response:
    return RedirectResponse(path, 303)


def _start(context: Context, workspace_id: str, connection_id: str, job_type: Literal["sync", "clear"]) -> Response:
    """Start a job as `POST /jobs` does; its page, or the connection's with the reason against it."""
    home, record = find_connection(context, workspace_id, connection_id)
    try:
        started = jobs.create_job(context, JobCreate(connection_id=UUID(record.id), job_type=job_type))
    except ApiError as error:
        return answer(connection_page(context, home, record, words_of(error)), error.status)
    return _to(pages.job_path(context.jobs.get(started["jobId"])))


def _confirm(context: Context, home: Workspace, needed: pages.Confirmation) -> Response:
    return answer(pages.confirmation(needed, home, context.forms.token))


@router.post(f"{_CONNECTION}/sync")
def sync(context: Ctx, _form: Form, workspace_id: str, connection_id: str) -> Response:
    """Start a sync."""
    return _start(context, workspace_id, connection_id, "sync")


@router.post(f"{_CONNECTION}/cancel")
def cancel(context: Ctx, _form: Form, workspace_id: str, connection_id: str) -> Response:
    """Cancel what runs or waits; the page of the job that it was."""
    _, record = find_connection(context, workspace_id, connection_id)
    active = context.jobs.active(record.id)
    context.runner.cancel([record.id])
    return _to(pages.job_path(active[0]) if active else f"{pages.connection_path(record)}/status")


@router.get(f"{_CONNECTION}/clear")
def confirm_clear(context: Ctx, workspace_id: str, connection_id: str) -> Response:
    """The page before a connection's tables are emptied."""
    home, record = find_connection(context, workspace_id, connection_id)
    path = pages.connection_path(record)
    emptied = f"It empties the tables of all {len(record.streams)} streams, and the next sync reads everything again."
    ended = "What syncs just now is cancelled."
    needed = pages.Confirmation(
        f"Clear {record.name}?", "Clear", [emptied, ended, _NOT_BACK], f"{path}/clear", f"{path}/status"
    )
    return _confirm(context, home, needed)


@router.post(f"{_CONNECTION}/clear")
def clear(context: Ctx, _form: Form, workspace_id: str, connection_id: str) -> Response:
    """Empty a connection's tables."""
    return _start(context, workspace_id, connection_id, "clear")


@router.get(f"{_CONNECTION}/delete")
def confirm_connection_deletion(context: Ctx, workspace_id: str, connection_id: str) -> Response:
    """The page before a connection is deleted."""
    home, record = find_connection(context, workspace_id, connection_id)
    path = pages.connection_path(record)
    lines = ["It syncs no more, and what syncs just now is cancelled.", _TABLES_STAY, _NOT_BACK]
    needed = pages.Confirmation(f"Delete {record.name}?", "Delete", lines, f"{path}/delete", f"{path}/status")
    return _confirm(context, home, needed)


@router.post(f"{_CONNECTION}/delete")
def delete_connection(context: Ctx, _form: Form, workspace_id: str, connection_id: str) -> Response:
    """Delete a connection."""
    home, record = find_connection(context, workspace_id, connection_id)
    try:
        connections.delete_connection(context, UUID(record.id))
    except ApiError as error:
        return answer(connection_page(context, home, record, words_of(error)), error.status)
    return _to(f"/workspaces/{home.id}")


@router.get(_ACTOR)
def confirm_actor_deletion(context: Ctx, workspace_id: str, kind: str, actor_id: str) -> Response:
    """The page before a source or destination is deleted; it names the connections that are deleted with it."""
    home, record = find_actor(context, workspace_id, kind, actor_id)
    path = f"/workspaces/{home.id}/{kind}/{record.id}"
    using, more = connections_of(context, record)
    first = f" These are the first {len(using)}:" if more else ""
    lines = [f"Its connections are deleted, too.{first}"] if using else ["No connection uses it."]
    needed = pages.Confirmation(
        f"Delete {record.name}?",
        "Delete",
        [_TABLES_STAY, _NOT_BACK, *lines] if using else [*lines, _NOT_BACK],
        f"{path}/delete",
        path,
        connections=using,
    )
    return _confirm(context, home, needed)


@router.post(_ACTOR)
def delete_actor(context: Ctx, _form: Form, workspace_id: str, kind: str, actor_id: str) -> Response:
    """Delete a source or destination, and its connections."""
    home, record = find_actor(context, workspace_id, kind, actor_id)
    context.runner.cancel(context.store.delete_actor(record.kind, record.id))
    return _to(f"/workspaces/{home.id}")
