"""The destination: what its tables look like, and a commit into them. DuckDB files and MotherDuck are here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import duckdb

from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.destinations.types import DUCKDB_TYPES, AirbyteType, type_of
from airbyte_dagster.local.engine import Failure, Warehouse
from airbyte_dagster.local.work.reporting import Failed, Reporter, explain
from airbyte_dagster.local.work.staging import Nested, Staging, literal, nested_duckdb, part_of
from airbyte_dagster.local.work.tables import AIRBYTE_COLUMNS, EXACT, Part, StreamTable

#: The columns of a table by name, each with its type as the database names it.
Columns = dict[str, str]
#: Begins the comment on a column whose name is not that of its field, so that it stays that field's.
FIELD = "Airbyte field: "
CANNOT_OPEN = "The warehouse can't be opened: "
_SECONDS_BETWEEN_TRIES = 0.3


class Existing(NamedTuple):
    """A table that is there.

    Attributes:
        columns: Its columns.
        fields: What comments on columns say, by the name of the column, folded: the field that it is for; ``None``
            for a comment of somebody else's.
    """

    columns: Columns
    fields: dict[str, str | None]

    def add(self, column: str, kind: str, comment: str | None, *, fold: Callable[[str], str]) -> None:
        """Take in a column with its type and the comment on it."""
        self.columns[column] = kind
        if comment is not None:
            self.fields[fold(column)] = comment.removeprefix(FIELD) if comment.startswith(FIELD) else None


@dataclass(frozen=True)
class Write:
    """What is to be committed of a stream.

    Attributes:
        index: Its staging table.
        table: Where to.
        upto: The last record of it, by ``ordinal``.
    """

    index: int
    table: StreamTable
    upto: int


class Target(Protocol):
    """A destination."""

    types: Mapping[AirbyteType, str]

    def look(self, places: Sequence[Place]) -> dict[Place, Existing]:
        """Return those tables that exist."""

    def is_exact(self, place: Place, column: str) -> bool:
        """Whether every whole number of a column is the same as a number with a fraction."""

    def commit(self, writes: Sequence[Write]) -> None:
        """Write all of it in one transaction."""

    def empty(self, places: Sequence[Place]) -> None:
        """Delete all rows of those tables that exist, in one transaction."""


class DuckDBTarget:
    """A DuckDB file, held only while something is done with it; or a database of MotherDuck.

    Args:
        staging: Where the records are; its connection attaches the file.
        warehouse: Which.
        reporter: Gets a line when another process holds the file.
        lock_timeout: Seconds to wait for that.
        clock: Monotonic seconds.
        pause: Waits for some seconds.
    """

    types = DUCKDB_TYPES

    def __init__(
        self,
        staging: Staging,
        warehouse: Warehouse,
        reporter: Reporter,
        lock_timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = staging.connection
        self._warehouse = warehouse
        self._reporter = reporter
        self._lock_timeout = lock_timeout
        self._clock = clock
        self._pause = pause
        self._catalog = "target" if warehouse.kind == "duckdb" else warehouse.database

    def look(self, places: Sequence[Place]) -> dict[Place, Existing]:
        """See `Target.look`."""
        if self._warehouse.kind == "duckdb" and not Path(self._warehouse.path).exists():
            return {}
        with self._attached():
            return self._columns(places)

    def is_exact(self, place: Place, column: str) -> bool:
        """See `Target.is_exact`."""
        with self._attached():
            sql = f"SELECT max(abs({quoted(column)}::HUGEINT)) FROM {self._name(place)}"  # noqa: S608
            row = self._connection.execute(sql).fetchone()
        return row is None or row[0] is None or row[0] <= EXACT

    def commit(self, writes: Sequence[Write]) -> None:
        """See `Target.commit`."""
        with self._attached(), self._transaction():
            existing = self._columns([write.table.place for write in writes])
            for write in writes:
                for statement in self._statements(write, existing.get(write.table.place)):
                    self._connection.execute(statement)

    def empty(self, places: Sequence[Place]) -> None:
        """See `Target.empty`."""
        if self._warehouse.kind == "duckdb" and not Path(self._warehouse.path).exists():
            return
        with self._attached(), self._transaction():
            for place in self._columns(places):
                self._connection.execute(f"DELETE FROM {self._name(place)}")  # noqa: S608

    def _statements(self, write: Write, existing: Existing | None) -> Iterator[str]:
        table, name = write.table, self._name(write.table.place)
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(self._catalog)}.{quoted(table.place.schema)}"
        columns = columns_of(table, self.types)
        source = f"FROM s{write.index} s WHERE s.ordinal <= {write.upto}"
        if table.strategy == "replace":
            there = existing.columns if existing else {}
            removed = {n: t for n, t in there.items() if n.casefold() not in {c.casefold() for c in columns}}
            selected = [f"s.{staged} AS {quoted(n)}" for staged, n in zip(staged_columns(table), columns, strict=True)]
            selected += [f"NULL::{kind} AS {quoted(n)}" for n, kind in removed.items()]
            yield f"CREATE OR REPLACE TABLE {name} AS SELECT {', '.join(selected)} {source}"
            yield from comments(table, name, {})
            return
        yield from structure(name, columns, existing and existing.columns, self.types, to_json="to_json")
        yield from comments(table, name, existing.fields if existing else {})
        yield from (merged if table.strategy == "merge" else appended)(table, name, source, nested_duckdb)

    def _columns(self, places: Sequence[Place]) -> dict[Place, Existing]:
        wanted = {place.folded: place for place in places}
        sql = """SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns()
            WHERE database_name = $catalog ORDER BY column_index"""
        found: dict[Place, Existing] = {}
        for schema, table, *column in self._connection.execute(sql, {"catalog": self._catalog}).fetchall():
            if (place := wanted.get(Place(schema, table).folded)) is not None:
                found.setdefault(place, Existing({}, {})).add(*column, fold=str.casefold)
        return found

    def _name(self, place: Place) -> str:
        return ".".join(map(quoted, (self._catalog, *place)))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _attached(self) -> Iterator[None]:
        """The file, open; what others wait for is as short as what is done here."""
        self._attach()
        try:
            yield
        finally:
            if self._warehouse.kind == "duckdb":
                self._connection.execute("DETACH target")

    def _attach(self) -> None:
        deadline: float | None = None
        while True:
            try:
                self._open()
            except duckdb.Error as error:
                if "Could not set lock on file" not in str(error):
                    raise explain(error, CANNOT_OPEN) from error
                if deadline is None:
                    deadline = self._clock() + self._lock_timeout
                    self._reporter.log(f"Waiting for another process to let go of {self._warehouse.path}")
                elif self._clock() >= deadline:
                    message = f"Another process has held the warehouse file for {self._lock_timeout:.0f} s"
                    failure = Failure(message, str(error), origin="destination", kind="transient_error")
                    raise Failed(failure) from error
                self._pause(_SECONDS_BETWEEN_TRIES)
            else:
                return

    def _open(self) -> None:
        warehouse = self._warehouse
        if warehouse.kind == "duckdb":
            Path(warehouse.path).parent.mkdir(parents=True, exist_ok=True)
            self._connection.execute(f"ATTACH {literal(warehouse.path)} AS target (TYPE duckdb)")
            return
        attached = self._connection.execute("SELECT 1 FROM duckdb_databases() WHERE database_name = ?", [self._catalog])
        if attached.fetchone() is None:
            self._connection.execute("INSTALL motherduck")
            self._connection.execute("LOAD motherduck")
            self._connection.execute(f"SET motherduck_token = {literal(warehouse.api_key)}")
            self._connection.execute(f"ATTACH {literal(f'md:{warehouse.database}')}")


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(table: StreamTable, types: Mapping[AirbyteType, str]) -> Columns:
    """Return all columns of a stream's table, in the order of `staged_columns`."""
    own = {name: types[kind] for name, kind in AIRBYTE_COLUMNS}
    return {**{column.name: types[column.stored] for column in table.columns}, **own}


def staged_columns(table: StreamTable) -> list[str]:
    """Return what staging calls them."""
    return [*(f"c{i}" for i in range(len(table.columns))), *(f"a{i}" for i in range(len(AIRBYTE_COLUMNS)))]


def structure(
    name: str,
    columns: Columns,
    existing: Columns | None,
    types: Mapping[AirbyteType, str],
    *,
    to_json: str,
    fold: Callable[[str], str] = str.casefold,
) -> Iterator[str]:
    """Yield what makes a table, or gives it the columns that it lacks and the types that its columns follow to."""
    if existing is None:
        yield f"CREATE TABLE {name} ({', '.join(f'{quoted(n)} {kind}' for n, kind in columns.items())})"
        return
    there = {fold(column): (column, kind) for column, kind in existing.items()}
    for column, kind in columns.items():
        found = there.get(fold(column))
        if found is None:
            yield f"ALTER TABLE {name} ADD COLUMN {quoted(column)} {kind}"
        elif type_of(found[1], types) not in {None, type_of(kind, types)}:
            old = quoted(found[0])
            value = f"{to_json}({old})" if kind == types["json"] else f"CAST({old} AS {kind})"
            yield f"ALTER TABLE {name} ALTER COLUMN {old} TYPE {kind} USING {value}"


def comments(
    table: StreamTable, name: str, existing: Mapping[str, str | None], fold: Callable[[str], str] = str.casefold
) -> Iterator[str]:
    """Yield what notes at each column which field it is for, if its name does not say it; other comments stay."""
    for column in table.columns:
        noted, wanted = existing.get(fold(column.name), ""), column.field if column.field != column.name else ""
        if noted is not None and noted != wanted:
            text = literal(f"{FIELD}{wanted}") if wanted else "NULL"
            yield f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {text}"


def appended(table: StreamTable, name: str, source: str, _nested: Nested) -> Iterator[str]:
    """Yield what appends the staged rows to a table."""
    yield f"INSERT INTO {name} ({_names(table)}) SELECT {_staged(table)} {source}"


def merged(table: StreamTable, name: str, source: str, nested: Nested) -> Iterator[str]:
    """Yield what merges the staged rows into a table by their key.

    Of a stored and a staged row of one key the one with the greater cursor stays; of equal ones, and where both have
    none, the staged one. A key with a null part is no key.
    """

    def of(side: str, part: Part) -> str:
        column = f"s.c{part.column}" if side == "s" else f"t.{quoted(table.columns[part.column].name)}"
        return part_of(part, column, nested)

    same = " AND ".join(f"{of('t', part)} = {of('s', part)}" for part in table.primary_key)
    replaced = same
    if table.cursor is not None:
        old, new = of("t", table.cursor), of("s", table.cursor)
        replaced = f"{same} AND ({old} IS NULL OR {new} >= {old})"
    new_ones = f"NOT EXISTS (SELECT 1 FROM {name} t WHERE {same})"  # noqa: S608 - quoted names
    yield f"DELETE FROM {name} t USING (SELECT * {source}) s WHERE {replaced}"  # noqa: S608
    yield f"INSERT INTO {name} ({_names(table)}) SELECT {_staged(table)} {source} AND {new_ones}"


def _names(table: StreamTable) -> str:
    return ", ".join(quoted(column) for column in columns_of(table, DUCKDB_TYPES))


def _staged(table: StreamTable) -> str:
    return ", ".join(f"s.{column}" for column in staged_columns(table))
