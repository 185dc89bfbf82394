"""Find tables in one query and measure them a hundred at a time, in SQL that DuckDB and PostgreSQL both speak."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from airbyte_dagster.destinations.tables import Key, Place, TableRef
from airbyte_dagster.warehouse.tables import (
    GENERATION_ID,
    META,
    Inspection,
    KeyCount,
    Table,
    column_sql,
    find_column,
    lists_changes,
    literal,
    quoted,
)

_Name = TypeVar("_Name", bound=Hashable)

#: Runs a query and returns all its rows.
Run = Callable[[str], list[tuple[Any, ...]]]
#: Says what is wrong with a query that failed; ``None`` if it is not the query.
Failure = Callable[[Exception], str | None]

#: Tables in one query: few cost round trips, and many time that grows with the square (benchmarks/checks.py).
_CHUNK = 100
_HAS_A_TIME = ("date", "timestamp")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


@dataclass(frozen=True)
class _Found:
    """A table that is there."""

    database: str
    place: Place
    columns: tuple[tuple[str, str], ...]

    @property
    def sql(self) -> str:
        return ".".join(map(quoted, (self.database, *self.place)))

    def columns_sql(self, names: Sequence[str]) -> list[str] | None:
        """Return what selects some columns; ``None`` if one of them is missing."""
        found = [column_sql(self.columns, name) for name in names]
        return [column for column in found if column] if all(found) else None


def inspect(run: Run, refs: Mapping[_Name, TableRef], failure: Failure) -> Inspection[_Name]:
    """Return the table of each reference; one that can't be measured stops no other."""
    there = _Tables(_find(run, refs))
    unknown: dict[_Name, str] = {}
    wanted: dict[_Name, _Measures] = {}
    for name, ref in refs.items():
        found = there.of(ref)
        if isinstance(found, str):
            unknown[name] = found
        elif found is not None:
            wanted[name] = _Measures(found, ref)
    measured: dict[_Name, Table | str] = {}
    names = list(wanted)
    for start in range(0, len(names), _CHUNK):
        measured |= _measure(run, {name: wanted[name] for name in names[start : start + _CHUNK]}, failure)
    unknown |= {name: table for name, table in measured.items() if isinstance(table, str)}
    tables = {name: table for name, table in measured.items() if isinstance(table, Table)}
    return Inspection({name: tables.get(name) for name in refs}, unknown)


def _find(run: Run, refs: Mapping[_Name, TableRef]) -> list[_Found]:
    places = {place for ref in refs.values() for place in (*ref.places, *ref.shared)}
    if not places:
        return []
    schemas = sorted({place.schema.lower() for place in places})
    names = sorted({place.table.lower() for place in places})
    rows = run(
        "SELECT table_catalog, table_schema, table_name, column_name, data_type "  # noqa: S608 - quoted
        "FROM information_schema.columns WHERE table_catalog = current_database() "
        f"AND lower(table_schema) IN ({', '.join(map(literal, schemas))}) "
        f"AND lower(table_name) IN ({', '.join(map(literal, names))}) "
        "ORDER BY table_schema, table_name, ordinal_position"
    )
    return [
        _Found(database, Place(schema, table), tuple((row[3], row[4]) for row in columns))
        for (database, schema, table), columns in groupby(rows, lambda row: row[:3])
    ]


class _Tables:
    """The tables that are there, by their places with case and without."""

    def __init__(self, found: Sequence[_Found]) -> None:
        self._exact = {table.place: table for table in found}
        self._folded: dict[Place, list[_Found]] = defaultdict(list)
        for table in found:
            self._folded[table.place.folded].append(table)

    def of(self, ref: TableRef) -> _Found | str | None:
        """Return the table of a reference; why it can't be told which it is; or ``None`` if there is none."""
        if ref.unknown:
            return ref.unknown
        others = {place.folded for place in ref.shared}
        for place in ref.places:
            if place in self._exact:
                return self._exact[place]
            alike = self._folded.get(place.folded, []) if place.folded not in others else []
            if len(alike) > 1:
                return f"{' and '.join(str(table.place) for table in alike)} differ by case alone"
            if alike:
                return alike[0]
        theirs = next((place for place in ref.shared if place.folded in self._folded), None)
        return f"{theirs} may be the table of another stream of the connection" if theirs else None


def _measure(run: Run, wanted: Mapping[_Name, _Measures], failure: Failure) -> dict[_Name, Table | str]:
    """Measure some tables in one query; if that fails, one by one, with the reason for each that can't be measured."""
    try:
        rows = {row[0]: row[1:] for row in run(_query(list(wanted.values())))}
        return {
            name: measures.table(rows[index], lambda sql: run(sql)[0][0])
            for index, (name, measures) in enumerate(wanted.items())
        }
    except Exception as error:
        why = failure(error)
        if why is None:
            raise
        if len(wanted) == 1:
            return dict.fromkeys(wanted, f"it can't be measured: {why}")
    return {name: table for name in wanted for table in _measure(run, {name: wanted[name]}, failure).values()}


def _query(wanted: Sequence[_Measures]) -> str:
    """Return what measures some tables: a row for each, with as many columns as the widest needs."""
    width = max(len(measures.counts) for measures in wanted)
    selects = []
    for index, measures in enumerate(wanted):
        counts = [*measures.counts, *["NULL"] * (width - len(measures.counts))]
        # The types of a union come from all of its parts, and NULL alone has none; DuckDB wants names that differ.
        values = ", ".join(f"CAST({count} AS BIGINT) AS c{place}" for place, count in enumerate(counts))
        newest = f"CAST({measures.newest} AS DOUBLE PRECISION) AS newest"
        selects.append(f"SELECT {index} AS number, {newest}, {values} FROM {measures.found.sql}")  # noqa: S608 - quoted
    return "\nUNION ALL\n".join(selects)


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
        self._newest = quoted(newest[0]) if newest and newest[1].lower().startswith(_HAS_A_TIME) else None
        self._values = [name for name, _ in found.columns] if ref.values else []
        self._meta = find_column(found.columns, META) if ref.changes else None
        self._generation = find_column(found.columns, GENERATION_ID) if ref.generations else None
        self.counts = list(self._counts())

    @property
    def newest(self) -> str:
        """Select seconds since 1970; of a column without a time zone as if it were UTC, in DuckDB as in PostgreSQL."""
        return f"extract(epoch FROM max({self._newest}))" if self._newest else "NULL"

    def _counts(self) -> Iterator[str]:
        yield "count(*)"
        for _, columns in self._keys:
            if len(columns) == 1:
                yield f"count({columns[0]})"
                yield f"count(DISTINCT {columns[0]})"
                continue
            complete = " AND ".join(f"{column} IS NOT NULL" for column in columns)
            yield f"count(*) FILTER (WHERE {complete})"
            yield f"count(DISTINCT ({', '.join(columns)})) FILTER (WHERE {complete})"
        for _, column in self._not_null:
            yield f"count(*) - count({column})"
        for name in self._values:
            yield f"count({quoted(name)})"
        if self._meta:
            yield f"count(CASE WHEN {lists_changes(quoted(self._meta[0]))} THEN 1 END)"
        if self._generation:
            yield from (f"{edge}(CAST({quoted(self._generation[0])} AS BIGINT))" for edge in ("min", "max"))

    def table(self, row: Sequence[Any], run: Callable[[str], Any]) -> Table:
        """Read a row of `_query`.

        Args:
            run: Returns the one value of a query.
        """
        seconds, *counts = row
        values = iter(counts)
        rows = next(values)
        keys = {key: KeyCount(next(values), next(values)) for key, _ in self._keys}
        nulls = {name: next(values) for name, _ in self._not_null}
        filled = {name: next(values) for name in self._values}
        changed = next(values) if self._meta else None
        least, largest = (next(values), next(values)) if self._generation else (None, None)
        generations = None if least is None or largest is None else (least, largest)
        newest, text = _datetime(seconds), None
        if newest is None and self._newest and rows:
            # DuckDB has no seconds of infinity; PostgreSQL's text has the zone of its session, so it is only shown.
            text = run(f"SELECT CAST(max({self._newest}) AS VARCHAR) FROM {self.found.sql}")  # noqa: S608 - quoted
        return Table(
            self.found.database,
            *self.found.place,
            self.found.columns,
            rows,
            keys,
            nulls,
            newest,
            text,
            filled,
            changed,
            generations,
        )


def _datetime(seconds: float | None) -> dt.datetime | None:
    """Return a time of seconds since 1970; ``None`` if there is none, or no `datetime` can hold it."""
    try:
        return None if seconds is None else _EPOCH + dt.timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None
