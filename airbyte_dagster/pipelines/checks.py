"""Asset checks of a pipeline: what a job claims and what is expected, held against what the warehouse has."""

import datetime as dt
from collections.abc import Callable, Iterator

import dagster as dg

from airbyte_dagster.checks.evaluation import CheckedAsset, Evaluation, checks_of
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.asset_specs import StreamAsset, stream_assets, table_ref
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster.runs.events import InstanceHistory


def utc_now() -> dt.datetime:
    """Return the time, as the checks of freshness read it."""
    return dt.datetime.now(dt.timezone.utc)


def build_checks(
    pipeline: spec.AirbytePipeline, *, warehouse_key: str, now: Callable[[], dt.datetime] = utc_now
) -> list[dg.AssetChecksDefinition]:
    """Build the checks that a pipeline declares for its assets; none if it declares none.

    They run after a sync, and by themselves from the UI, any subset of them: what the last job claimed is read from
    its materialization. All tables are measured in one query; declared queries are one more each.

    Args:
        warehouse_key: Key of the `WarehouseResource`.
        now: Tells the time.
    """
    targets = checks_of([_checked(pipeline, asset) for asset in stream_assets(pipeline)])
    if not targets:
        return []

    @dg.multi_asset_check(
        name=f"{pipeline.name}_checks",
        specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys={warehouse_key},
        description=f"Checks the tables of {pipeline.name} in the warehouse, all measured in one query.",
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = context.op_execution_context.selected_asset_check_keys
        selected = [target for target in targets if target.spec.key in wanted]
        warehouse: WarehouseResource = getattr(context.resources, warehouse_key)
        yield from Evaluation(InstanceHistory(context.instance), selected, now()).run(warehouse.warehouse())

    return [checks]


def _checked(pipeline: spec.AirbytePipeline, asset: StreamAsset) -> CheckedAsset:
    declared = pipeline.connection.streams
    return CheckedAsset(
        asset.key,
        tuple(stream.record() for stream in asset.streams),
        pipeline.checks_of(asset.streams[0]) if asset.streams else pipeline.checks,
        lambda stream: table_ref(pipeline, stream),
        pipeline.name,
        None if declared is None else len(declared),
    )
