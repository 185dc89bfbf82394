"""Which database a destination writes to, and whether two are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airbyte_dagster.destinations.kinds import kind_of

_MOTHERDUCK_PREFIXES = ("md:", "motherduck:")
#: What ``md:`` means (MotherDuck's documentation on connecting).
_MOTHERDUCK_DEFAULT = "my_db"
#: Settings of a destination that say where its tables are; none of them is a secret, see `place_of`.
_PLACE_SETTINGS = ("destination_path", "schema", "database", "dataset_id", "project_id", "host", "port")


@dataclass(frozen=True)
class Database:
    """A database, as its address names it: there may be several addresses of one.

    Attributes:
        engine: As `DestinationKind.engine`, where ``duckdb`` is a file, and ``motherduck``.
        name: Path of a file, or the bare name.
        host: Of a server, where it is known.
        port: Of a server.
    """

    engine: str
    name: str
    host: str = ""
    port: str = "5432"

    def is_certainly_another(self, other: Database) -> bool:
        """Whether no other address of `other` can be meant: hosts and directories differ between containers."""
        if self.engine != other.engine:
            return True
        if self.engine == "duckdb":
            return _file_name(self.name) != _file_name(other.name)
        # An address without a name may mean the one that the account used last.
        is_vague = self.engine == "motherduck" and _MOTHERDUCK_DEFAULT in (self.name, other.name)
        return self.name.casefold() != other.name.casefold() and not is_vague


def is_motherduck(path: str) -> bool:
    """Whether a path is ``md:NAME`` or ``motherduck:NAME``."""
    return path.startswith(_MOTHERDUCK_PREFIXES)


def duckdb_database(path: str) -> Database:
    """Return the database of ``md:NAME``, whose name has no case, or of the path of a file.

    A token that stands in the address after the question mark is left out.
    """
    if not is_motherduck(path):
        return Database("duckdb", path)
    return Database("motherduck", path.partition(":")[2].partition("?")[0].casefold() or _MOTHERDUCK_DEFAULT)


def database_of(destination_type: str, configuration: Mapping[str, Any]) -> Database | None:
    """Return the database that a destination writes to; ``None`` if its configuration does not say, or it is unknown.

    Args:
        destination_type: Airbyte's ``destinationType``; ``""`` for a connector of one's own.
        configuration: Its configuration, or the part of it that `place_of` returns.
    """
    kind = kind_of(destination_type)
    if kind is None:
        return None
    path, name = configuration.get("destination_path"), configuration.get(kind.database_setting or "")
    if kind.engine == "duckdb" and isinstance(path, str) and path:
        is_bare = destination_type == "motherduck" and not is_motherduck(path)
        return duckdb_database(f"md:{path}" if is_bare else path)
    if kind.engine != "duckdb" and isinstance(name, str) and name:
        host, port = configuration.get("host") or "", configuration.get("port") or 5432
        return Database(kind.engine, name, str(host), str(port))
    return None


def writes_to_motherduck(destination_type: str, configuration: Mapping[str, Any]) -> bool:
    """Whether a destination certainly writes to MotherDuck."""
    database = database_of(destination_type, configuration)
    return destination_type == "motherduck" or (database is not None and database.engine == "motherduck")


def is_elsewhere(destination_type: str, configuration: Mapping[str, Any], here: Database) -> bool:
    """Whether a destination certainly writes to another database than `here`; what can't be told is taken for here.

    Args:
        here: Its name is empty where it is not known.
    """
    if destination_type:
        kind = kind_of(destination_type)
        engine = "duckdb" if here.engine == "motherduck" else here.engine
        if kind is None or kind.engine != engine:
            return True
    there = database_of(destination_type, configuration)
    return bool(here.name) and there is not None and there.is_certainly_another(here)


def place_of(configuration: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the part of a destination's configuration that says where its tables are, without secrets.

    Credentials that somebody put into an address are cut off.
    """
    found = {name: configuration.get(name) for name in _PLACE_SETTINGS}
    return {
        name: value.partition("?")[0].rpartition("@")[2] if isinstance(value, str) else value
        for name, value in found.items()
        if isinstance(value, str | int)
    }


def _file_name(path: str) -> str:
    return re.split(r"[/\\:]", path)[-1]
