"""A declared pipeline as a sync op: materializing its streams' assets reconciles, and syncs the connection once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte.records import Connection
from airbyte_dagster.checks.targets import CheckedAsset
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.asset_specs import StreamAsset, asset_spec, stream_assets, table_places
from airbyte_dagster.pipelines.reconcile import reconcile_pipeline
from airbyte_dagster.runs.sync_op import Execute, Found, OpSettings, SyncOp, build_sync_op, utc_now
from airbyte_dagster.runs.targets import AssetTarget, ConnectionTargets, FoundConnection


def sync_op_name(pipeline: spec.AirbytePipeline) -> str:
    """Return the name of the op that syncs, which run config goes by."""
    return f"{pipeline.name}_airbyte_sync"


def airbyte_assets(
    pipeline: spec.AirbytePipeline, *, airbyte_key: str = "airbyte", warehouse_key: str | None = "motherduck"
) -> Callable[[Execute], dg.AssetsDefinition]:
    """Make the assets of a pipeline with a body of one's own around the sync.

    Example:
        .. code-block:: python

            @airbyte_assets(pipeline)
            def shop(context, results):
                context.log.info("before anything is called")
                yield from results
                context.log.info("all streams are synced and checked")

    Args:
        pipeline: What to sync.
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the warehouse; ``None`` if there is none to look into.

    Returns:
        A decorator of a function that takes the context and the results as they come, and yields them on.
    """

    def decorate(execute: Execute) -> dg.AssetsDefinition:
        return build_sync_op(
            pipeline_op(pipeline, airbyte_key=airbyte_key, warehouse_key=warehouse_key, execute=execute)
        )

    return decorate


def pipeline_op(
    pipeline: spec.AirbytePipeline,
    *,
    airbyte_key: str,
    warehouse_key: str | None,
    execute: Execute | None = None,
    settings: OpSettings | None = None,
    now: Callable[[], dt.datetime] = utc_now,
) -> SyncOp:
    """Return what the op of a pipeline syncs, and how.

    Args:
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the warehouse; ``None`` if there is none to look into.
        execute: A body around the sync.
        settings: Description, tags and pool of the op.
        now: Returns the time.
    """
    assets = stream_assets(pipeline)
    settings = settings or OpSettings()
    # The schema may be a variable of the environment: it is read where it is needed, once in a process.
    places = cache(lambda: table_places(pipeline))

    def find(context: dg.AssetExecutionContext, airbyte: Any) -> Found:
        reconciled = reconcile_pipeline(context, pipeline, airbyte)
        connection = reconciled.connection_record
        return Found(reconciled.workspace.id, [FoundConnection(connection.id, connection.name, connection)])

    return SyncOp(
        name=sync_op_name(pipeline),
        specs=[asset_spec(pipeline, asset) for asset in assets],
        checked=[_checked(pipeline, asset, places) for asset in assets],
        find=find,
        targets_of=lambda connection: connection_targets(pipeline, connection),
        airbyte_key=airbyte_key,
        warehouse_key=warehouse_key,
        description=settings.description
        or f"Makes sure that Airbyte has '{pipeline.name}' as declared, syncs it, and checks what arrived.",
        pool=settings.pool,
        tags=settings.tags,
        execute=execute,
        now=now,
    )


def connection_targets(pipeline: spec.AirbytePipeline, connection: Connection) -> ConnectionTargets:
    """Return the assets of a pipeline, with their streams as the connection has them."""
    places = table_places(pipeline, connection.streams)
    found, missing = [], []
    for asset in stream_assets(pipeline):
        streams = asset.matching(connection)
        if asset.streams and not streams:
            missing.append(asset.key)
        else:
            tables = {stream.key: places.ref(stream) for stream in streams}
            found.append(AssetTarget(asset.key, streams, tables))
    return ConnectionTargets(tuple(found), tuple(missing))


def _checked(pipeline: spec.AirbytePipeline, asset: StreamAsset, places: Callable[[], TablePlaces]) -> CheckedAsset:
    declared = pipeline.connection.streams
    return CheckedAsset(
        asset.key,
        tuple(stream.record() for stream in asset.streams),
        pipeline.checks_of(asset.streams[0] if asset.streams else None),
        lambda stream: places().ref(stream),
        pipeline.name,
        None if declared is None else len(declared),
    )
