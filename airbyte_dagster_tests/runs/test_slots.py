"""Slots of a Dagster pool for syncs."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster.runs.slots import PoolSlots


def test_the_pool_bounds_syncs_and_not_ops(instance: dg.DagsterInstance) -> None:
    """The op's own slot is its first sync's; each other one needs a slot, and gets it when one is given back."""
    storage = instance.event_log_storage
    storage.set_concurrency_slots("airbyte", 2)
    storage.claim_concurrency_slot("airbyte", "run", "sync")
    slots = PoolSlots(instance, "airbyte", "run", "sync")

    assert [slots.acquire(name) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    slots.release("a")
    assert slots.acquire("c")
    slots.release("b")
    assert slots.acquire("d")
    assert not slots.acquire("e")


def test_syncs_of_two_ops_share_the_pool(instance: dg.DagsterInstance) -> None:
    """However many ops there are, there are no more syncs than slots."""
    storage = instance.event_log_storage
    storage.set_concurrency_slots("airbyte", 3)
    ops = [PoolSlots(instance, "airbyte", "run", name) for name in ("one", "two")]
    for name in ("one", "two"):
        storage.claim_concurrency_slot("airbyte", "run", name)

    taken = [slots.acquire(f"{index}") for index in range(3) for slots in ops]

    assert sum(taken) == 3
    storage.free_concurrency_slots_for_run("run")
    assert storage.get_concurrency_info("airbyte").active_slot_count == 0
