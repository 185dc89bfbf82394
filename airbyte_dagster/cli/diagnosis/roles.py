"""What somebody's roles in Airbyte allow, as far as its list of them tells."""

from __future__ import annotations

from collections.abc import Sequence

from airbyte_dagster.airbyte.records import Permission
from airbyte_dagster.cli.diagnosis.findings import Status

_WRITERS = frozenset(
    {
        "instance_admin",
        "organization_admin",
        "organization_editor",
        "workspace_owner",
        "workspace_admin",
        "workspace_editor",
    }
)
_RUNNERS = frozenset({"organization_runner", "workspace_runner"})
_TRY = "With --write this is tried: a source is created and deleted."
_ROLE = "Runs end at the first thing that they have to create or change; give that user the role of an editor."


def judge_roles(permissions: Sequence[Permission], workspace_id: str) -> tuple[Status, str, str]:
    """Judge whether runs may create and change things in a workspace.

    Roles in other workspaces are left out. An organization's count, for Airbyte does not tell here which workspaces it
    has; and roles that come through a group are not listed by it.

    Returns:
        Status, what was found, what to do.
    """
    roles = sorted(
        {
            item.role
            for item in permissions
            if item.role and (item.scope != "workspace" or item.scope_id == workspace_id)
        }
    )
    if not roles:
        return Status.WARNING, "none are listed, so whether runs may create and change things is not known", _TRY
    shown = ", ".join(roles)
    if _WRITERS.intersection(roles):
        return Status.OK, f"{shown}: may create and change things, by its name (this was not tried)", ""
    if _RUNNERS.intersection(roles):
        found = f"{shown}: may start syncs, but by its name not create or change anything"
    else:
        found = f"{shown}: by its name it may not create or change anything"
    return Status.WARNING, found, f"{_ROLE} Roles of groups are not listed: --write tries it."


def unknown_roles(why: str) -> tuple[Status, str, str]:
    """Judge what can't be read."""
    return Status.WARNING, f"whether runs may create and change things is not known: {why}", _TRY
