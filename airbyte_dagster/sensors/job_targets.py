"""Which assets stand for what a connection brings: the seam between jobs and those who declare assets for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from airbyte_dagster import spec
from airbyte_dagster.models import Connection
from airbyte_dagster.naming import table_ref
from airbyte_dagster.stream_assets import stream_assets
from airbyte_dagster.warehouse import TableRef

#: Namespace and name of a stream.
StreamKey: TypeAlias = tuple[str | None, str]


@dataclass(frozen=True)
class JobTarget:
    """An asset, and the streams of a connection that it stands for.

    Attributes:
        streams: With their sync modes and primary keys, as claims are made of them.
        tables: Where the streams' tables are; empty if there is no warehouse to look into.
    """

    key: dg.AssetKey
    streams: tuple[spec.Stream, ...]
    tables: Mapping[StreamKey, TableRef]


#: Returns the assets of a connection; none if it is nobody's.
TargetsOf: TypeAlias = Callable[[Connection], Sequence[JobTarget]]


def pipeline_targets(pipelines: Sequence[spec.AirbytePipeline]) -> TargetsOf:
    """Return what finds the assets of declared pipelines; a connection is known by its name, as everywhere."""
    by_connection = defaultdict(list)
    for pipeline in pipelines:
        by_connection[pipeline.connection.name].append(pipeline)

    def targets_of(connection: Connection) -> list[JobTarget]:
        targets = []
        for pipeline in by_connection.get(connection.name, ()):
            for asset in stream_assets(pipeline):
                streams = asset.matching(connection)
                targets.append(
                    JobTarget(asset.key, streams, {stream.key: table_ref(pipeline, stream) for stream in streams})
                )
        return targets

    return targets_of
