"""What Airbyte's roles allow of what this package does, as the platform's controllers and ``intents.yaml`` say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from airbyte_dagster.airbyte.records import Permission


class Right(IntEnum):
    """What can be done in a workspace; each includes those before it."""

    NONE = 0
    READ = 1
    RUN = 2
    EDIT = 3


#: What each is needed for.
NEEDED_FOR: Mapping[Right, str] = {
    Right.READ: "finding connections, recording their syncs and checking what they brought",
    Right.RUN: "starting, cancelling and resetting syncs",
    Right.EDIT: "creating and changing what is declared, and registering for notices",
}
#: The least role of a workspace that includes it.
LEAST_ROLE: Mapping[Right, str] = {
    Right.READ: "workspace_reader",
    Right.RUN: "workspace_runner",
    Right.EDIT: "workspace_editor",
}
_BY_ENDING: Mapping[str, Right] = {
    "reader": Right.READ,
    "runner": Right.RUN,
    # Each edits one kind of connector only, so a pipeline needs more.
    "source_editor": Right.RUN,
    "destination_editor": Right.RUN,
    "editor": Right.EDIT,
    "admin": Right.EDIT,
    "owner": Right.EDIT,
}


def roles_in(permissions: Iterable[Permission], workspace_id: str) -> list[str]:
    """Return the roles that hold in a workspace, by name.

    An organization's count, as which workspaces it has is not known; those of groups are not listed by Airbyte.
    """
    found = {item.role for item in permissions if item.scope != "workspace" or item.scope_id == workspace_id}
    return sorted(filter(None, found))


def right_of(roles: Iterable[str]) -> Right:
    """Return the most that some roles allow."""
    return max((_of_role(role) for role in roles), default=Right.NONE)


def _of_role(role: str) -> Right:
    scope, _, kind = role.partition("_")
    return _BY_ENDING.get(kind, Right.NONE) if scope in ("workspace", "organization", "instance") else Right.NONE
