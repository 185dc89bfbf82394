"""A declared pipeline → everything that Dagster needs to run it."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster import spec
from airbyte_dagster.assets import build_assets, stream_assets
from airbyte_dagster.checks import build_checks
from airbyte_dagster.ops import build_provision_job, build_reset_job
from airbyte_dagster.resource import AirbyteResource, MotherDuckResource


def build_pipeline_defs(
    pipeline: spec.AirbytePipeline,
    *,
    airbyte: AirbyteResource,
    warehouse: MotherDuckResource,
    schedule: str | None = None,
    executor: dg.ExecutorDefinition | None = None,
    airbyte_key: str = "airbyte",
    warehouse_key: str = "motherduck",
) -> dg.Definitions:
    """Build assets, checks and jobs of a pipeline. Calls nothing: definitions load with Airbyte down.

    The jobs are ``sync_NAME`` (materialises all assets and checks them), ``provision_NAME`` and ``reset_NAME``.

    Args:
        pipeline: What to run.
        airbyte: Where to run it.
        warehouse: Where its destination writes; the checks count there.
        schedule: Cron expression in UTC for ``sync_NAME``, such as ``"0 6 * * *"``; no schedule by default.
        executor: The in-process executor by default: the work is waiting for Airbyte, and a process for each step
            costs seconds and over 100 MB.
        airbyte_key: Key of the resource; give another where pipelines of one code location differ in it.
        warehouse_key: The same for the warehouse.

    Returns:
        Definitions to use as they are, or to merge with others.

    Raises:
        SpecError: Two streams would be one asset.
    """
    executor = executor or dg.in_process_executor
    assets = build_assets(pipeline, airbyte_key=airbyte_key, warehouse_key=warehouse_key)
    checks = build_checks(pipeline, warehouse_key=warehouse_key)
    keys = [asset.key for asset in stream_assets(pipeline)]
    sync_job = dg.define_asset_job(
        f"sync_{pipeline.name}",
        selection=dg.AssetSelection.assets(*keys),
        executor_def=executor,
        description=f"Syncs {pipeline.name} through Airbyte and checks what arrived in the warehouse.",
    )
    schedules = [dg.ScheduleDefinition(job=sync_job, cron_schedule=schedule)] if schedule else []
    return dg.Definitions(
        assets=[assets],
        asset_checks=[checks],
        jobs=[
            sync_job,
            build_provision_job(pipeline, airbyte_key=airbyte_key, executor=executor),
            build_reset_job(pipeline, airbyte_key=airbyte_key, warehouse_key=warehouse_key, executor=executor),
        ],
        schedules=schedules,
        resources={airbyte_key: airbyte, warehouse_key: warehouse},
        executor=executor,
    )
