"""The op that syncs connections of a workspace: one for all of them, or one for each."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg

from airbyte_dagster.airbyte.records import Connection
from airbyte_dagster.checks.evaluation import CheckTarget, Evaluation, checks_of
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines.checks import utc_now
from airbyte_dagster.runs.config import SyncConfig, triggered
from airbyte_dagster.runs.events import InstanceHistory
from airbyte_dagster.sensors.job_targets import JobTarget, TargetsOf
from airbyte_dagster.workspaces.catalog import Catalog, WorkspaceAsset
from airbyte_dagster.workspaces.sync_run import WorkspaceRun, checked_asset
from airbyte_dagster.workspaces.tables import table_places

Wait = Literal["inline", "deferred"]


@dataclass(frozen=True)
class SyncOptions:
    """How the connections of a workspace are synced; see `build_workspace_defs`.

    Attributes:
        name: Names of ops begin with it.
        warehouse_key: ``None`` if there is no warehouse to look into.
        elsewhere: Ids of destinations that write to another one.
        now: Tells the time.
    """

    name: str
    airbyte_key: str
    warehouse_key: str | None
    elsewhere: frozenset[str]
    checks: Checks
    max_concurrent_syncs: int | None
    wait: Wait
    pool: str | None
    now: Callable[[], dt.datetime] = utc_now

    @property
    def resources(self) -> set[str]:
        """Keys of the resources that ops need."""
        return {self.airbyte_key, self.warehouse_key} if self.warehouse_key else {self.airbyte_key}


def build_sync_ops(catalog: Catalog, options: SyncOptions, *, one_op_per_connection: bool) -> list[dg.AssetsDefinition]:
    """Build the ops; none if there are no assets.

    Args:
        catalog: The assets.
        options: How they are synced.
        one_op_per_connection: Rather than one for all.
    """
    if not catalog.assets:
        return []
    if not one_op_per_connection:
        return [_sync_op(catalog, catalog.assets, options, f"{options.name}_sync")]
    by_connection: dict[str, list[WorkspaceAsset]] = {}
    for asset in catalog.assets:
        by_connection.setdefault(asset.connection.id, []).append(asset)
    return [
        _sync_op(catalog, assets, options, f"{options.name}_sync_{connection_id.replace('-', '_')}")
        for connection_id, assets in by_connection.items()
    ]


def _sync_op(
    catalog: Catalog, assets: Sequence[WorkspaceAsset], options: SyncOptions, name: str
) -> dg.AssetsDefinition:
    _check_deps(assets)
    # A deferred run is over before there is anything to check.
    targets = targets_of_checks(assets, options) if options.wait == "inline" else []

    @dg.multi_asset(
        name=name,
        specs=[asset.spec for asset in assets],
        check_specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys=options.resources,
        pool=options.pool,
        description="Syncs the connections of the selected streams through Airbyte, and reads what arrived.",
    )
    def sync(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Any]:
        _remember_output_keys(context)
        airbyte = getattr(context.resources, options.airbyte_key)
        run = WorkspaceRun(
            context,
            catalog,
            airbyte,
            getattr(context.resources, options.warehouse_key).warehouse() if options.warehouse_key else None,
            options.elsewhere,
            config.over(triggered(airbyte.sync_settings(), context.run.tags)),
            _most(context, options),
            options.checks,
            options.now,
        )
        synced = context.selected_asset_keys
        wanted = context.op_execution_context.selected_asset_check_keys
        yield from run.check_only(
            [target for target in targets if target.spec.key in wanted and target.asset.key not in synced]
        )
        if synced and options.wait == "deferred":
            run.start()
        elif synced:
            yield from run.results()

    return sync


def _check_deps(assets: Sequence[WorkspaceAsset]) -> None:
    keys = {asset.key for asset in assets}
    for asset in assets:
        within = next((dep.asset_key for dep in asset.spec.deps if dep.asset_key in keys), None)
        if within is not None:
            raise ConfigurationError(
                f"The translator lets {asset.key.to_user_string()!r} depend on {within.to_user_string()!r}, but one op "
                "makes both, each when its connection has ended.",
                guidance="Say one_op_per_connection=True, and let no stream depend on one of its own connection.",
            )


def _remember_output_keys(context: dg.AssetExecutionContext) -> None:
    """Have Dagster look up the assets of this step once.

    It does so for each output, and for that goes through all assets of the op for each of them
    (``StepExecutionContext.get_output_asset_keys``): a thousand connections would take hours. What is selected does not
    change within a step.
    """
    keys = frozenset(context.selected_asset_keys)
    step: Any = context.op_execution_context.get_step_execution_context()
    step.get_output_asset_keys = lambda: keys


def _most(context: dg.AssetExecutionContext, options: SyncOptions) -> int | None:
    """Return how many syncs a run may have on their way: as many as the pool has slots, if it is limited."""
    slots = None
    if options.pool and context.instance.event_log_storage.supports_global_concurrency_limits:
        slots = context.instance.event_log_storage.get_concurrency_info(options.pool).slot_count or None
    return min((limit for limit in (slots, options.max_concurrent_syncs) if limit), default=None)


def build_check_op(catalog: Catalog, options: SyncOptions) -> list[dg.AssetChecksDefinition]:
    """Build the op that checks what the sensor recorded of deferred syncs; none if there is nothing to check."""
    targets = targets_of_checks(catalog.assets, options)
    if not targets or options.warehouse_key is None:
        return []
    warehouse_key = options.warehouse_key

    @dg.multi_asset_check(
        name=f"{options.name}_checks",
        specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys={warehouse_key},
        description="Checks tables in the warehouse, all measured in one query.",
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = context.op_execution_context.selected_asset_check_keys
        selected = [target for target in targets if target.spec.key in wanted]
        warehouse = getattr(context.resources, warehouse_key).warehouse()
        yield from Evaluation(InstanceHistory(context.instance), selected, options.now()).run(warehouse)

    return [checks]


def targets_of_checks(assets: Sequence[WorkspaceAsset], options: SyncOptions) -> list[CheckTarget]:
    """Return the checks of some assets: of those whose tables the warehouse has."""
    if options.warehouse_key is None:
        return []
    return checks_of(
        [
            checked_asset(asset, options.checks)
            for asset in assets
            if asset.connection.destination.id not in options.elsewhere
        ]
    )


def workspace_targets(catalog: Catalog, elsewhere: frozenset[str]) -> TargetsOf:
    """Return what finds the assets of a connection for the sync sensor.

    Args:
        catalog: The assets.
        elsewhere: See `SyncOptions`.
    """

    def targets_of(connection: Connection) -> list[JobTarget]:
        streams = {(stream.namespace, stream.name): stream for stream in connection.streams}
        assets = catalog.of_connection(connection.id)
        places = table_places(assets[0].connection, connection) if assets else None
        return [
            JobTarget(
                asset.key,
                (stream,),
                {}
                if places is None or asset.connection.destination.id in elsewhere
                else {stream.key: places.ref(stream)},
            )
            for asset in assets
            if (stream := streams.get(asset.stream.key)) is not None
        ]

    return targets_of
