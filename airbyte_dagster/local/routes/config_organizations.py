"""The one organization and its workspaces, in the configuration API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import configproblems, instance
from airbyte_dagster.local.configschemas import OrganizationId, OrganizationWorkspaces, WorkspaceId
from airbyte_dagster.local.deps import Ctx
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import Workspace

router = APIRouter(tags=["Configuration API"])


def _info() -> Json:
    shown = instance.organization()
    return {"organizationId": shown["organizationId"], "organizationName": shown["organizationName"], "sso": False}


@router.post("/organizations/get_organization_info", summary="An organization")
def get_organization_info(body: OrganizationId) -> dict[str, Any]:
    """There is one."""
    with configproblems.in_its_words():
        instance.require_organization(str(body.organization_id))
    return _info()


@router.post("/workspaces/get_organization_info", summary="The organization of a workspace")
def get_workspace_organization_info(context: Ctx, body: WorkspaceId) -> dict[str, Any]:
    """The same for every workspace."""
    with configproblems.in_its_words():
        context.store.workspace(str(body.workspace_id))
    return _info()


@router.post("/workspaces/list_by_organization_id", summary="The workspaces of an organization")
def list_by_organization_id(context: Ctx, body: OrganizationWorkspaces) -> dict[str, Any]:
    """`nameContains` selects, in upper or lower case; `pagination` takes a part."""
    with configproblems.in_its_words():
        instance.require_organization(str(body.organization_id))
    wanted = (body.name_contains or "").casefold()
    found = [one for one in context.store.workspaces([], limit=-1) if wanted in one.name.casefold()]
    if body.pagination is not None:
        start = body.pagination.row_offset
        found = found[start : start + body.pagination.page_size]
    return {"workspaces": [_workspace(record) for record in found]}


def _workspace(record: Workspace) -> Json:
    return {
        "workspaceId": record.id,
        "customerId": record.id,
        "name": record.name,
        "slug": record.id,
        "initialSetupComplete": True,
        "organizationId": instance.ORGANIZATION_ID,
        "tombstone": record.deleted,
    }
