"""What the pages' buttons do: the same as the calls of the API, by forms that only this server's pages have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from airbyte_dagster.local import pages, problems
from airbyte_dagster.local.deps import Context, Ctx, get_context
from airbyte_dagster.local.forms import Fields
from airbyte_dagster.local.problems import ApiError, words_of
from airbyte_dagster.local.records import Connection, Job, Workspace
from airbyte_dagster.local.routes import connections
from airbyte_dagster.local.routes.pages import answer, connection_page, connections_of, find_actor, find_connection
from airbyte_dagster.local.tableclaims import Key, keys_of

router = APIRouter(include_in_schema=False)

_CONNECTION = "/workspaces/{workspace_id}/connections/{connection_id}"
_ACTOR = "/workspaces/{workspace_id}/{kind}/{actor_id}/delete"
_TABLES_STAY = "The tables that it wrote stay as they are."
_NOT_BACK = "This can't be taken back."


async def _form(request: Request) -> Fields:
    return await get_context(request).forms.read(request)


Form = Annotated[Fields, Depends(_form)]


def _to(path: str) -> Response:
    return RedirectResponse(path, 303)


def _start(
    context: Context, workspace_id: str, connection_id: str, start: Callable[[Connection], Job], *, active: bool
) -> Response:
    """Start a job; its page, or the connection's with the reason against it.

    Args:
        context: The parts of the server.
        workspace_id: The workspace in the address.
        connection_id: The connection in the address.
        start: Starts it.
        active: Whether the connection has to be active.
    """
    home, record = find_connection(context, workspace_id, connection_id)
    try:
        if record.status == "deprecated" or (active and record.status != "active"):
            raise problems.state_conflict(f"This connection is {record.status}.")
        job = start(record)
    except ApiError as error:
        return answer(connection_page(context, home, record, words_of(error)), error.status)
    return _to(pages.job_path(job))


def _stream_choices(record: Connection) -> list[tuple[str, str]]:
    """Value and words for each stream of a connection."""
    return [(json.dumps(key), pages.name_of(*key)) for key in keys_of(record.streams)]


def _chosen(record: Connection, form: Fields) -> list[Key] | None:
    """The streams that were chosen in a form; None for all.

    Raises:
        ApiError: 422: none was, or none that the connection still has.
    """
    keys = keys_of(record.streams)
    chosen = [key for key in keys if json.dumps(key) in form.get("stream", ())]
    if not chosen:
        raise problems.unprocessable("No stream was chosen.")
    return chosen if len(chosen) < len(keys) else None


def _confirm(context: Context, home: Workspace, needed: pages.Confirmation) -> Response:
    return answer(pages.confirmation(needed, home, context.forms.token))


@router.post(f"{_CONNECTION}/sync")
def sync(context: Ctx, _form: Form, workspace_id: str, connection_id: str) -> Response:
    """Start a sync."""
    return _start(
        context, workspace_id, connection_id, lambda one: context.runner.sync(one.id, one.workspace_id), active=True
    )


@router.post(f"{_CONNECTION}/cancel")
def cancel(context: Ctx, _form: Form, workspace_id: str, connection_id: str) -> Response:
    """Cancel what runs or waits; the page of the job that it was."""
    _, record = find_connection(context, workspace_id, connection_id)
    active = context.jobs.active(record.id)
    context.runner.cancel([record.id])
    return _to(pages.job_path(active[0]) if active else f"{pages.connection_path(record)}/status")


@router.get(f"{_CONNECTION}/clear")
def confirm_clear(context: Ctx, workspace_id: str, connection_id: str) -> Response:
    """The page before tables are emptied: those of all streams, unless others are chosen there."""
    home, record = find_connection(context, workspace_id, connection_id)
    path = pages.connection_path(record)
    emptied = "It empties the tables of these streams, and the next sync reads them from their beginning."
    ended = "What syncs just now is cancelled."
    needed = pages.Confirmation(
        f"Clear {record.name}?",
        "Clear",
        [emptied, ended, _NOT_BACK],
        f"{path}/clear",
        f"{path}/status",
        streams=_stream_choices(record),
    )
    return _confirm(context, home, needed)


@router.post(f"{_CONNECTION}/clear")
def clear(context: Ctx, form: Form, workspace_id: str, connection_id: str) -> Response:
    """Empty tables."""
    return _start(
        context,
        workspace_id,
        connection_id,
        lambda one: context.runner.clear(one, _chosen(one, form)),
        active=False,
    )


@router.get(f"{_CONNECTION}/refresh")
def confirm_refresh(context: Ctx, workspace_id: str, connection_id: str) -> Response:
    """The page before streams are read from their beginning; what becomes of the rows that are there is chosen."""
    home, record = find_connection(context, workspace_id, connection_id)
    path = pages.connection_path(record)
    needed = pages.Confirmation(
        f"Refresh {record.name}?",
        "Refresh",
        ["It syncs: these streams from their beginning, whatever was read before, and the others as usual."],
        f"{path}/refresh",
        f"{path}/status",
        streams=_stream_choices(record),
        choices=(("Merge", "stay, and are merged or added to"), ("Truncate", "are replaced")),
    )
    return _confirm(context, home, needed)


@router.post(f"{_CONNECTION}/refresh")
def refresh(context: Ctx, form: Form, workspace_id: str, connection_id: str) -> Response:
    """Read streams from their beginning."""
    mode = "Truncate" if form.get("choice") == ["Truncate"] else "Merge"
    return _start(
        context,
        workspace_id,
        connection_id,
        lambda one: context.runner.refresh(one, mode, _chosen(one, form)),
        active=True,
    )


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
