"""Slots of a Dagster pool, one for each sync on its way: the pool bounds Airbyte's work, not the number of ops."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
from dagster._core.instance.config import PoolGranularity


class PoolSlots:
    """A `sync.settings.SyncSlots` on a pool that has a limit.

    The op itself holds one slot while it runs, which its first sync takes; each other one claims a slot of its own,
    which is given back when the sync has ended. What a run whose process died has left claimed is freed by the next run
    that uses the pool, or by Dagster's run monitoring (``free_slots_after_run_end_seconds``).

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
        self._claimed: set[str] = set()

    @classmethod
    def of(cls, context: dg.AssetExecutionContext, pool: str | None) -> PoolSlots | None:
        """Return the slots of an op's pool; ``None`` if it has none, or one without a limit of ops."""
        storage = context.instance.event_log_storage
        if pool is None or not storage.supports_global_concurrency_limits or _limits_runs(context.instance):
            return None
        info = storage.get_concurrency_info(pool)
        if not info.slot_count:
            return None
        _free_dead(context.instance, {slot.run_id for slot in info.claimed_slots})
        step_key = context.op_execution_context.get_step_execution_context().step.key
        return cls(context.instance, pool, context.run.run_id, step_key)

    def acquire(self, connection_id: str) -> bool:
        """Take a slot, if one is free; else wait for one in the pool's queue."""
        if self._first in (None, connection_id):
            self._give_back(connection_id)
            self._first = connection_id
            return True
        self._claimed.add(connection_id)
        claim = self._storage.claim_concurrency_slot(self._pool, self._run_id, self._step_of(connection_id))
        return bool(claim.is_claimed)

    def release(self, connection_id: str) -> None:
        """Give the slot back, or the place in the queue."""
        if self._first == connection_id:
            self._first = None
        else:
            self._give_back(connection_id)

    def _give_back(self, connection_id: str) -> None:
        if connection_id in self._claimed:
            self._claimed.remove(connection_id)
            self._storage.free_concurrency_slot_for_step(self._run_id, self._step_of(connection_id))

    def _step_of(self, connection_id: str) -> str:
        return f"{self._step_key}:{connection_id}"


def _limits_runs(instance: dg.DagsterInstance) -> bool:
    """Whether pools limit runs rather than ops: Dagster's run queue sees to that before a run begins."""
    return instance.get_concurrency_config().pool_config.pool_granularity is PoolGranularity.RUN


def _free_dead(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> None:
    """Free what runs that have ended still claim."""
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
