"""How often each stream of a connection was read from its beginning, or emptied: Airbyte's generation ids."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from airbyte_dagster.local.database import Database
from airbyte_dagster.local.records import Generation
from airbyte_dagster.local.tableclaims import Key


class Generations:
    """The generations of all connections' streams.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, connection_id: str) -> dict[Key, int]:
        """The generation of each stream that has one; the others' is 0."""
        query = select(Generation).where(Generation.connection_id == connection_id)
        with self._database.read() as session:
            return {(one.namespace or None, one.name): one.generation for one in session.scalars(query)}

    def begin(self, connection_id: str, streams: Iterable[Key]) -> None:
        """Begin a new generation of each of these streams."""
        with self._database.write() as session:
            for namespace, name in streams:
                key = (connection_id, namespace or "", name)
                record = session.get(Generation, key)
                if record is None:
                    session.add(Generation(connection_id=key[0], namespace=key[1], name=name, generation=1))
                else:
                    record.generation += 1
