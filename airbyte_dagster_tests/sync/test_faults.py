"""Many syncs while everything goes wrong, by chance: what was asked for happens once, and what is told is true."""

from __future__ import annotations

import pytest

from airbyte_dagster.errors import AirbyteError, SyncCancelled, SyncFailed
from airbyte_dagster.sync.results import SyncResult
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster_tests.sync.syncing import DyingTransport, Killed, World, a_seed
from benchmarks.simulated_airbyte import KINDS, RandomFaults, SimulatedTransport

SCHEDULES = 120
#: A schedule whose process was killed so often is let live.
LIVES = 5


class Schedule:
    """One course of events, drawn from a seed: syncs of all lengths, faults of all kinds, deaths at any request."""

    def __init__(self, seed: int) -> None:
        self.chance = a_seed(seed)
        seconds = {number: self.chance.choice([1, 5, 20, 90, 400]) for number in range(12)}
        failing = self.chance.random() < 0.3
        number = self.chance.randint(1, 12)
        self.world = World(
            number,
            job_seconds=lambda wanted: seconds[int(wanted[-12:])],
            fails=lambda wanted, earlier: failing and earlier == 0 and int(wanted[-12:]) % 3 == 0,
            written_late=lambda job_id: 20.0 if job_id % 7 == 0 else 0.0,
            token_seconds=self.chance.choice([30.0, 900.0]),
        )
        self.faults = RandomFaults(seed, self.chance.choice([0.0, 0.02, 0.1, 0.2]), KINDS)
        self.most = self.chance.choice([None, 1, 3, 5])
        self.settings = SyncSettings(on_running=self.chance.choice(["attach", "attach", "wait"]))
        self.deaths = 0
        self.told: dict[str, list[SyncResult]] = {wanted: [] for wanted in self.world.ids}

    def play(self) -> None:
        """Run, and run again what was not told of, as a retry does, until a process lives to the end."""
        for life in range(LIVES):
            beneath = SimulatedTransport(self.world.airbyte, self.faults)
            last = self.chance.randint(0, 40) if life < LIVES - 1 and self.chance.random() < 0.6 else None
            transport = DyingTransport(beneath, last, has_acted=self.chance.random() < 0.5)
            self.world.store.is_dead = lambda dying=transport: dying.is_dead  # type: ignore[misc]
            left = [wanted for wanted, results in self.told.items() if not results or results[-1].error]
            try:
                for result in self.world.engine(transport, self.settings, max_concurrent=self.most).run(left):
                    self.told[result.connection_id].append(result)
            except Killed:
                self.deaths += 1
                self.world.clock.sleep(self.chance.choice([0, 5, 60]))
                continue
            except AirbyteError:
                # Airbyte could not be asked what is there: nothing was started, and whoever wanted it tries again.
                continue
            if all(results and not results[-1].error for results in self.told.values()):
                return
        # Faults end some time.
        left = [wanted for wanted, results in self.told.items() if not results or results[-1].error]
        self.world.store.is_dead = lambda: False
        for result in self.world.engine(settings=self.settings).run(left):
            self.told[result.connection_id].append(result)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_each_sync_happens_once_and_what_is_told_is_true(seed: int) -> None:
    """Exactly one success for each connection; a failure that is told was one; nothing runs that nobody knows of."""
    schedule = Schedule(seed)

    schedule.play()

    world = schedule.world
    jobs = world.jobs_of()
    by_id = {job.id: job for job in world.airbyte.jobs}
    for wanted, results in schedule.told.items():
        statuses = [job.status(world.airbyte.now) for job in jobs[wanted]]
        # Not lost, not doubled: whatever came before it failed, as Airbyte says itself.
        assert statuses == ["failed"] * (len(statuses) - 1) + ["succeeded"], (wanted, statuses, results)
        for result in results:
            if result.error is None:
                assert result.job is not None
                assert by_id[result.job.id].connection_id == wanted
                assert by_id[result.job.id].status(world.airbyte.now) == "succeeded"
            elif isinstance(result.error, SyncFailed | SyncCancelled):
                assert by_id[result.error.job_id].status(world.airbyte.now) == result.error.status == "failed"
        assert [result.error is None for result in results].count(True) == 1


def test_the_schedules_are_not_all_alike() -> None:
    """Each fault, deaths, failures, retries: all of them are among the schedules, or they would show little."""
    kinds: set[str] = set()
    deaths = failures = 0
    for seed in range(0, SCHEDULES, 6):
        schedule = Schedule(seed)
        schedule.play()
        kinds |= {fault.kind for fault in schedule.faults.done}
        deaths += schedule.deaths
        failures += sum(isinstance(result.error, SyncFailed) for told in schedule.told.values() for result in told)

    assert kinds == set(KINDS)
    assert deaths > 10
    assert failures > 10
