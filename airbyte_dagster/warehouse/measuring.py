"""Find and measure tables in two queries, whatever their number, in SQL that DuckDB and PostgreSQL both speak."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from airbyte_dagster.destinations.tables import Key, TableRef
from airbyte_dagster.warehouse.tables import KeyCount, Table, column_sql, find_column, literal, quoted

_Name = TypeVar("_Name", bound=Hashable)

#: Runs a query and returns all its rows.
Run = Callable[[str], list[tuple[Any, ...]]]

_HAS_A_TIME = ("date", "timestamp")


@dataclass(frozen=True)
class _Found:
    """A table that is there.

    Attributes:
        place: Database, schema and name.
    """

    place: tuple[str, str, str]
    columns: tuple[tuple[str, str], ...]

    @property
    def sql(self) -> str:
        return ".".join(map(quoted, self.place))

    def columns_sql(self, names: Sequence[str]) -> list[str] | None:
        """Return what selects some columns; ``None`` if one of them is missing."""
        found = [column_sql(self.columns, name) for name in names]
        return [column for column in found if column] if all(found) else None


def inspect(run: Run, refs: Mapping[_Name, TableRef]) -> dict[_Name, Table | None]:
    """Return the table of each reference, or ``None`` where there is none."""
    found = _find(run, refs)
    measured = _measure(run, {name: (found[name], refs[name]) for name in found})
    return {name: measured.get(name) for name in refs}


def _find(run: Run, refs: Mapping[_Name, TableRef]) -> dict[_Name, _Found]:
    schemas = sorted({ref.schema.lower() for ref in refs.values()})
    names = sorted({name.lower() for ref in refs.values() for name in ref.names})
    rows = run(
        "SELECT table_catalog, table_schema, table_name, column_name, data_type "  # noqa: S608 - quoted
        "FROM information_schema.columns WHERE table_catalog = current_database() "
        f"AND lower(table_schema) IN ({', '.join(map(literal, schemas))}) "
        f"AND lower(table_name) IN ({', '.join(map(literal, names))}) "
        "ORDER BY table_schema, table_name, ordinal_position"
    )
    by_place = {
        (place[1].lower(), place[2].lower()): _Found(place, tuple((row[3], row[4]) for row in columns))
        for place, columns in groupby(rows, lambda row: (row[0], row[1], row[2]))
    }
    places = {name: [(ref.schema.lower(), other.lower()) for other in ref.names] for name, ref in refs.items()}
    return {
        name: by_place[next(place for place in candidates if place in by_place)]
        for name, candidates in places.items()
        if any(place in by_place for place in candidates)
    }


def _measure(run: Run, found: Mapping[_Name, tuple[_Found, TableRef]]) -> dict[_Name, Table]:
    """Measure all tables in one query: a row for each, with as many columns as the widest needs."""
    if not found:
        return {}
    wanted = [_Measures(table, ref) for table, ref in found.values()]
    width = max(len(measures.sql) for measures in wanted)
    selects = []
    for index, measures in enumerate(wanted):
        padded = [*measures.sql, *["NULL"] * (width - len(measures.sql))]
        # The types of a union come from all of its parts, and NULL alone has none; DuckDB wants names that differ.
        values = ", ".join(f"CAST({value} AS DOUBLE PRECISION) AS m{place}" for place, value in enumerate(padded))
        selects.append(f"SELECT {index} AS number, {values} FROM {measures.found.sql}")  # noqa: S608 - quoted
    rows = {row[0]: row[1:] for row in run("\nUNION ALL\n".join(selects))}
    return {name: wanted[index].table(rows[index]) for index, name in enumerate(found)}


class _Measures:
    """What to select from one table, and how to read it."""

    def __init__(self, found: _Found, ref: TableRef) -> None:
        self.found = found
        self._keys: list[tuple[Key, list[str]]] = [
            (key, columns) for key in dict.fromkeys(ref.keys) if key and (columns := found.columns_sql(key))
        ]
        self._not_null: list[tuple[str, str]] = [
            (name, column) for name in dict.fromkeys(ref.not_null) if (column := column_sql(found.columns, name))
        ]
        newest = find_column(found.columns, ref.newest) if ref.newest else None
        self._newest = newest[0] if newest and newest[1].lower().startswith(_HAS_A_TIME) else None
        self.sql = list(self._select())

    def _select(self) -> Iterator[str]:
        yield "count(*)"
        for _, columns in self._keys:
            complete = " AND ".join(f"{column} IS NOT NULL" for column in columns)
            yield f"count(*) FILTER (WHERE {complete})"
            yield f"count(DISTINCT ({', '.join(columns)})) FILTER (WHERE {complete})"
        for _, column in self._not_null:
            yield f"count(*) FILTER (WHERE {column} IS NULL)"
        if self._newest:
            # Of a column without a time zone this is as if it were UTC, in DuckDB and in PostgreSQL.
            yield f"extract(epoch FROM max({quoted(self._newest)}))"

    def table(self, row: Sequence[float | None]) -> Table:
        values = iter(row)
        rows = int(next(values) or 0)
        keys = {key: KeyCount(int(next(values) or 0), int(next(values) or 0)) for key, _ in self._keys}
        nulls = {name: int(next(values) or 0) for name, _ in self._not_null}
        newest = next(values) if self._newest else None
        at = dt.datetime.fromtimestamp(newest, dt.timezone.utc) if newest is not None else None
        return Table(*self.found.place, self.found.columns, rows, keys, nulls, at)
