"""From a connection to what a job has to do. Pure functions."""

from __future__ import annotations

from airbyte_dagster.destinations.tables import Place, TablePlaces
from airbyte_dagster.local.engine import Json, StreamPlan, Warehouse
from airbyte_dagster.local.records import Connection

_STRATEGIES = {
    # sync mode: (what happens to the rows that are there, go on where the last sync stopped, last row per key only)
    "full_refresh_overwrite": ("replace", False, False),
    "full_refresh_append": ("append", False, False),
    "full_refresh_overwrite_deduped": ("replace", False, True),
    "incremental_append": ("append", True, False),
    "incremental_deduped_history": ("merge", True, True),
}


def place_of(connection: Connection, warehouse: Warehouse, namespace: str | None, name: str) -> Place:
    """Return the table that a stream of a connection is written to, where the checks look for it."""
    place = TablePlaces(warehouse.kind, warehouse.schema, connection).first(namespace, name)
    if place is None:  # the three kinds of `Warehouse` are all known
        raise ValueError(warehouse.kind)
    return place


def streams(connection: Connection, warehouse: Warehouse) -> tuple[StreamPlan, ...]:
    """Return what is to be done with each stream of a connection."""
    return tuple(
        _stream_plan(shown, stream, place_of(connection, warehouse, stream.get("namespace"), stream["name"]))
        for shown, stream in zip(connection.streams, connection.catalog, strict=True)
    )


def _stream_plan(shown: Json, stream: Json, place: Place) -> StreamPlan:
    strategy, incremental, dedupe = _STRATEGIES[shown["syncMode"]]
    return StreamPlan(
        stream=stream,
        schema=place.schema,
        table=place.table,
        strategy=strategy,
        incremental=incremental,
        dedupe=dedupe,
        cursor_field=tuple(shown["cursorField"]),
        primary_key=tuple(tuple(path) for path in shown["primaryKey"]),
        selected_fields=tuple(tuple(field["fieldPath"]) for field in shown["selectedFields"]),
    )
