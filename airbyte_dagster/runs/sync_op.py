"""The op that syncs connections and checks what arrived: one body for pipelines and for workspaces."""

import datetime as dt
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from pydantic import Field

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.checks.evaluation import Evaluation
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.targets import CheckedAsset, CheckTarget, checks_of
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.runs.config import SyncConfig, triggered
from airbyte_dagster.runs.event_storage import open_connections
from airbyte_dagster.runs.events import InstanceHistory
from airbyte_dagster.runs.slots import PoolSlots
from airbyte_dagster.runs.sync_run import SyncRun
from airbyte_dagster.runs.targets import FoundConnection, TargetsOf
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster.warehouse import Warehouse, warehouse_at

#: ``inline``: the run waits for its syncs. ``deferred``: it starts them, and the sync sensor records their ends.
Wait = Literal["inline", "deferred"]


#: A body of one's own around ours: takes the context and the results of the syncs as they come, and yields them on.
#: What it does before it asks for the first result happens before anything is called; what it leaves out is not
#: recorded by Dagster.
Execute: TypeAlias = Callable[[dg.AssetExecutionContext, Iterator[Any]], Iterator[Any]]


class OpSettings(Declaration):
    """What may be said of an op, as in the components of Dagster's own integrations."""

    description: str | None = Field(default=None, description="In place of ours.")
    tags: dict[str, Any] = Field(default_factory=dict, description="Tags of the op, such as dagster-k8s/config.")
    pool: str | None = Field(default=None, description="Dagster pool of the op; each sync takes a slot of it.")


def utc_now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.timezone.utc)


class AirbyteConnector(Protocol):
    """What an op needs of an `AirbyteResource`."""

    def client(self) -> AirbyteClient:
        """Return a client."""

    def sync_settings(self) -> SyncSettings:
        """Return how jobs are to be run."""


@dataclass(frozen=True)
class Found:
    """The connections of a run.

    Attributes:
        workspace_id: The workspace of all of them.
    """

    workspace_id: str
    connections: Sequence[FoundConnection]


@dataclass(frozen=True)
class SyncOp:
    """What an op syncs, and how.

    Attributes:
        name: Of the op.
        specs: Of its assets.
        checked: The assets that have checks, as far as that is known without a call to Airbyte.
        find: Returns the connections of the selected assets, as they are when the run begins.
        targets_of: Returns the assets of a connection.
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the warehouse; ``None`` if there is no warehouse to look into.
        wait: Whether the run waits for its syncs.
        max_concurrent_syncs: How many a run has on their way at once; all if ``None``.
        pool: Dagster pool of the op; each sync takes a slot of it.
        tags: Of the op.
        execute: The body of the op around ours; see `Execute`.
        now: Returns the time.
    """

    name: str
    specs: Sequence[dg.AssetSpec]
    checked: Sequence[CheckedAsset]
    find: Callable[[dg.AssetExecutionContext, Any], Found]
    targets_of: TargetsOf
    airbyte_key: str
    warehouse_key: str | None
    description: str
    wait: Wait = "inline"
    max_concurrent_syncs: int | None = None
    pool: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    execute: Execute | None = None
    now: Callable[[], dt.datetime] = utc_now

    @property
    def check_targets(self) -> list[CheckTarget]:
        """The checks, one by one."""
        return checks_of(self.checked) if self.warehouse_key else []


def build_sync_op(op: SyncOp) -> dg.AssetsDefinition:
    """Build the multi-asset: any subset of its assets and checks can be selected."""
    # A deferred run is over before there is anything to check.
    targets = op.check_targets if op.wait == "inline" else []
    keys = {op.airbyte_key, op.warehouse_key} if op.warehouse_key else {op.airbyte_key}

    @dg.multi_asset(
        name=op.name,
        specs=op.specs,
        check_specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys=keys,
        pool=op.pool,
        op_tags=op.tags,
        description=op.description,
    )
    def sync(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Any]:
        _remember_output_keys(context)
        results = _results(op, targets, context, config)
        yield from _with_metadata_once(context, op.execute(context, results) if op.execute else results)

    return sync


def _results(
    op: SyncOp, targets: Sequence[CheckTarget], context: dg.AssetExecutionContext, config: SyncConfig
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    warehouse = warehouse_at(context.resources, op.warehouse_key) if op.warehouse_key else None
    yield from _checks_alone(context, targets, warehouse, op.now)
    if not context.selected_asset_keys:
        return
    airbyte: AirbyteConnector = getattr(context.resources, op.airbyte_key)
    checks = {asset.key: asset.checks for asset in op.checked}
    found = op.find(context, airbyte)
    run = SyncRun(
        context,
        airbyte.client(),
        found.workspace_id,
        config.over(triggered(airbyte.sync_settings(), context.run.tags)),
        warehouse,
        op.targets_of,
        lambda key: checks.get(key, Checks()),
        op.now,
        op.max_concurrent_syncs,
        PoolSlots.of(context, op.pool),
    )
    try:
        yield from run.run(found.connections, "ended" if op.wait == "inline" else "started")
    except (DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
        # A retry policy would start the step, and with it the syncs, again.
        if _has_retry_policy(context):
            raise dg.Failure("The run was terminated.", allow_retries=False) from error
        raise


def _has_retry_policy(context: dg.AssetExecutionContext) -> bool:
    step = context.op_execution_context.get_step_execution_context()
    return step.op_retry_policy is not None


def _checks_alone(
    context: dg.AssetExecutionContext,
    targets: Sequence[CheckTarget],
    warehouse: Warehouse | None,
    now: Callable[[], dt.datetime],
) -> Iterator[dg.AssetCheckResult]:
    """Run the checks of assets that are not selected: of what is in the warehouse now, without a sync."""
    wanted = context.op_execution_context.selected_asset_check_keys
    synced = context.selected_asset_keys
    alone = [target for target in targets if target.spec.key in wanted and target.asset.key not in synced]
    if alone and warehouse is not None:
        with open_connections(context.instance):
            yield from Evaluation(InstanceHistory(context.instance), alone, now()).run(warehouse)


def build_check_op(op: SyncOp, name: str) -> list[dg.AssetChecksDefinition]:
    """Build the op that checks what the sensor recorded of deferred syncs; none if there is nothing to check.

    Args:
        op: The op that starts the syncs.
        name: Of the op that checks.
    """
    targets = op.check_targets
    if not targets or op.warehouse_key is None:
        return []
    warehouse_key = op.warehouse_key

    @dg.multi_asset_check(
        name=name,
        specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys={warehouse_key},
        description="Checks tables in the warehouse, all measured together.",
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = context.op_execution_context.selected_asset_check_keys
        selected = [target for target in targets if target.spec.key in wanted]
        warehouse = warehouse_at(context.resources, warehouse_key)
        with open_connections(context.instance):
            yield from Evaluation(InstanceHistory(context.instance), selected, op.now()).run(warehouse)

    return [checks]


def _with_metadata_once(context: dg.AssetExecutionContext, results: Iterator[Any]) -> Iterator[Any]:
    """Pass on results so that Dagster writes their metadata with the materialization alone.

    It would write it with the output of the step, too, where nothing looks for it but hooks.
    """
    has_hooks = context.op_execution_context.get_step_execution_context().step_output_capture is not None
    selected = context.selected_asset_keys
    try:
        for result in results:
            if isinstance(result, dg.MaterializeResult) and result.asset_key in selected and not has_hooks:
                context.add_asset_metadata(result.metadata or {}, result.asset_key)
                yield result._replace(metadata=None)
            else:
                yield result
    finally:
        if isinstance(results, Generator):
            results.close()


def _remember_output_keys(context: dg.AssetExecutionContext) -> None:
    """Have Dagster look up the assets of this step once.

    It does so for each output, and for that goes through all assets of the op for each of them
    (``StepExecutionContext.get_output_asset_keys``): a thousand connections would take hours. What is selected does not
    change within a step.
    """
    keys = frozenset(context.selected_asset_keys)
    step: Any = context.op_execution_context.get_step_execution_context()
    step.get_output_asset_keys = lambda: keys
