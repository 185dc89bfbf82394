"""References to tables, for tests that read a warehouse."""

from __future__ import annotations

from airbyte_dagster.destinations.tables import Key, Place, TableRef


def table_ref(
    schema: str,
    names: tuple[str, ...],
    keys: tuple[Key, ...] = (),
    not_null: tuple[str, ...] = (),
    newest: str | None = None,
) -> TableRef:
    """A table of one of some names in a schema, best first."""
    return TableRef(tuple(Place(schema, name) for name in names), keys=keys, not_null=not_null, newest=newest)
