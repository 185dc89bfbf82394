"""Workspaces, sources, destinations, connections, and the rules that they follow."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, literal_column, select, update
from sqlalchemy.orm import Session

from airbyte_dagster.local import problems, tableclaims
from airbyte_dagster.local.database import Database
from airbyte_dagster.local.records import Actor, Base, Connection, Workspace

DEFAULT_WORKSPACE = "Default Workspace"
RESOURCE = {"source": "SOURCE_CONNECTION", "destination": "DESTINATION_CONNECTION"}
R = TypeVar("R", bound=Base)


class Store:
    """Workspaces, sources, destinations and connections.

    Args:
        database: Where they are kept.
        workspace_id: The id of the default workspace, made if it isn't there.
        clock: Epoch seconds.
    """

    def __init__(self, database: Database, workspace_id: str, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.workspace_id = workspace_id
        self._clock = clock
        with database.write() as session:
            if session.get(Workspace, workspace_id) is None:
                session.add(Workspace(id=workspace_id, name=DEFAULT_WORKSPACE, notifications={}, deleted=False))

    # Workspaces

    def workspaces(
        self, ids: Sequence[str], *, include_deleted: bool = False, limit: int = 20, offset: int = 0
    ) -> list[Workspace]:
        """A page of workspaces, oldest first."""
        conditions: list[ColumnElement[bool]] = []
        if ids:
            conditions.append(Workspace.id.in_(ids))
        if not include_deleted:
            conditions.append(Workspace.deleted.is_(False))
        return self._page(Workspace, conditions, limit, offset)

    def workspace(self, workspace_id: str) -> Workspace:
        """A workspace that isn't deleted.

        Raises:
            ApiError: 404.
        """
        found = self._get(Workspace, workspace_id)
        if found is None or found.deleted:
            raise problems.not_found("WORKSPACE", workspace_id)
        return found

    def add_workspace(self, name: str, notifications: dict[str, Any]) -> Workspace:
        """Make a workspace."""
        made = Workspace(id=str(uuid.uuid4()), name=name, notifications=notifications, deleted=False)
        with self.database.write() as session:
            session.add(made)
        return made

    def change_workspace(self, workspace_id: str, **changes: Any) -> Workspace:
        """Change some columns of a workspace."""
        self.workspace(workspace_id)
        return self._change(Workspace, workspace_id, changes)

    def delete_workspace(self, workspace_id: str) -> list[str]:
        """Delete a workspace with all in it; returns the ids of the connections that it had."""
        self.workspace(workspace_id)
        with self.database.write() as session:
            session.execute(update(Workspace).where(Workspace.id == workspace_id).values(deleted=True))
            session.execute(
                update(Actor).where(Actor.workspace_id == workspace_id).values(deleted=True, configuration={})
            )
            return _deprecate(session, Connection.workspace_id == workspace_id)

    # Sources and destinations

    def actors(
        self,
        kind: str,
        workspace_ids: Sequence[str],
        *,
        include_deleted: bool = False,
        limit: int = 20,
        offset: int = 0,
    ) -> list[Actor]:
        """A page of sources or destinations, oldest first."""
        conditions: list[ColumnElement[bool]] = [Actor.kind == kind]
        if workspace_ids:
            conditions.append(Actor.workspace_id.in_(workspace_ids))
        if not include_deleted:
            conditions.append(Actor.deleted.is_(False))
        return self._page(Actor, conditions, limit, offset)

    def actor(self, kind: str, actor_id: str) -> Actor:
        """A source or destination. A deleted one is not found (what Airbyte answers for it is not established).

        Raises:
            ApiError: 404.
        """
        found = self._get(Actor, actor_id)
        if found is None or found.kind != kind or found.deleted:
            raise problems.not_found(RESOURCE[kind], actor_id)
        return found

    def actor_types(self, kind: str) -> set[str]:
        """The types of all sources or destinations that are there."""
        query = select(Actor.type).where(Actor.kind == kind, Actor.deleted.is_(False)).distinct()
        with self.database.read() as session:
            return set(session.scalars(query))

    def actor_ids(self, kind: str, *, definition_id: str) -> list[str]:
        """The ids of all sources or destinations of a definition that are there."""
        query = select(Actor.id).where(
            Actor.kind == kind, Actor.definition_id == definition_id, Actor.deleted.is_(False)
        )
        with self.database.read() as session:
            return list(session.scalars(query))

    def actors_by_id(self, ids: Sequence[str]) -> dict[str, Actor]:
        """Sources and destinations by id, deleted ones too."""
        with self.database.read() as session:
            return {actor.id: actor for actor in session.scalars(select(Actor).where(Actor.id.in_(ids)))}

    def add_actor(
        self,
        kind: str,
        *,
        workspace_id: str,
        name: str,
        type: str,  # noqa: A002 - the column's name
        definition_id: str,
        configuration: dict[str, Any],
        secret_paths: list[Any],
    ) -> Actor:
        """Make a source or destination. Names need not be unique, as with Airbyte.

        Raises:
            ApiError: 404: its workspace was deleted meanwhile.
        """
        made = Actor(
            id=str(uuid.uuid4()),
            kind=kind,
            workspace_id=workspace_id,
            name=name,
            type=type,
            definition_id=definition_id,
            configuration=configuration,
            secret_paths=secret_paths,
            created_at=int(self._clock()),
            deleted=False,
        )
        with self.database.write() as session:
            if session.get_one(Workspace, workspace_id).deleted:
                raise problems.not_found("WORKSPACE", workspace_id)
            session.add(made)
        return made

    def change_actor(self, kind: str, actor_id: str, *, seen: dict[str, Any], **changes: Any) -> Actor | None:
        """Change some columns of a source or destination, if its configuration still is the one that was seen.

        Raises:
            ApiError: 404.
        """
        self.actor(kind, actor_id)
        with self.database.write() as session:
            record = session.get_one(Actor, actor_id)
            if record.deleted or record.configuration != seen:
                return None
            for column, value in changes.items():
                setattr(record, column, value)
        return record

    def delete_actor(self, kind: str, actor_id: str) -> list[str]:
        """Delete a source or destination and its connections; its secrets go at once. Returns the connections' ids."""
        self.actor(kind, actor_id)
        column = Connection.source_id if kind == "source" else Connection.destination_id
        with self.database.write() as session:
            session.execute(update(Actor).where(Actor.id == actor_id).values(deleted=True, configuration={}))
            return _deprecate(session, column == actor_id)

    # Connections

    def connections(
        self,
        workspace_ids: Sequence[str],
        *,
        tag_ids: Sequence[str] = (),
        actor_id: str | None = None,
        include_deleted: bool = False,
        limit: int = 20,
        offset: int = 0,
    ) -> list[Connection]:
        """A page of connections, oldest first; ``tag_ids`` match any, ``actor_id`` is at either end."""
        conditions: list[ColumnElement[bool]] = []
        if actor_id is not None:
            conditions.append((Connection.source_id == actor_id) | (Connection.destination_id == actor_id))
        if workspace_ids:
            conditions.append(Connection.workspace_id.in_(workspace_ids))
        if not include_deleted:
            conditions.append(Connection.status != "deprecated")
        if tag_ids:
            tag = func.json_each(Connection.tags).table_valued("value")
            tag_id = func.json_extract(tag.c.value, "$.tagId")
            conditions.append(select(1).select_from(tag).where(tag_id.in_(tag_ids)).exists())
        return self._page(Connection, conditions, limit, offset)

    def scheduled(self) -> list[tuple[str, str, str]]:
        """Id, workspace and cron expression of the active connections that have one."""
        kind = func.json_extract(Connection.schedule, "$.scheduleType")
        cron = func.json_extract(Connection.schedule, "$.cronExpression")
        query = select(Connection.id, Connection.workspace_id, cron).where(
            kind == literal_column("'cron'"), Connection.status == "active"
        )
        with self.database.read() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(query)]

    def connection(self, connection_id: str) -> Connection:
        """A connection, also a deleted one: Airbyte still gives those by id, with status ``deprecated``.

        Raises:
            ApiError: 404.
        """
        found = self._get(Connection, connection_id)
        if found is None:
            raise problems.not_found("STANDARD_SYNC", connection_id)
        return found

    def live_connection(self, connection_id: str) -> Connection:
        """A connection that isn't deleted.

        Raises:
            ApiError: 404.
        """
        found = self.connection(connection_id)
        if found.status == "deprecated":
            raise problems.not_found("STANDARD_SYNC", connection_id)
        return found

    def add_connection(self, **columns: Any) -> Connection:
        """Make a connection.

        Raises:
            ApiError: 404: its source or its destination was deleted meanwhile; 400: two of its streams would be written
                into one table, or one into none.
        """
        made = Connection(id=str(uuid.uuid4()), created_at=int(self._clock()), **columns)
        with self.database.write() as session:
            for kind, actor_id in (("source", made.source_id), ("destination", made.destination_id)):
                if session.get_one(Actor, actor_id).deleted:
                    raise problems.not_found(RESOURCE[kind], actor_id)
            tableclaims.refuse(session.get_one(Actor, made.destination_id), made, made.streams)
            session.add(made)
            session.flush()
            tableclaims.rewrite(session, made)
        return made

    def change_connection(self, connection_id: str, **changes: Any) -> Connection:
        """Change some columns of a connection.

        Raises:
            ApiError: 404: it was deleted meanwhile; 400 as `add_connection`.
        """

        def edit(record: Connection) -> dict[str, Any]:
            if record.status == "deprecated":
                raise problems.not_found("STANDARD_SYNC", connection_id)
            return changes

        return self.edit_connection(connection_id, edit)

    def edit_connection(self, connection_id: str, edit: Callable[[Connection], dict[str, Any]]) -> Connection:
        """Change the columns that ``edit`` gives for the connection as it is now.

        Raises:
            ApiError: As `add_connection`.
        """
        with self.database.write() as session:
            record = session.get_one(Connection, connection_id)
            changes = edit(record)
            for column, value in changes.items():
                setattr(record, column, value)
            if tableclaims.COLUMNS & changes.keys():
                tableclaims.refuse(session.get_one(Actor, record.destination_id), record, record.streams)
                tableclaims.rewrite(session, record)
        return record

    def note_tables(self, connection_id: str) -> Connection:
        """Note which tables a connection writes, as its destination's schema may have changed.

        Raises:
            ApiError: As `add_connection`, for one that was made before that was refused.
        """
        with self.database.write() as session:
            record = session.get_one(Connection, connection_id)
            tableclaims.refuse(session.get_one(Actor, record.destination_id), record, record.streams)
            tableclaims.rewrite(session, record)
        return record

    def shared_tables(
        self, connection: Connection, database_of: Callable[[Actor], object]
    ) -> list[tableclaims.Sharing]:
        """The tables of a connection that others write, too; ``database_of`` as in `tableclaims.shared`."""
        with self.database.read() as session:
            return tableclaims.shared(session, connection, database_of)

    def delete_connection(self, connection_id: str) -> None:
        """Mark a connection as deleted."""
        self.live_connection(connection_id)
        self._change(Connection, connection_id, {"status": "deprecated"})

    # What they share

    def _get(self, table: type[R], key: str) -> R | None:
        with self.database.read() as session:
            return session.get(table, key)

    def _change(self, table: type[R], key: str, changes: dict[str, Any]) -> R:
        with self.database.write() as session:
            record = session.get_one(table, key)
            for column, value in changes.items():
                setattr(record, column, value)
        return record

    def _page(self, table: type[R], conditions: list[ColumnElement[bool]], limit: int, offset: int) -> list[R]:
        query = select(table).where(*conditions).order_by(literal_column("rowid")).limit(limit).offset(offset)
        with self.database.read() as session:
            return list(session.scalars(query))


def _deprecate(session: Session, condition: ColumnElement[bool]) -> list[str]:
    live = condition & (Connection.status != "deprecated")
    ids = list(session.scalars(select(Connection.id).where(live)))
    session.execute(update(Connection).where(live).values(status="deprecated"))
    return ids
