"""Which assets the connections of a workspace bring, asked for only when a job of one has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Connection
from airbyte_dagster.errors import NotFound, PermissionDenied
from airbyte_dagster.runs.targets import AssetTarget, TargetsOf

#: More connections than these are cheaper to list, 100 with a call, than to ask for one by one.
_ASKED_SINGLY = 10
#: Connections that a tick asks for at most besides a list of all.
_MOST_ASKED = 20
#: How long a connection is taken for nobody's before it is asked for again, in case it was renamed; seconds.
_FORGET_AFTER = 6 * 3600.0


class ConnectionBook:
    """Looks connections up, and remembers those that are nobody's: with each job of ours its connection is read again.

    Args:
        targets_of: Finds the assets of a connection.
        clock: Monotonic seconds.
    """

    def __init__(self, targets_of: TargetsOf, *, clock: Callable[[], float]) -> None:
        self._targets_of = targets_of
        self._clock = clock
        self._foreign: dict[str, float] = {}

    def targets(
        self, client: AirbyteClient, workspace_id: str, connection_ids: Collection[str]
    ) -> dict[str, Sequence[AssetTarget]]:
        """Return the assets of connections, none for those that are nobody's, or are not in the workspace.

        Those that could not be asked for any more in this tick are left out.

        Raises:
            AirbyteError: Airbyte can't be asked.
        """
        unknown = [name for name in dict.fromkeys(connection_ids) if not self._is_foreign(name)]
        found: dict[str, Sequence[AssetTarget]] = {name: () for name in connection_ids if name not in unknown}
        if len(unknown) > _ASKED_SINGLY:
            for connection in client.connections(workspace_id):
                targets = self._noted(connection, workspace_id)
                if connection.id in unknown:
                    found[connection.id] = targets
        # A list leaves out what was deleted.
        for connection_id in [name for name in unknown if name not in found][:_MOST_ASKED]:
            found[connection_id] = self._asked(client, workspace_id, connection_id)
        return found

    def _asked(self, client: AirbyteClient, workspace_id: str, connection_id: str) -> Sequence[AssetTarget]:
        try:
            return self._noted(client.connection(connection_id), workspace_id)
        except (NotFound, PermissionDenied):  # it is gone, as the API tells it to admins, and to all others
            self._foreign[connection_id] = self._clock()
            return ()

    def _noted(self, connection: Connection, workspace_id: str) -> Sequence[AssetTarget]:
        # Connections of two workspaces may have one name. A stream that is newer than the definitions has no asset
        # that a sensor could record.
        found = self._targets_of(connection).assets if connection.workspace_id == workspace_id else ()
        targets = [target for target in found if target.is_defined]
        if targets:
            self._foreign.pop(connection.id, None)
        else:
            self._foreign[connection.id] = self._clock()
        return targets

    def _is_foreign(self, connection_id: str) -> bool:
        since = self._foreign.get(connection_id)
        return since is not None and self._clock() - since < _FORGET_AFTER
