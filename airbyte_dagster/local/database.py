"""The state of local Airbyte in SQLite: the file, its sessions, and the version of its schema."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateColumn

from airbyte_dagster.local.records import Base

VERSION = 1
"""Of the schema; raised whenever `records` change, so that an older version of this package leaves the file alone.

Missing tables, indexes and columns are added to an older database. A new column is nullable or has a
``server_default``; anything else that a change needs belongs into `_bring_up_to_date`.
"""
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS connections_by_schedule ON connections (json_extract(schedule, '$.scheduleType'))",
)


class NewerDatabase(Exception):
    """A later version of this package has written the database; the message says what to do."""

    def __init__(self, path: Path, found: int) -> None:
        super().__init__(
            f"{path} was written by a newer version of airbyte-dagster (its schema is {found}, this version knows "
            f"{VERSION}): upgrade airbyte-dagster, or choose another home with AIRBYTE_DAGSTER_HOME"
        )


class Database:
    """The SQLite file: readable by the user only, write-ahead log, one writer at a time.

    Args:
        path: The file; made when missing, brought to the present schema when older.

    Raises:
        NewerDatabase: Its schema is not known; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would make it world-readable
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),  # as text, a ? in the path would begin something else
            pool_size=50,
            max_overflow=-1,
            connect_args={"timeout": 30, "check_same_thread": False},
            hide_parameters=True,  # configurations are among them, and errors are kept and shown
        )
        event.listen(self._engine, "connect", _set_up)
        # The server is the only process that writes, so a lock here means SQLite never says "database is locked".
        self._writing = threading.RLock()
        try:
            _bring_up_to_date(self._engine, path)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to read in. What it gives stays usable afterwards."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session to write in, committed at the end of the block; keep the block short."""
        with self._writing, Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _bring_up_to_date(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        # Python's module begins no transaction before such statements, so it is done here: all of it or nothing.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())  # 0 before there were versions
        if found > VERSION:
            raise NewerDatabase(path, found)
        _add_columns(connection)
        Base.metadata.create_all(connection)
        for statement in _INDEXES:
            connection.execute(text(statement))
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
        connection.commit()


def _add_columns(connection: Connection) -> None:
    there = inspect(connection)
    for table in Base.metadata.sorted_tables:
        if there.has_table(table.name):
            known = {column["name"] for column in there.get_columns(table.name)}
            for column in table.columns:
                if column.name not in known:
                    definition = CreateColumn(column).compile(dialect=connection.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _set_up(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
