"""What Dagster shows of the stream of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.destinations.databases import full_name, writes_to_motherduck
from airbyte_dagster.runs.events import COLUMN_SCHEMA, table_schema
from airbyte_dagster.runs.keys import asset_key_part
from airbyte_dagster.workspaces.snapshot import ActorRecord, ConnectionRecord


@dataclass(frozen=True)
class AirbyteStreamProps:
    """All that is known of a stream when its asset is made.

    Attributes:
        connection_key: The connection's name as a part of a key, unlike that of any other connection of the workspace.
        stream_path: The same of the stream within its connection: its namespace, if it has one, and its name.
        links: Addresses of Airbyte's pages.
    """

    connection: ConnectionRecord
    stream: Stream
    connection_key: str
    stream_path: tuple[str, ...]
    links: Links

    @property
    def source(self) -> ActorRecord:
        """The connection's source."""
        return self.connection.source

    @property
    def destination(self) -> ActorRecord:
        """The connection's destination."""
        return self.connection.destination

    @property
    def is_motherduck(self) -> bool:
        """Whether the destination writes to MotherDuck."""
        return writes_to_motherduck(self.destination.type, self.destination.place)

    @property
    def table_name(self) -> str | None:
        """``database.schema.table`` in the warehouse, as far as it is known; ``None`` for unknown destinations."""
        table = self.connection.table_places.table_name(self.stream)
        return full_name(self.destination.type, self.destination.place, table)

    @property
    def connection_url(self) -> str:
        """The connection's page in Airbyte."""
        return self.links.connection(self.connection.id)


class AirbyteTranslator:
    """Makes the asset of a stream; a subclass changes what it wants to.

    Example:
        .. code-block:: python

            class Mine(AirbyteTranslator):
                def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
                    spec = super().get_asset_spec(props)
                    return spec.replace_attributes(key=spec.key.with_prefix("airbyte"), owners=["team:data"])
    """

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        """Return how Dagster shows a stream.

        Args:
            props: The stream, its connection, source and destination.

        Returns:
            Key ``CONNECTION/STREAM`` (``CONNECTION/NAMESPACE/STREAM`` with a namespace), in a group for each
            connection, with no upstream assets.
        """
        source, destination = props.source, props.destination
        kinds = ("airbyte", source.type, "motherduck" if props.is_motherduck else destination.type)
        metadata: dict[str, Any] = {
            "airbyte/connection_id": props.connection.id,
            "airbyte/connection_name": props.connection.name,
            "airbyte/sync_mode": props.stream.sync_mode,
            "airbyte/connection": dg.MetadataValue.url(props.connection_url),
        }
        table = props.table_name
        if table:
            metadata["dagster/table_name"] = table
        if props.stream.columns:
            metadata[COLUMN_SCHEMA] = _columns(props.stream)
        return dg.AssetSpec(
            dg.AssetKey([props.connection_key, *props.stream_path]),
            description=f"Stream '{props.stream.name}' of '{source.name}', brought to '{destination.name}' by Airbyte.",
            group_name=props.connection_key,
            kinds={asset_key_part(kind) for kind in kinds if kind},
            metadata=metadata,
        )


def _columns(stream: Stream) -> dg.TableSchema:
    """Return the columns that are synced, of a type that Airbyte does not report: Dagster shows none for ``?``."""
    synced = [name for name in stream.columns if not stream.selected_fields or name in stream.selected_fields]
    return table_schema([(name, "?") for name in synced], {path[0] for path in stream.primary_key if len(path) == 1})
