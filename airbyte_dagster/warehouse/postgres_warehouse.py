"""A PostgreSQL database, attached to DuckDB read-only; counts are made where the data is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse.base import Warehouse
from airbyte_dagster.warehouse.tables import literal, quoted

if TYPE_CHECKING:
    import duckdb

_EXTENSION = re.compile(r"extension", re.IGNORECASE)
_REFUSED = re.compile(r"password authentication failed|no password supplied|role \S+ does not exist", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"connection refused|could not translate host name|timeout expired|could not connect", re.IGNORECASE
)
_NO_DATABASE = re.compile(r"database \S+ does not exist", re.IGNORECASE)
_NOT_ALLOWED = re.compile(r"permission denied", re.IGNORECASE)


@dataclass(frozen=True)
class PostgresWarehouse(Warehouse):
    """A PostgreSQL database.

    Attributes:
        ssl_mode: As libpq's ``sslmode``.
        connect_timeout: Seconds to wait for the server.
        extension_directory: Where DuckDB looks for its extensions; its own place by default.
    """

    database: str
    host: str
    username: str
    port: int = 5432
    password: str | None = field(default=None, repr=False)
    ssl_mode: str = "prefer"
    connect_timeout: int = 10
    extension_directory: str | None = None

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the database read-only.

        Raises:
            WarehouseError: DuckDB's extension can't be loaded, the server can't be reached, or it refuses.
        """
        import duckdb  # noqa: PLC0415 - heavy

        connection = duckdb.connect(":memory:")
        try:
            try:
                if self.extension_directory:
                    connection.execute(f"SET extension_directory = {literal(self.extension_directory)}")
                self._attach(connection)
            except duckdb.Error as error:
                raise self.plain_error(str(error)) from None
            yield connection
        finally:
            connection.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        # The password goes into a secret of this connection's memory, never into an address.
        password = f", PASSWORD {literal(self.password)}" if self.password else ""
        connection.execute(
            f"CREATE TEMPORARY SECRET warehouse (TYPE postgres, HOST {literal(self.host)}, PORT {self.port}, "
            f"DATABASE {literal(self.database)}, USER {literal(self.username)}{password})"
        )
        options = f"sslmode={self.ssl_mode} connect_timeout={self.connect_timeout}"
        name = quoted(self.database)
        connection.execute(f"ATTACH {literal(options)} AS {name} (TYPE postgres, SECRET warehouse, READ_ONLY)")
        connection.execute(f"USE {name}")

    def run(self, connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
        """Run a query in PostgreSQL itself: DuckDB alone would fetch every row to count it."""
        asked = f"SELECT * FROM postgres_query({literal(self.database)}, {literal(query)})"  # noqa: S608 - quoted
        return connection.execute(asked).fetchall()

    def said(self, text: str) -> str:
        """Return PostgreSQL's own words, where the error has them, without the password."""
        # DuckDB puts the options, or the whole query, before what PostgreSQL says.
        own = re.split(r"ERROR:|FATAL:|Unable to connect to Postgres at \"[^\"]*\":", text)[-1]
        lines = [line for line in own.splitlines() if not line.startswith("LINE ") and line.strip() != "^"]
        said = " ".join(" ".join(lines).split())
        return said.replace(self.password, "***") if self.password else said

    def plain_error(self, text: str) -> WarehouseError:
        """Sort the errors by their text: PostgreSQL's own words come through DuckDB as one class."""
        where = f"PostgreSQL's {self.database} at {self.host}:{self.port}"
        said = self.said(text)
        if _EXTENSION.search(text) and "download" in text.lower():
            said = said.partition(' Extension "')[0]  # what follows is for those who write extensions
            return WarehouseError(
                f"DuckDB could not load its extension postgres, through which {where} is read: {said}",
                guidance="It is downloaded at first use: check the network, or install it by hand and set "
                "extension_directory.",
            )
        for pattern, guidance in (
            (_REFUSED, "Check username and password of the warehouse."),
            (_NO_DATABASE, "Check database of the warehouse."),
            (_UNREACHABLE, "Check host and port of the warehouse, and that the server lets this machine in."),
            (_NOT_ALLOWED, "Grant the role SELECT on the tables, and USAGE on their schemas."),
        ):
            if pattern.search(text):
                return WarehouseError(f"{where} could not be read: {said}", guidance=guidance)
        return WarehouseError(f"{where} could not be read: {said}")
