"""The connections of a workspace as sync ops: one op for all of them, or one for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte.records import Connection
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.targets import CheckedAsset
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs.sync_op import Found, SyncOp
from airbyte_dagster.runs.targets import AssetTarget, ConnectionTargets, FoundConnection
from airbyte_dagster.workspaces.catalog import Catalog, WorkspaceAsset
from airbyte_dagster.workspaces.live import gone, live_connections
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import ConnectionRecord
from airbyte_dagster.workspaces.tables import table_places


@dataclass(frozen=True)
class WorkspaceSyncs:
    """How the connections of a workspace are synced.

    Attributes:
        catalog: The assets.
        options: See `build_workspace_defs`.
        warehouse_key: ``None`` if there is no warehouse to look into.
        elsewhere: Ids of destinations that write to another one.
    """

    catalog: Catalog
    options: WorkspaceOptions
    warehouse_key: str | None
    elsewhere: frozenset[str]

    def ops(self) -> list[SyncOp]:
        """Return the ops, one for all connections or one for each; none if there are no assets."""
        name, assets = f"{self.options.name}_sync", self.catalog.assets
        if not self.options.one_op_per_connection:
            return [self._op(assets, name)] if assets else []
        by_connection: dict[str, list[WorkspaceAsset]] = {}
        for asset in assets:
            by_connection.setdefault(asset.connection.id, []).append(asset)
        return [self._op(several, f"{name}_{item.replace('-', '_')}") for item, several in by_connection.items()]

    def _op(self, assets: Sequence[WorkspaceAsset], name: str) -> SyncOp:
        _check_deps(assets)
        checks = self.options.checks_of_each
        return SyncOp(
            name=name,
            specs=[asset.spec for asset in assets],
            checked=[
                _checked(asset, checks) for asset in assets if asset.connection.destination.id not in self.elsewhere
            ],
            find=lambda context, airbyte: find_connections(self.catalog, context, airbyte),
            targets_of=self.targets_of,
            airbyte_key=self.options.airbyte_key,
            warehouse_key=self.warehouse_key,
            description=self.options.op.description
            or "Syncs the connections of the selected streams through Airbyte, and checks what arrived.",
            wait=self.options.wait,
            max_concurrent_syncs=self.options.max_concurrent_syncs,
            pool=self.options.op.pool or self.options.pool,
            tags=self.options.op.tags,
            execute=self.options.execute,
            now=self.options.now,
        )

    def targets_of(self, connection: Connection) -> ConnectionTargets:
        """Return the assets of a connection as it is now."""
        assets = self.catalog.of_connection(connection.id)
        if not assets:
            return ConnectionTargets()
        record, streams = assets[0].connection, {stream.key: stream for stream in connection.streams}
        places = None if record.destination.id in self.elsewhere else table_places(record, connection)
        known = {asset.stream.key: asset.key for asset in assets}
        keys = {key: known.get(key) or self.catalog.spec_of(record, stream).key for key, stream in streams.items()}
        return ConnectionTargets(
            tuple(
                AssetTarget(
                    keys[key], (stream,), {} if places is None else {key: places.ref(stream)}, is_defined=key in known
                )
                for key, stream in streams.items()
            ),
            tuple(asset_key for key, asset_key in known.items() if key not in streams),
        )


def _checked(asset: WorkspaceAsset, checks: Checks) -> CheckedAsset:
    connection = asset.connection
    return CheckedAsset(
        asset.key,
        (asset.stream,),
        checks,
        # Where the table is, is found when a check is evaluated: most loads of definitions evaluate none.
        connection.table_places.ref,
        connection.id,
        len(connection.streams),
    )


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
        if connection is None:
            found.append(FoundConnection(connection_id, record.name, error=gone(connection_id, record.name)))
            continue
        if connection.name != record.name:
            context.log.warning(f"The connection '{record.name}' is called '{connection.name}' by now.")
        found.append(FoundConnection(connection_id, record.name, connection))
    return Found(snapshot.workspace_id, found)


def _connections_of(catalog: Catalog, keys: Collection[dg.AssetKey]) -> dict[str, ConnectionRecord]:
    assets = (asset for asset in catalog.assets if asset.key in keys)
    return {asset.connection.id: asset.connection for asset in assets}
