"""Which assets stand for what a connection brings: what runs and sensors know of those who declare assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from airbyte_dagster.airbyte.records import Connection, Stream, StreamKey
from airbyte_dagster.destinations.tables import TableRef
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError


@dataclass(frozen=True)
class AssetTarget:
    """An asset, and the streams of a connection that it stands for.

    Attributes:
        streams: As the connection has them now.
        tables: Where the streams' tables are; empty if there is no warehouse to look into.
        is_defined: Whether the code location has the asset; else the stream is newer than its definitions.
    """

    key: dg.AssetKey
    streams: tuple[Stream, ...]
    tables: Mapping[StreamKey, TableRef]
    is_defined: bool = True


@dataclass(frozen=True)
class ConnectionTargets:
    """The assets of one connection.

    Attributes:
        assets: Those whose streams the connection has.
        missing: Assets whose streams the connection does not have any more.
    """

    assets: tuple[AssetTarget, ...] = ()
    missing: tuple[dg.AssetKey, ...] = ()


@dataclass(frozen=True)
class FoundConnection:
    """A connection that is to be synced.

    Attributes:
        connection: As it is now; ``None`` if there is an error.
        error: Why it can't be synced.
    """

    id: str
    name: str
    connection: Connection | None = None
    error: AirbyteDagsterError | None = None


#: Returns the assets of a connection as it is now; none if it is nobody's.
TargetsOf: TypeAlias = Callable[[Connection], ConnectionTargets]


def inactive(connection: Connection) -> ConfigurationError:
    """Return the error of a connection that was switched off."""
    return ConfigurationError(
        f"The connection '{connection.name}' ({connection.id}) is {connection.status}: Airbyte syncs only active ones.",
        guidance="If nobody has switched it off, its source's schema may have changed, for which Airbyte disables "
        "connections: look at its streams in Airbyte and make it active there, or leave it out.",
    )
