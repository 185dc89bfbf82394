"""The statements that find tables and their columns, and exact counts of rows where a warehouse keeps them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.warehouse.dialects import Dialect
from airbyte_dagster.warehouse.tables import FoundTable

#: Runs a query and returns all its rows.
Run = Callable[[str], Sequence[Sequence[Any]]]


def find(
    dialect: Dialect, run: Run, places: Collection[Place], schemas: Callable[[], Collection[str]]
) -> list[FoundTable]:
    """Return the tables at some places, compared without case; one query for each `Dialect.most_names` names.

    Args:
        schemas: Returns the names of all schemas, for a dialect that must know them.
    """
    rows = [row for query in find_queries(dialect, places, schemas) for row in run(query)]
    # A name that stands in two chunks is found twice.
    unique = dict.fromkeys((*map(str, row[:5]), row[5]) for row in rows)
    ordered = sorted(unique, key=lambda row: (row[:3], row[5]))
    return [
        FoundTable(database, Place(schema, table), tuple((row[3], row[4]) for row in columns))
        for (database, schema, table), columns in groupby(ordered, lambda row: row[:3])
    ]


def find_queries(dialect: Dialect, places: Collection[Place], schemas: Callable[[], Collection[str]]) -> Iterator[str]:
    """Yield the queries of `find`: database, schema, table, column, type, position."""
    wanted = sorted({place.schema for place in places})
    if dialect.each_schema:
        folded = {schema.casefold() for schema in wanted}
        wanted = sorted(schema for schema in schemas() if schema.casefold() in folded)
    names = sorted({place.table for place in places})
    for start in range(0, len(names) if wanted else 0, dialect.most_names):
        chunk = names[start : start + dialect.most_names]
        relations = [dialect.name(schema) for schema in wanted] if dialect.each_schema else [""]
        yield "\nUNION ALL\n".join(_columns_query(dialect, relation, wanted, chunk) for relation in relations)


def _columns_query(dialect: Dialect, relation: str, schemas: Sequence[str], names: Sequence[str]) -> str:
    source, condition, schema, table, name, kind, position = dialect.columns
    conditions = [condition, _one_of(dialect, table, names)]
    if not dialect.each_schema:
        conditions.insert(1, _one_of(dialect, schema, schemas))
    return (
        f"SELECT {dialect.catalog} AS db, {schema} AS sch, {table} AS tab, {name} AS col, {kind} AS typ, "  # noqa: S608
        f"{position} AS pos FROM {source.replace('{schema}', relation)} WHERE {' AND '.join(conditions)}"
    )


def exact_rows(dialect: Dialect, run: Run, tables: Collection[FoundTable]) -> dict[Place, int]:
    """Return the rows of some tables as far as the warehouse keeps exact counts of them."""
    if dialect.exact_rows is None or not tables:
        return {}
    relation, condition, schema, name, rows = dialect.exact_rows
    names = sorted({table.place.table for table in tables})
    schemas = dialect.literals(sorted({table.place.schema for table in tables}))
    found: dict[Place, int] = {}
    for start in range(0, len(names), dialect.most_names):
        chosen = dialect.literals(names[start : start + dialect.most_names])
        for row in run(
            f"SELECT {schema} AS sch, {name} AS tab, {rows} AS n FROM {relation} "  # noqa: S608 - quoted
            f"WHERE {condition} AND {schema} IN ({schemas}) AND {name} IN ({chosen})"
        ):
            found[Place(row[0], row[1])] = int(row[2])
    return found


def _one_of(dialect: Dialect, column: str, names: Sequence[str]) -> str:
    """Return what is true for one of some names in any case, also where the warehouse lowers ASCII letters alone."""
    lower = sorted({name.lower() for name in names})
    odd = sorted({name for name in names if not name.isascii()})
    without_case = f"{dialect.lower}({column}) IN ({dialect.literals(lower)})"
    return f"({without_case} OR {column} IN ({dialect.literals(odd)}))" if odd else without_case
