"""What is known of a workspace without asking: its connections with their streams, as small JSON of a known version."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.destinations.databases import place_of
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.errors import ConfigurationError

_VERSION = 1


class OtherVersion(ConfigurationError):
    """A stored snapshot was written by another version of this package."""


@dataclass(frozen=True)
class ActorRecord:
    """A source or a destination.

    Attributes:
        type: Airbyte's ``sourceType`` or ``destinationType``; ``""`` for a connector without one.
        place: Of a destination: where its tables are, without secrets.
    """

    id: str
    name: str
    type: str
    place: Mapping[str, Any]


@dataclass(frozen=True)
class ConnectionRecord:
    """A connection.

    Attributes:
        created_at: Epoch seconds; 0 where the server does not report it.
        schedule: ``None`` if manual; else as Airbyte has it.
        tags: Names of its tags in Airbyte.
        streams: The selected ones.
    """

    id: str
    name: str
    status: str
    created_at: int
    schedule: str | None
    prefix: str
    namespace_definition: str
    namespace_format: str | None
    tags: tuple[str, ...]
    source: ActorRecord
    destination: ActorRecord
    streams: tuple[Stream, ...]

    @cached_property
    def table_places(self) -> TablePlaces:
        """Where the tables of its streams are."""
        return TablePlaces.of(self.destination.type, self.destination.place, self, self.streams)


@dataclass(frozen=True)
class WorkspaceSnapshot:
    """A workspace as it was at some time.

    Attributes:
        server_url: Base of the public API that it is of.
        taken_at: ISO 8601, UTC.
        connections: By name, then by id; inactive ones, too.
    """

    server_url: str
    workspace_id: str
    taken_at: str
    connections: tuple[ConnectionRecord, ...]

    def to_json(self) -> str:
        """Write it; actors are stored once, however many connections share them."""
        actors = {
            actor.id: _shallow(actor)
            for connection in self.connections
            for actor in (connection.source, connection.destination)
        }
        content = {
            "version": _VERSION,
            "server_url": self.server_url,
            "workspace_id": self.workspace_id,
            "taken_at": self.taken_at,
            "actors": list(actors.values()),
            "connections": [_connection_to_json(connection) for connection in self.connections],
        }
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> WorkspaceSnapshot:
        """Read what `to_json` wrote.

        Raises:
            OtherVersion: Another version of this package wrote it.
            ConfigurationError: It is no such thing.
        """
        try:
            content = json.loads(text)
            version, workspace_id = content["version"], content["workspace_id"]
            if version != _VERSION:
                raise OtherVersion("It was written by another version of airbyte-dagster.")
            actors = {item["id"]: ActorRecord(**item) for item in content["actors"]}
            connections = tuple(_connection_from_json(item, actors) for item in content["connections"])
            return cls(content["server_url"], workspace_id, content["taken_at"], connections)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigurationError("This is not the state of a workspace.") from None


def _shallow(record: Any) -> dict[str, Any]:
    # `asdict` copies all that is below, which takes a second for a large workspace.
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _connection_to_json(connection: ConnectionRecord) -> dict[str, Any]:
    return {
        **_shallow(connection),
        "source": connection.source.id,
        "destination": connection.destination.id,
        "streams": [_stream_to_json(stream) for stream in connection.streams],
    }


def _stream_to_json(stream: Stream) -> dict[str, Any]:
    """Write a stream without what most have not: there are many of them."""
    content: dict[str, Any] = {"name": stream.name, "sync_mode": stream.sync_mode}
    if stream.namespace is not None:
        content["namespace"] = stream.namespace
    if stream.primary_key:
        content["primary_key"] = stream.primary_key
    if stream.selected_fields:
        content["selected_fields"] = stream.selected_fields
    if stream.columns:
        content["columns"] = stream.columns
    return content


def _connection_from_json(item: Mapping[str, Any], actors: Mapping[str, ActorRecord]) -> ConnectionRecord:
    streams = tuple(
        Stream(
            stream["name"],
            stream.get("namespace"),
            stream["sync_mode"],
            primary_key=tuple(map(tuple, stream.get("primary_key", ()))),
            selected_fields=tuple(stream.get("selected_fields", ())),
            columns=tuple(stream.get("columns", ())),
        )
        for stream in item["streams"]
    )
    known = {
        **item,
        "tags": tuple(item["tags"]),
        "source": actors[item["source"]],
        "destination": actors[item["destination"]],
        "streams": streams,
    }
    return ConnectionRecord(**known)


def take_snapshot(
    client: AirbyteClient,
    workspace_id: str,
    *,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.timezone.utc),
) -> WorkspaceSnapshot:
    """Read a workspace with list calls alone: the connections, then the sources and destinations that they have.

    Airbyte's lists of a workspace that is not there are empty. So the workspace itself is read only where no connection
    is found.

    Raises:
        WorkspaceError: There is no such workspace.
        AirbyteError: One of the lists can't be read.
    """
    connections = client.connections(workspace_id)
    source_ids = {connection.source_id for connection in connections}
    destination_ids = {connection.destination_id for connection in connections}
    with ThreadPoolExecutor(1) as pool:
        sources = pool.submit(client.actors, "source", workspace_id, wanted=source_ids)
        destinations = client.actors("destination", workspace_id, wanted=destination_ids)
    actors = {actor.id: _actor(actor) for actor in (*sources.result(), *destinations)}
    if not connections:
        client.find_workspace(workspace_id=workspace_id)
    records = sorted(
        (_connection(connection, actors) for connection in connections),
        key=lambda connection: (connection.name, connection.id),
    )
    return WorkspaceSnapshot(
        client.settings.server_url, workspace_id, now().isoformat(timespec="seconds"), tuple(records)
    )


def _actor(actor: records.Actor) -> ActorRecord:
    place = place_of(actor.configuration) if isinstance(actor, records.Destination) else {}
    return ActorRecord(actor.id, actor.name, actor.type, place)


def _connection(connection: records.Connection, actors: Mapping[str, ActorRecord]) -> ConnectionRecord:
    # The other end of a connection may be deleted before the list that it is on is read.
    source = actors.get(connection.source_id) or ActorRecord(connection.source_id, connection.source_id, "", {})
    destination = actors.get(connection.destination_id) or ActorRecord(
        connection.destination_id, connection.destination_id, "", {}
    )
    return ConnectionRecord(
        id=connection.id,
        name=connection.name,
        status=connection.status,
        created_at=_seconds(connection.raw.get("createdAt")),
        schedule=connection.schedule,
        prefix=connection.prefix,
        namespace_definition=connection.namespace_definition,
        namespace_format=connection.namespace_format,
        tags=tuple(str(tag.get("name")) for tag in _tags(connection)),
        source=source,
        destination=destination,
        streams=tuple(replace(stream, cursor_field=(), raw={}) for stream in connection.streams),
    )


def _seconds(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _tags(connection: records.Connection) -> Sequence[Mapping[str, Any]]:
    tags = connection.raw.get("tags")
    return [tag for tag in tags if isinstance(tag, Mapping)] if isinstance(tags, list) else []
