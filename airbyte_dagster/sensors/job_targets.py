"""Which assets stand for what a connection brings: the seam between jobs and those who declare assets for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.records import Connection, StreamKey
from airbyte_dagster.destinations.tables import TableRef


@dataclass(frozen=True)
class JobTarget:
    """An asset, and the streams of a connection that it stands for.

    Attributes:
        streams: With their sync modes and primary keys, as claims are made of them.
        tables: Where the streams' tables are; empty if there is no warehouse to look into.
    """

    key: dg.AssetKey
    streams: tuple[records.Stream, ...]
    tables: Mapping[StreamKey, TableRef]


#: Returns the assets of a connection; none if it is nobody's.
TargetsOf: TypeAlias = Callable[[Connection], Sequence[JobTarget]]
