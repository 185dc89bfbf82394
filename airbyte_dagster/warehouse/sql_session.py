"""A session of any warehouse that takes SQL, through a driver's connection."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from airbyte_dagster.destinations.tables import Place, TableRef
from airbyte_dagster.warehouse.base import QueryFailed, WarehouseSession
from airbyte_dagster.warehouse.dialects import Dialect, find_column
from airbyte_dagster.warehouse.driver_errors import took_too_long
from airbyte_dagster.warehouse.finding import find
from airbyte_dagster.warehouse.measuring import measure
from airbyte_dagster.warehouse.tables import META, FoundTable, Sample, Table

_Name = TypeVar("_Name", bound=Hashable)


class StatementFailed(Exception):
    """A driver's error, as its ``__cause__``.

    Attributes:
        said: What the database says, in one line without secrets.
    """

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(said)


class SqlSession(WarehouseSession):
    """An open warehouse that takes SQL.

    Args:
        dialect: Its SQL.
        connection: A driver's connection (PEP 249), or DuckDB's.
        cursor: Returns what statements are executed with; the connection's cursor by default.
        said: Returns what an error of the driver says, in one line without secrets.
        errors: What the driver raises.
        timeout: Seconds that a query may take.
        schemas: Returns the names of all schemas; needed for some dialects.
    """

    def __init__(
        self,
        dialect: Dialect,
        connection: Any,
        *,
        said: Callable[[Exception], str],
        cursor: Callable[[], Any] | None = None,
        errors: type[Exception] = Exception,
        timeout: float | None = None,
        schemas: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.dialect = dialect
        self.connection = connection
        self._said = said
        self._cursor = cursor or connection.cursor
        self._errors = errors
        self._timeout = timeout
        self._schemas = schemas

    def prepare(self) -> None:
        """Have nothing written, times in UTC, and queries end in time, as far as the warehouse can do that."""
        for statement in self.dialect.settings:
            self._execute(statement, None)
        if self._timeout is None:
            return
        times = {"seconds": max(1, round(self._timeout)), "milliseconds": max(1, round(self._timeout * 1000))}
        for statement in self.dialect.timeouts:
            try:
                self._execute(statement.format(**times), None)
            except StatementFailed:
                continue
            return

    def run(self, query: str) -> Sequence[Sequence[Any]]:
        """Run a query, and return all its rows.

        Raises:
            StatementFailed: The database refuses, or is gone.
        """
        return self._execute(query, -1).rows

    def find(self, places: Collection[Place]) -> Sequence[FoundTable]:
        """Return the tables and views at some places, a few thousand names with one query."""
        return find(self.dialect, self.run, places, self._schemas)

    def measure(self, wanted: Mapping[_Name, tuple[FoundTable, TableRef]]) -> Mapping[_Name, Table | str]:
        """Return what each reference asks of its table, of a hundred with one query."""
        return measure(self.dialect, self.run, wanted, self._failure)

    def sample(self, query: str, limit: int) -> Sample:
        """Return the first rows of a query that a user wrote.

        Raises:
            QueryFailed: It is wrong, names what is not there, or takes too long.
        """
        try:
            return self._execute(self.dialect.first.format(query=query.strip().rstrip(";"), limit=limit), limit)
        except StatementFailed as error:
            raise QueryFailed(error.said) from None

    def changes(self, table: Table, limit: int) -> list[tuple[str, int]]:
        """Return what `META` says of rows with changed values, and of how many rows, the most frequent first."""
        column = find_column(table.columns, META)
        if column is None:
            return []
        name = self.dialect.name(column[0])
        text = f"CAST({name} AS {self.dialect.text})"
        rows = self._execute(
            f"SELECT {text} AS meta, count(*) AS n FROM {table.sql} WHERE {self.dialect.lists_changes(name)} "  # noqa: S608
            f"GROUP BY {text} ORDER BY count(*) DESC",
            limit,
        ).rows
        return [(str(meta), int(count)) for meta, count in rows]

    def stop(self) -> None:
        """End early what runs, from another thread, if the driver can do that."""
        for name in ("interrupt", "cancel"):
            end = getattr(self.connection, name, None)
            if end is not None:
                # It may have ended by itself just now.
                with contextlib.suppress(Exception):
                    end()

    def _failure(self, error: Exception) -> str | None:
        """Return what is wrong with a query in the warehouse's words; ``None`` if nothing can be asked any more."""
        if not isinstance(error, StatementFailed):
            return None
        try:
            self.run("SELECT 1 AS one")
        except StatementFailed:
            return None
        return error.said

    def _execute(self, statement: str, limit: int | None) -> Sample:
        """Run a statement, and return its rows: no more than `limit`, all of them if that is -1, none if ``None``."""
        with self._limited() as expired:
            try:
                cursor = self._cursor()
                cursor.execute(statement)
                if limit is None or not cursor.description:
                    return Sample((), ())
                rows = cursor.fetchall() if limit < 0 else cursor.fetchmany(limit)
                return Sample(tuple(column[0] for column in cursor.description), tuple(map(tuple, rows)))
            except self._errors as error:
                if self._timeout is not None and (expired.is_set() or took_too_long(error)):
                    said = f"it took longer than {self._timeout:g} s (query_timeout)"
                else:
                    said = self._said(error)
                raise StatementFailed(said) from error

    @contextlib.contextmanager
    def _limited(self) -> Iterator[threading.Event]:
        """Stop what runs when its time is up; the event tells that it was stopped."""
        expired = threading.Event()
        if self._timeout is None:
            yield expired
            return

        def expire() -> None:
            expired.set()
            self.stop()

        timer = threading.Timer(self._timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()
