"""Where the destination of a connection puts its streams."""

from __future__ import annotations

from airbyte_dagster.airbyte import records
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.workspaces.snapshot import ConnectionRecord


def table_places(connection: ConnectionRecord, now: records.Connection | None = None) -> TablePlaces:
    """Return where the tables of a connection are expected.

    Args:
        connection: As it was read.
        now: As it is now, if that is known.
    """
    if now is None:
        return connection.table_places
    return TablePlaces.of(connection.destination.type, connection.destination.place, now, now.streams)
