"""Tags."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from airbyte_dagster.local.deps import Ctx, WorkspaceIds, uuids
from airbyte_dagster.local.schemas import TagChange, TagCreate
from airbyte_dagster.local.tagstore import view

router = APIRouter(prefix="/tags", tags=["7. Tags"])


@router.get("", summary="List tags")
def list_tags(context: Ctx, workspace_ids: WorkspaceIds = None) -> dict[str, Any]:
    """All of them: Airbyte doesn't page tags."""
    return {"data": [view(tag) for tag in context.tags.all(uuids(workspace_ids))]}


@router.post("", summary="Create a tag")
def create_tag(context: Ctx, body: TagCreate) -> dict[str, Any]:
    """A name of 30 characters at most, and a colour as 6 hex digits."""
    return view(context.tags.add(str(body.workspace_id), body.name, body.color))


@router.get("/{tag_id}", summary="Get a tag")
def get_tag(context: Ctx, tag_id: UUID) -> dict[str, Any]:
    """One tag."""
    return view(context.tags.get(str(tag_id)))


@router.patch("/{tag_id}", summary="Change a tag")
def patch_tag(context: Ctx, tag_id: UUID, body: TagChange) -> dict[str, Any]:
    """Name and colour are both required, as Airbyte has it; connections that have the tag show the change."""
    return view(context.tags.change(str(tag_id), body.name, body.color))


@router.delete("/{tag_id}", status_code=204, summary="Delete a tag")
def delete_tag(context: Ctx, tag_id: UUID) -> None:
    """Delete it; connections lose it."""
    context.tags.delete(str(tag_id))
