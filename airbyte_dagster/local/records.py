"""What the database holds, as SQLAlchemy's mapped classes. No rules here; those are in ``store`` and ``jobstore``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ACTIVE = ("pending", "running", "incomplete")
FINAL = ("succeeded", "failed", "cancelled")


class Base(DeclarativeBase):
    """The schema."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, str: String}  # noqa: RUF012 - SQLAlchemy's way


class Workspace(Base):
    """A workspace."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    notifications: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    deleted: Mapped[bool] = mapped_column(default=False)


class Actor(Base):
    """A source or a destination; ``kind`` says which. Its configuration has secrets in clear and no type key."""

    __tablename__ = "actors"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    name: Mapped[str]
    type: Mapped[str]
    definition_id: Mapped[str]
    configuration: Mapped[dict[str, Any]]
    secret_paths: Mapped[list[Any]]
    """Paths of the secret fields, each a list of keys."""
    created_at: Mapped[int]
    """Epoch seconds."""
    deleted: Mapped[bool] = mapped_column(default=False)

    def __repr__(self) -> str:  # never the configuration
        return f"Actor(id={self.id!r}, kind={self.kind!r}, name={self.name!r})"


class Connection(Base):
    """A connection from a source to a destination."""

    __tablename__ = "connections"

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("actors.id"), index=True)
    destination_id: Mapped[str] = mapped_column(ForeignKey("actors.id"), index=True)
    name: Mapped[str]
    status: Mapped[str]
    """``active``, ``inactive`` or ``deprecated`` (deleted)."""
    schedule: Mapped[dict[str, Any]]
    namespace_definition: Mapped[str]
    namespace_format: Mapped[str | None]
    prefix: Mapped[str]
    schema_updates: Mapped[str]
    """``nonBreakingSchemaUpdatesBehavior``."""
    streams: Mapped[list[Any]]
    """Selected streams as in the API's answers."""
    catalog: Mapped[list[Any]]
    """Their ``AirbyteStream`` objects, as discovered when they were selected, in the same order."""
    tags: Mapped[list[Any]]
    created_at: Mapped[int]
    known: Mapped[list[Any] | None] = mapped_column(JSON)
    """``[namespace, name]`` of all streams that the source had when the connection's were chosen; None: not noted."""
    drift: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """``change`` (``non_breaking`` or ``breaking``) and ``words``, a sentence for each stream: how the source's
    catalog differs from the connection's; None while it is not known to."""


class Claim(Base):
    """A table that a connection writes, so that others that write it are found."""

    __tablename__ = "claims"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    table: Mapped[str] = mapped_column(primary_key=True, index=True)
    """Its schema and name, as far as its database tells names apart."""
    label: Mapped[str]
    """The same for people."""


class Generation(Base):
    """How often a stream of a connection was read from its beginning, or emptied."""

    __tablename__ = "generations"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True)
    """Empty for none."""
    name: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]


class Tag(Base):
    """A tag that connections of its workspace can have."""

    __tablename__ = "tags"

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    name: Mapped[str]
    color: Mapped[str]
    """Six hex digits."""
    created: Mapped[int]
    """Ascending, in the order of creation."""


class State(Base):
    """Where the incremental reading of a connection stopped."""

    __tablename__ = "states"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    """Empty; earlier versions kept the states of a connection in several parts."""
    states: Mapped[list[Any]]
    """As the connector wrote them: one ``STREAM`` state per stream, or one ``GLOBAL`` or ``LEGACY`` one."""


class Job(Base):
    """A sync, a refresh or a reset."""

    __tablename__ = "jobs"
    # autoincrement in SQLite means that an id is never given twice, not even after a deletion
    __table_args__ = (Index("jobs_by_connection", "connection_id", "status"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"))
    workspace_id: Mapped[str] = mapped_column(index=True)
    type: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[float]
    """Epoch seconds, as are the other times."""
    started_at: Mapped[float | None]
    updated_at: Mapped[float]
    stats: Mapped[list[Any]]
    """Counts per stream, in the shape of Airbyte's ``streamAggregatedStats``."""
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """``message``, ``internal``, ``origin``, ``kind``, ``stream`` and ``timestamp`` in milliseconds."""
    streams: Mapped[list[Any] | None] = mapped_column(JSON)
    """``[namespace, name]`` of the streams that a refresh or a reset is about; None for all of the connection's."""
    refresh_mode: Mapped[str | None]
    """Of a refresh: ``Truncate`` or ``Merge``."""
