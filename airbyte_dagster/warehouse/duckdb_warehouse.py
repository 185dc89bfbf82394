"""A DuckDB file or a MotherDuck database."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tenacity

from airbyte_dagster.destinations.databases import is_motherduck
from airbyte_dagster.errors import ConfigurationError, WarehouseError, WarehouseLocked, WarehouseTooNew
from airbyte_dagster.warehouse.base import Warehouse
from airbyte_dagster.warehouse.dialects import DUCKDB
from airbyte_dagster.warehouse.driver_errors import missing_file
from airbyte_dagster.warehouse.motherduck_errors import motherduck_error, own_words
from airbyte_dagster.warehouse.sql_session import SqlSession, StatementFailed

if TYPE_CHECKING:
    import duckdb

_LOCKED = re.compile(r"could not set lock|conflicting lock", re.IGNORECASE)
_OPEN_HERE = re.compile(r"different configuration than existing", re.IGNORECASE)
_TOO_NEW = re.compile(r"version number|newer version|storage version", re.IGNORECASE)


@dataclass(frozen=True)
class DuckDBWarehouse(Warehouse):
    """A DuckDB file or a MotherDuck database.

    Attributes:
        database: Path of a file, or ``md:NAME``.
        motherduck_token: For ``md:``; passed as configuration, never in the connection string.
        lock_timeout: Seconds to wait while somebody else holds the file. Nothing else is waited for.
        query_timeout: Seconds that a query may take; no limit if ``None``.
        snapshot_token: A token of MotherDuck that may write, where `motherduck_token` is a read-scaling one: with it,
            what was written up to now is handed to the replicas before they are read.
    """

    database: str
    motherduck_token: str | None = field(default=None, repr=False)
    lock_timeout: float = 60.0
    query_timeout: float | None = None
    snapshot_token: str | None = field(default=None, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    @property
    def is_motherduck(self) -> bool:
        """Whether `database` is at MotherDuck."""
        return is_motherduck(self.database)

    @contextmanager
    def session(self) -> Iterator[SqlSession]:
        """Open it for several questions.

        Raises:
            WarehouseError: As `connect`, or DuckDB fails while it is asked.
        """
        import duckdb  # noqa: PLC0415 - heavy

        with self.connect() as connection:
            try:
                yield SqlSession(
                    DUCKDB,
                    connection,
                    cursor=lambda: connection,  # a cursor of DuckDB's is a connection of its own
                    said=lambda error: self.said(str(error)),
                    errors=duckdb.Error,
                    timeout=self.query_timeout,
                )
            except StatementFailed as error:
                raise self.plain_error(str(error.__cause__ or error)) from None

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the warehouse, a file read-only; closed at the end of the block.

        Raises:
            ConfigurationError: ``md:`` without a token (DuckDB would wait for a sign-in in a browser).
            WarehouseMissing: There is no file, or no such database at MotherDuck.
            WarehouseLocked: Another process held the file for `lock_timeout` seconds, or this one did.
            WarehouseTooNew: A newer DuckDB wrote it.
            MotherDuckUnavailable: The token is refused, the service can't be reached, or the extension can't be loaded.
            WarehouseError: DuckDB says something else.
        """
        connection = self._open()
        try:
            yield connection
        finally:
            connection.close()

    def said(self, text: str) -> str:
        """Return what an error says, in one line without the tokens."""
        for token in (self.motherduck_token, self.snapshot_token):
            text = text.replace(token, "***") if token else text
        return own_words(text)

    def plain_error(self, text: str) -> WarehouseError:
        """Sort DuckDB's errors by their text: it has no codes for these, and one class for nearly all of them."""
        return _plain_error(self, text)

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self.is_motherduck:
            return self._open_motherduck()
        if not Path(self.database).is_file():
            raise missing_file(self.database)
        deadline = self.clock() + self.lock_timeout
        waiting = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(WarehouseLocked),
            stop=lambda _state: self.clock() >= deadline,
            wait=tenacity.wait_exponential(multiplier=0.05, max=1.0),
            sleep=self.sleep,
            reraise=True,
        )
        for attempt in waiting:
            with attempt, self._plain_errors():
                return self._open_file()
        raise AssertionError("unreachable")

    def _open_file(self) -> duckdb.DuckDBPyConnection:
        import duckdb  # noqa: PLC0415 - heavy

        try:
            return duckdb.connect(self.database, read_only=True)
        except duckdb.Error as error:
            if not _OPEN_HERE.search(str(error)):
                raise
        # This process has it open to write. DuckDB has one database of one file, so that is shared, by a transaction
        # that can't write.
        connection = duckdb.connect(self.database)
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return connection

    def _open_motherduck(self) -> duckdb.DuckDBPyConnection:
        import duckdb  # noqa: PLC0415 - heavy

        if not self.motherduck_token:
            raise ConfigurationError(
                f"{self.database} is at MotherDuck, but there is no token.",
                guidance="Set motherduck_token (by convention from MOTHERDUCK_APIKEY).",
            )
        name = self.database.partition(":")[2].partition("?")[0]
        if self.snapshot_token and not name:
            raise ConfigurationError(
                "Which database to take a snapshot of is not known.", guidance='Name it: database="md:NAME".'
            )
        with self._plain_errors():
            if self.snapshot_token:
                with duckdb.connect(self.database, config={"motherduck_token": self.snapshot_token}) as writer:
                    writer.execute(f"CREATE SNAPSHOT OF {DUCKDB.name(name)}")
            # MotherDuck has no read-only mode for a connection; a read-scaling token is its way to one.
            connection = duckdb.connect(self.database, config={"motherduck_token": self.motherduck_token})
            if self.snapshot_token:
                connection.execute(f"REFRESH DATABASE {DUCKDB.name(name)}")
            return connection

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        import duckdb  # noqa: PLC0415 - heavy

        try:
            yield
        except duckdb.Error as error:
            raise self.plain_error(str(error)) from None


def _plain_error(warehouse: DuckDBWarehouse, text: str) -> WarehouseError:
    database = warehouse.database
    said = warehouse.said(text)
    if warehouse.is_motherduck:
        return motherduck_error(said, database)
    waited = f", for all of the {warehouse.lock_timeout:g} s that were waited" if warehouse.lock_timeout else ""
    if _OPEN_HERE.search(text):
        return WarehouseLocked(
            f"This very process has {database} open with other settings{waited}.",
            guidance="Close that connection before the checks run, or open it with DuckDB's default settings.",
        )
    if _LOCKED.search(text):
        holder = re.search(r"held in .*? \(PID \d+\)", text)
        return WarehouseLocked(
            f"{database} is {holder[0] if holder else 'open elsewhere'}{waited}.",
            guidance="Close the other program, or raise lock_timeout; DuckDB lets no one read while another writes.",
        )
    if _TOO_NEW.search(text):
        return WarehouseTooNew(
            f"{database} was written by a newer DuckDB than the installed one: {said}",
            guidance="Upgrade the duckdb package.",
        )
    return WarehouseError(f"DuckDB could not read {database}: {said}")
