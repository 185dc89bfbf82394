"""Which tables a connection writes: none twice, and whether another connection writes one of them, too.

Names as in `airbyte_dagster.destinations`, by which they are written and looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from airbyte_dagster.destinations.tables import NamespaceSettings, Place, TablePlaces, collisions
from airbyte_dagster.local import problems
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import Actor, Claim, Connection

#: Columns of a connection that say which tables it writes.
COLUMNS = frozenset({"streams", "prefix", "namespace_definition", "namespace_format"})
_MOST_SHARED = 100

Key = tuple[str | None, str]


class Sharing(NamedTuple):
    """A table that another connection writes, too.

    Attributes:
        table: Its schema and name.
        connection_id: The other connection.
        connection_name: Its name.
    """

    table: str
    connection_id: str
    connection_name: str

    def __str__(self) -> str:
        return (
            f"The table {self.table} is written by the connection {self.connection_name} ({self.connection_id}), too: "
            "each overwrites or mixes with the other's rows. Give one of them a prefix or a namespace of its own."
        )


def keys_of(streams: Iterable[Json]) -> tuple[Key, ...]:
    """Namespace and name of each stream, in the API's or the protocol's words."""
    return tuple((stream.get("namespace") or None, str(stream["name"])) for stream in streams)


def refuse(destination: Actor, connection: NamespaceSettings, streams: Sequence[Json]) -> None:
    """Refuse streams of one connection that would be written into one table, or into one without a name.

    Args:
        destination: Where they are written.
        connection: How the connection names its tables.
        streams: The streams.

    Raises:
        ApiError: 400 that names the table and the streams.
    """
    places = _places(destination, connection, keys_of(streams))
    for namespace, name in places.streams:
        place = places.first(namespace, name)
        if place is not None and not (place.table and place.schema):
            raise problems.bad_request(
                f"The stream [{name}] can't be written: nothing of its name is left in the name of a table."
            )
    for collision in collisions({"": places}):
        streams_there = " and ".join(f"[{writer.removeprefix(': ')}]" for writer in collision.writers)
        raise problems.bad_request(
            f"The streams {streams_there} would be written into one table, {collision.place}. Leave all but one of "
            "them out; another connection, with a prefix of its own, can have the others."
        )


def tables_of(destination: Actor, connection: NamespaceSettings, streams: Sequence[Json]) -> dict[str, str]:
    """The tables that a connection writes: how its database tells them apart → how they are shown."""
    places = _places(destination, connection, keys_of(streams))
    found = (places.first(*key) for key in places.streams)
    return {_key(destination.type, place): str(place) for place in found if place is not None}


def rewrite(session: Session, connection: Connection) -> None:
    """Note which tables a connection writes now; nothing changes if that is noted already."""
    destination = session.get_one(Actor, connection.destination_id)
    now = tables_of(destination, connection, connection.streams)
    noted = set(session.scalars(select(Claim.table).where(Claim.connection_id == connection.id)))
    if gone := noted - now.keys():
        session.execute(delete(Claim).where(Claim.connection_id == connection.id, Claim.table.in_(gone)))
    session.add_all(
        Claim(connection_id=connection.id, table=table, label=label)
        for table, label in now.items()
        if table not in noted
    )


def shared(session: Session, connection: Connection, database_of: Callable[[Actor], object]) -> list[Sharing]:
    """The tables of a connection that others write, too, as far as those were made, changed or synced since.

    Args:
        session: To read in.
        connection: The connection.
        database_of: Which database a destination is; None for an unknown one.
    """
    destination = session.get(Actor, connection.destination_id)
    own = database_of(destination) if destination is not None and not destination.deleted else None
    if own is None or destination is None:
        return []
    query = (
        select(Claim.label, Connection.id, Connection.name, Actor)
        .join(Connection, Connection.id == Claim.connection_id)
        .join(Actor, Actor.id == Connection.destination_id)
        .where(
            Claim.table.in_(tables_of(destination, connection, connection.streams)),
            Connection.id != connection.id,
            Connection.status != "deprecated",
        )
        .order_by(Claim.label, Connection.id)
        .limit(_MOST_SHARED)
    )
    same: dict[str, bool] = {}
    found = []
    for label, connection_id, name, other in session.execute(query):
        if other.id not in same:
            same[other.id] = other.id == destination.id or database_of(other) == own
        if same[other.id]:
            found.append(Sharing(label, connection_id, name))
    return found


def _places(destination: Actor, connection: NamespaceSettings, keys: tuple[Key, ...]) -> TablePlaces:
    configuration: Mapping[str, object] = destination.configuration
    schema, path = configuration.get("schema"), str(configuration.get("destination_path") or "")
    kind = (
        "motherduck" if destination.type == "duckdb" and path.startswith(("md:", "motherduck:")) else destination.type
    )
    return TablePlaces(kind, str(schema) if schema else None, connection, keys)


def _key(destination_type: str, place: Place) -> str:
    # PostgreSQL tells names apart by case, DuckDB does not.
    kept = place if destination_type == "postgres" else place.folded
    return "\0".join(kept)
