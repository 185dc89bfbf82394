"""A lock that processes and machines share which share nothing but the storage of a Dagster instance.

It is the database's own, so it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from airbyte_dagster.errors import AirbyteDagsterError

#: How long others are waited for.
_PATIENCE_SECONDS = 15
#: PostgreSQL numbers its advisory locks, MySQL names them, and SQLite has a file beside Dagster's.
_NUMBER = 0x41697262797465
_NAME = "airbyte_dagster.recording"
_FILE = "airbyte_dagster.lock"
_IN_MEMORY = threading.Lock()


class StorageLocked(AirbyteDagsterError):
    """Others hold the lock for longer than anybody should."""

    def __init__(self) -> None:
        super().__init__(
            f"Other processes have been recording for more than {_PATIENCE_SECONDS} s.",
            guidance="What is left is recorded by the sensor's next tick.",
        )


def has_lock(instance: dg.DagsterInstance) -> bool:
    """Whether the storage of an instance is a database that has a lock: SQLite, PostgreSQL or MySQL."""
    storage: Any = instance.run_storage
    if not hasattr(storage, "connect"):
        return False
    with storage.connect() as connection:
        return connection.dialect.name in (*_OF_SERVERS, "sqlite")


@contextmanager
def instance_lock(instance: dg.DagsterInstance) -> Iterator[None]:
    """Hold the instance's lock for a block; not within another such block.

    Where the storage has none (see `has_lock`), nothing is held.

    Raises:
        StorageLocked: Others hold it for too long.
    """
    storage: Any = instance.run_storage
    with ExitStack() as until_end:
        if hasattr(storage, "connect"):
            connection = until_end.enter_context(storage.connect())
            name, database = connection.dialect.name, connection.engine.url.database
            if name == "sqlite":
                until_end.close()
                until_end.enter_context(_sqlite(Path(database or "")))
            elif name in _OF_SERVERS:
                until_end.enter_context(_OF_SERVERS[name](connection))
        yield


@contextmanager
def _postgres(connection: Any) -> Iterator[None]:
    import sqlalchemy as sa  # noqa: PLC0415 - heavy, and Dagster's

    # In a transaction, so that it works behind a pooler, too. Dagster's connections commit by themselves.
    connection.execute(sa.text("BEGIN"))
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_PATIENCE_SECONDS}s'"))
    try:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _NUMBER})
    except sa.exc.OperationalError as error:
        raise StorageLocked from error
    yield
    connection.execute(sa.text("COMMIT"))


@contextmanager
def _mysql(connection: Any) -> Iterator[None]:
    import sqlalchemy as sa  # noqa: PLC0415 - heavy, and Dagster's

    request = {"name": _NAME, "seconds": _PATIENCE_SECONDS}
    if connection.execute(sa.text("SELECT GET_LOCK(:name, :seconds)"), request).scalar() != 1:
        raise StorageLocked
    try:
        yield
    finally:
        connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": _NAME})


@contextmanager
def _sqlite(path: Path) -> Iterator[None]:
    if not path.is_file():
        if not _IN_MEMORY.acquire(timeout=_PATIENCE_SECONDS):
            raise StorageLocked
        try:
            yield
        finally:
            _IN_MEMORY.release()
        return
    # A database of its own: Dagster writes into the others meanwhile.
    with closing(sqlite3.connect(path.with_name(_FILE), timeout=_PATIENCE_SECONDS, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise StorageLocked from error
        yield


_OF_SERVERS: dict[str, Callable[[Any], AbstractContextManager[None]]] = {"postgresql": _postgres, "mysql": _mysql}
