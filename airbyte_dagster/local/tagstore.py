"""Tags of a workspace's connections, and their rules. A connection keeps a copy of each of its tags."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from airbyte_dagster.local import problems
from airbyte_dagster.local.records import Connection, Tag, Workspace
from airbyte_dagster.local.store import Store

MOST = 100
"""Tags that a workspace can have."""
LONGEST = 30
_COLOUR = re.compile(r"[0-9A-Fa-f]{6}")
Json = dict[str, Any]


class TagStore:
    """The tags.

    Args:
        store: Whose database they are in, and which knows the workspaces.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database

    def all(self, workspace_ids: Sequence[str]) -> list[Tag]:
        """The tags of these workspaces, or of all; Airbyte doesn't page them."""
        live = select(Workspace.id).where(Workspace.deleted.is_(False))
        query = select(Tag).where(Tag.workspace_id.in_(live)).order_by(Tag.created)
        if workspace_ids:
            query = query.where(Tag.workspace_id.in_(workspace_ids))
        with self._database.read() as session:
            return list(session.scalars(query))

    def get(self, tag_id: str) -> Tag:
        """A tag.

        Raises:
            ApiError: 404.
        """
        with self._database.read() as session:
            found = session.get(Tag, tag_id)
        if found is None:
            raise problems.not_found("TAG", tag_id)
        return found

    def add(self, workspace_id: str, name: str, color: str) -> Tag:
        """Make a tag.

        Raises:
            ApiError: 404 for an unknown workspace, 400 for a bad name or colour or one tag too many, 409 for a name
                that is there already.
        """
        self._store.workspace(workspace_id)
        _check(name, color)
        with self._database.write() as session:
            there = list(session.scalars(select(Tag).where(Tag.workspace_id == workspace_id)))
            _refuse_twin(there, name)
            if len(there) >= MOST:
                raise problems.tag_limit()
            # A number of its own keeps the order, since ids are random.
            order = session.scalar(select(func.coalesce(func.max(Tag.created), 0))) or 0
            made = Tag(id=str(uuid.uuid4()), workspace_id=workspace_id, name=name, color=color, created=order + 1)
            session.add(made)
        return made

    def change(self, tag_id: str, name: str, color: str) -> Tag:
        """Rename and recolour a tag, on its connections too.

        Raises:
            ApiError: As `add`.
        """
        _check(name, color)
        with self._database.write() as session:
            tag = session.get(Tag, tag_id)
            if tag is None:
                raise problems.not_found("TAG", tag_id)
            others = select(Tag).where(Tag.workspace_id == tag.workspace_id, Tag.id != tag_id)
            _refuse_twin(list(session.scalars(others)), name)
            tag.name, tag.color = name, color
            shown = view(tag)
            _on_connections(session, tag, lambda tags: [shown if one["tagId"] == tag_id else one for one in tags])
        return tag

    def delete(self, tag_id: str) -> None:
        """Delete a tag, from its connections too.

        Raises:
            ApiError: 404.
        """
        with self._database.write() as session:
            tag = session.get(Tag, tag_id)
            if tag is None:
                raise problems.not_found("TAG", tag_id)
            _on_connections(session, tag, lambda tags: [one for one in tags if one["tagId"] != tag_id])
            session.delete(tag)

    def resolve(self, tag_ids: Sequence[str], workspace_id: str) -> list[Json]:
        """The tags that a connection is to have, as its answers show them, each once.

        Raises:
            ApiError: 400 for a tag that the connection's workspace doesn't have; what Airbyte answers is not
                established.
        """
        if not tag_ids:
            return []
        known = {tag.id: tag for tag in self.all([workspace_id])}
        for tag_id in tag_ids:
            if tag_id not in known:
                raise problems.bad_request(f"There is no tag {tag_id} in workspace {workspace_id}.")
        return [view(known[tag_id]) for tag_id in dict.fromkeys(tag_ids)]


def view(tag: Tag) -> Json:
    """A tag as the API shows it."""
    return {"tagId": tag.id, "name": tag.name, "color": tag.color, "workspaceId": tag.workspace_id}


def _check(name: str, color: str) -> None:
    if len(name) > LONGEST:
        raise problems.tag_name_too_long()
    if not _COLOUR.fullmatch(color):
        raise problems.tag_color_invalid()


def _refuse_twin(there: Sequence[Tag], name: str) -> None:
    if any(tag.name == name for tag in there):
        raise problems.tag_exists()


def _on_connections(session: Session, tag: Tag, change: Callable[[Any], Any]) -> None:
    entry = func.json_each(Connection.tags).table_valued("value")
    has_it = select(1).select_from(entry).where(func.json_extract(entry.c.value, "$.tagId") == tag.id).exists()
    for connection in session.scalars(select(Connection).where(Connection.workspace_id == tag.workspace_id, has_it)):
        connection.tags = change(connection.tags)
