"""A declared pipeline → everything that Dagster needs to run it."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.assets import build_assets, sync_op_name
from airbyte_dagster.pipelines.checks import build_checks
from airbyte_dagster.pipelines.declared import DeclaredPipeline, metadata_of
from airbyte_dagster.pipelines.ops import build_provision_job, build_reset_job
from airbyte_dagster.pipelines.schedules import build_sync_schedule
from airbyte_dagster.pipelines.stream_assets import source_spec, stream_assets
from airbyte_dagster.resources import AirbyteResource, WarehouseResource


def build_pipeline_defs(
    pipeline: spec.AirbytePipeline,
    *,
    airbyte: AirbyteResource | None,
    warehouse: WarehouseResource | None,
    schedule: str | spec.Schedule | None = None,
    executor: dg.ExecutorDefinition | None = None,
    airbyte_key: str = "airbyte",
    warehouse_key: str = "motherduck",
) -> dg.Definitions:
    """Build assets, checks, jobs and the schedule of a pipeline. Calls nothing: definitions load with Airbyte down.

    The jobs are ``sync_NAME`` (materialises all assets and checks them), ``check_NAME``, ``provision_NAME`` and
    ``reset_NAME``.

    Args:
        pipeline: What to run.
        airbyte: Where to run it. None: definitions that these are merged with have it under `airbyte_key`.
        warehouse: Where its destination writes; the checks count there. None: as for `airbyte`.
        schedule: In place of the pipeline's own: a cron expression in UTC for ``sync_NAME``, such as ``"0 6 * * *"``,
            or a `Schedule`.
        executor: The in-process executor by default: the work is waiting for Airbyte, and a process for each step
            costs seconds and over 100 MB.
        airbyte_key: Key of the resource; give another where pipelines of one code location differ in it.
        warehouse_key: The same for the warehouse.

    Returns:
        Definitions to use as they are, or to merge with others.

    Raises:
        SpecError: Two streams would be one asset, or the schedule is not valid.
    """
    executor = executor or dg.in_process_executor
    if schedule is not None:
        pipeline = spec.AirbytePipeline(**{**dict(pipeline), "schedule": schedule})
    assets = build_assets(pipeline, airbyte_key=airbyte_key, warehouse_key=warehouse_key)
    keys = [asset.key for asset in stream_assets(pipeline)]
    sync_job = dg.define_asset_job(
        f"sync_{pipeline.name}",
        selection=dg.AssetSelection.assets(*keys),
        executor_def=executor,
        description=f"Syncs {pipeline.name} through Airbyte and checks what arrived in the warehouse.",
    )
    schedules = (
        [
            build_sync_schedule(
                pipeline, pipeline.schedule, job=sync_job, sync_op=sync_op_name(pipeline), airbyte_key=airbyte_key
            )
        ]
        if pipeline.schedule
        else []
    )
    checks = build_checks(pipeline, warehouse_key=warehouse_key)
    check_job = dg.define_asset_job(
        f"check_{pipeline.name}",
        selection=dg.AssetSelection.checks_for_assets(*keys),
        executor_def=executor,
        description=f"Checks what is in the warehouse of {pipeline.name} now, without a sync.",
    )
    return dg.Definitions(
        assets=[source_spec(pipeline), assets],
        asset_checks=checks,
        jobs=[
            sync_job,
            *([check_job] if checks else []),
            build_provision_job(pipeline, airbyte_key=airbyte_key, executor=executor),
            build_reset_job(pipeline, airbyte_key=airbyte_key, warehouse_key=warehouse_key, executor=executor),
        ],
        schedules=schedules,
        resources={key: found for key, found in ((airbyte_key, airbyte), (warehouse_key, warehouse)) if found},
        executor=executor,
        metadata=metadata_of(DeclaredPipeline(pipeline, airbyte_key, warehouse_key)),
    )
