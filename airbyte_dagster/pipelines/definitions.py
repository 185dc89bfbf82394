"""A declared pipeline → everything that Dagster needs to run it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import dagster as dg

from airbyte_dagster.destinations.tables import TablePlaces, collisions, collisions_warning
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.asset_specs import stream_assets
from airbyte_dagster.pipelines.assets import pipeline_op, sync_op_name
from airbyte_dagster.pipelines.declared import DeclaredPipeline, metadata_of
from airbyte_dagster.pipelines.jobs import build_provision_job, build_reset_job
from airbyte_dagster.pipelines.schedules import build_sync_schedule
from airbyte_dagster.resources import AirbyteResource, AnyWarehouse, keyed
from airbyte_dagster.runs.sync_op import Execute, OpSettings, SyncOp, build_sync_op

_LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def build_pipeline_defs(
    pipeline: spec.AirbytePipeline,
    *,
    airbyte: AirbyteResource | str,
    warehouse: AnyWarehouse | str | None,
    schedule: str | spec.Schedule | None = None,
    executor: dg.ExecutorDefinition | None = None,
    execute: Execute | None = None,
    op: OpSettings | None = None,
    airbyte_key: str = "airbyte",
    warehouse_key: str = "motherduck",
) -> dg.Definitions:
    """Build assets, checks, jobs and the schedule of a pipeline, to use as they are, or to merge with others.

    Nothing is called: definitions load with Airbyte down. The jobs are ``sync_NAME`` (materialises all assets and
    checks them), ``check_NAME``, ``provision_NAME`` and ``reset_NAME``.

    Args:
        pipeline: What to run.
        airbyte: Where to run it; or the key of a resource that the project has.
        warehouse: Where its destination writes, to check there: one of this package's resources, or the
            ``DuckDBResource``, ``SnowflakeResource`` or ``BigQueryResource`` that the project has already; or the key
            of a resource. Without it nothing is checked.
        schedule: In place of the pipeline's own: a cron expression in UTC for ``sync_NAME``, such as ``"0 6 * * *"``,
            or a `Schedule`.
        executor: Of these jobs alone; in-process by default, since the work is waiting, and a process costs 100 MB.
        execute: A body of one's own around the sync; see `airbyte_assets`.
        op: Description, tags and pool of the op.
        airbyte_key: Key of the resource; give another where pipelines of one code location differ in it.
        warehouse_key: The same for the warehouse.

    Raises:
        SpecError: The schedule is not valid.
    """
    airbyte_at, own_airbyte = keyed(airbyte, airbyte_key)
    warehouse_at, own_warehouse = keyed(warehouse, warehouse_key)
    if schedule is not None:
        pipeline = spec.AirbytePipeline(**{**dict(pipeline), "schedule": schedule})
    _warn_of_shared_tables(pipeline)
    sync_op = pipeline_op(pipeline, airbyte_key=airbyte_at, warehouse_key=warehouse_at, execute=execute, settings=op)
    sync_job, other_jobs = _jobs(pipeline, sync_op, executor or dg.in_process_executor)
    return dg.Definitions(
        assets=[build_sync_op(sync_op)],
        jobs=[sync_job, *other_jobs],
        schedules=_schedules(pipeline, sync_job, airbyte_at),
        resources={**own_airbyte, **own_warehouse},
        metadata=metadata_of(DeclaredPipeline(pipeline, airbyte_at, warehouse_at)),
    )


def _warn_of_shared_tables(pipeline: spec.AirbytePipeline) -> None:
    # What the environment says of the schema is not needed for it, and is perhaps not there yet.
    streams = pipeline.connection.streams or ()
    places = TablePlaces.of(pipeline.destination.type, {}, pipeline.connection, streams)
    if shared := collisions({pipeline.connection.name: places}):
        _LOG.warning(collisions_warning(shared))


def _jobs(
    pipeline: spec.AirbytePipeline, op: SyncOp, executor: dg.ExecutorDefinition
) -> tuple[UnresolvedAssetJobDefinition, list[UnresolvedAssetJobDefinition | dg.JobDefinition]]:
    """Return the job that syncs, and the others; a check job only if there is something to check."""
    keys = [asset.key for asset in stream_assets(pipeline)]
    sync_job = dg.define_asset_job(
        pipeline.sync_job_name,
        selection=dg.AssetSelection.assets(*keys),
        executor_def=executor,
        description=f"Syncs {pipeline.name} through Airbyte and checks what arrived in the warehouse.",
    )
    check_job = dg.define_asset_job(
        f"check_{pipeline.name}",
        selection=dg.AssetSelection.checks_for_assets(*keys),
        executor_def=executor,
        description=f"Checks what is in the warehouse of {pipeline.name} now, without a sync.",
    )
    airbyte_key, warehouse_key = op.airbyte_key, op.warehouse_key
    return sync_job, [
        *([check_job] if op.check_targets else []),
        build_provision_job(pipeline, airbyte_key=airbyte_key, executor=executor),
        build_reset_job(pipeline, airbyte_key=airbyte_key, warehouse_key=warehouse_key, executor=executor),
    ]


def _schedules(
    pipeline: spec.AirbytePipeline, job: UnresolvedAssetJobDefinition, airbyte_key: str
) -> list[dg.ScheduleDefinition]:
    if pipeline.schedule is None:
        return []
    sync_op = sync_op_name(pipeline)
    return [build_sync_schedule(pipeline, pipeline.schedule, job=job, sync_op=sync_op, airbyte_key=airbyte_key)]
