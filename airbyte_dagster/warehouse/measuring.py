"""Measure tables, a hundred in a query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from airbyte_dagster.destinations.tables import Key, TableRef
from airbyte_dagster.warehouse.dialects import Dialect, find_column
from airbyte_dagster.warehouse.finding import Run, exact_rows
from airbyte_dagster.warehouse.tables import GENERATION_ID, META, FoundTable, KeyCount, Table

_Name = TypeVar("_Name", bound=Hashable)

#: Says what is wrong with a query that failed; ``None`` if it is not the query.
Failure = Callable[[Exception], str | None]

#: Tables in one query: few cost round trips, and many time that grows with the square (benchmarks/checks.py).
_CHUNK = 100
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def measure(
    dialect: Dialect, run: Run, wanted: Mapping[_Name, tuple[FoundTable, TableRef]], failure: Failure
) -> dict[_Name, Table | str]:
    """Return what is asked of each table, or why it can't be measured."""
    plans = {name: Measures(dialect, found, ref) for name, (found, ref) in wanted.items()}
    exact = exact_rows(dialect, run, [plan.found for plan in plans.values() if plan.counts_rows_alone])
    known = {
        name: exact[plan.found.place]
        for name, plan in plans.items()
        if plan.counts_rows_alone and plan.found.place in exact
    }
    measured: dict[_Name, Table | str] = {name: plans[name].table([None, rows], run) for name, rows in known.items()}
    names = [name for name in plans if name not in known]
    for start in range(0, len(names), _CHUNK):
        measured |= _measure(run, {name: plans[name] for name in names[start : start + _CHUNK]}, failure)
    return measured


def _measure(run: Run, wanted: Mapping[_Name, Measures], failure: Failure) -> dict[_Name, Table | str]:
    """Measure some tables in one query; if that fails, each half of them by itself, down to the one that fails."""
    try:
        rows = {row[0]: row[1:] for row in run(measuring_query(list(wanted.values())))}
        return {name: measures.table(rows[index], run) for index, (name, measures) in enumerate(wanted.items())}
    except Exception as error:
        why = failure(error)
        if why is None:
            raise
        if len(wanted) == 1:
            return dict.fromkeys(wanted, f"it can't be measured: {why}")
    names = list(wanted)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    measured: dict[_Name, Table | str] = {}
    for half in halves:
        measured |= _measure(run, {name: wanted[name] for name in half}, failure)
    return measured


def measuring_query(wanted: Sequence[Measures]) -> str:
    """Return what measures some tables: a row for each, with as many columns as the widest needs."""
    width = max(len(measures.counts) for measures in wanted)
    return "\nUNION ALL\n".join(measures.select(index, width) for index, measures in enumerate(wanted))


class Measures:
    """What to select from one table, and how to read it.

    Args:
        dialect: Of the query.
        found: The table.
        ref: What is asked of it.
    """

    def __init__(self, dialect: Dialect, found: FoundTable, ref: TableRef) -> None:
        self.found = found
        self._dialect = dialect
        self._source = dialect.name(found.database, *found.place)
        columns = found.columns
        self._keys: list[tuple[Key, list[str]]] = [
            (key, selected) for key in dict.fromkeys(ref.keys) if key and (selected := self._all(key))
        ]
        self._not_null = [
            (name, column) for name in dict.fromkeys(ref.not_null) if (column := dialect.column(columns, name))
        ]
        self._newest = dialect.seconds(columns, ref.newest) if ref.newest else None
        self._values = [name for name, _ in columns] if ref.values else []
        meta = find_column(columns, META) if ref.changes else None
        self._meta = dialect.name(meta[0]) if meta else None
        generation = find_column(columns, GENERATION_ID) if ref.generations else None
        self._generation = dialect.name(generation[0]) if generation else None
        self.counts = list(self._counts())

    @property
    def counts_rows_alone(self) -> bool:
        """Whether nothing else is asked for."""
        return len(self.counts) == 1 and self._newest is None

    def select(self, number: int, width: int) -> str:
        """Return the SELECT of this table: its number, the seconds of the newest value, and its counts.

        Args:
            width: How many counts there are to be; those that are wanting are null.
        """
        whole, real = self._dialect.whole, self._dialect.real
        counts = [*self.counts, *["NULL"] * (width - len(self.counts))]
        # The types of a union come from all of its parts, and NULL alone has none; DuckDB wants names that differ.
        values = ", ".join(f"CAST({count} AS {whole}) AS c{place}" for place, count in enumerate(counts))
        newest = f"CAST({self._newest[1] if self._newest else 'NULL'} AS {real}) AS newest"
        return f"SELECT {number} AS number, {newest}, {values} FROM {self._source}{self._dialect.each_select}"  # noqa: S608

    def _all(self, key: Key) -> list[str] | None:
        """Return what selects the columns of a key; ``None`` if one is missing."""
        selected = [self._dialect.key(self.found.columns, name) for name in key]
        return [column for column in selected if column] if all(selected) else None

    def _counts(self) -> Iterator[str]:
        yield "count(*)"
        for _, columns in self._keys:
            complete = " AND ".join(f"{column} IS NOT NULL" for column in columns)
            yield f"count(CASE WHEN {complete} THEN 1 END)"
            if len(columns) == 1:
                yield f"count(DISTINCT {columns[0]})"
                continue
            # How several columns are counted together differs; this is the same everywhere.
            names = ", ".join(f"{column} AS k{place}" for place, column in enumerate(columns))
            yield (
                f"(SELECT count(*) FROM (SELECT DISTINCT {names} FROM {self._source} WHERE {complete}"  # noqa: S608
                f"{self._dialect.each_select}) AS tuples)"
            )
        for _, column in self._not_null:
            yield f"count(CASE WHEN {column} IS NULL THEN 1 END)"
        for name in self._values:
            yield f"count(CASE WHEN {self._dialect.name(name)} IS NOT NULL THEN 1 END)"
        if self._meta:
            yield f"count(CASE WHEN {self._dialect.lists_changes(self._meta)} THEN 1 END)"
        if self._generation:
            yield from (f"{edge}({self._generation})" for edge in ("min", "max"))

    def table(self, row: Sequence[Any], run: Run) -> Table:
        """Read a row of `measuring_query`, without its number."""
        seconds, *counts = row
        values = iter(counts)
        rows = int(next(values))
        keys = {key: KeyCount(int(next(values)), int(next(values))) for key, _ in self._keys}
        nulls = {name: int(next(values)) for name, _ in self._not_null}
        filled = {name: int(next(values)) for name in self._values}
        changed = int(next(values)) if self._meta else None
        least, largest = (next(values), next(values)) if self._generation else (None, None)
        newest, text = _datetime(seconds), None
        if newest is None and self._newest and rows:
            # DuckDB has no seconds of infinity; PostgreSQL's text has the zone of its session, so it is only shown.
            shown = f"CAST(max({self._newest[0]}) AS {self._dialect.text})"
            found = run(f"SELECT {shown} AS newest FROM {self._source}{self._dialect.each_select}")[0][0]  # noqa: S608
            text = None if found is None else str(found)
        return Table(
            self.found.database,
            *self.found.place,
            columns=self.found.columns,
            rows=rows,
            keys=keys,
            nulls=nulls,
            newest=newest,
            newest_text=text,
            values=filled,
            changed_rows=changed,
            generations=None if least is None or largest is None else (int(least), int(largest)),
            dialect=self._dialect,
        )


def _datetime(seconds: Any) -> dt.datetime | None:
    """Return a time of seconds since 1970; ``None`` if there is none, or no `datetime` can hold it."""
    try:
        return None if seconds is None else _EPOCH + dt.timedelta(seconds=float(seconds))
    except (OverflowError, ValueError):
        return None
