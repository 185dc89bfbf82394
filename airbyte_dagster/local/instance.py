"""The one user and the one organization of a server that has no more, with the ids that Airbyte gives its defaults."""

from __future__ import annotations

from typing import Any

from airbyte_dagster.local import problems

ORGANIZATION_ID = "00000000-0000-0000-0000-000000000000"
USER_ID = "00000000-0000-0000-0000-000000000000"
PERMISSION_ID = "00000000-0000-0000-0000-000000000001"
_NO_SCOPE = "00000000-0000-0000-0000-000000000000"
ORGANIZATION_NAME = "Local Airbyte"
EMAIL = "user@localhost"
USER_NAME = "Local user"
Json = dict[str, Any]


def organization() -> Json:
    """The organization."""
    return {"organizationId": ORGANIZATION_ID, "organizationName": ORGANIZATION_NAME, "email": EMAIL}


def user() -> Json:
    """The user."""
    return {"id": USER_ID, "name": USER_NAME, "email": EMAIL}


def permission() -> Json:
    """The user's only permission, which is to do everything."""
    return {"permissionId": PERMISSION_ID, "permissionType": "instance_admin", "userId": USER_ID}


def listed_permission() -> Json:
    """The same in a list, where Airbyte puts a scope in the place of the ids; an instance admin's is ``none``."""
    return {**permission(), "scope": "none", "scopeId": _NO_SCOPE}


def require_organization(organization_id: str) -> None:
    """Refuse any organization but the one.

    Raises:
        ApiError: 404.
    """
    if organization_id != ORGANIZATION_ID:
        raise problems.not_found("ORGANIZATION", organization_id)
