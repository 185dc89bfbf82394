"""What is asked of a table, and what is found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

#: Columns of a key, by the names that the stream has for them.
Key = tuple[str, ...]


@dataclass(frozen=True)
class TableRef:
    """Where a stream's table is expected, and what to measure of it besides its rows.

    Attributes:
        schema: Schema, compared without case.
        names: Names that the destination may have given it, best first, compared without case.
        keys: Keys whose distinct values are to be counted.
        not_null: Columns whose nulls are to be counted.
        newest: A date or timestamp whose largest value is wanted.
    """

    schema: str
    names: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    not_null: tuple[str, ...] = ()
    newest: str | None = None


class KeyCount(NamedTuple):
    """Counts of one key.

    Attributes:
        complete: Rows whose key has no null in it.
        distinct: How many different keys these have.
    """

    complete: int
    distinct: int


@dataclass(frozen=True)
class Table:
    """A table as it is. Columns are found without case, and with ``_`` for what a destination may have replaced.

    Attributes:
        columns: Name and type in the warehouse's own words, in order.
        rows: Count of rows.
        keys: Counts of the keys that were asked for, where all of their columns are there.
        nulls: Column → count of nulls, of the columns that were asked for and are there.
        newest: The largest value of the column that was asked for, UTC; ``None`` if there are no rows, or no such
            column, or it is neither a date nor a timestamp.
    """

    database: str
    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    keys: Mapping[Key, KeyCount] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)
    newest: dt.datetime | None = None

    @property
    def full_name(self) -> str:
        """``database.schema.table``."""
        return f"{self.database}.{self.schema}.{self.name}"

    def column(self, name: str) -> tuple[str, str] | None:
        """Return the name and type of a column, found as the class says."""
        return find_column(self.columns, name)


def find_column(columns: tuple[tuple[str, str], ...], name: str) -> tuple[str, str] | None:
    """Return a column's own name and type: the plain name comes before the one that a destination would make of it."""
    by_name = {column.lower(): (column, type_) for column, type_ in reversed(columns)}
    return by_name.get(name.lower()) or by_name.get(normalised(name))


def normalised(name: str) -> str:
    """Lower-case, with ``_`` for everything that is no letter, digit or underscore."""
    return "".join(char if char in _KEPT else "_" for char in name.lower())


_KEPT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def quoted(identifier: str) -> str:
    """Quote an SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote an SQL string."""
    return "'" + text.replace("'", "''") + "'"
