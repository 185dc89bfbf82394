"""Choosing a workspace, and what to say when the choice fails."""

from __future__ import annotations

from collections.abc import Sequence

from airbyte_dagster.airbyte.records import Workspace
from airbyte_dagster.errors import ApiError, WorkspaceError

_MOST_LISTED = 20
# 404 to instance admins, 403 to everyone else; 400, 422 or 500 if it isn't even a UUID.
_MISSING = frozenset({400, 403, 404, 422, 500})


def choose_workspace(found: Sequence[Workspace], *, name: str | None, server_url: str) -> Workspace:
    """Return the one workspace of a name or, without a name, the only one.

    Raises:
        WorkspaceError: None fits, or several; the message lists what there is.
    """
    fitting = [workspace for workspace in found if not name or workspace.name == name]
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        raise WorkspaceError(
            f"These credentials see no workspace at {server_url}.", guidance="Check whose credentials they are."
        )
    if not fitting:
        raise WorkspaceError(f"There is no workspace named {name!r}; there are: {listed(found)}.")
    what = f"named {name!r}" if name else "to choose from"
    raise WorkspaceError(
        f"There are {len(fitting)} workspaces {what}: {listed(fitting)}.",
        guidance="Set the workspace id." if name else "Set the workspace id or name.",
    )


def means_missing(error: ApiError) -> bool:
    """Whether this answer to ``GET /workspaces/{id}`` may mean that there is no such workspace."""
    return error.status in _MISSING


def missing_workspace(workspace_id: str, found: Sequence[Workspace]) -> WorkspaceError:
    """Return the error for a workspace id that Airbyte doesn't know, or doesn't show to these credentials."""
    seen = f"there are: {listed(found)}" if found else "these credentials see none"
    return WorkspaceError(f"There is no workspace {workspace_id}; {seen}.", guidance="Set the id of one of them.")


def listed(workspaces: Sequence[Workspace]) -> str:
    """List workspaces for people."""
    names = sorted(f"{workspace.name} ({workspace.id})" for workspace in workspaces)
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more
