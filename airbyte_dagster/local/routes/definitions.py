"""Connector definitions: which types of source and destination there are."""

# Annotations are evaluated here (no `from __future__`): those inside `_add` name its local variables.
import functools
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from airbyte_dagster.local import definitions, destinations, problems
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.environments import PINS, pinned
from airbyte_dagster.local.schemas import DeclarativeChange, DeclarativeCreate, DefinitionChange, DefinitionCreate

router = APIRouter(prefix="/workspaces/{workspace_id}/definitions", tags=["8. Definitions"])

_FIXED = (
    "Local Airbyte runs no images. A source is any airbyte-source-* package, or an executable or manifest that "
    "`serve --connector NAME=PATH` names; no definition has to be made for it. Declarative sources can be defined."
)
_RESOURCE = {"source": "STANDARD_SOURCE_DEFINITION", "destination": "STANDARD_DESTINATION_DEFINITION"}


def _known(context: Context, kind: str) -> list[dict[str, Any]]:
    """Types that are pinned, configured or in use. Any package is a source, but their list is the registry's."""
    used = {name for name in context.store.actor_types(kind) if not definitions.custom_id(name)}
    named = {name for name in context.connectors if not definitions.custom_id(name)}
    names = {*destinations.SPECS, *used} if kind == "destination" else {*pinned(), *named, *used}
    return [definitions.view(kind, name, _tag(context, kind, name)) for name in sorted(names)]


def _tag(context: Context, kind: str, name: str) -> str:
    if kind == "source" and name in context.connectors:
        return "local"
    return _pinned_version(name) if kind == "source" and name in pinned() else "latest"


@functools.cache
def _pinned_version(name: str) -> str:
    package = f"airbyte-source-{name}=="
    lines = (PINS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix(package).split()[0] for line in lines if line.startswith(package)), "latest")


def _add(kind: str) -> None:
    path, one = f"/{kind}s", f"/{kind}s/{{definition_id}}"

    @router.get(path, summary=f"List {kind} definitions", name=f"list_{kind}_definitions")
    def list_definitions(context: Ctx, workspace_id: UUID) -> dict[str, Any]:
        """All of them, unpaged; a source package that was never used here is not among them."""
        context.store.workspace(str(workspace_id))
        return {"data": _known(context, kind)}

    @router.get(one, summary=f"Get a {kind} definition", name=f"get_{kind}_definition")
    def get_definition(context: Ctx, workspace_id: UUID, definition_id: UUID) -> dict[str, Any]:
        """One definition."""
        context.store.workspace(str(workspace_id))
        for shown in _known(context, kind):
            if shown["id"] == str(definition_id):
                return shown
        raise problems.not_found(_RESOURCE[kind], str(definition_id))

    @router.post(path, summary=f"Create a {kind} definition", name=f"create_{kind}_definition")
    def create_definition(context: Ctx, workspace_id: UUID, body: DefinitionCreate) -> dict[str, Any]:  # noqa: ARG001 - read all the same
        """Always refused."""
        context.store.workspace(str(workspace_id))
        raise problems.forbidden(_FIXED)

    @router.put(one, summary=f"Change a {kind} definition", name=f"put_{kind}_definition")
    def put_definition(
        context: Ctx,
        workspace_id: UUID,
        definition_id: UUID,
        body: DefinitionChange,  # noqa: ARG001 - read all the same
    ) -> dict[str, Any]:
        """Always refused."""
        get_definition(context, workspace_id, definition_id)
        raise problems.forbidden(_FIXED)

    @router.delete(one, summary=f"Delete a {kind} definition", name=f"delete_{kind}_definition")
    def delete_definition(context: Ctx, workspace_id: UUID, definition_id: UUID) -> dict[str, Any]:
        """Always refused."""
        get_definition(context, workspace_id, definition_id)
        raise problems.forbidden(_FIXED)


_add("source")
_add("destination")


_DECLARATIVE, _ONE_DECLARATIVE = "/declarative_sources", "/declarative_sources/{definition_id}"


@router.get(_DECLARATIVE, summary="List declarative source definitions")
def list_declarative(context: Ctx, workspace_id: UUID) -> dict[str, Any]:
    """All of them, unpaged."""
    context.store.workspace(str(workspace_id))
    return {"data": context.connectors.definitions(str(workspace_id))}


@router.post(_DECLARATIVE, summary="Create a declarative source definition")
def create_declarative(context: Ctx, workspace_id: UUID, body: DeclarativeCreate) -> dict[str, Any]:
    """A manifest of the Connector Builder. Its sources are created with this `definitionId`."""
    context.store.workspace(str(workspace_id))
    return context.connectors.create(str(workspace_id), body.name, body.manifest)


@router.get(_ONE_DECLARATIVE, summary="Get a declarative source definition")
def get_declarative(context: Ctx, workspace_id: UUID, definition_id: UUID) -> dict[str, Any]:
    """One definition."""
    context.store.workspace(str(workspace_id))
    return context.connectors.definition(str(workspace_id), str(definition_id))


@router.put(_ONE_DECLARATIVE, summary="Change a declarative source definition")
def put_declarative(context: Ctx, workspace_id: UUID, definition_id: UUID, body: DeclarativeChange) -> dict[str, Any]:
    """Give it another manifest, which its sources use from now on."""
    context.store.workspace(str(workspace_id))
    return context.connectors.change(str(workspace_id), str(definition_id), body.manifest)


@router.delete(_ONE_DECLARATIVE, summary="Delete a declarative source definition")
def delete_declarative(context: Ctx, workspace_id: UUID, definition_id: UUID) -> dict[str, Any]:
    """Delete it with its sources and their connections, as Airbyte does."""
    context.store.workspace(str(workspace_id))
    deleted = context.connectors.delete(str(workspace_id), str(definition_id))
    for source_id in context.store.actor_ids("source", definition_id=str(definition_id)):
        context.runner.cancel(context.store.delete_actor("source", source_id))
    return deleted
