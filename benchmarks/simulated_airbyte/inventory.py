"""What is in the simulated workspace: connections, each with a source of its own, and a few destinations they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

WORKSPACE_ID = "00000000-0000-4000-8000-000000000000"
WORKSPACE_NAME = "simulated"
CREATED_AT = 1_700_000_000
#: Columns of each stream: what a small table of a business application has.
COLUMNS = ("id", "name", "email", "status", "amount", "currency", "country", "owner", "created_at", "updated_at")
_CONNECTIONS_PER_DESTINATION = 100

Kind = Literal["source", "destination"]


@dataclass
class ActorRow:
    """A source or a destination; `type` in Airbyte's words."""

    id: str
    kind: Kind
    name: str
    type: str
    configuration: Mapping[str, Any]


@dataclass
class ConnectionRow:
    """A connection.

    Attributes:
        streams: Names of the selected ones.
        status: A ``deprecated`` one is deleted: it is not in lists, but can still be asked for by its id.
    """

    id: str
    name: str
    source_id: str
    destination_id: str
    streams: tuple[str, ...]
    prefix: str = ""
    status: str = "active"
    schedule: Mapping[str, Any] = field(default_factory=lambda: {"scheduleType": "manual"})
    tags: tuple[str, ...] = ()
    namespace_definition: str = "destination"
    namespace_format: str | None = None
    created_at: int = CREATED_AT

    @property
    def deleted(self) -> bool:
        """Whether it is gone."""
        return self.status == "deprecated"


def connection_id(number: int) -> str:
    """Return the id of a connection, by its place from 0 on."""
    return f"00000000-0000-4000-8001-{number:012}"


def _actor(kind: Kind, number: int, type_name: str, configuration: Mapping[str, Any]) -> ActorRow:
    group = {"source": "8002", "destination": "8003"}[kind]
    return ActorRow(f"00000000-0000-4000-{group}-{number:012}", kind, f"{kind} {number}", type_name, configuration)


@dataclass
class Inventory:
    """All rows, in the order in which lists show them: Airbyte's have none of their own."""

    connections: list[ConnectionRow]
    sources: list[ActorRow]
    destinations: list[ActorRow]

    @classmethod
    def of(cls, connections: int, streams: int) -> Inventory:
        """Make so many connections of so many streams each.

        The streams of all have the same names; a prefix keeps the tables, and the keys of those who make them from
        prefix and name, apart.
        """
        sources = [_actor("source", number, "postgres", {"host": f"db{number}"}) for number in range(connections)]
        destinations = [
            _actor("destination", number, "duckdb", {"destination_path": f"/data/{number}.duckdb", "schema": "main"})
            for number in range(-(-connections // _CONNECTIONS_PER_DESTINATION))
        ]
        names = tuple(f"stream_{index}" for index in range(streams))
        rows = [
            ConnectionRow(
                id=connection_id(number),
                name=f"connection {number}",
                source_id=sources[number].id,
                destination_id=destinations[number // _CONNECTIONS_PER_DESTINATION].id,
                streams=names,
                prefix=f"c{number}_",
                tags=("tenth",) if number % 10 == 0 else (),
            )
            for number in range(connections)
        ]
        return cls(rows, sources, destinations)

    def __post_init__(self) -> None:
        self._by_id = {row.id: row for row in self.connections}

    def connection(self, wanted: str) -> ConnectionRow | None:
        """Return a connection, a deleted one too."""
        return self._by_id.get(wanted)

    def add(self, row: ConnectionRow) -> None:
        """Add a connection."""
        self.connections.append(row)
        self._by_id[row.id] = row

    def actors(self, kind: Kind) -> list[ActorRow]:
        """Return the rows of a kind."""
        return self.sources if kind == "source" else self.destinations
