"""References to tables, for tests that read a warehouse."""

from __future__ import annotations

from typing import Any

from airbyte_dagster.destinations.tables import Place, TableRef


def table_ref(schema: str, names: tuple[str, ...], keys: tuple[tuple[str, ...], ...] = (), **more: Any) -> TableRef:
    """A table of one of some names in a schema, best first."""
    return TableRef(tuple(Place(schema, name) for name in names), keys=keys, **more)
