"""Keys of a workspace's connections; see `runs.keys` for the names in them.

Where connections would have one key, the oldest keeps it, and the others get a digest of their id: those that are made
later change nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Protocol

from airbyte_dagster.runs.keys import asset_key_part, told_apart


class DatedConnection(Protocol):
    """What a connection's key depends on."""

    @property
    def id(self) -> str:
        """Airbyte's id."""

    @property
    def name(self) -> str:
        """Airbyte's name, which others may have, too."""

    @property
    def created_at(self) -> int:
        """Epoch seconds; 0 where the server does not say."""


def connection_keys(connections: Iterable[DatedConnection]) -> dict[str, str]:
    """Return the key of each connection, by its id."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for connection in sorted(connections, key=lambda connection: (connection.created_at, connection.id)):
        key = free_connection_key(connection, taken)
        keys[connection.id] = key
        taken.add(key)
    return keys


def free_connection_key(connection: DatedConnection, taken: Container[str]) -> str:
    """Return a key for a connection that is not taken."""
    plain = asset_key_part(connection.name)
    return plain if plain not in taken else told_apart(plain, connection.id, taken)
