"""Where the destination of a connection puts its streams."""

from __future__ import annotations

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.destinations.tables import TablePlaces, default_schema, table_name
from airbyte_dagster.workspaces.snapshot import ConnectionRecord

#: Destinations of which it is known where they put a table, and that warehouses here can read.
_KNOWN = frozenset({"duckdb", "motherduck", "postgres"})


def table_places(connection: ConnectionRecord, now: records.Connection | None = None) -> TablePlaces:
    """Return where the tables of a connection are expected.

    Args:
        connection: As it was read.
        now: As it is now, if that is known.
    """
    settings = now or connection
    configured = connection.destination.place.get("schema")
    schema = default_schema(connection.destination.type, str(configured) if configured else None)
    return TablePlaces(settings.prefix, schema, settings.namespace_definition, settings.namespace_format)


def stream_table_name(connection: ConnectionRecord, stream: Stream) -> str | None:
    """Return ``schema.table`` of a stream; ``None`` for destinations that are not known well enough."""
    if connection.destination.type not in _KNOWN:
        return None
    return table_name(table_places(connection).ref(stream), connection.destination.type)
