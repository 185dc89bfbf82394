"""Destinations: what their configurations may be, where they write, and whether that is possible.

The kind of a destination is its type, and what it writes to is never one of the server's own files.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_dagster.local import problems
from airbyte_dagster.local.engine import Json, Warehouse
from airbyte_dagster.local.settings import Home

_STRING = {"type": "string", "minLength": 1}
SPECS: dict[str, Json] = {
    "duckdb": {
        "type": "object",
        "required": ["destination_path"],
        "properties": {
            "destination_path": _STRING,
            "schema": {"type": "string"},
            "motherduck_api_key": {"type": "string", "airbyte_secret": True},
        },
    },
    "motherduck": {
        "type": "object",
        "required": ["motherduck_api_key"],
        "properties": {
            "destination_path": {"type": "string"},
            "db": {"type": "string"},
            "schema": {"type": "string"},
            "motherduck_api_key": {**_STRING, "airbyte_secret": True},
        },
    },
    "postgres": {
        "type": "object",
        "required": ["host", "username", "database"],
        "properties": {
            "host": _STRING,
            "port": {"type": "integer", "minimum": 0, "maximum": 65536},
            "database": _STRING,
            "schema": {"type": "string"},
            "username": _STRING,
            "password": {"type": "string", "airbyte_secret": True},
            "ssl": {"type": "boolean"},
            "ssl_mode": {"type": "object", "properties": {"mode": {"enum": ["disable", "allow", "prefer", "require"]}}},
            "tunnel_method": {"type": "object", "properties": {"tunnel_method": {"const": "NO_TUNNEL"}}},
        },
    },
}
"""Per type, the JSON schema of its configuration."""
_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOTHERDUCK = re.compile(r"(?:md|motherduck):(.*)", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""How ``s3://…`` and the like begin; one letter is a drive."""
_MAGIC = slice(8, 12)  # where a DuckDB file says what it is
_SECONDS = 10.0
_LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Places:
    """Where DuckDB files may be.

    Args:
        home: The base of relative paths; files in it are allowed, save the server's own.
        allowed: More directories that they may be in.
        command: What the user started the server with, for messages.
    """

    home: Home
    allowed: Sequence[Path] = ()
    command: str = "airbyte-dagster local serve"


def warehouse(type_name: str, configuration: Mapping[str, Any], places: Places) -> Warehouse:
    """Where a destination's configuration says to write.

    Args:
        type_name: ``duckdb``, ``motherduck`` or ``postgres``.
        configuration: One that fits the type's spec.
        places: Where files may be.

    Raises:
        ApiError: 422, naming the field, when it has settings of another type, no usable names, or a path that is none,
            leads to where files may not be, or to something that is no DuckDB file.
    """
    _refuse_foreign_settings(type_name, configuration)
    schema = configuration.get("schema") or ("public" if type_name == "postgres" else "main")
    if not _SCHEMA_NAME.fullmatch(schema):
        raise problems.unprocessable(f"$.schema: {_shown(schema)} is not a name of letters, digits and underscores")
    if type_name == "postgres":
        return Warehouse(
            "postgres",
            database=configuration["database"],
            schema=schema.lower(),
            host=configuration["host"],
            port=configuration.get("port") or 5432,
            username=configuration["username"],
            password=configuration.get("password") or "",
            ssl_mode=(configuration.get("ssl_mode") or {}).get("mode") or "",
        )
    path = str(configuration.get("destination_path") or "")
    if type_name == "motherduck" or _MOTHERDUCK.fullmatch(path):
        return _motherduck(path, configuration, schema)
    return Warehouse("duckdb", path=str(_duckdb_file(path, places)), schema=schema)


def _refuse_foreign_settings(type_name: str, configuration: Mapping[str, Any]) -> None:
    own = SPECS[type_name]["properties"]
    for name in configuration:
        others = [other for other, spec in SPECS.items() if name in spec["properties"]]
        if name not in own and others:
            raise problems.unprocessable(f"$.{name}: not a setting of {type_name}, but of {' and '.join(others)}")


def _motherduck(path: str, configuration: Mapping[str, Any], schema: str) -> Warehouse:
    address = _MOTHERDUCK.fullmatch(path)
    name = str((address[1] if address else path) or configuration.get("db") or "my_db")
    if "?" in name:
        raise problems.unprocessable(
            "$.destination_path: a database's name has no ? and nothing after it; a token belongs to motherduck_api_key"
        )
    if not address and re.search(r"[/\\:~]|\.duckdb$|\.db$", name):
        raise problems.unprocessable(
            f"$.destination_path: {_shown(path)} is not a MotherDuck database (md:NAME); "
            "for a file the destinationType is duckdb"
        )
    key = configuration.get("motherduck_api_key") or ""
    if not key:
        raise problems.unprocessable("$.motherduck_api_key: required for a MotherDuck database (md:…)")
    return Warehouse("motherduck", database=name, schema=schema, api_key=key)


def _duckdb_file(text: str, places: Places) -> Path:
    """The file of a path, made absolute, with all links followed."""
    try:
        reason = _reason_against_text(text)
        path = Path() if reason else (places.home.root / Path(text).expanduser()).resolve()
        reason = reason or _reason_against_place(path, places) or _reason_against_content(path)
    except (OSError, RuntimeError) as error:  # too long, a loop of links, the home of a user that isn't there, …
        reason = f"{_shown(text)} can't be used: {(getattr(error, 'strerror', None) or str(error)).rstrip('.')}"
    if reason:
        raise problems.unprocessable(f"$.destination_path: {reason}")
    return path


def _reason_against_text(text: str) -> str | None:
    if not text.strip() or "\0" in text:
        return "not a path"
    if text.rpartition("/")[2].casefold().startswith(":memory:"):
        return f"{_shown(text)} is a database in memory, which would be gone after each sync; a file is needed"
    if "?" in text:
        return f"{_shown(text)} has a ?, after which DuckDB and its clients read settings; a file's name must have none"
    if _ADDRESS.match(text):
        return f"{_shown(text)} is an address; a DuckDB file, or a MotherDuck database as md:NAME, is needed"
    return None


def _reason_against_place(path: Path, places: Places) -> str | None:
    home = places.home
    if not any(path.is_relative_to(directory.resolve()) for directory in (home.root, *places.allowed)):
        return (
            f"{_shown(str(path))} is outside of {home.root}; "
            f"`{places.command} --allow-path {_shown(str(path.parent))}` permits its directory"
        )
    for own in (home.state_dir, home.environments):
        if path.is_relative_to(own.resolve()) or any(_is_same(own, part) for part in (path, *path.parents)):
            return f"{_shown(str(path))} is in {own}, where local Airbyte has its own files"
    return None


def _is_same(one: Path, other: Path) -> bool:
    """Whether two names mean one thing, as on a file system that doesn't know upper case from lower case."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _reason_against_content(path: Path) -> str | None:
    """Why what is there can't be a DuckDB file; None if nothing is there, or an empty file."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        Path(f"{path}.wal").lstat()  # the longest name that is made of it; one that is too long is an error here
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(mode):
        return f"{_shown(str(path))} is a directory; a DuckDB file is needed"
    if not stat.S_ISREG(mode):
        return f"{_shown(str(path))} is not a file"
    with path.open("rb") as file:
        head = file.read(_MAGIC.stop)
    return None if not head or head[_MAGIC] == b"DUCK" else f"The file {_shown(str(path))} is not a DuckDB file"


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def reason_against(where: Warehouse) -> str | None:
    """Why a sync into it would fail, as far as that can be seen without writing or signing in; else None.

    A DuckDB file is looked at, not opened, since a sync may be writing it. A PostgreSQL server must accept
    connections. MotherDuck is not asked: its address is known to its own extension only.
    """
    if where.kind == "duckdb":
        return _reason_against_writing(Path(where.path))
    if where.kind == "postgres":
        return _reason_against_server(where)
    return None


def _reason_against_writing(path: Path) -> str | None:
    try:
        if path.exists():
            can_be = os.access(path, os.W_OK)
            return _reason_against_content(path) if can_be else f"The file {path} can't be written"
        parent = next(parent for parent in path.parents if parent.exists())
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return None
    except OSError as error:
        return f"The file {path} can't be used: {error.strerror}"
    return f"The file {path} can't be made: {parent} is not a directory that can be written to"


def _reason_against_server(where: Warehouse) -> str | None:
    try:
        if where.host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(f"{where.host}/.s.PGSQL.{where.port}")
        else:
            socket.create_connection((where.host, where.port), timeout=_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:  # the last two: a port or a name that can't be one
        reason = getattr(error, "strerror", None) or error
        return f"PostgreSQL at {where.host}:{where.port} can't be reached: {reason}"
    return None
