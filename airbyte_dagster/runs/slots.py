"""Slots of a Dagster pool, one for each sync on its way: the pool bounds Airbyte's work, not the number of ops."""

from __future__ import annotations

import dagster as dg


class PoolSlots:
    """A `sync.settings.SyncSlots` on a pool that has a limit.

    The op itself holds one slot while it runs, which its first sync takes; each other one claims a slot of its own,
    which Dagster frees when the run has ended, however it ended.

    Args:
        instance: Has the pool.
        pool: Its name.
        run_id: The run.
        step_key: The step of the op.
    """

    def __init__(self, instance: dg.DagsterInstance, pool: str, run_id: str, step_key: str) -> None:
        self._storage = instance.event_log_storage
        self._pool = pool
        self._run_id = run_id
        self._step_key = step_key
        self._first: str | None = None

    @classmethod
    def of(cls, context: dg.AssetExecutionContext, pool: str | None) -> PoolSlots | None:
        """Return the slots of an op's pool; ``None`` if it has none, or one without a limit."""
        storage = context.instance.event_log_storage
        if pool is None or not storage.supports_global_concurrency_limits:
            return None
        if not storage.get_concurrency_info(pool).slot_count:
            return None
        step_key = context.op_execution_context.get_step_execution_context().step.key
        return cls(context.instance, pool, context.run.run_id, step_key)

    def acquire(self, connection_id: str) -> bool:
        """Take a slot, if one is free; else wait for one in the pool's queue."""
        if self._first in (None, connection_id):
            self._first = connection_id
            return True
        claim = self._storage.claim_concurrency_slot(self._pool, self._run_id, self._step_of(connection_id))
        return bool(claim.is_claimed)

    def release(self, connection_id: str) -> None:
        """Give the slot back, or the place in the queue."""
        if self._first == connection_id:
            self._first = None
        else:
            self._storage.free_concurrency_slot_for_step(self._run_id, self._step_of(connection_id))

    def _step_of(self, connection_id: str) -> str:
        return f"{self._step_key}:{connection_id}"
