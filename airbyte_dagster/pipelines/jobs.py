"""Ops and jobs that create a pipeline in Airbyte step by step, and that empty it."""

# Dagster reads the annotations of an op's config at run time, and those of the classes below are local to a function.
from dataclasses import replace
from typing import Any

import dagster as dg
from pydantic import Field

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import merged
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import ActorKind, StreamKey
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.apply import ApplyResult
from airbyte_dagster.pipelines.asset_specs import stream_assets, table_places
from airbyte_dagster.pipelines.connection_plan import with_refreshed_streams
from airbyte_dagster.pipelines.names import by_name
from airbyte_dagster.pipelines.plan import DeclaredActor, plan_actor, plan_connection
from airbyte_dagster.pipelines.reconcile import reconciler
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.runs.checkpoints import RunCheckpoints, recorded
from airbyte_dagster.runs.events import emptied
from airbyte_dagster.runs.reported import reported_stats
from airbyte_dagster.runs.single import run_job
from airbyte_dagster.warehouse import Warehouse, warehouse_at


class ListWorkspacesConfig(dg.Config):
    """Which workspace to use, for this run."""

    workspace_id: str | None = Field(
        default=None, description="Use this workspace instead of the resource's, or of the only one."
    )


class ResetConfig(dg.Config):
    """Whether to go on; a reset can't be undone."""

    confirm: bool = Field(
        default=False, description="Must be true: a reset deletes all rows of the connection's streams."
    )


def build_provision_job(
    pipeline: spec.AirbytePipeline, *, airbyte_key: str, executor: dg.ExecutorDefinition
) -> dg.JobDefinition:
    """Build ``provision_NAME``: list the workspaces, make source and destination side by side, then the connection.

    Args:
        airbyte_key: Key of the `AirbyteResource`.
    """
    list_workspaces = _list_workspaces_op(pipeline, airbyte_key)
    create_source = _create_actor_op("source", pipeline, airbyte_key)
    create_destination = _create_actor_op("destination", pipeline, airbyte_key)
    create_connection = _create_connection_op(pipeline, airbyte_key)

    @dg.job(
        name=f"provision_{pipeline.name}",
        executor_def=executor,
        description=f"Creates or updates '{pipeline.name}' in Airbyte: source, destination, connection. Syncs nothing. "
        "What is as declared stays as it is. The launchpad can change names and configurations for one run.",
    )
    def provision() -> None:
        workspace_id = list_workspaces.alias("list_workspaces")()
        create_connection.alias("create_connection")(
            workspace_id,
            create_source.alias("create_source")(workspace_id),
            create_destination.alias("create_destination")(workspace_id),
        )

    return provision


def build_reset_job(
    pipeline: spec.AirbytePipeline, *, airbyte_key: str, warehouse_key: str | None, executor: dg.ExecutorDefinition
) -> dg.JobDefinition:
    """Build ``reset_NAME``, which empties the tables of the connection's streams and forgets their sync state.

    Args:
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the warehouse; ``None`` if there is none to count in.
    """
    reset = _reset_op(pipeline, airbyte_key, warehouse_key)

    @dg.job(
        name=f"reset_{pipeline.name}",
        executor_def=executor,
        description=f"Empties the tables of '{pipeline.name}' through Airbyte, so that the next sync brings all again. "
        "Asks for confirm: true in its config.",
    )
    def reset_job() -> None:
        reset.alias("reset")()

    return reset_job


def _list_workspaces_op(pipeline: spec.AirbytePipeline, airbyte_key: str) -> dg.OpDefinition:
    @dg.op(
        name=f"{pipeline.name}_list_workspaces",
        required_resource_keys={airbyte_key},
        out=dg.Out(str, description="Id of the workspace to use."),
        description="Lists the workspaces that the credentials can see, and picks the one to use.",
        tags={"kind": "airbyte"},
    )
    def list_workspaces(context: dg.OpExecutionContext, config: ListWorkspacesConfig) -> dg.Output[str]:
        airbyte: AirbyteResource = getattr(context.resources, airbyte_key)
        seen = airbyte.client().workspaces()
        for workspace in seen:
            context.log.info(f"Workspace {workspace.name!r} ({workspace.id})")
        if config.workspace_id:
            chosen = airbyte.client().find_workspace(workspace_id=config.workspace_id)
        else:
            chosen = airbyte.find_workspace()
        return dg.Output(
            chosen.id,
            metadata={
                "id": chosen.id,
                "name": chosen.name,
                "workspaces": dg.MetadataValue.json([{"id": item.id, "name": item.name} for item in seen]),
                "airbyte": dg.MetadataValue.url(_links(airbyte, chosen.id).workspace),
            },
        )

    return list_workspaces


def _create_actor_op(kind: ActorKind, pipeline: spec.AirbytePipeline, airbyte_key: str) -> dg.OpDefinition:
    declared: spec.Source | spec.Destination = getattr(pipeline, kind)

    class CreateActorConfig(dg.Config):
        """What differs from the declaration, for this run."""

        name: str = Field(default=declared.name, description=f"Name of the {kind}; one of that name is updated.")
        configuration: dict[str, Any] = Field(
            default={},
            description=f"Laid over the declared configuration of the {kind}, key by key, such as {{'count': 100}}. "
            "Not for secrets: run config is stored by Dagster.",
        )

    @dg.op(
        name=f"{pipeline.name}_create_{kind}",
        required_resource_keys={airbyte_key},
        ins={"workspace_id": dg.In(str, description="Workspace to create it in.")},
        out=dg.Out(str, description=f"Id of the {kind}."),
        description=f"Creates the {declared.type or 'custom'} {kind} {declared.name!r}, or updates what differs.",
        tags={"kind": "airbyte"},
    )
    def create_actor(context: dg.OpExecutionContext, config: CreateActorConfig, workspace_id: str) -> dg.Output[str]:
        airbyte: AirbyteResource = getattr(context.resources, airbyte_key)
        client, make = airbyte.client(), reconciler(context, airbyte)
        actor = DeclaredActor.of(kind, declared)
        configuration = merged(actor.configuration, config.configuration)
        actor = replace(actor, name=config.name, configuration=configuration)
        action = plan_actor(actor, client.actors(kind, workspace_id), make.applied, key=make.key)
        result = make.apply_actor(action, client.workspace(workspace_id))
        link = getattr(_links(airbyte, workspace_id), kind)(result.id)
        return dg.Output(result.id, metadata=_metadata(result, link))

    return create_actor


def _create_connection_op(pipeline: spec.AirbytePipeline, airbyte_key: str) -> dg.OpDefinition:
    class CreateConnectionConfig(dg.Config):
        """What differs from the declaration, for this run."""

        name: str = Field(
            default=pipeline.connection.name, description="Name of the connection; one of that name is updated."
        )
        refresh_streams: bool = Field(
            default=False,
            description="Discover the source's streams again, which can take minutes. Declared streams are "
            "checked against them; a pipeline that names none gets what is new, and loses what is gone.",
        )

    @dg.op(
        name=f"{pipeline.name}_create_connection",
        required_resource_keys={airbyte_key},
        ins={
            "workspace_id": dg.In(str, description="Workspace of the two."),
            "source_id": dg.In(str, description="Id of the source."),
            "destination_id": dg.In(str, description="Id of the destination."),
        },
        out=dg.Out(str, description="Id of the connection."),
        description=f"Creates the connection {pipeline.connection.name!r} with its streams, or updates what differs.",
        tags={"kind": "airbyte"},
    )
    def create_connection(
        context: dg.OpExecutionContext,
        config: CreateConnectionConfig,
        workspace_id: str,
        source_id: str,
        destination_id: str,
    ) -> dg.Output[str]:
        airbyte: AirbyteResource = getattr(context.resources, airbyte_key)
        client, make = airbyte.client(), reconciler(context, airbyte)
        declared = pipeline.connection.model_copy(update={"name": config.name})
        found = client.connections(workspace_id)
        existing = by_name("connection", declared.name, found)
        if config.refresh_streams and existing is not None:
            available = client.available_streams(source_id, destination_id, ignore_cache=True)
            declared = with_refreshed_streams(declared, existing, available)
        action = plan_connection(declared, found, source_id=source_id, destination_id=destination_id)
        result, connection = make.apply_connection(
            action, client.workspace(workspace_id), source_id=source_id, destination_id=destination_id
        )
        streams = [stream.name for stream in connection.streams]
        metadata = _metadata(result, _links(airbyte, workspace_id).connection(result.id))
        return dg.Output(result.id, metadata={**metadata, "streams": dg.MetadataValue.json(streams)})

    return create_connection


def _reset_op(pipeline: spec.AirbytePipeline, airbyte_key: str, warehouse_key: str | None) -> dg.OpDefinition:
    @dg.op(
        name=f"{pipeline.name}_reset",
        required_resource_keys={airbyte_key, warehouse_key} if warehouse_key else {airbyte_key},
        out=dg.Out(int, description="Rows that were in the tables."),
        description=f"Deletes all rows that {pipeline.connection.name!r} brought, and forgets how far it had synced.",
        tags={"kind": "airbyte"},
    )
    def reset(context: dg.OpExecutionContext, config: ResetConfig) -> dg.Output[int]:
        if not config.confirm:
            raise dg.Failure(
                description=f"Nothing was reset. This deletes all rows of {pipeline.connection.name!r}: "
                "set confirm: true in the config of the op reset to do it.",
                allow_retries=False,
            )
        airbyte: AirbyteResource = getattr(context.resources, airbyte_key)
        warehouse = warehouse_at(context.resources, warehouse_key) if warehouse_key else None
        client, workspace = airbyte.client(), airbyte.find_workspace()
        connection = by_name("connection", pipeline.connection.name, client.connections(workspace.id))
        if connection is None:
            raise dg.Failure(
                description=f"There is no connection {pipeline.connection.name!r} in Airbyte; nothing was reset.",
                allow_retries=False,
            )
        before = _count(context, pipeline, connection, warehouse)
        settings = airbyte.sync_settings()
        job = run_job(client, workspace.id, connection.id, settings, job_type="reset", context=context).job
        after = _count(context, pipeline, connection, warehouse)
        for asset in stream_assets(pipeline):
            streams = asset.matching(connection)
            nothing = dict.fromkeys((stream.key for stream in streams), 0)
            reports = reported_stats(streams, nothing, nothing)
            context.log_event(emptied(asset.key, reports, job, _links(airbyte, workspace.id)))
        checkpoints = RunCheckpoints(context.instance, context.run)
        checkpoints.save({key: recorded(item) for key, item in checkpoints.load([connection.id]).items()})
        known = sum(rows for rows in before.values() if rows is not None)
        context.log.info(f"Reset by job {job.id}: {known:,} rows were there, {_text(after)} are left.")
        return dg.Output(
            known,
            metadata={
                "airbyte/job_id": job.id,
                "rows_before": dg.MetadataValue.json(before),
                "rows_after": dg.MetadataValue.json(after),
                "airbyte": dg.MetadataValue.url(_links(airbyte, workspace.id).connection(connection.id)),
            },
        )

    return reset


def _count(
    context: dg.OpExecutionContext,
    pipeline: spec.AirbytePipeline,
    connection: records.Connection,
    warehouse: Warehouse | None,
) -> dict[str, int | None]:
    """Count the rows of each stream; ``None`` where there is no table, or where the warehouse can't be read."""
    streams = [stream for asset in stream_assets(pipeline) for stream in asset.matching(connection)]
    if warehouse is None:
        return {_label(stream.key): None for stream in streams}
    try:
        places = table_places(pipeline, connection.streams)
        tables = warehouse.inspect({stream.key: places.ref(stream) for stream in streams})
    except (WarehouseError, ConfigurationError) as error:
        context.log.warning(f"The rows could not be counted: {error}")
        return {_label(stream.key): None for stream in streams}
    return {_label(key): table.rows if table else None for key, table in tables.items()}


def _label(key: StreamKey) -> str:
    return ".".join(part for part in key if part)


def _text(counts: dict[str, int | None]) -> str:
    known = [rows for rows in counts.values() if rows is not None]
    return f"{sum(known):,}" if known else "none that can be counted"


def _links(airbyte: AirbyteResource, workspace_id: str) -> Links:
    return Links(airbyte.client().settings.server_url, workspace_id)


def _metadata(result: ApplyResult, link: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "id": result.id,
        "name": result.name,
        "outcome": result.outcome,
        "airbyte": dg.MetadataValue.url(link),
    }
    if result.changes:
        metadata["changes"] = dg.MetadataValue.json(list(result.changes))
    return metadata
