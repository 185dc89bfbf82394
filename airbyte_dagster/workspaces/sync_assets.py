"""The connections of a workspace as sync ops: one op for all of them, or one for each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte.records import Connection
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.targets import CheckedAsset
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs.recording import checked_asset
from airbyte_dagster.runs.sync_op import Execute, Found, SyncOp, Wait, utc_now
from airbyte_dagster.runs.targets import AssetTarget, ConnectionTargets, FoundConnection, TargetsOf
from airbyte_dagster.workspaces.catalog import Catalog, WorkspaceAsset
from airbyte_dagster.workspaces.live import gone, inactive, live_connections
from airbyte_dagster.workspaces.snapshot import ConnectionRecord
from airbyte_dagster.workspaces.tables import table_places


@dataclass(frozen=True)
class SyncOptions:
    """How the connections of a workspace are synced; see `build_workspace_defs`.

    Attributes:
        name: Names of ops begin with it.
        warehouse_key: ``None`` if there is no warehouse to look into.
        elsewhere: Ids of destinations that write to another one.
        now: Returns the time.
    """

    name: str
    airbyte_key: str
    warehouse_key: str | None
    elsewhere: frozenset[str]
    checks: Checks
    max_concurrent_syncs: int | None
    wait: Wait
    pool: str | None
    execute: Execute | None = None
    now: Callable[[], dt.datetime] = utc_now


def workspace_ops(catalog: Catalog, options: SyncOptions, *, one_op_per_connection: bool) -> list[SyncOp]:
    """Return the ops; none if there are no assets.

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


def _sync_op(catalog: Catalog, assets: Sequence[WorkspaceAsset], options: SyncOptions, name: str) -> SyncOp:
    _check_deps(assets)
    return SyncOp(
        name=name,
        specs=[asset.spec for asset in assets],
        checked=[
            _checked(asset, options) for asset in assets if asset.connection.destination.id not in options.elsewhere
        ],
        find=lambda context, airbyte: find_connections(catalog, context, airbyte),
        targets_of=workspace_targets(catalog, options.elsewhere),
        airbyte_key=options.airbyte_key,
        warehouse_key=options.warehouse_key,
        description="Syncs the connections of the selected streams through Airbyte, and checks what arrived.",
        wait=options.wait,
        max_concurrent_syncs=options.max_concurrent_syncs,
        pool=options.pool,
        execute=options.execute,
        now=options.now,
    )


def _checked(asset: WorkspaceAsset, options: SyncOptions) -> CheckedAsset:
    connection, stream = asset.connection, asset.stream
    target = AssetTarget(asset.key, (stream,), {stream.key: table_places(connection).ref(stream)})
    return checked_asset(target, options.checks, connection.id, len(connection.streams))


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


def find_connections(catalog: Catalog, context: dg.AssetExecutionContext, airbyte: Any) -> Found:
    """Return the connections of the selected assets as they are now, which may not be as they were at loading."""
    snapshot = catalog.snapshot
    wanted = _connections_of(catalog, context.selected_asset_keys)
    live = live_connections(airbyte.client(), snapshot.workspace_id, list(wanted), known=len(snapshot.connections))
    found = []
    for connection_id, record in wanted.items():
        connection = live.get(connection_id)
        if connection is None or connection.status == "inactive":
            error = inactive(connection) if connection else gone(connection_id, record.name)
            found.append(FoundConnection(connection_id, record.name, error=error))
            continue
        if connection.name != record.name:
            context.log.warning(f"The connection '{record.name}' is called '{connection.name}' by now.")
        found.append(FoundConnection(connection_id, record.name, connection))
    return Found(snapshot.workspace_id, found)


def _connections_of(catalog: Catalog, keys: Collection[dg.AssetKey]) -> dict[str, ConnectionRecord]:
    assets = (asset for asset in catalog.assets if asset.key in keys)
    return {asset.connection.id: asset.connection for asset in assets}


def workspace_targets(catalog: Catalog, elsewhere: frozenset[str]) -> TargetsOf:
    """Return what finds the assets of a connection.

    Args:
        catalog: The assets.
        elsewhere: See `SyncOptions`.
    """

    def targets_of(connection: Connection) -> ConnectionTargets:
        assets = catalog.of_connection(connection.id)
        if not assets:
            return ConnectionTargets()
        record, streams = assets[0].connection, {stream.key: stream for stream in connection.streams}
        places = None if record.destination.id in elsewhere else table_places(record, connection)
        known = {asset.stream.key: asset.key for asset in assets}
        keys = {key: known.get(key) or catalog.spec_of(record, stream).key for key, stream in streams.items()}
        return ConnectionTargets(
            tuple(
                AssetTarget(
                    keys[key], (stream,), {} if places is None else {key: places.ref(stream)}, is_defined=key in known
                )
                for key, stream in streams.items()
            ),
            tuple(asset_key for key, asset_key in known.items() if key not in streams),
        )

    return targets_of
