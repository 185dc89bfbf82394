"""Where the destination of a connection puts its streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from airbyte_dagster.airbyte import records
from airbyte_dagster.destinations.tables import Collision, TablePlaces, collisions
from airbyte_dagster.workspaces.snapshot import ConnectionRecord


def table_places(connection: ConnectionRecord, now: records.Connection) -> TablePlaces:
    """Return where the tables of a connection are expected.

    Args:
        connection: As it was read.
        now: As it is now.
    """
    return TablePlaces.of(connection.destination.type, connection.destination.place, now, now.streams)


def shared_tables(connections: Iterable[ConnectionRecord]) -> list[Collision]:
    """Return the tables that several streams of some connections are written to."""
    by_destination: dict[str, dict[str, TablePlaces]] = defaultdict(dict)
    for connection in connections:
        by_destination[connection.destination.id][f"{connection.name} ({connection.id})"] = connection.table_places
    return [found for places in by_destination.values() for found in collisions(places)]
