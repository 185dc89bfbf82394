"""What every warehouse can do, however it is reached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airbyte_dagster.destinations.tables import TableRef
from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse import measuring
from airbyte_dagster.warehouse.tables import META, Inspection, Sample, Table, find_column, lists_changes, quoted

if TYPE_CHECKING:
    import duckdb

_Name = TypeVar("_Name", bound=Hashable)


class QueryFailed(WarehouseError):
    """The warehouse refused a query that a user wrote."""


class Warehouse(ABC):
    """A database that checks look into.

    Attributes:
        database: What it is called, for people.
    """

    database: str

    @abstractmethod
    def connect(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Open the warehouse, read-only where that can be; closed at the end of the block.

        Tables have the names ``"database"."schema"."table"`` in it.

        Raises:
            WarehouseError: It can't be opened; see the kinds of warehouses.
        """

    @abstractmethod
    def said(self, text: str) -> str:
        """Return what an error of DuckDB says, in one line without secrets."""

    @abstractmethod
    def plain_error(self, text: str) -> WarehouseError:
        """Turn an error of DuckDB into one plain sentence."""

    def run(self, connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
        """Run a query where the data is, and return all its rows."""
        return connection.execute(query).fetchall()

    @contextmanager
    def session(self) -> Iterator[WarehouseSession]:
        """Open the warehouse for several questions.

        Raises:
            WarehouseError: It can't be opened, or fails while it is asked.
        """
        import duckdb  # noqa: PLC0415 - heavy

        with self.connect() as connection:
            try:
                yield WarehouseSession(self, connection)
            except duckdb.Error as error:
                raise self.plain_error(str(error)) from None

    def inspect(self, refs: Mapping[_Name, TableRef]) -> Inspection[_Name]:
        """Return the table of each reference; see `WarehouseSession.inspect`.

        Raises:
            WarehouseError: The warehouse can't be read.
        """
        if not refs:
            return Inspection({})
        with self.session() as session:
            return session.inspect(refs)


@dataclass(frozen=True)
class WarehouseSession:
    """An open warehouse."""

    warehouse: Warehouse
    connection: duckdb.DuckDBPyConnection

    def inspect(self, refs: Mapping[_Name, TableRef]) -> Inspection[_Name]:
        """Return the table of each reference: one query finds them all, and one measures a hundred of them."""
        return measuring.inspect(self._run, refs, self._failure) if refs else Inspection({})

    def _failure(self, error: Exception) -> str | None:
        """Return what is wrong with a query in the warehouse's words; ``None`` if nothing can be asked any more."""
        import duckdb  # noqa: PLC0415 - heavy

        if not isinstance(error, duckdb.Error):
            return None
        try:
            self._run("SELECT 1")
        except duckdb.Error:
            return None
        return self.warehouse.said(str(error))

    def count(self, query: str) -> int:
        """Return how many rows a user's query returns.

        Raises:
            QueryFailed: The query is wrong, or names what is not there.
        """
        import duckdb  # noqa: PLC0415 - heavy

        counted = f"SELECT count(*) FROM (\n{query.strip().rstrip(';')}\n) AS violations"  # noqa: S608 - the user's own
        try:
            return int(self._run(counted)[0][0])
        except duckdb.Error as error:
            raise QueryFailed(self.warehouse.said(str(error))) from None

    def sample(self, query: str, limit: int) -> Sample:
        """Return the first rows of a query.

        Raises:
            QueryFailed: The query is wrong, or names what is not there.
        """
        import duckdb  # noqa: PLC0415 - heavy

        some = f"SELECT * FROM (\n{query.strip().rstrip(';')}\n) AS violations LIMIT {limit}"  # noqa: S608 - the user's own
        try:
            rows = self._run(some)
        except duckdb.Error as error:
            raise QueryFailed(self.warehouse.said(str(error))) from None
        # DuckDB keeps it until the next query.
        return Sample(tuple(column[0] for column in self.connection.description or ()), tuple(rows))

    def changes(self, table: Table, limit: int) -> list[tuple[str, int]]:
        """Return what `META` says of rows with changed values, and of how many rows, the most frequent first."""
        column = find_column(table.columns, META)
        if column is None:
            return []
        name = quoted(column[0])
        return self._run(
            f"SELECT CAST({name} AS VARCHAR), count(*) FROM {table.sql} WHERE {lists_changes(name)} "  # noqa: S608 - quoted
            f"GROUP BY 1 ORDER BY 2 DESC LIMIT {limit}"
        )

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        return self.warehouse.run(self.connection, query)
