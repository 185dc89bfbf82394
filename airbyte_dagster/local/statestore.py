"""Where incremental reads stopped, in the database: kept by the server, as Airbyte does, not in the warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from airbyte_dagster.local.engine import Group, Json
from airbyte_dagster.local.records import State
from airbyte_dagster.local.store import Database

_WRITTEN = ""


class StateStore:
    """The states of connections.

    A connection's streams are read in groups that share a schema and a sync mode, and each group has its own states:
    a stream that moves to another group, as when its sync mode changes, starts anew.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_group(self, connection_id: str, group: Group) -> tuple[Json, ...]:
        """What a group's next read is told; what a client wrote holds where no read has left anything since."""
        if not group.incremental:
            return ()
        with self._database.read() as session:
            found = session.get(State, (connection_id, _part(group))) or session.get(State, (connection_id, _WRITTEN))
        names = {stream.name for stream in group.streams}
        return tuple(state for state in (found.states if found else ()) if _name(state) in {None, *names})

    def keep(self, connection_id: str, group: Group, states: Sequence[Json]) -> None:
        """Note what a group's read told: a stream's state replaces that stream's, one for all streams replaces all."""
        with self._database.write() as session:
            key = (connection_id, _part(group))
            record = session.get(State, key)
            if record is None:
                written = session.get(State, (connection_id, _WRITTEN))
                record = State(connection_id=key[0], part=key[1], states=list(written.states) if written else [])
                session.add(record)
            replaced = {_name(state) for state in states}
            if None in replaced:
                record.states = [state for state in states if _name(state) is None][-1:]
            else:
                kept = [state for state in record.states if _name(state) not in {None, *replaced}]
                record.states = [*kept, *states]

    def settle(self, connection_id: str, groups: Iterable[Group]) -> None:
        """After a sync, forget the states that its streams have in groups that they are not in any more."""
        wanted = list(groups)
        homes = {stream.name: _part(group) for group in wanted for stream in group.streams}
        with self._database.write() as session:
            self._hand_out(session, connection_id, [group for group in wanted if group.incremental])
            for record in _all(session, connection_id):
                kept = [s for s in record.states if homes.get(_name(s) or "", record.part) == record.part]
                if record.part not in homes.values():
                    kept = [s for s in kept if _name(s) is not None]  # none of the streams is left to go on from it
                if len(kept) < len(record.states):
                    record.states = kept

    @staticmethod
    def _hand_out(session: Session, connection_id: str, groups: Iterable[Group]) -> None:
        """Give what a client wrote to the groups whose reads have told nothing since, each its own."""
        written = session.get(State, (connection_id, _WRITTEN))
        if written is None:
            return
        for group in groups:
            if session.get(State, (connection_id, _part(group))) is None:
                session.add(State(connection_id=connection_id, part=_part(group), states=list(written.states)))
        session.delete(written)
        session.flush()

    def of_connection(self, connection_id: str) -> list[Json]:
        """All states of a connection, those that reads left before what a client wrote."""
        with self._database.read() as session:
            records = sorted(_all(session, connection_id), key=lambda record: record.part == _WRITTEN)
            parts = [record for record in records if record.part != _WRITTEN] or records
            return [state for record in parts for state in record.states]

    def write(self, connection_id: str, states: Sequence[Json]) -> None:
        """Replace all states of a connection by what a client gives."""
        with self._database.write() as session:
            session.execute(delete(State).where(State.connection_id == connection_id))
            session.add(State(connection_id=connection_id, part=_WRITTEN, states=list(states)))

    def forget(self, connection_id: str) -> None:
        """Forget all states of a connection, so that its next sync reads everything."""
        with self._database.write() as session:
            session.execute(delete(State).where(State.connection_id == connection_id))


def _all(session: Session, connection_id: str) -> Sequence[State]:
    return session.scalars(select(State).where(State.connection_id == connection_id)).all()


def _part(group: Group) -> str:
    return f"{group.schema}:{group.sync_mode}"


def _name(state: Json) -> str | None:
    """The stream of a state, or None for a state of all streams."""
    stream = state.get("stream") if state.get("type") == "STREAM" else None
    return str(stream["stream_descriptor"]["name"]) if stream else None
