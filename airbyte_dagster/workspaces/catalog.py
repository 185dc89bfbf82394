"""A snapshot, a selector and a translator → the assets of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import dagster as dg

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Stream, StreamKey
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs.keys import free_stream_path, stream_paths
from airbyte_dagster.workspaces.keys import connection_keys, free_connection_key
from airbyte_dagster.workspaces.selector import ConnectionSelector, Selector, selected
from airbyte_dagster.workspaces.snapshot import ConnectionRecord, WorkspaceSnapshot
from airbyte_dagster.workspaces.translator import AirbyteStreamProps, AirbyteTranslator


@dataclass(frozen=True)
class WorkspaceAsset:
    """A stream of a connection, as an asset."""

    spec: dg.AssetSpec
    connection: ConnectionRecord
    stream: Stream

    @property
    def key(self) -> dg.AssetKey:
        """The asset's key."""
        return self.spec.key


class Catalog:
    """The assets of a workspace.

    Attributes:
        snapshot: What it is made from.
        assets: By connection, in the snapshot's order.
        by_key: The same, by their keys.
    """

    snapshot: WorkspaceSnapshot
    assets: tuple[WorkspaceAsset, ...]
    by_key: Mapping[dg.AssetKey, WorkspaceAsset]

    def __init__(
        self,
        snapshot: WorkspaceSnapshot,
        selector: Selector,
        translator: AirbyteTranslator,
        freshness_policy: dg.FreshnessPolicy | None,
    ) -> None:
        self.snapshot = snapshot
        self._translator = translator
        self._freshness_policy = freshness_policy
        self._links = Links(snapshot.server_url, snapshot.workspace_id)
        # Of all connections: what one is called does not depend on which others are selected.
        self._connection_keys = connection_keys(snapshot.connections)
        self._of_connection: dict[str, tuple[WorkspaceAsset, ...]] = {}
        self._paths: dict[str, dict[StreamKey, tuple[str, ...]]] = {}
        by_key: dict[dg.AssetKey, WorkspaceAsset] = {}
        for connection in selected(selector, snapshot.connections):
            self._of_connection[connection.id] = self._add(connection, by_key)
        self.by_key = MappingProxyType(by_key)
        self.assets = tuple(by_key.values())

    def of_connection(self, connection_id: str) -> tuple[WorkspaceAsset, ...]:
        """Return the assets of a connection; none if it is not there, or not selected."""
        return self._of_connection.get(connection_id, ())

    def spec_of(self, connection: ConnectionRecord, stream: Stream) -> dg.AssetSpec:
        """Return how Dagster shows a stream that the snapshot may not have.

        What the snapshot has keeps its key, whatever else has appeared and however the connection is called now.

        Args:
            connection: As it is now.
            stream: Of the connection.
        """
        paths = self._paths.get(connection.id, {})
        path = paths.get(stream.key) or free_stream_path(stream.key, paths.values())
        key = self._connection_keys.get(connection.id) or free_connection_key(
            connection, set(self._connection_keys.values())
        )
        return self._spec(connection, stream, key, path)

    def _add(
        self, connection: ConnectionRecord, by_key: dict[dg.AssetKey, WorkspaceAsset]
    ) -> tuple[WorkspaceAsset, ...]:
        paths = self._paths[connection.id] = stream_paths(stream.key for stream in connection.streams)
        connection_key = self._connection_keys[connection.id]
        assets = []
        for stream in {stream.key: stream for stream in connection.streams}.values():
            spec = self._spec(connection, stream, connection_key, paths[stream.key])
            asset = WorkspaceAsset(spec, connection, stream)
            if spec.key in by_key:
                raise _collision(by_key[spec.key], asset)
            by_key[spec.key] = asset
            assets.append(asset)
        return tuple(assets)

    def _spec(
        self, connection: ConnectionRecord, stream: Stream, connection_key: str, path: tuple[str, ...]
    ) -> dg.AssetSpec:
        props = AirbyteStreamProps(connection, stream, connection_key, path, self._links)
        try:
            spec = self._translator.get_asset_spec(props)
        except Exception as error:
            raise ConfigurationError(f"The translator fails on {_named(connection, stream)}: {error!r}") from error
        if not isinstance(spec, dg.AssetSpec):
            raise ConfigurationError(f"The translator gives {spec!r} for {_named(connection, stream)}, no AssetSpec.")
        if spec.partitions_def is not None:
            raise ConfigurationError(
                f"The translator gives partitions to {_named(connection, stream)}: Airbyte syncs whole connections."
            )
        if self._freshness_policy is not None and spec.freshness_policy is None:
            return spec.replace_attributes(freshness_policy=self._freshness_policy)
        return spec


def build_catalog(
    snapshot: WorkspaceSnapshot,
    selector: Selector | None = None,
    translator: AirbyteTranslator | None = None,
    *,
    freshness_policy: dg.FreshnessPolicy | None = None,
) -> Catalog:
    """Make the assets of a workspace.

    Args:
        snapshot: The workspace.
        selector: Which connections; the active ones by default.
        translator: How Dagster shows their streams; `AirbyteTranslator` by default.
        freshness_policy: Of the streams to which the translator gives none.

    Raises:
        ConfigurationError: The selector or the translator is none, or fails; or the translator gives two streams one
            key, or gives what no asset of a sync can have.
    """
    if translator is not None and not isinstance(translator, AirbyteTranslator):
        raise ConfigurationError(f"translator is {translator!r}: it is an object of a subclass of AirbyteTranslator.")
    return Catalog(snapshot, selector or ConnectionSelector(), translator or AirbyteTranslator(), freshness_policy)


def _collision(one: WorkspaceAsset, other: WorkspaceAsset) -> ConfigurationError:
    return ConfigurationError(
        f"The translator gives {_named(one.connection, one.stream)} and {_named(other.connection, other.stream)} "
        f"one key: {one.key.to_user_string()!r}.",
        guidance="Let its keys depend on the connection, as connection_key does, and on the stream's namespace.",
    )


def _named(connection: ConnectionRecord, stream: Stream) -> str:
    name = f"{stream.namespace}.{stream.name}" if stream.namespace else stream.name
    return f"stream {name!r} of connection {connection.name!r} ({connection.id})"
