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

from airbyte_dagster.errors import (
    ConfigurationError,
    MotherDuckUnavailable,
    WarehouseError,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseTooNew,
)
from airbyte_dagster.warehouse.base import Warehouse

if TYPE_CHECKING:
    import duckdb

MOTHERDUCK_PREFIXES = ("md:", "motherduck:")

_LOCKED = re.compile(r"could not set lock|conflicting lock|different configuration than existing", re.IGNORECASE)
_TOO_NEW = re.compile(r"version number|newer version|storage version", re.IGNORECASE)
_EXTENSION = re.compile(r"extension", re.IGNORECASE)
_TOKEN = re.compile(r"token|authenticat|unauthori|forbidden|jwt", re.IGNORECASE)


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
        return self.database.startswith(MOTHERDUCK_PREFIXES)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the warehouse, a file read-only; closed at the end of the block.

        Raises:
            ConfigurationError: ``md:`` without a token (DuckDB would wait for a sign-in in a browser).
            WarehouseMissing: There is no file.
            WarehouseLocked: Another process held the file for `lock_timeout` seconds.
            WarehouseTooNew: A newer DuckDB wrote it.
            MotherDuckUnavailable: The token is refused, or the extension can't be loaded.
            WarehouseError: DuckDB says something else.
        """
        connection = self._open()
        try:
            yield connection
        finally:
            connection.close()

    def said(self, text: str) -> str:
        """Return the first line of an error, without the token."""
        first = text.splitlines()[0]
        return first.replace(self.motherduck_token, "***") if self.motherduck_token else first

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
                return duckdb.connect(self.database, read_only=True)
        raise AssertionError("unreachable")

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
    if _LOCKED.search(text):
        holder = re.search(r"held in .*? \(PID \d+\)", text)
        return WarehouseLocked(
            f"{database} is {holder[0] if holder else 'open elsewhere'}, for all of the {warehouse.lock_timeout:g} s "
            "that were waited.",
            guidance="Close the other program, or raise lock_timeout; DuckDB lets no one read while another writes.",
        )
    if warehouse.is_motherduck and _EXTENSION.search(text):
        return MotherDuckUnavailable(
            f"DuckDB could not load its MotherDuck extension: {said}",
            guidance="It is downloaded at first use: check the network, and that MotherDuck supports this DuckDB.",
        )
    if warehouse.is_motherduck and _TOKEN.search(text):
        return MotherDuckUnavailable(
            f"MotherDuck refused the token for {database}: {said}",
            guidance="Make a new access token in MotherDuck's settings and set MOTHERDUCK_APIKEY to it.",
        )
    if _TOO_NEW.search(text):
        return WarehouseTooNew(
            f"{database} was written by a newer DuckDB than the installed one: {said}",
            guidance="Upgrade the duckdb package.",
        )
    return WarehouseError(f"DuckDB could not read {database}: {said}")
