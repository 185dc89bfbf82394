"""PostgreSQL as a destination: DuckDB writes the typed rows as CSV, and COPY takes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.destinations.types import POSTGRES_TYPES, AirbyteType
from airbyte_dagster.local.engine import Failure, Warehouse
from airbyte_dagster.local.work.reporting import Failed, explain
from airbyte_dagster.local.work.staging import Staging, literal
from airbyte_dagster.local.work.tables import EXACT
from airbyte_dagster.local.work.targets import (
    CANNOT_OPEN,
    Existing,
    Write,
    appended,
    columns_of,
    comments,
    merged,
    quoted,
    staged_columns,
    structure,
)

if TYPE_CHECKING:
    import psycopg

_BLOCK = 1 << 20


class PostgresTarget:
    """A database of PostgreSQL.

    Args:
        staging: Where the records are.
        warehouse: Which.
        scratch: A directory for the rows on their way.
    """

    types = POSTGRES_TYPES

    def __init__(self, staging: Staging, warehouse: Warehouse, scratch: Path) -> None:
        self._staging = staging.connection
        self._warehouse = warehouse
        self._file = scratch / "rows.csv"

    def look(self, places: Sequence[Place]) -> dict[Place, Existing]:
        """See `Target.look`."""
        with self._connected() as connection:
            return _columns(connection, places)

    def is_exact(self, place: Place, column: str) -> bool:
        """See `Target.is_exact`."""
        with self._connected() as connection:
            name, table = quoted(column), _name(place)
            row = connection.execute(f"SELECT max(abs({name}::numeric)) FROM {table}").fetchone()  # noqa: S608
        return row is None or row[0] is None or row[0] <= EXACT

    def commit(self, writes: Sequence[Write]) -> None:
        """See `Target.commit`."""
        with self._connected() as connection:
            existing = _columns(connection, [write.table.place for write in writes])
            for write in writes:
                for statement in self._statements(connection, write, existing.get(write.table.place)):
                    connection.execute(statement)

    def empty(self, places: Sequence[Place]) -> None:
        """See `Target.empty`."""
        with self._connected() as connection:
            for place in _columns(connection, places):
                connection.execute(f"DELETE FROM {_name(place)}")  # noqa: S608

    def _statements(self, connection: Any, write: Write, existing: Existing | None) -> Iterator[str]:
        table, name = write.table, _name(write.table.place)
        columns = columns_of(table, self.types)
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(table.place.schema)}"
        there = existing.columns if existing else None
        if table.strategy == "replace" and there is not None:
            # Not dropped and made again, since views may read from it.
            yield f"TRUNCATE {name}"
            for column, kind in columns.items():
                if there.get(column, kind) != kind:
                    yield f"ALTER TABLE {name} ALTER COLUMN {quoted(column)} TYPE {kind} USING NULL"
            there = {column: columns.get(column, kind) for column, kind in there.items()}
        yield from structure(name, columns, there, self.types, to_json="to_jsonb", fold=str)
        yield from comments(table, name, existing.fields if existing else {}, fold=str)
        ours = all((there or {}).get(column, kind) == kind for column, kind in columns.items())
        if ours and table.strategy != "merge":
            self._copy(connection, write, f"{name} ({', '.join(map(quoted, columns))})")
            return
        staged = f"staged_{write.index}"
        types = zip(staged_columns(table), columns.values(), strict=True)
        yield f"CREATE TEMPORARY TABLE {staged} ({', '.join(f'{n} {kind}' for n, kind in types)}) ON COMMIT DROP"
        self._copy(connection, write, staged)
        # With columns of types that are not ours, as of a user, PostgreSQL casts where it can.
        how = merged if table.strategy == "merge" else appended
        yield from how(table, name, f"FROM {staged} s WHERE true", _nested)

    def _copy(self, connection: Any, write: Write, where: str) -> None:
        columns = ", ".join(staged_columns(write.table))
        # Everything is quoted but NULL, so that NULL and the empty text differ, as PostgreSQL reads CSV.
        self._staging.execute(f"""
            COPY (SELECT {columns} FROM s{write.index} WHERE ordinal <= {write.upto} ORDER BY ordinal)
            TO {literal(str(self._file))} (FORMAT csv, HEADER false, FORCE_QUOTE *, NULLSTR '')""")  # noqa: S608
        try:
            statement = f"COPY {where} FROM STDIN (FORMAT csv, NULL '')"
            with self._file.open("rb") as file, connection.cursor() as cursor, cursor.copy(statement) as copy:
                while block := file.read(_BLOCK):
                    copy.write(block)
        finally:
            self._file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in a transaction, which is committed at the end unless something is raised."""
        try:
            import psycopg  # noqa: PLC0415 - an extra of the package
        except ImportError as error:
            message = "PostgreSQL needs a driver: pip install 'airbyte-dagster[postgres]'"
            raise Failed(Failure(message, origin="destination", kind="config_error")) from error
        warehouse = self._warehouse
        try:
            connection = psycopg.connect(
                host=warehouse.host,
                port=warehouse.port,
                dbname=warehouse.database,
                user=warehouse.username,
                password=warehouse.password or None,
                sslmode=warehouse.ssl_mode or "prefer",
                connect_timeout=30,
                application_name="local Airbyte",
                options="-c timezone=UTC",
            )
        except psycopg.Error as error:
            raise explain(error, CANNOT_OPEN) from error
        with connection:
            yield connection


def _columns(connection: Any, places: Sequence[Place]) -> dict[Place, Existing]:
    sql = """
        SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, NULL), col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND n.nspname = ANY(%s) AND c.relname = ANY(%s)
        ORDER BY a.attnum"""
    wanted = set(places)
    found: dict[Place, Existing] = {}
    arguments = [[place.schema for place in places], [place.table for place in places]]
    for schema, table, *column in connection.execute(sql, arguments).fetchall():
        if (place := Place(schema, table)) in wanted:
            found.setdefault(place, Existing({}, {})).add(*column, fold=str)
    return found


def _name(place: Place) -> str:
    return ".".join(map(quoted, place))


def _nested(column: str, path: Sequence[str], kind: AirbyteType) -> str:
    value = f"({column} #>> ARRAY[{', '.join(literal(name) for name in path)}])"
    return value if kind in {"string", "json"} else f"({value})::{POSTGRES_TYPES[kind]}"
