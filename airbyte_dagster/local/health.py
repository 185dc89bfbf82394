"""Whether local Airbyte can do its work: its disk and its database, looked at anew with each request."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile

from airbyte_dagster.local.settings import Home

_PROBE_BYTES = 65_536
#: A write of the server itself takes a moment; a lock that is held for longer is another process's.
_LOCK_SECONDS = 5.0


def problems(home: Home) -> list[str]:
    """Return what is wrong, a sentence each; nothing if all is well."""
    return [problem for problem in (_disk(home), _database(home)) if problem]


def _disk(home: Home) -> str | None:
    """Write a little where jobs write."""
    try:
        with tempfile.TemporaryFile(dir=home.state_dir) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return f"disk: {os.strerror(error.errno) if error.errno else error}"
    return None


def _database(home: Home) -> str | None:
    """Begin a transaction that may write, and read."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{home.database.as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
        ) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT count(*) FROM connections").fetchone()
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        return f"database: {error}"
    return None
