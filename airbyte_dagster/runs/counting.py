"""Rows of tables before a sync, for the checks whose rule needs them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.destinations.tables import TableRef
from airbyte_dagster.errors import ConfigurationError, WarehouseError, WarehouseMissing
from airbyte_dagster.runs.reported import needs_count
from airbyte_dagster.runs.targets import ConnectionTargets
from airbyte_dagster.warehouse import Warehouse

_Name = TypeVar("_Name", bound=Hashable)


def counted_before(
    warehouse: Warehouse, targets: Mapping[str, ConnectionTargets], *, warn: Callable[[str], None]
) -> dict[str, dict[StreamKey, int]]:
    """Count the rows of the streams whose rule needs it, all in one query.

    Args:
        warehouse: Where the tables are.
        targets: The assets of each connection.
        warn: Takes one line for people.

    Returns:
        By connection; without what could not be counted.
    """
    refs: dict[tuple[str, StreamKey], TableRef] = {
        (connection_id, stream.key): target.tables[stream.key]
        for connection_id, its in targets.items()
        for target in its.assets
        for stream in target.streams
        if stream.key in target.tables and needs_count(stream)
    }
    counted: dict[str, dict[StreamKey, int]] = {}
    if refs:
        for (connection_id, key), rows in rows_before(warehouse, refs, warn=warn).items():
            counted.setdefault(connection_id, {})[key] = rows
    return counted


def rows_before(
    warehouse: Warehouse, refs: Mapping[_Name, TableRef], *, warn: Callable[[str], None]
) -> dict[_Name, int]:
    """Count the rows of tables, all in one query; nothing where that can't be.

    Args:
        warehouse: Where they are; one that is missing has no rows.
        refs: The tables, by any name.
        warn: Takes one line for people.
    """
    try:
        found = warehouse.inspect(refs)
    except WarehouseMissing:
        return dict.fromkeys(refs, 0)
    except (WarehouseError, ConfigurationError) as error:
        warn(f"Rows before the sync could not be counted: {error}")
        return {}
    for why in found.unknown.values():
        warn(f"Rows before the sync could not be counted: {why}.")
    return {name: table.rows if table else 0 for name, table in found.items() if name not in found.unknown}
