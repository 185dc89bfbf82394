"""From a connection to what a job has to do. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airbyte_dagster.local.engine import Group, Json, StreamPlan, Warehouse
from airbyte_dagster.local.records import Connection

_STRATEGIES = {
    # sync mode: (what happens to the rows that are there, go on where the last sync stopped, last row per key only)
    "full_refresh_overwrite": ("replace", False, False),
    "full_refresh_append": ("append", False, False),
    "full_refresh_overwrite_deduped": ("replace", False, True),
    "incremental_append": ("append", True, False),
    "incremental_deduped_history": ("merge", True, True),
}


def schema_for(connection: Connection, namespace: str | None, default: str) -> str:
    """The warehouse schema of a stream, by the connection's namespace definition.

    Args:
        connection: Its definition is ``destination`` (the destination's schema), ``source`` (the stream's namespace)
            or ``custom_format`` (the format, with ``${SOURCE_NAMESPACE}`` filled in).
        namespace: The stream's own namespace, if it has one.
        default: The destination's schema.

    Returns:
        A name of letters, digits and underscores; other characters become underscores.
    """
    if connection.namespace_definition == "source":
        chosen = namespace or default
    elif connection.namespace_definition == "custom_format":
        chosen = (connection.namespace_format or "").replace("${SOURCE_NAMESPACE}", namespace or "") or default
    else:
        chosen = default
    name = re.sub(r"[^A-Za-z0-9_]", "_", chosen)
    return f"_{name}" if name[:1].isdigit() else name


def groups(connection: Connection, warehouse: Warehouse) -> tuple[Group, ...]:
    """The connection's streams, grouped by what one read can handle together: one schema and one sync mode."""
    found: dict[tuple[str, str], list[StreamPlan]] = {}
    for shown, stream in zip(connection.streams, connection.catalog, strict=True):
        schema = schema_for(connection, stream.get("namespace"), warehouse.schema)
        found.setdefault((schema, shown["syncMode"]), []).append(_stream_plan(shown, stream))
    return tuple(
        Group(schema, mode, *_STRATEGIES[mode], streams=tuple(streams)) for (schema, mode), streams in found.items()
    )


def refreshed_catalog(connection: Connection, discovered: Sequence[Json]) -> list[Json]:
    """The connection's catalog with the streams as they are now; a stream that is gone stays as it was."""
    now = {(stream["name"], stream.get("namespace")): stream for stream in discovered}
    return [now.get((stream["name"], stream.get("namespace")), stream) for stream in connection.catalog]


def _stream_plan(shown: Json, stream: Json) -> StreamPlan:
    return StreamPlan(
        stream=stream,
        cursor_field=tuple(shown["cursorField"]),
        primary_key=tuple(tuple(path) for path in shown["primaryKey"]),
        selected_fields=tuple(tuple(field["fieldPath"]) for field in shown["selectedFields"]),
    )
