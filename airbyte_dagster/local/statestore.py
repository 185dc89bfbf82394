"""Where incremental reads stopped, in the database: kept by the server, as Airbyte does, not in the warehouse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from airbyte_dagster.local.database import Database
from airbyte_dagster.local.engine import Json, StreamPlan
from airbyte_dagster.local.records import State

#: Namespace and name.
StreamKey = tuple[str | None, str]
_WHOLE = ""


class StateStore:
    """The states of connections, as connectors wrote them: one for each stream, or one for all of them.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_connection(self, connection_id: str) -> list[Json]:
        """All states of a connection."""
        with self._database.read() as session:
            return [state for record in _all(session, connection_id) for state in record.states]

    def keep(self, connection_id: str, states: Sequence[Json]) -> None:
        """Note what a read wrote: a stream's state replaces that stream's, one for all streams replaces all."""
        replaced = {_key(state) for state in states}

        def merged(existing: list[Json]) -> list[Json]:
            if None in replaced:
                return [state for state in states if _key(state) is None][-1:]
            return [*(state for state in existing if _key(state) not in {None, *replaced}), *states]

        self._change(connection_id, merged)

    def settle(self, connection_id: str, streams: Iterable[StreamPlan]) -> None:
        """After a sync, forget the states of those of its streams that are read as a whole now."""
        self.forget_streams(connection_id, {(s.namespace, s.name) for s in streams if not s.incremental})

    def forget_streams(self, connection_id: str, keys: Collection[StreamKey]) -> None:
        """Forget where the reading of some streams stopped, so that it starts from their beginning."""
        self._change(connection_id, lambda states: list(without(states, keys)))

    def write(self, connection_id: str, states: Sequence[Json]) -> None:
        """Replace all states of a connection by what a client gives."""
        self._change(connection_id, lambda _: list(states))

    def forget(self, connection_id: str) -> None:
        """Forget all states of a connection, so that its next sync reads everything."""
        with self._database.write() as session:
            session.execute(delete(State).where(State.connection_id == connection_id))

    def _change(self, connection_id: str, change: Callable[[list[Json]], list[Json]]) -> None:
        with self._database.write() as session:
            records = _all(session, connection_id)
            found = [state for record in records for state in record.states]
            changed = change(found)
            if changed == found:
                return
            session.execute(delete(State).where(State.connection_id == connection_id))
            session.expunge_all()
            session.add(State(connection_id=connection_id, part=_WHOLE, states=changed))


def without(states: Iterable[Json], keys: Collection[StreamKey]) -> tuple[Json, ...]:
    """States without what they say of some streams."""
    return tuple(kept for state in states if (kept := _without(state, keys)) is not None)


def _all(session: Session, connection_id: str) -> Sequence[State]:
    return session.scalars(select(State).where(State.connection_id == connection_id)).all()


def _key(state: Json) -> StreamKey | None:
    """The stream of a state, or None for a state of all streams."""
    stream = state.get("stream") if state.get("type") == "STREAM" else None
    return _described(stream) if stream else None


def _described(entry: Json) -> StreamKey:
    descriptor = entry["stream_descriptor"]
    return (descriptor.get("namespace") or None, str(descriptor["name"]))


def _without(state: Json, keys: Collection[StreamKey]) -> Json | None:
    """A state without some streams; None if nothing is left of it."""
    if state.get("type") == "STREAM":
        return None if _key(state) in keys else state
    if state.get("type") == "GLOBAL":
        streams = state["global"].get("stream_states") or []
        kept = [entry for entry in streams if _described(entry) not in keys]
        return {**state, "global": {**state["global"], "stream_states": kept}} if kept or not streams else None
    data = state.get("data") or {}
    kept_data = {name: value for name, value in data.items() if name not in {name for _, name in keys}}
    return {**state, "data": kept_data} if kept_data or not data else None
