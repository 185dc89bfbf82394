"""Sources and destinations, which Airbyte treats alike."""

# Annotations are evaluated here (no `from __future__`): those inside `make_router` name its local variables.
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request

from airbyte_dagster.local import configuration, definitions, destinations, problems, views
from airbyte_dagster.local.deps import (
    Context,
    Ctx,
    IncludeDeleted,
    Limit,
    Offset,
    WorkspaceIds,
    base_url,
    kept_filters,
    uuids,
)
from airbyte_dagster.local.engine import ConnectorFailed, Json, UnknownConnector
from airbyte_dagster.local.environments import pinned
from airbyte_dagster.local.schemas import ActorCreate, ActorPatch, ActorPut

_EXAMPLE_WORKSPACE = "put the workspaceId from GET /workspaces here"
_EXAMPLES: dict[str, dict[str, Any]] = {
    "source": {
        "Faker: 35 rows": {
            "value": {
                "name": "my_source_faker_using_api",
                "workspaceId": _EXAMPLE_WORKSPACE,
                "configuration": {"sourceType": "faker", "count": 35},
            }
        },
    },
    "destination": {
        "DuckDB: a file in the home": {
            "value": {
                "name": "my_duck_using_api",
                "workspaceId": _EXAMPLE_WORKSPACE,
                "configuration": {"destinationType": "duckdb", "destination_path": "lms.duckdb"},
            }
        },
        "MotherDuck": {
            "value": {
                "name": "my_duck_using_api",
                "workspaceId": _EXAMPLE_WORKSPACE,
                "configuration": {
                    "destinationType": "duckdb",
                    "destination_path": "md:lms",
                    "motherduck_api_key": "put your MotherDuck token here",
                },
            }
        },
    },
}


def spec_of(context: Context, kind: str, type_name: str) -> Json:
    """The JSON schema of a type's configuration; installs a source's connector at first need.

    Raises:
        ApiError: 400 value-not-found for an unknown type; 500 when its connector can't be installed or run.
    """
    if kind == "destination":
        if type_name not in destinations.SPECS:
            there = ", ".join(sorted(destinations.SPECS))
            raise problems.value_not_found(
                type_name, f"There is no destination {type_name!r} here; there are: {there}."
            )
        return destinations.SPECS[type_name]
    try:
        return context.engine.spec(type_name)
    except UnknownConnector:
        raise problems.value_not_found(type_name, definitions.unknown_source(type_name)) from None
    except ConnectorFailed as error:
        raise problems.unexpected(str(error)) from error


def checked(context: Context, kind: str, type_name: str, config: Json) -> configuration.Paths:
    """Validate a configuration and return the paths of its secrets.

    Raises:
        ApiError: 422 when it does not fit, or points where it may not.
    """
    spec = spec_of(context, kind, type_name)
    configuration.validate(config, spec)
    if kind == "destination":
        destinations.warehouse(type_name, config, context.places)
    return configuration.secret_paths(spec)


def _type(context: Context, kind: str, body: ActorCreate) -> str:
    if body.definition_id is not None:
        candidates = {*pinned(), *context.connectors, *context.store.actor_types(kind)}
        found = definitions.type_of(kind, str(body.definition_id), candidates)
        if found is None:
            raise problems.value_not_found(str(body.definition_id))
        return found
    named = body.configuration.get(f"{kind}Type")
    if not isinstance(named, str) or not named:
        raise problems.unprocessable(f"$.configuration.{kind}Type: required when there is no definitionId")
    return named


def _update(
    context: Context, kind: str, actor_id: str, name: str | None, change: Callable[[Json], Json] | None
) -> Json:
    """Change name and configuration; ``change`` makes the new configuration out of the stored one."""
    while True:
        record = context.store.actor(kind, actor_id)
        changes: Json = {} if name is None else {"name": name}
        if change is not None:
            changes["configuration"] = change(record.configuration)
            changes["secret_paths"] = checked(context, kind, record.type, changes["configuration"])
        # Checking may take long and holds no lock, so what another request changed meanwhile is taken into account.
        changed = context.store.change_actor(kind, record.id, seen=record.configuration, **changes)
        if changed is not None:
            return views.actor(changed, strict=context.strict)


def make_router(kind: str) -> APIRouter:
    """The routes of ``source`` or ``destination``."""
    number = {"source": "3", "destination": "4"}[kind]
    router = APIRouter(prefix=f"/{kind}s", tags=[f"{number}. {kind.capitalize()}s"])
    type_key = f"{kind}Type"

    def without_type(config: Json) -> Json:
        return {key: value for key, value in config.items() if key != type_key}

    @router.get("", summary=f"List {kind}s")
    def list_actors(
        *,
        request: Request,
        context: Ctx,
        workspace_ids: WorkspaceIds = None,
        include_deleted: IncludeDeleted = False,
        limit: Limit = 20,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """A page at a time, secrets masked."""
        ids = uuids(workspace_ids)
        found = context.store.actors(kind, ids, include_deleted=include_deleted, limit=limit, offset=offset)
        kept = kept_filters(ids, include_deleted=include_deleted)
        data = [views.actor(record, strict=context.strict) for record in found]
        return views.page(data, base_url(request), f"/{kind}s", limit=limit, offset=offset, kept=kept)

    @router.post("", summary=f"Create a {kind}")
    def create_actor(
        context: Ctx, body: Annotated[ActorCreate, Body(openapi_examples=_EXAMPLES[kind])]
    ) -> dict[str, Any]:
        """The configuration is checked against the connector's own specification; no connection is tried.

        The first source of a type takes some seconds more: its connector is installed then.
        """
        context.store.workspace(str(body.workspace_id))
        type_name = _type(context, kind, body)
        config = without_type(body.configuration)
        record = context.store.add_actor(
            kind,
            workspace_id=str(body.workspace_id),
            name=body.name,
            type=type_name,
            definition_id=definitions.definition_id(kind, type_name),
            secret_paths=checked(context, kind, type_name, config),
            configuration=config,
        )
        return views.actor(record, strict=context.strict)

    @router.get("/{actor_id}", summary=f"Get a {kind}")
    def get_actor(context: Ctx, actor_id: UUID) -> dict[str, Any]:
        """Secrets are masked."""
        return views.actor(context.store.actor(kind, str(actor_id)), strict=context.strict)

    @router.put("/{actor_id}", summary=f"Replace a {kind}")
    def put_actor(context: Ctx, actor_id: UUID, body: ActorPut) -> dict[str, Any]:
        """Replace name and configuration; a mask keeps the stored secret."""
        given = without_type(body.configuration)
        return _update(
            context, kind, str(actor_id), body.name, lambda stored: configuration.keep_secrets(given, stored)
        )

    @router.patch("/{actor_id}", summary=f"Change a {kind}")
    def patch_actor(context: Ctx, actor_id: UUID, body: ActorPatch) -> dict[str, Any]:
        """Merge the given configuration into the stored one; a mask keeps the stored secret."""
        given = None if body.configuration is None else without_type(body.configuration)
        change = None if given is None else lambda stored: configuration.merge(stored, given)
        return _update(context, kind, str(actor_id), body.name, change)

    @router.delete("/{actor_id}", status_code=204, summary=f"Delete a {kind}")
    def delete_actor(context: Ctx, actor_id: UUID) -> None:
        """Delete it and its connections; their syncs are cancelled."""
        context.runner.cancel(context.store.delete_actor(kind, str(actor_id)))

    return router
