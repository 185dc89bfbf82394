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
from airbyte_dagster.errors import (
    ConfigurationError,
    WarehouseError,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseTooNew,
)
from airbyte_dagster.warehouse.base import Warehouse
from airbyte_dagster.warehouse.motherduck_errors import motherduck_error, own_words

if TYPE_CHECKING:
    import duckdb

_OPEN_HERE = re.compile(r"different configuration than existing|unique file handle conflict", re.IGNORECASE)
_LOCKED = re.compile(rf"could not set lock|conflicting lock|{_OPEN_HERE.pattern}", re.IGNORECASE)
_TOO_NEW = re.compile(r"version number|newer version|storage version", re.IGNORECASE)


@dataclass(frozen=True)
class DuckDBWarehouse(Warehouse):
    """A DuckDB file or a MotherDuck database.

    Attributes:
        database: Path of a file, or ``md:NAME``.
        motherduck_token: For ``md:``; passed as configuration, never in the connection string.
        lock_timeout: Seconds to wait while another process holds the file. Nothing else is waited for.
    """

    database: str
    motherduck_token: str | None = field(default=None, repr=False)
    lock_timeout: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    @property
    def is_motherduck(self) -> bool:
        """Whether `database` is at MotherDuck."""
        return is_motherduck(self.database)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the warehouse, a file read-only; closed at the end of the block.

        Raises:
            ConfigurationError: ``md:`` without a token (DuckDB would wait for a sign-in in a browser).
            WarehouseMissing: There is no file, or no such database at MotherDuck.
            WarehouseLocked: Something else held the file for `lock_timeout` seconds.
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
        """Return what an error says, in one line without the token."""
        hidden = text.replace(self.motherduck_token, "***") if self.motherduck_token else text
        return own_words(hidden)

    def plain_error(self, text: str) -> WarehouseError:
        """Sort DuckDB's errors by their text: it has no codes for these, and one class for nearly all of them."""
        return _plain_error(self, text)

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb  # noqa: PLC0415 - heavy

        if self.is_motherduck:
            if not self.motherduck_token:
                raise ConfigurationError(
                    f"{self.database} is at MotherDuck, but there is no token.",
                    guidance="Set motherduck_token (by convention from MOTHERDUCK_APIKEY).",
                )
            with self._plain_errors():
                # MotherDuck has no read-only mode for a connection; a read-scaling token is its way to one.
                return duckdb.connect(self.database, config={"motherduck_token": self.motherduck_token})
        if not Path(self.database).is_file():
            raise WarehouseMissing(
                f"There is no database file at {self.database}.",
                guidance="It is made by the first sync; after that, check the path.",
            )
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
        except duckdb.ConnectionException as error:
            if not _OPEN_HERE.search(str(error)):
                raise
            # This process has it open for writing: a further connection of the same kind sees what is committed.
            return duckdb.connect(self.database)

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
    if _LOCKED.search(text):
        holder = re.search(r"held in .*? \(PID \d+\)", text)
        waited = f", for all of the {warehouse.lock_timeout:g} s that were waited" if warehouse.lock_timeout else ""
        if _OPEN_HERE.search(text):
            return WarehouseLocked(
                f"{database} is open in this very process, with other settings{waited}.",
                guidance="Close that connection before the checks run, or open it without settings of its own.",
            )
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
