"""Connections as they are when a run begins, which may not be as they were when definitions were loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.calls import PAGE_SIZE
from airbyte_dagster.errors import AirbyteError, NotFound, PermissionDenied

#: What Airbyte calls a connection that was deleted.
_DELETED = "deprecated"


def live_connections(
    client: AirbyteClient, workspace_id: str, wanted: Sequence[str], *, known: int
) -> Mapping[str, records.Connection]:
    """Return those of some connections that are still there, by id, with as few calls as can be.

    Args:
        client: Reads them.
        workspace_id: Where they are.
        wanted: Their ids.
        known: How many connections the workspace had when it was last read.

    Raises:
        AirbyteError: Airbyte can't be reached.
    """
    if len(wanted) > math.ceil(known / PAGE_SIZE):
        found = {connection.id: connection for connection in client.connections(workspace_id)}
        return {connection_id: found[connection_id] for connection_id in wanted if connection_id in found}
    answers = {connection_id: _read(client, connection_id) for connection_id in wanted}
    return {key: connection for key, connection in answers.items() if connection is not None}


def _read(client: AirbyteClient, connection_id: str) -> records.Connection | None:
    try:
        connection = client.connection(connection_id)
    # Whoever is no instance admin gets 403 rather than 404.
    except (NotFound, PermissionDenied):
        return None
    return None if connection.status == _DELETED else connection


def gone(connection_id: str, name: str) -> AirbyteError:
    """Return the error of a connection that is not there any more."""
    return AirbyteError(
        f"The connection '{name}' ({connection_id}) is not in Airbyte any more, or these credentials can't see it.",
        guidance="Run airbyte-dagster refresh, and reload the definitions.",
    )
