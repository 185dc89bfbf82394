"""Asset checks of a pipeline: what a job reports and what is expected, against what the warehouse has."""

import datetime as dt
from collections.abc import Callable, Iterator
from functools import cache

import dagster as dg

from airbyte_dagster.checks.evaluation import CheckedAsset, CheckTarget, Evaluation, checks_of
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.stream_assets import StreamAsset, stream_assets, table_places
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster.runs.events import InstanceHistory


def utc_now() -> dt.datetime:
    """Return the time, as the checks of freshness read it."""
    return dt.datetime.now(dt.timezone.utc)


def build_checks(
    pipeline: spec.AirbytePipeline, *, warehouse_key: str, now: Callable[[], dt.datetime] = utc_now
) -> list[dg.AssetChecksDefinition]:
    """Build the checks that a pipeline declares for its assets; none if it declares none.

    They run after a sync, and by themselves from the UI, any subset of them: what the last job reported is read
    from its materialization. A query measures up to a hundred tables; declared queries are one more each.

    Args:
        warehouse_key: Key of the `WarehouseResource`.
        now: Tells the time.
    """

    def all_targets(places: Callable[[], TablePlaces]) -> list[CheckTarget]:
        return checks_of([_checked(pipeline, asset, places) for asset in stream_assets(pipeline)])

    targets = all_targets(lambda: table_places(pipeline))
    if not targets:
        return []

    @dg.multi_asset_check(
        name=f"{pipeline.name}_checks",
        specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys={warehouse_key},
        description=f"Checks the tables of {pipeline.name} in the warehouse.",
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = context.op_execution_context.selected_asset_check_keys
        # The schema may be a variable of the environment: it is read here, once for all streams.
        selected = [target for target in all_targets(cache(lambda: table_places(pipeline))) if target.key in wanted]
        warehouse: WarehouseResource = getattr(context.resources, warehouse_key)
        yield from Evaluation(InstanceHistory(context.instance), selected, now()).run(warehouse.warehouse())

    return [checks]


def _checked(pipeline: spec.AirbytePipeline, asset: StreamAsset, places: Callable[[], TablePlaces]) -> CheckedAsset:
    declared = pipeline.connection.streams
    return CheckedAsset(
        asset.key,
        tuple(stream.record() for stream in asset.streams),
        pipeline.checks_of(asset.streams[0]) if asset.streams else pipeline.checks,
        lambda stream: places().ref(stream),
        pipeline.name,
        None if declared is None else len(declared),
    )
