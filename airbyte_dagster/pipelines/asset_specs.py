"""What Dagster calls the streams of a pipeline, and what it shows of them: asset keys and specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import EnvironmentReference, declared_value, read_reference
from airbyte_dagster.destinations.databases import full_name, writes_to_motherduck
from airbyte_dagster.destinations.tables import NamedStream, TablePlaces
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.runs.keys import asset_key_part, stream_paths


@dataclass(frozen=True)
class StreamAsset:
    """An asset of a pipeline.

    Attributes:
        streams: The stream that it stands for; empty where the declaration names none: then one asset stands for the
            whole connection, since the streams are known only to Airbyte.
    """

    key: dg.AssetKey
    streams: tuple[spec.Stream, ...]

    def matching(self, connection: records.Connection) -> tuple[records.Stream, ...]:
        """Return the streams as the connection has them, with what is declared of them; none that it does not have.

        A declaration that gives no namespace means the one stream of its name.

        Raises:
            ConfigurationError: The connection has several streams of a name that is declared without a namespace.
        """
        if not self.streams:
            return connection.streams
        found = (_declared_over(stream, connection) for stream in self.streams)
        return tuple(stream for stream in found if stream is not None)


def _declared_over(declared: spec.Stream, connection: records.Connection) -> records.Stream | None:
    wanted = declared.record()
    same = [item for item in connection.streams if item.name == wanted.name]
    if wanted.namespace is not None:
        same = [item for item in same if item.namespace == wanted.namespace]
    if len(same) > 1:
        names = ", ".join(sorted(str(item.key) for item in same))
        raise ConfigurationError(
            f"The connection {connection.name!r} has several streams named {wanted.name!r}: {names}.",
            guidance="Declare the stream with its namespace.",
        )
    if not same:
        return None
    return replace(wanted, namespace=same[0].namespace, primary_key=wanted.primary_key or same[0].primary_key)


def stream_assets(pipeline: spec.AirbytePipeline) -> tuple[StreamAsset, ...]:
    """Return the assets of a pipeline, keyed ``PIPELINE/STREAM`` (``PIPELINE/NAMESPACE/STREAM`` with a namespace).

    Keys are those that a workspace would give the streams of a connection that is called like the pipeline.
    """
    streams = pipeline.connection.streams
    if streams is None:
        return (StreamAsset(dg.AssetKey([pipeline.name]), ()),)
    paths = stream_paths(stream.key for stream in streams)
    return tuple(StreamAsset(dg.AssetKey([pipeline.name, *paths[stream.key]]), (stream,)) for stream in streams)


def asset_spec(pipeline: spec.AirbytePipeline, asset: StreamAsset) -> dg.AssetSpec:
    """Return how Dagster shows one of a pipeline's assets."""
    stream = asset.streams[0] if asset.streams else None
    what = f"Stream '{stream.name}'" if stream else "All streams"
    source = pipeline.source
    kinds = ["airbyte", source.type, destination_kind(pipeline)]
    metadata: dict[str, Any] = {
        "airbyte/connection_name": pipeline.connection.name,
        "airbyte/source_name": source.name,
        "airbyte/source_type": source.type or f"custom, definition {source.definition_id}",
    }
    if stream:
        metadata["airbyte/sync_mode"] = stream.sync_mode
        metadata |= _expected_table(pipeline, stream)
    text = f"{what} of '{source.name}', brought to '{pipeline.destination.name}' by Airbyte."
    fresh = pipeline.checks_of(stream).fresh
    return dg.AssetSpec(
        asset.key,
        description=f"{text} {pipeline.description}" if pipeline.description else text,
        group_name=pipeline.group_name or pipeline.name,
        owners=list(pipeline.owners),
        tags=dict(pipeline.tags),
        kinds={asset_key_part(kind) for kind in kinds if kind},
        metadata=metadata,
        deps=[dg.AssetKey.from_user_string(path) for path in pipeline.deps],
        automation_condition=pipeline.automation_condition,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh.within) if fresh else None,
    )


def _expected_table(pipeline: spec.AirbytePipeline, stream: spec.Stream) -> dict[str, str]:
    """Return where the table is to be, which the asset's page shows; nothing where the environment decides it.

    A materialization tells where it is.
    """
    destination = pipeline.destination
    names = ("schema", "destination_path", "database")
    place = {name: declared_value(destination.configuration, name) for name in names}
    if any(isinstance(value, EnvironmentReference) for value in place.values()):
        return {}
    table = full_name(destination.type, place, table_places(pipeline).table_name(stream))
    return {"dagster/table_name": table} if table else {}


def destination_kind(pipeline: spec.AirbytePipeline) -> str:
    """Return what a pipeline writes to, as Dagster's tag of kinds: MotherDuck, or the type of the destination."""
    destination = pipeline.destination
    place = {"destination_path": declared_value(destination.configuration, "destination_path")}
    return "motherduck" if writes_to_motherduck(destination.type, place) else destination.type


def _group(pipeline: spec.AirbytePipeline) -> str:
    return pipeline.group_name or pipeline.name


def _upstream(pipeline: spec.AirbytePipeline) -> list[dg.AssetKey]:
    return [dg.AssetKey.from_user_string(path) for path in pipeline.deps]


def table_places(pipeline: spec.AirbytePipeline, streams: Sequence[NamedStream] | None = None) -> TablePlaces:
    """Return where the tables of a pipeline's streams are expected, as the environment is now.

    Args:
        streams: Those that the connection has, if they are known; the declared ones by default.
    """
    destination = pipeline.destination
    schema = read_reference(declared_value(destination.configuration, "schema"))
    known = pipeline.connection.streams or () if streams is None else streams
    return TablePlaces.of(destination.type, {"schema": schema}, pipeline.connection, known)
