"""Connections that exist already in Airbyte → everything that Dagster needs to run them."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.destinations.tables import collisions_warning
from airbyte_dagster.pipelines.declared import DeclaredWorkspace, metadata_of
from airbyte_dagster.resources import AirbyteResource, AnyWarehouse, is_elsewhere, keyed
from airbyte_dagster.runs.sync_op import Execute, SyncOp, Wait, build_check_op, build_sync_op
from airbyte_dagster.sensors.sync_sensor import build_job_sensor
from airbyte_dagster.workspaces.catalog import Catalog, build_catalog
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.selector import ConnectionSelector, Selector, check_selector
from airbyte_dagster.workspaces.snapshot import WorkspaceSnapshot
from airbyte_dagster.workspaces.state import snapshot_of
from airbyte_dagster.workspaces.sync_assets import WorkspaceSyncs
from airbyte_dagster.workspaces.tables import shared_tables
from airbyte_dagster.workspaces.translator import AirbyteTranslator

_LOG = logging.getLogger("airbyte_dagster")
_READ_AGAIN = (
    "Connections that were made, tagged or made active since are seen when the workspace is read again: "
    "run airbyte-dagster refresh, and reload the definitions."
)


def build_workspace_defs(
    airbyte: AirbyteResource,
    *,
    connection_selector: Selector | None = None,
    translator: AirbyteTranslator | None = None,
    warehouse: AnyWarehouse | str | None = None,
    checks: Checks | Mapping[str, Any] | Literal["strict"] | None = None,
    name: str = "workspace",
    state_path: Path | str | None = None,
    refresh_on_load: bool = False,
    column_schemas: bool = False,
    max_concurrent_syncs: int | None = None,
    wait: Wait = "inline",
    sync_sensor: bool | None = None,
    poll_interval_seconds: int | None = None,
    one_op_per_connection: bool = False,
    pool: str | None = None,
    execute: Execute | None = None,
    executor: dg.ExecutorDefinition | None = None,
    airbyte_key: str = "airbyte",
    warehouse_key: str = "motherduck",
) -> dg.Definitions:
    """Build an asset for each stream of the connections that a workspace has.

    The workspace is read once, with list calls alone, and kept in the storage of Dagster's instance: later loads, and
    every process of a run, read that and call nothing, so definitions load with Airbyte down, on any machine that has
    the instance. ``airbyte-dagster refresh`` reads the workspace again.

    One op syncs all selected connections: Airbyte's jobs are started side by side, watched together by one list call
    for all, and recorded one by one as they end. One that fails does not stop the others; the run fails at its end and
    names each, and re-executing it from its failure syncs just those.

    Args:
        airbyte: Where the workspace is.
        connection_selector: Which connections; active ones by default. A `ConnectionSelector`, or any function of a
            `ConnectionRecord`.
        translator: Says how Dagster shows a stream: key, group, kinds, tags, owners, deps, automation condition.
        warehouse: Where the destinations write, to check there and to know columns; or the key of a resource that the
            project has. Without it nothing is checked; neither is what goes to a destination that certainly writes
            elsewhere, which the log names.
        checks: Of each stream, as `Checks` or as a mapping of its fields; the row count alone by default. ``fresh``
            is the freshness policy of the assets, too.
        name: Begins the names of what is made: ``sync_NAME``, ``NAME_sync``, ``NAME_syncs``. Letters, digits and
            underscores.
        state_path: A file that has what was read, such as one that an image is built with. By default it is in the
            storage of Dagster's instance, and, where there is none, in a file below ``AIRBYTE_DAGSTER_HOME``.
        refresh_on_load: Read the workspace whenever the code location is loaded; runs still use what it was loaded
            with.
        column_schemas: Ask for the columns of the selected connections' streams, too, when the workspace is read
            (``GET /streams``): a call for each source, whose schema Airbyte may have to discover, which takes minutes.
            They are stored with the rest; names alone, as Airbyte reports no types. Without it, Dagster has columns,
            with types, from the warehouse after a sync.
        max_concurrent_syncs: How many syncs a run has on their way at once; all of them by default.
        wait: ``inline``: the run waits for its syncs. ``deferred``: it starts them and ends, and the sync sensor
            records their ends: for syncs of many hours.
        sync_sensor: Whether there is a sensor that records what Airbyte syncs by itself, too. It is on from the start
            with ``wait="deferred"``, which needs it; else there is one if you say so.
        poll_interval_seconds: Time between two looks of that sensor at Airbyte, where a webhook has syncs recorded when
            they end; with every tick, each half minute, by default.
        one_op_per_connection: Rather than one op for all, for those who want a step for each in Dagster.
        pool: Dagster pool of the ops. A run has no more syncs on their way than the pool has slots.
        execute: A body of one's own around the syncs: takes the context and the results as they come, and yields them
            on.
        executor: Of the jobs made here; the in-process executor by default, since the work is waiting for Airbyte. The
            code location's own executor is not set.
        airbyte_key: Key of the resource; give another where workspaces of one code location differ in it.
        warehouse_key: The same for the warehouse.

    Returns:
        Definitions to use as they are, or to merge with others.

    Raises:
        ConfigurationError: Nothing is stored and Airbyte can't be reached; a setting, the selector or the translator is
            wrong; or the translator gives two streams one key.
    """
    options = WorkspaceOptions(
        airbyte,
        connection_selector=connection_selector,
        translator=translator,
        warehouse=warehouse,
        checks=checks,
        name=name,
        max_concurrent_syncs=max_concurrent_syncs,
        wait=wait,
        sync_sensor=sync_sensor,
        poll_interval_seconds=poll_interval_seconds,
        one_op_per_connection=one_op_per_connection,
        pool=pool,
        execute=execute,
        executor=executor,
        airbyte_key=airbyte_key,
        warehouse_key=warehouse_key,
    )
    declared, snapshot = _read(
        airbyte,
        connection_selector,
        name=name,
        state_path=state_path,
        refresh_on_load=refresh_on_load,
        column_schemas=column_schemas,
    )
    definitions = workspace_defs(snapshot, options)
    return dg.Definitions.merge(definitions, dg.Definitions(metadata=metadata_of(declared)))


def load_airbyte_asset_specs(
    airbyte: AirbyteResource,
    *,
    connection_selector: Selector | None = None,
    translator: AirbyteTranslator | None = None,
    state_path: Path | str | None = None,
    refresh_on_load: bool = False,
    column_schemas: bool = False,
) -> list[dg.AssetSpec]:
    """Return the asset specs of the streams that a workspace has, to build definitions of one's own on.

    They are those of `build_workspace_defs`, without what syncs and checks them. The workspace is read and stored in
    the same way, so definitions load with Airbyte down; ``airbyte-dagster refresh`` without arguments reads that of the
    environment again.

    Args:
        airbyte: Where the workspace is.
        connection_selector: As in `build_workspace_defs`; so are all others.
        translator: How Dagster shows a stream.
        state_path: A file that has what was read.
        refresh_on_load: Read the workspace whenever the code location is loaded.
        column_schemas: Have the columns of streams, too.

    Raises:
        ConfigurationError: As `build_workspace_defs`.
    """
    _, snapshot = _read(
        airbyte,
        connection_selector,
        name="workspace",
        state_path=state_path,
        refresh_on_load=refresh_on_load,
        column_schemas=column_schemas,
    )
    return [asset.spec for asset in build_catalog(snapshot, connection_selector, translator).assets]


def _read(
    airbyte: AirbyteResource,
    connection_selector: Selector | None,
    *,
    name: str,
    state_path: Path | str | None,
    refresh_on_load: bool,
    column_schemas: bool,
) -> tuple[DeclaredWorkspace, WorkspaceSnapshot]:
    """Return the snapshot of a workspace, and what ``airbyte-dagster refresh`` has to know of it."""
    path = Path(state_path) if state_path is not None else None
    selector = ConnectionSelector() if connection_selector is None else connection_selector
    # Before the workspace is read: what is wrong with the selector is not Airbyte's fault.
    check_selector(selector)
    columns_of = selector if column_schemas else None
    snapshot = snapshot_of(airbyte, path, refresh=refresh_on_load, columns_of=columns_of)
    return DeclaredWorkspace(name, airbyte, path, columns_of), snapshot


def workspace_defs(snapshot: WorkspaceSnapshot, options: WorkspaceOptions) -> dg.Definitions:
    """Build the definitions of a workspace that was read before; calls nothing. See `build_workspace_defs`.

    Raises:
        ConfigurationError: A check is not valid, or a translator gives two streams one key.
    """
    warehouse_at, own_warehouse = keyed(options.warehouse, options.warehouse_key)
    with _nothing_collected():
        catalog = build_catalog(
            snapshot, options.connection_selector, options.translator, freshness_policy=_freshness_policy(options)
        )
        _warn(catalog, options)
        syncs = WorkspaceSyncs(catalog, options, warehouse_at, _elsewhere(catalog, options.warehouse))
        ops = syncs.ops()
        assets = [build_sync_op(op) for op in ops]
    return dg.Definitions(
        assets=assets,
        asset_checks=_deferred_checks(ops, options.name) if options.is_deferred else [],
        jobs=[_job(catalog, options)],
        sensors=[_sensor(syncs)] if options.has_sensor else [],
        resources={**keyed(options.airbyte, options.airbyte_key)[1], **own_warehouse},
    )


def _warn(catalog: Catalog, options: WorkspaceOptions) -> None:
    if not catalog.assets:
        _LOG.warning(_nothing(catalog, options))
    if shared := shared_tables({asset.connection.id: asset.connection for asset in catalog.assets}.values()):
        _LOG.warning(collisions_warning(shared))


def _deferred_checks(ops: list[SyncOp], name: str) -> list[dg.AssetChecksDefinition]:
    """Return one op for the checks of all: a deferred run ends before there is anything to check."""
    if not ops:
        return []
    return build_check_op(replace(ops[0], checked=[asset for op in ops for asset in op.checked]), f"{name}_checks")


def _freshness_policy(options: WorkspaceOptions) -> dg.FreshnessPolicy | None:
    fresh = options.checks_of_each.fresh
    return dg.FreshnessPolicy.time_window(fail_window=fresh.within) if fresh else None


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Put garbage collection off: of what is made meanwhile nothing is garbage, but it would look time and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _elsewhere(catalog: Catalog, warehouse: AnyWarehouse | str | None) -> frozenset[str]:
    """Return the destinations, by id, that write elsewhere: tables of the same names in the warehouse are others'."""
    if warehouse is None or isinstance(warehouse, str):
        return frozenset()
    destinations = {asset.connection.destination.id: asset.connection.destination for asset in catalog.assets}
    found = {
        destination.id: destination.name
        for destination in destinations.values()
        if is_elsewhere(warehouse, destination.type, destination.place)
    }
    if found:
        names = ", ".join(f"'{name}'" for name in sorted(set(found.values())))
        _LOG.warning("Not counted and checked, since the warehouse is another database, is what goes to %s.", names)
    return frozenset(found)


def _executor(options: WorkspaceOptions) -> dg.ExecutorDefinition:
    return options.executor or dg.in_process_executor


def _job(catalog: Catalog, options: WorkspaceOptions) -> dg.JobDefinition | dg.UnresolvedAssetJobDefinition:
    name = f"sync_{options.name}"
    if not catalog.assets:
        return _job_of_nothing(name, _nothing(catalog, options))
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*(asset.key for asset in catalog.assets)),
        executor_def=_executor(options),
        description="Syncs the workspace's connections through Airbyte, and checks what arrived.",
    )


def _job_of_nothing(name: str, why: str) -> dg.JobDefinition:
    """Build a job that says why there is nothing to sync: without one, a schedule of it would keep all from loading."""

    @dg.op(name=f"{name}_nothing")
    def say_why() -> None:
        raise dg.Failure(f"{why} {_READ_AGAIN}", allow_retries=False)

    @dg.job(name=name, executor_def=dg.in_process_executor, description=why)
    def nothing() -> None:
        say_why()

    return nothing


def _nothing(catalog: Catalog, options: WorkspaceOptions) -> str:
    return (
        f"The workspace '{options.name}' has no assets: of its {len(catalog.snapshot.connections)} connections none is "
        "selected, or those have no streams."
    )


def _sensor(syncs: WorkspaceSyncs) -> dg.SensorDefinition:
    options = syncs.options
    return build_job_sensor(
        syncs.targets_of,
        [asset.key for asset in syncs.catalog.assets],
        name=f"{options.name}_syncs",
        airbyte_key=options.airbyte_key,
        warehouse_key=syncs.warehouse_key,
        minimum_interval_seconds=30,
        poll_interval_seconds=options.poll_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if options.is_deferred else dg.DefaultSensorStatus.STOPPED,
        executor=_executor(options),
        description="Records the syncs of the workspace that no run waits for, and checks what they brought.",
    )
