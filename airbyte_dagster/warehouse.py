"""Look into the warehouse: a DuckDB file or a MotherDuck database, read-only where that can be.

This is what the checks rest on: it counts what is there, whatever the job says. A missing table is a finding
(``None``), not an error; errors are for a warehouse that can't be read at all, each with one plain sentence.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from airbyte_dagster.errors import (
    ConfigurationError,
    MotherDuckUnavailable,
    WarehouseError,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseTooNew,
)

if TYPE_CHECKING:
    import duckdb

_Key = TypeVar("_Key", bound=Hashable)

MOTHERDUCK_PREFIXES = ("md:", "motherduck:")

_LOCKED = re.compile(r"could not set lock|conflicting lock|different configuration than existing", re.IGNORECASE)
_TOO_NEW = re.compile(r"version number|newer version|storage version", re.IGNORECASE)
_EXTENSION = re.compile(r"extension", re.IGNORECASE)
_TOKEN = re.compile(r"token|authenticat|unauthori|forbidden|jwt", re.IGNORECASE)


@dataclass(frozen=True)
class TableRef:
    """Where a stream's table is expected.

    Attributes:
        schema: Schema, compared without case.
        names: Names that the destination may have given it, best first, compared without case.
        key: Columns of the primary key, to count distinct keys; empty for none.
    """

    schema: str
    names: tuple[str, ...]
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table as it is.

    Attributes:
        columns: Name and DuckDB type, in order.
        rows: Count of rows.
        distinct_keys: Count of distinct primary keys; ``None`` if no key was asked for or a column of it is missing.
    """

    database: str
    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    distinct_keys: int | None = None

    @property
    def full_name(self) -> str:
        """``database.schema.table``."""
        return f"{self.database}.{self.schema}.{self.name}"


@dataclass(frozen=True)
class Warehouse:
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

    def inspect(self, refs: Mapping[_Key, TableRef]) -> dict[_Key, Table | None]:
        """Return the table of each reference, or ``None`` where there is none; one query counts all.

        Raises:
            WarehouseError: The warehouse can't be read; see `connect`.
        """
        if not refs:
            return {}
        with self.connect() as connection, _plain_errors(self):
            found = _find_tables(connection, refs)
            counts = _count(connection, found, refs)
        return {
            name: None if name not in found else Table(*found[name].identity, found[name].columns, *counts[name])
            for name in refs
        }

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

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb  # noqa: PLC0415 - heavy

        if self.is_motherduck:
            if not self.motherduck_token:
                raise ConfigurationError(
                    f"{self.database} is at MotherDuck, but there is no token.",
                    guidance="Set motherduck_token (by convention from MOTHERDUCK_APIKEY).",
                )
            with _plain_errors(self):
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
            with attempt, _plain_errors(self):
                return duckdb.connect(self.database, read_only=True)
        raise AssertionError("unreachable")


@contextmanager
def _plain_errors(warehouse: Warehouse) -> Iterator[None]:
    import duckdb  # noqa: PLC0415 - heavy

    try:
        yield
    except duckdb.Error as error:
        raise _plain_error(warehouse, str(error)) from None


def _plain_error(warehouse: Warehouse, text: str) -> WarehouseError:
    """Sort DuckDB's errors by their text: it has no codes for these, and one class for nearly all of them."""
    database = warehouse.database
    said = text.splitlines()[0]
    if warehouse.motherduck_token:
        said = said.replace(warehouse.motherduck_token, "***")
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


@dataclass(frozen=True)
class _Found:
    identity: tuple[str, str, str]
    columns: tuple[tuple[str, str], ...]


def _find_tables(connection: duckdb.DuckDBPyConnection, refs: Mapping[_Key, TableRef]) -> dict[_Key, _Found]:
    schemas = sorted({ref.schema.lower() for ref in refs.values()})
    names = sorted({name.lower() for ref in refs.values() for name in ref.names})
    rows = connection.execute(
        """
        SELECT table_catalog, table_schema, table_name,
               list(column_name ORDER BY ordinal_position), list(data_type ORDER BY ordinal_position)
        FROM information_schema.columns
        WHERE table_catalog = current_database() AND lower(table_schema) IN (SELECT unnest($schemas))
              AND lower(table_name) IN (SELECT unnest($names))
        GROUP BY ALL
        """,
        {"schemas": schemas, "names": names},
    ).fetchall()
    by_place = {
        (schema.lower(), table.lower()): _Found((database, schema, table), tuple(zip(columns, types, strict=True)))
        for database, schema, table, columns, types in rows
    }
    found = {}
    for key, ref in refs.items():
        match = next(
            (
                by_place.get((ref.schema.lower(), name.lower()))
                for name in ref.names
                if (ref.schema.lower(), name.lower()) in by_place
            ),
            None,
        )
        if match is not None:
            found[key] = match
    return found


def _count(
    connection: duckdb.DuckDBPyConnection, found: Mapping[_Key, _Found], refs: Mapping[_Key, TableRef]
) -> dict[_Key, tuple[int, int | None]]:
    if not found:
        return {}
    parts = []
    for index, (key, table) in enumerate(found.items()):
        columns = _key_columns(refs[key].key, table)
        distinct = f"count(DISTINCT ({', '.join(map(quoted, columns))}))" if columns else "NULL"
        parts.append(f"SELECT {index}, count(*), {distinct} FROM {'.'.join(map(quoted, table.identity))}")  # noqa: S608 - quoted
    counts: dict[int, tuple[Any, ...]] = {
        row[0]: row[1:] for row in connection.execute("\nUNION ALL\n".join(parts)).fetchall()
    }
    return {key: (counts[index][0], counts[index][1]) for index, key in enumerate(found)}


def _key_columns(key: Sequence[str], table: _Found) -> list[str]:
    by_name = {name.lower(): name for name, _ in table.columns}
    columns = [by_name.get(name.lower()) for name in key]
    return [name for name in columns if name] if all(columns) else []


def quoted(identifier: str) -> str:
    """Quote an SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'
