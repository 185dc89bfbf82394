"""Workspaces."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request

from airbyte_dagster.local import views
from airbyte_dagster.local.deps import Ctx, IncludeDeleted, Limit, Offset, WorkspaceIds, base_url, kept_filters, uuids
from airbyte_dagster.local.schemas import WorkspaceCreate, WorkspaceUpdate

router = APIRouter(prefix="/workspaces", tags=["2. Workspaces"])


@router.get("", summary="List workspaces")
def list_workspaces(
    *,
    request: Request,
    context: Ctx,
    workspace_ids: WorkspaceIds = None,
    include_deleted: IncludeDeleted = False,
    limit: Limit = 20,
    offset: Offset = 0,
) -> dict[str, Any]:
    """All workspaces, a page at a time."""
    ids = uuids(workspace_ids)
    found = context.store.workspaces(ids, include_deleted=include_deleted, limit=limit, offset=offset)
    kept = kept_filters(ids, include_deleted=include_deleted)
    data = [views.workspace(record) for record in found]
    return views.page(data, base_url(request), "/workspaces", limit=limit, offset=offset, kept=kept)


@router.post("", summary="Create a workspace")
def create_workspace(context: Ctx, body: WorkspaceCreate) -> dict[str, Any]:
    """Make a workspace."""
    notifications = body.notifications.model_dump(by_alias=True, exclude_none=True)
    return views.workspace(context.store.add_workspace(body.name, notifications))


@router.get("/{workspace_id}", summary="Get a workspace")
def get_workspace(context: Ctx, workspace_id: UUID) -> dict[str, Any]:
    """One workspace."""
    return views.workspace(context.store.workspace(str(workspace_id)))


@router.patch("/{workspace_id}", summary="Change a workspace")
def patch_workspace(context: Ctx, workspace_id: UUID, body: WorkspaceUpdate) -> dict[str, Any]:
    """Change its name, or where notices of some events go; those of other events stay."""
    changes = body.model_dump(by_alias=True, exclude_none=True)
    if "notifications" in changes:
        there = context.store.workspace(str(workspace_id)).notifications
        changes["notifications"] = {**there, **changes["notifications"]}
    return views.workspace(context.store.change_workspace(str(workspace_id), **changes))


@router.delete("/{workspace_id}", status_code=204, summary="Delete a workspace")
def delete_workspace(context: Ctx, workspace_id: UUID) -> None:
    """Delete it with everything in it; syncs that run there are cancelled."""
    context.runner.cancel(context.store.delete_workspace(str(workspace_id)))
