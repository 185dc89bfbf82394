"""Whether a destination can be written to, as far as that can be seen without writing or signing in."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from airbyte_dagster.local.engine import Warehouse

_SECONDS = 10.0
_MAGIC = slice(8, 12)  # where a DuckDB file says what it is


def reason_against(where: Warehouse) -> str | None:
    """Why a sync into it would fail, or None.

    A DuckDB file is looked at, not opened, since a sync may be writing it. A PostgreSQL server must accept
    connections. MotherDuck is not asked: its address is known to its own extension only.
    """
    if where.kind == "duckdb":
        return _file(Path(where.path))
    if where.kind == "postgres":
        return _server(where)
    return None


def _file(path: Path) -> str | None:
    if path.exists():
        if not os.access(path, os.W_OK):
            return f"The file {path} can't be written"
        with path.open("rb") as file:
            head = file.read(_MAGIC.stop)
        return None if not head or head[_MAGIC] == b"DUCK" else f"The file {path} is not a DuckDB file"
    parent = next(parent for parent in path.parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return f"The file {path} can't be made: {parent} is not a directory that can be written to"
    return None


def _server(where: Warehouse) -> str | None:
    try:
        if where.host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(f"{where.host}/.s.PGSQL.{where.port}")
        else:
            socket.create_connection((where.host, where.port), timeout=_SECONDS).close()
    except OSError as error:
        return f"PostgreSQL at {where.host}:{where.port} can't be reached: {error.strerror or error}"
    return None
