"""The table that a stream is written to: its columns, its key, and what is done to the rows that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from airbyte_dagster.destinations.columns import EXTRACTED_AT, GENERATION_ID, META, RAW_ID, distinct_columns
from airbyte_dagster.destinations.kinds import KINDS
from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.destinations.types import AirbyteType, airbyte_type, follows
from airbyte_dagster.local.engine import Failure, StreamPlan
from airbyte_dagster.local.work.reporting import Failed, StreamKey

#: Whole numbers below it are the same as numbers with a fraction.
EXACT = 2**53


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        field: The property of the record.
        name: What it is called in the table.
        declared: What the source says its values are.
        stored: What the column holds: the declared type, or that of the existing column if that can't follow.
    """

    field: str
    name: str
    declared: AirbyteType
    stored: AirbyteType


#: What Airbyte adds, in this order; staging has them first.
AIRBYTE_COLUMNS: tuple[tuple[str, AirbyteType], ...] = (
    (RAW_ID, "string"),
    (EXTRACTED_AT, "timestamp_with_timezone"),
    (META, "json"),
    (GENERATION_ID, "integer"),
)


@dataclass(frozen=True)
class Part:
    """A value that rows are told apart or ordered by: a column, or what lies within a column of JSON.

    Attributes:
        column: Position of the column.
        path: Keys within it; empty for all of it.
        type: What it is.
    """

    column: int
    path: tuple[str, ...]
    type: AirbyteType


@dataclass(frozen=True)
class StreamTable:
    """A stream's table.

    Attributes:
        key: The stream.
        place: Where it is.
        columns: Its columns, without Airbyte's own.
        strategy: ``replace``, ``append`` or ``merge``.
        dedupe: Whether only the last row of each key is kept.
        primary_key: Its parts, if it is needed.
        cursor: What rows of one key are ordered by before the time of their extraction.
        generation_id: Of the rows that are written.
    """

    key: StreamKey
    place: Place
    columns: tuple[Column, ...]
    strategy: str
    dedupe: bool
    primary_key: tuple[Part, ...] = ()
    cursor: Part | None = None
    generation_id: int = 0

    def fitted(self, existing: dict[str, AirbyteType | None]) -> StreamTable:
        """Return it with the types that its columns can have, by those of the existing table.

        Args:
            existing: Type of those columns that exist, by the name that `Column` has for them; ``None`` for a type that
                Airbyte gives to none.
        """
        if self.strategy == "replace":
            return self
        return replace(self, columns=tuple(_fitted(column, existing) for column in self.columns))


def _fitted(column: Column, existing: dict[str, AirbyteType | None]) -> Column:
    there = existing.get(column.name)
    if there is None or there == column.declared or follows(there, column.declared):
        return column
    return replace(column, stored=there)


def fold_of(kind: str) -> Callable[[str], str]:
    """Return what makes names equal that are one to a kind of destination."""
    return str if KINDS[kind].tells_case else str.casefold


def table_of(plan: StreamPlan, kind: str, existing: Mapping[str, str | None] = MappingProxyType({})) -> StreamTable:
    """Return the table of a stream in a kind of destination.

    Args:
        plan: The stream.
        kind: The kind.
        existing: The columns of the table that is there, as `distinct_columns` has them.

    Raises:
        Failed: Its key or its cursor is not among its fields.
    """
    properties: dict[str, Any] = (plan.stream.get("json_schema") or {}).get("properties") or {}
    selected = {path[0] for path in plan.selected_fields}
    fields = [name for name in properties if not selected or name in selected]
    by_field = distinct_columns(fields, KINDS[kind].tables[0], fold_of(kind), existing)
    types = {name: airbyte_type(properties[name]) for name in fields}
    columns = tuple(Column(name, by_field[name], types[name], types[name]) for name in fields)
    return StreamTable(
        key=(plan.namespace, plan.name),
        place=Place(plan.schema, plan.table),
        columns=columns,
        strategy=plan.strategy,
        dedupe=plan.dedupe and bool(plan.primary_key),
        primary_key=tuple(_part(plan, path, fields, properties) for path in plan.primary_key) if plan.dedupe else (),
        cursor=_part(plan, plan.cursor_field, fields, properties) if plan.dedupe and plan.cursor_field else None,
        generation_id=plan.generation_id,
    )


def _part(plan: StreamPlan, path: tuple[str, ...], fields: list[str], properties: dict[str, Any]) -> Part:
    if path[0] not in fields:
        message = f"The stream {plan.name} has no field {path[0]}, which is in its primary key or its cursor"
        raise Failed(Failure(message, origin="source", kind="config_error", stream=(plan.namespace, plan.name)))
    schema: Any = properties[path[0]]
    for name in path[1:]:
        schema = ((schema or {}).get("properties") or {}).get(name)
    return Part(fields.index(path[0]), path[1:], airbyte_type(schema))
