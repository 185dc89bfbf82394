"""The last applied configuration of sources and destinations, kept in the Dagster instance."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster.pipelines.fingerprint import Applied

_APPLIED = "airbyte_dagster/applied/{}"


class InstanceAppliedStore:
    """A `fingerprint.AppliedStore` in the instance's key-value storage, shared by all that use the instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._storage = instance.daemon_cursor_storage

    def get(self, actor_id: str) -> Applied | None:
        """Return the record, if there is one."""
        key = _APPLIED.format(actor_id)
        text = self._storage.get_cursor_values({key}).get(key)
        return Applied.from_json(text) if text else None

    def put(self, actor_id: str, applied: Applied) -> None:
        """Keep a record in place of the former."""
        self._storage.set_cursor_values({_APPLIED.format(actor_id): applied.to_json()})
