"""Organizations, users and permissions, as far as a server with one user has them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from airbyte_dagster.local import instance, problems
from airbyte_dagster.local.schemas import PermissionChange, PermissionCreate

router = APIRouter(tags=["9. Organizations, users, permissions"])

_FIXED = "Local Airbyte has one user, who may do everything; permissions can't be given or taken."
OrganizationId = Annotated[UUID, Query(alias="organizationId")]


@router.get("/organizations", summary="List organizations")
def list_organizations() -> dict[str, Any]:
    """There is one."""
    return {"data": [instance.organization()]}


@router.get("/users", summary="List users")
def list_users(
    organization_id: OrganizationId,
    ids: Annotated[list[str] | None, Query()] = None,
    emails: Annotated[list[str] | None, Query()] = None,
) -> dict[str, Any]:
    """There is one. `ids` and `emails` select; who is in either of them is shown."""
    instance.require_organization(str(organization_id))
    user = instance.user()
    wanted = {part for value in [*(ids or []), *(emails or [])] for part in value.split(",")}
    return {"data": [user] if not wanted or wanted & {user["id"], user["email"]} else []}


@router.get("/permissions", summary="List permissions")
def list_permissions(
    user_id: Annotated[UUID | None, Query(alias="userId")] = None,
    organization_id: Annotated[UUID | None, Query(alias="organizationId")] = None,
) -> dict[str, Any]:
    """The user's own; another user's are asked for together with an organization."""
    if user_id is None or str(user_id) == instance.USER_ID:
        return {"data": [instance.listed_permission()]}
    if organization_id is None:
        raise problems.bad_request("Organization ID is required when getting someone else's permissions.")
    instance.require_organization(str(organization_id))
    return {"data": []}


@router.get("/permissions/{permission_id}", summary="Get a permission")
def get_permission(permission_id: UUID) -> dict[str, Any]:
    """One permission."""
    _require(permission_id)
    return instance.permission()


@router.post("/permissions", summary="Create a permission")
def create_permission(body: PermissionCreate) -> dict[str, Any]:
    """Always refused."""
    if body.workspace_id is None and body.organization_id is None:
        raise problems.bad_request("Workspace ID or Organization ID must be provided in order to create a permission.")
    raise problems.forbidden(_FIXED)


@router.patch("/permissions/{permission_id}", summary="Change a permission")
def patch_permission(permission_id: UUID, body: PermissionChange) -> dict[str, Any]:  # noqa: ARG001 - read all the same
    """Always refused."""
    _require(permission_id)
    raise problems.forbidden(_FIXED)


@router.delete("/permissions/{permission_id}", status_code=204, summary="Delete a permission")
def delete_permission(permission_id: UUID) -> None:
    """Always refused."""
    _require(permission_id)
    raise problems.forbidden(_FIXED)


def _require(permission_id: UUID) -> None:
    if str(permission_id) != instance.PERMISSION_ID:
        raise problems.not_found("PERMISSION", str(permission_id))
