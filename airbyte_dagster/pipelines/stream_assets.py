"""What Dagster calls the streams of a pipeline: asset keys, specs, and the source that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import EnvironmentReference, declared_value, read_reference
from airbyte_dagster.destinations.databases import writes_to_motherduck
from airbyte_dagster.destinations.tables import NamedStream, TablePlaces
from airbyte_dagster.errors import ConfigurationError, SpecError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.runs.keys import dagster_name


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

    Raises:
        SpecError: Two streams would have one key.
    """
    if pipeline.connection.streams is None:
        return (StreamAsset(dg.AssetKey([pipeline.name]), ()),)
    assets: dict[dg.AssetKey, StreamAsset] = {}
    for stream in pipeline.connection.streams:
        parts = [stream.namespace, stream.name] if stream.namespace else [stream.name]
        key = dg.AssetKey([pipeline.name, *map(dagster_name, parts)])
        if key in assets or key == source_key(pipeline):
            other = f"stream {assets[key].streams[0].name!r}" if key in assets else "source"
            raise SpecError(
                f"The {other} and the stream {stream.name!r} of pipeline {pipeline.name!r} "
                f"would both be the asset {key.to_user_string()!r}.",
                guidance="Give them to two pipelines.",
            )
        assets[key] = StreamAsset(key, (stream,))
    return tuple(assets.values())


def source_key(pipeline: spec.AirbytePipeline) -> dg.AssetKey:
    """Return the key of the asset that stands for the source, upstream of the streams: ``PIPELINE/source/NAME``."""
    return dg.AssetKey([pipeline.name, "source", dagster_name(pipeline.source.name)])


def source_spec(pipeline: spec.AirbytePipeline) -> dg.AssetSpec:
    """Return the asset that stands for the source: nothing materializes it, it shows where the streams come from."""
    source = pipeline.source
    return dg.AssetSpec(
        source_key(pipeline),
        description=f"The source '{source.name}' in Airbyte, which the streams of '{pipeline.name}' come from.",
        group_name=_group(pipeline),
        owners=list(pipeline.owners),
        tags=dict(pipeline.tags),
        kinds={dagster_name(kind) for kind in ("airbyte", source.type) if kind},
        metadata={
            "airbyte/source_name": source.name,
            "airbyte/source_type": source.type or f"custom, definition {source.definition_id}",
        },
        deps=_upstream(pipeline),
    )


def asset_spec(pipeline: spec.AirbytePipeline, asset: StreamAsset) -> dg.AssetSpec:
    """Return how Dagster shows one of a pipeline's assets."""
    stream = asset.streams[0] if asset.streams else None
    what = f"Stream '{stream.name}'" if stream else "All streams"
    kinds = ["airbyte", pipeline.source.type, destination_kind(pipeline)]
    metadata: dict[str, Any] = {"airbyte/connection_name": pipeline.connection.name}
    if stream:
        metadata["airbyte/sync_mode"] = stream.sync_mode
        metadata |= _expected_table(pipeline, stream)
    text = f"{what} of '{pipeline.source.name}', brought to '{pipeline.destination.name}' by Airbyte."
    condition = pipeline.automation_condition
    fresh = (pipeline.checks_of(stream) if stream else pipeline.checks).fresh
    return dg.AssetSpec(
        asset.key,
        description=f"{text} {pipeline.description}" if pipeline.description else text,
        group_name=_group(pipeline),
        owners=list(pipeline.owners),
        tags=dict(pipeline.tags),
        kinds={dagster_name(kind) for kind in kinds if kind},
        metadata=metadata,
        deps=[source_key(pipeline), *_upstream(pipeline)],
        # Nothing ever materializes the source's asset: a condition that waits for all upstream would wait for ever.
        automation_condition=condition.ignore(dg.AssetSelection.assets(source_key(pipeline)))
        if hasattr(condition, "ignore")
        else condition,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh.within) if fresh else None,
    )


def _expected_table(pipeline: spec.AirbytePipeline, stream: spec.Stream) -> dict[str, str]:
    """Return where the table is to be, which the asset's page shows; nothing where the environment decides it.

    A materialization tells where it is.
    """
    if isinstance(declared_value(pipeline.destination.configuration, "schema"), EnvironmentReference):
        return {}
    table = table_places(pipeline).table_name(stream)
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
