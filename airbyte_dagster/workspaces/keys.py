"""Keys of a workspace's connections; see `runs.keys` for the names in them.

Where connections would have one key, the oldest keeps it, and the others get a digest of their id: those that are made
later change nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from airbyte_dagster.runs.keys import asset_key_part, told_apart
from airbyte_dagster.workspaces.snapshot import ConnectionRecord


def connection_keys(connections: Iterable[ConnectionRecord]) -> dict[str, str]:
    """Return the key of each connection, by its id."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for connection in sorted(connections, key=lambda connection: (connection.created_at, connection.id)):
        key = free_connection_key(connection, taken)
        keys[connection.id] = key
        taken.add(key)
    return keys


def free_connection_key(connection: ConnectionRecord, taken: Container[str]) -> str:
    """Return a key for a connection that is not taken."""
    plain = asset_key_part(connection.name)
    return plain if plain not in taken else told_apart(plain, connection.id, taken)
