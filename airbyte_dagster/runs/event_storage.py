"""Dagster's storage of events, with its database connections kept open while many events are recorded."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import sqlalchemy as sa


@contextmanager
def open_connections(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the connections of an instance's event storage open within the block.

    By itself, Dagster opens and closes a database several times for each asset that is materialized: SQLite then moves
    its whole write-ahead log, and each statement is compiled again; PostgreSQL starts a process. As before, each event
    is committed before the next one, and all processes see it at once.

    The storage of another database, or one that is not built as expected here, is left as it is.
    """
    storage: Any = instance.event_log_storage
    with ExitStack() as until_end:
        # Within another such block there is nothing left to do.
        if "has_table" not in vars(storage):
            instead = _sqlite(storage, until_end) or _postgres(storage, until_end)
            if instead:
                _replace(storage, {**instead, "has_table": functools.cache(storage.has_table)}, until_end)
        yield


def _replace(storage: Any, instead: Mapping[str, Any], until_end: ExitStack) -> None:
    """Set attributes of the storage, and have them as they were at the end."""
    for name, value in instead.items():
        if name in vars(storage):
            until_end.callback(setattr, storage, name, getattr(storage, name))
        else:
            until_end.callback(delattr, storage, name)
        setattr(storage, name, value)


def _sqlite(storage: Any, until_end: ExitStack) -> Mapping[str, Any]:
    """Return other methods for Dagster's default storage."""
    try:
        from dagster._core.storage.event_log import SqliteEventLogStorage  # noqa: PLC0415 - named in dagster.yaml, too
    except ImportError:
        return {}
    if type(storage) is not SqliteEventLogStorage:
        return {}
    known: dict[str, sa.Connection] = {}
    # As in Dagster: one thread of this process at a time.
    one_at_a_time = threading.Lock()
    ended = threading.Event()
    by_dagster: dict[str, Callable[..., AbstractContextManager[Any]]] = {
        name: getattr(storage, name) for name in ("run_connection", "index_connection")
    }

    def close() -> None:
        with one_at_a_time:
            ended.set()
            for connection in known.values():
                connection.close()
                connection.engine.dispose()

    @contextmanager
    def connect(name: str, first: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
        if name not in known:
            with first():  # It makes the tables where there are none.
                pass
        with one_at_a_time:
            if not ended.is_set():
                connection = known[name] = known.get(name) or _opened(storage.conn_string_for_shard(name))
                with connection.begin():
                    yield connection
                return
        with first() as connection:  # A thread that began before the block ended, and waited for its turn.
            yield connection

    until_end.callback(close)
    # Dagster looks the columns of a table up with each event, to serve databases that were not migrated.
    of_table = "_has_asset_key_index_cols_on_connection"
    return {
        **({of_table: functools.cache(getattr(storage, of_table))} if hasattr(storage, of_table) else {}),
        "run_connection": lambda run_id=None: connect(run_id, lambda: by_dagster["run_connection"](run_id)),
        "index_connection": lambda: connect("index", by_dagster["index_connection"]),
    }


def _opened(address: str) -> sa.Connection:
    import sqlalchemy as sa  # noqa: PLC0415 - heavy, and Dagster's

    engine = sa.create_engine(address, connect_args={"timeout": 30, "check_same_thread": False})
    sa.event.listen(engine, "connect", _flush_at_checkpoints)
    return engine.connect()


def _flush_at_checkpoints(connection: Any, _: Any) -> None:
    """Flush the disk with checkpoints of the write-ahead log only, as SQLite advises where there is one.

    A power failure, but no failure of a process, can take the last events away; the run that it ended as well records
    again what it finds synced, when it is resumed.
    """
    connection.execute("PRAGMA synchronous=NORMAL")


def _postgres(storage: Any, until_end: ExitStack) -> Mapping[str, Any]:
    """Return another engine for ``dagster_postgres``, which has one that keeps no connection outside of a webserver."""
    import sqlalchemy as sa  # noqa: PLC0415

    engine = vars(storage).get("_engine")
    if not isinstance(engine, sa.Engine) or engine.name != "postgresql" or type(engine.pool) is not sa.NullPool:
        return {}

    def connect() -> Any:
        # By the engine that is there: it may have a way of its own to log in.
        connection = engine.raw_connection()
        connection.detach()
        return connection.dbapi_connection

    kept = sa.create_engine(
        engine.url, creator=connect, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=-1, pool_pre_ping=True
    )
    until_end.callback(kept.dispose)
    return {"_engine": kept}
