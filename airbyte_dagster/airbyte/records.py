"""Frozen records of what Airbyte's public API returns, under its own names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

SECRET_MASK = "**********"  # noqa: S105 - what Airbyte shows in place of a secret (AirbyteSecretConstants.kt)

#: A job in one of these is not finished. ``incomplete``: an attempt failed and another follows (JobStatus.kt).
ACTIVE_STATUSES = frozenset({"pending", "queued", "running", "incomplete"})
#: A job in one of these changes no more.
FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})

JobType = Literal["sync", "reset", "clear"]
ActorKind = Literal["source", "destination"]


@dataclass(frozen=True)
class Workspace:
    """A workspace; `raw` is Airbyte's JSON."""

    id: str
    name: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Permission:
    """A role that the user has, whose application or token signs in.

    Attributes:
        role: Airbyte's ``permissionType``: ``workspace_editor``, ``organization_admin``, ``instance_admin``, ….
        scope: What it is for: ``workspace``, ``organization`` or ``none``, which is everything.
        scope_id: Id of that workspace or organization.
    """

    role: str
    scope: str
    scope_id: str


@dataclass(frozen=True)
class Actor:
    """What a source and a destination have in common (Airbyte's own word for the two).

    Attributes:
        type: Airbyte's ``sourceType`` or ``destinationType``; ``""`` for a connector without one.
        configuration: Without its type key, whatever the server sent; secrets in it are `SECRET_MASK`.
        raw: Airbyte's JSON.
    """

    id: str
    name: str
    workspace_id: str
    type: str
    definition_id: str | None
    configuration: Mapping[str, Any] = field(repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Source(Actor):
    """A source."""


class Destination(Actor):
    """A destination."""


#: What Airbyte takes where a stream names no sync mode (``AirbyteCatalogHelper.kt``).
DEFAULT_SYNC_MODE = "full_refresh_overwrite"


class StreamKey(NamedTuple):
    """What a stream is known by within its connection: two namespaces may each have a stream of one name."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Stream:
    """One stream of a connection, from the API to the check.

    Attributes:
        sync_mode: Airbyte's name of it.
        cursor_field: Path to the cursor; empty where the source defines it or none is needed.
        primary_key: One path for each part of the key.
        selected_fields: Top-level field names; empty means all.
        columns: Top-level fields that the source has; empty where they were not asked for.
        raw: The stream as Airbyte sent it, with parts that this package does not manage (mappers).
    """

    name: str
    namespace: str | None = None
    sync_mode: str = DEFAULT_SYNC_MODE
    cursor_field: tuple[str, ...] = ()
    primary_key: tuple[tuple[str, ...], ...] = ()
    selected_fields: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def key(self) -> StreamKey:
        """Namespace and name."""
        return StreamKey(self.namespace, self.name)


@dataclass(frozen=True)
class Connection:
    """A connection with its selected streams.

    Attributes:
        schedule: ``None`` if manual, else the Quartz cron expression in UTC, or Airbyte's ``basicTiming`` text.
    """

    id: str
    name: str
    workspace_id: str
    source_id: str
    destination_id: str
    status: str
    streams: tuple[Stream, ...]
    namespace_definition: str
    namespace_format: str | None
    prefix: str
    schedule: str | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class AvailableStream:
    """A stream that a source offers, from ``GET /streams``.

    Attributes:
        sync_modes: As the server lists them; empty if it was not told the destination.
        property_fields: Paths of all fields, nested ones too.
    """

    name: str
    namespace: str | None
    sync_modes: tuple[str, ...]
    source_defined_cursor: bool
    primary_key: tuple[tuple[str, ...], ...]
    property_fields: tuple[tuple[str, ...], ...]

    @property
    def key(self) -> StreamKey:
        """Namespace and name."""
        return StreamKey(self.namespace, self.name)


@dataclass(frozen=True)
class Job:
    """A job of a connection.

    Attributes:
        id: Integer, ascending over the whole server.
        status: See `ACTIVE_STATUSES` and `FINAL_STATUSES`; a newer server may know others.
        start_time: When the job was created, UTC.
        last_updated: Given by the server only for finished jobs, UTC.
        duration: Seconds, as the server counts them; it moves only when the server updates the job.
        rows: Committed records; ``None`` until the server knows.
        bytes: Committed bytes; ``None`` until the server knows.
    """

    id: int
    connection_id: str
    job_type: str
    status: str
    start_time: dt.datetime
    last_updated: dt.datetime | None = None
    duration: float | None = None
    rows: int | None = None
    bytes: int | None = None

    @property
    def active(self) -> bool:
        """Whether the job may still move; an unknown status counts as active, never as success."""
        return self.status not in FINAL_STATUSES

    @property
    def changed(self) -> dt.datetime:
        """When the server last changed the job, to the second and never later; it tells only of finished ones."""
        return self.last_updated or self.start_time + dt.timedelta(seconds=max(0.0, self.duration or 0.0))


@dataclass(frozen=True)
class StreamStats:
    """What one job says it committed of one stream; ``None`` for a number that the server does not give.

    Attributes:
        rejected: Records that the destination did not take (platform docs, ``rejected-records.md``).
    """

    name: str
    namespace: str | None
    rows: int | None
    bytes: int | None
    rejected: int | None = None

    @property
    def key(self) -> StreamKey:
        """Namespace and name."""
        return StreamKey(self.namespace, self.name)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, from the configuration API.

    Attributes:
        origin: ``source``, ``destination``, ``replication``, …
        message: Airbyte's text for people, or its internal one where there is no other.
        attempts: How many attempts the job made.
        type: Airbyte's ``failureType``, such as ``config_error`` or ``transient_error``; ``None`` where it gives none.
    """

    origin: str
    message: str
    attempts: int
    type: str | None = None


@dataclass(frozen=True)
class Attempts:
    """The attempts of a job.

    Attributes:
        count: How many there were.
        has_output: Whether one of them has stats of any kind, be they 0: something ran.
        reasons: Why streams failed, where a failure names its stream.
    """

    count: int
    has_output: bool
    reasons: Mapping[StreamKey, str] = field(default_factory=dict)


_Known = TypeVar("_Known")


def of_stream(key: StreamKey, known: Mapping[StreamKey, _Known]) -> _Known | None:
    """Return what is known of a stream, never what is known of its namesake in another namespace.

    Where the stream has no namespace, as some servers leave it out, its name alone decides, if only one has it.
    """
    if key in known or key.namespace is not None:
        return known.get(key)
    namesakes = [value for other, value in known.items() if other.name == key.name]
    return namesakes[0] if len(namesakes) == 1 else None
