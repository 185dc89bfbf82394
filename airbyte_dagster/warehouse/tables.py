"""What is asked of a table, and what is found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from airbyte_dagster.destinations.tables import Key, Place
from airbyte_dagster.warehouse.dialects import DUCKDB, Column, Dialect, find_column

_Name = TypeVar("_Name", bound=Hashable)

#: Where destinations note what they had to change of a record.
META = "_airbyte_meta"
#: Counts the refreshes of a stream.
GENERATION_ID = "_airbyte_generation_id"


class KeyCount(NamedTuple):
    """Counts of one key.

    Attributes:
        complete: Rows whose key has no null in it.
        distinct: How many different keys these have.
    """

    complete: int
    distinct: int


@dataclass(frozen=True)
class FoundTable:
    """A table that is there.

    Attributes:
        database: Its database; ``""`` where names have no such part.
        place: Its schema and name.
        columns: Name and type in the warehouse's own words, in order.
    """

    database: str
    place: Place
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Table:
    """A table as it is. Columns are found without case, and with ``_`` for what a destination may have replaced.

    Attributes:
        database: Its database; ``""`` where names have no such part.
        columns: Name and type in the warehouse's own words, in order.
        rows: Count of rows.
        keys: Counts of the keys that were asked for, where all of their columns are there.
        nulls: Column → count of nulls, of the columns that were asked for and are there.
        newest: The largest value of the column that was asked for, UTC; ``None`` if there are no rows, or no such
            column, it is neither a date nor a timestamp, or no `datetime` can hold it.
        newest_text: That value in the warehouse's words, where no `datetime` can hold it: ``infinity``, the year 12000.
        values: Column → count of its values that are not null; empty if that was not asked for.
        changed_rows: Rows whose ``_airbyte_meta`` lists changed values; ``None`` if there is no such column, or it was
            not asked for.
        generations: The least and the largest ``_airbyte_generation_id``; ``None`` if there are none, or it was not
            asked for.
        dialect: Of the queries that may name it.
    """

    database: str
    schema: str
    name: str
    columns: tuple[Column, ...]
    rows: int
    keys: Mapping[Key, KeyCount] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)
    newest: dt.datetime | None = None
    newest_text: str | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    changed_rows: int | None = None
    generations: tuple[int, int] | None = None
    dialect: Dialect = field(default=DUCKDB, repr=False)

    @property
    def full_name(self) -> str:
        """``database.schema.table``, as far as its names have these parts."""
        return ".".join(part for part in (self.database, self.schema, self.name) if part)

    @property
    def sql(self) -> str:
        """The full name for a query, quoted as the warehouse has it."""
        return self.dialect.name(self.database, self.schema, self.name)

    def column(self, name: str) -> Column | None:
        """Return the name and type of a column, found as the class says."""
        return find_column(self.columns, name)

    def column_sql(self, name: str) -> str | None:
        """Return what selects a column in a query, or, of a table of raw records, a field; ``None`` if neither is."""
        return self.dialect.column(self.columns, name)

    def has(self, name: str) -> bool:
        """Whether there is such a column, or, in a table of raw records, whether there may be such a field."""
        return self.column_sql(name) is not None


class Sample(NamedTuple):
    """Some rows of a query.

    Attributes:
        columns: Their names.
        rows: Their values, in that order.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Inspection(dict[_Name, Table | None]):
    """The tables of some references; ``None`` where there is none, and where it is not known.

    Attributes:
        unknown: Why it is not known: the table can't be told from another stream's, or it can't be measured.
    """

    def __init__(self, tables: Mapping[_Name, Table | None], unknown: Mapping[_Name, str] | None = None) -> None:
        super().__init__(tables)
        self.unknown: Mapping[_Name, str] = unknown or {}
