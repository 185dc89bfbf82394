"""Looking whether a connection's source has changed, and what ``nonBreakingSchemaUpdatesBehavior`` makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airbyte_dagster.local import schemachanges, tableclaims
from airbyte_dagster.local.engine import Engine, Json, Progress
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Actor, Connection
from airbyte_dagster.local.schemachanges import StreamChange
from airbyte_dagster.local.store import Store

_PAGE = 100


class Disabled(Exception):
    """The source has changed so that the connection was disabled, and its sync must not run.

    Args:
        message: What has changed, and what to do.
    """


def note(store: Store, source_id: str, discovered: Sequence[Json]) -> None:
    """Note which connections of a source differ from what it has now; nothing follows from it until they sync."""
    for connection in _connections_of(store, source_id):
        _note(store, connection, schemachanges.drift_of(schemachanges.differences(connection, discovered)))


def _note(store: Store, connection: Connection, drift: Json | None) -> None:
    if drift != connection.drift:
        store.edit_connection(connection.id, lambda _now: {"drift": drift})


def decides(connection: Connection) -> bool:
    """Whether a sync has to wait for what its source says: a change may disable the connection or be followed."""
    return connection.schema_updates != "ignore" or schemachanges.can_break(connection)


def look(
    store: Store, engine: Engine, connection: Connection, source: Actor, *, on_progress: Progress | None = None
) -> list[str]:
    """Ask a connection's source what it has, and do what the connection says of changes.

    Returns:
        What has changed and what was done, for the log; empty if nothing has.

    Raises:
        Disabled: The connection was disabled: the change is a breaking one, or it is to be disabled by any.
        ConnectorFailed: The source could not be asked.
        UnknownConnector: There is no such connector.
    """
    discovered = engine.discover(source.type, source.configuration, refresh=True, on_progress=on_progress)
    said: list[str] = []

    def follow(now: Connection) -> Json:
        changes = schemachanges.differences(now, discovered)
        columns: Json = {"drift": schemachanges.drift_of(changes)}
        said[:] = [f"The source's schema has changed: {change}" for change in changes]
        breaking = any(change.breaking for change in changes)
        if breaking or (changes and now.schema_updates == "disable_connection"):
            return {**columns, "status": "inactive" if now.status == "active" else now.status}
        if changes and now.schema_updates.startswith("propagate"):
            fitting = [change for change in changes if change.kind != "add_stream" or _fits(store, now, change)]
            columns = schemachanges.propagated(now, discovered, fitting)
            said.append(f"The connection follows ({now.schema_updates})")
        elif now.known is None:
            columns["known"] = schemachanges.reviewed(discovered)["known"]
        # Written to only if something is different: most looks see nothing new.
        return {key: value for key, value in columns.items() if value != getattr(now, key)}

    before = connection.status
    after = store.edit_connection(connection.id, follow)
    if before == "active" and after.status == "inactive":
        kind = "a breaking change" if schemachanges.schema_change(after) == "breaking" else "a change"
        what = "; ".join(after.drift["words"]) if after.drift else ""
        raise Disabled(
            f"The connection was disabled, as its source's schema has {kind}: {what}. "
            "Choose its streams again and make it active to go on."
        )
    return said


def _fits(store: Store, connection: Connection, change: StreamChange) -> bool:
    """Whether a stream that is new can be added: its table must be no other stream's."""
    destination = store.actors_by_id([connection.destination_id])[connection.destination_id]
    namespace, name = change.key
    try:
        tableclaims.refuse(destination, connection, [*connection.streams, {"name": name, "namespace": namespace}])
    except ApiError:
        return False
    return True


def _connections_of(store: Store, source_id: str) -> Iterator[Connection]:
    offset = 0
    while page := store.connections([], actor_id=source_id, limit=_PAGE, offset=offset):
        yield from page
        offset += _PAGE
