"""What is measured while a deployment runs for hours, and what is made of it."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from rich.console import Console
from rich.table import Table

from airbyte_dagster_tests.production.deployment import Deployment
from airbyte_dagster_tests.production.network import children_of

#: Memory may differ by so much between the second quarter of the time and the last.
_MEMORY_SHARE = 0.05
#: Ticks of the last quarter may take so much longer than those of the second, and this many seconds at any rate.
_TICK_SHARE, _TICK_SECONDS = 0.25, 2.0

_START_SENSOR = """
mutation Start($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename } }
"""
_START_SCHEDULE = """
mutation Start($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename } }
"""
_STOP_SCHEDULE = """
mutation Stop($origin: String!, $selector: String!) {
  stopRunningSchedule(scheduleOriginId: $origin, scheduleSelectorId: $selector) { __typename }
}
"""


def turn_on(deployment: Deployment, *, sensor: str, schedule: str, location: str = "shop") -> None:
    """Turn a sensor and a schedule on, as the UI does."""
    repository = {"repositoryName": "__repository__", "repositoryLocationName": location}
    started = deployment.graphql(_START_SENSOR, selector={**repository, "sensorName": sensor})["startSensor"]
    assert started["__typename"] == "Sensor", started
    started = deployment.graphql(_START_SCHEDULE, selector={**repository, "scheduleName": schedule})["startSchedule"]
    assert started["__typename"] == "ScheduleStateResult", started


def turn_off(deployment: Deployment, schedule: str) -> None:
    """Turn a schedule off."""
    state = next(state for state in deployment.instance.all_instigator_state() if state.name == schedule)
    stopped = deployment.graphql(_STOP_SCHEDULE, origin=state.instigator_origin_id, selector=state.selector_id)
    assert stopped["stopRunningSchedule"]["__typename"] == "ScheduleStateResult", stopped


def resident_mb(pids: Sequence[int]) -> float:
    """The memory of processes; those that have ended have none."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * 4096 / 2**20


def memory(deployment: Deployment) -> dict[str, float]:
    """The memory in MB of what goes on running: of code servers without their runs."""
    shop = deployment.code["shop"].programs["code"].pid
    servers = [shop, *(pid for pid in children_of(shop) if _is_server(deployment, pid))]
    return {
        "daemon": resident_mb([deployment.daemon.programs["daemon"].pid]),
        "code server (and sensors)": resident_mb(servers),
        "web server": resident_mb([deployment.web.programs["web"].pid]),
    }


def _is_server(deployment: Deployment, pid: int) -> bool:
    return "grpc" in deployment.code["shop"].processes().get(pid, [])


@dataclass
class Soak:
    """Figures by time, and what they come to.

    Attributes:
        samples: For each process, when (monotonic) and how many MB.
        breaches: What is out of bounds, for people.
    """

    deployment: Deployment
    others: dict[str, Callable[[], float]] = field(default_factory=dict)
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    breaches: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.time()
        self.database_before = self._database_mb()
        self.jobs_before = len(self.deployment.truth())

    def _database_mb(self) -> float:
        deployment = self.deployment
        deployment.query(deployment.database, "VACUUM", database="dagster")
        ((size,),) = deployment.query(deployment.database, "SELECT pg_database_size('dagster')")
        return float(size) / 2**20

    def sample(self) -> None:
        now = time.time()
        for name, mb in memory(self.deployment).items():
            self.samples[name].append((now, mb))
        for name, measure in self.others.items():
            self.samples[name].append((now, measure()))

    def report(self, console: Console) -> None:
        """Print the table of all figures, and find what is out of bounds."""
        table = Table("what", "second quarter", "last quarter", "change", title="Soak")
        for name, samples in self.samples.items():
            self._row(table, name, samples, "MB", lambda early, late: abs(late / early - 1) > _MEMORY_SHARE)
        for name, ticks in self._ticks().items():
            self._row(
                table,
                f"ticks of {name}",
                ticks,
                "s",
                lambda early, late: late > early * (1 + _TICK_SHARE) and late > _TICK_SECONDS,
            )
        jobs = len(self.deployment.truth()) - self.jobs_before
        grown = self._database_mb() - self.database_before
        table.add_row("database", "", f"{grown:.1f} MB more", f"{grown * 1024 / max(jobs, 1):.1f} KB a sync of {jobs}")
        console.print(table)
        for breach in self.breaches:
            console.print(f"out of bounds: {breach}")

    def _row(
        self,
        table: Table,
        name: str,
        samples: Sequence[tuple[float, float]],
        unit: str,
        is_breach: Callable[[float, float], bool],
    ) -> None:
        length = time.time() - self.began
        early = [value for at, value in samples if 0.25 <= (at - self.began) / length < 0.5]
        late = [value for at, value in samples if (at - self.began) / length >= 0.75]
        if not early or not late:
            self.breaches.append(f"{name}: too few figures")
            return
        first, last = statistics.median(early), statistics.median(late)
        table.add_row(name, f"{first:.2f} {unit}", f"{last:.2f} {unit}", f"{(last / first - 1) * 100:+.1f} %")
        if is_breach(first, last):
            self.breaches.append(f"{name}: {first:.2f} {unit} at first, {last:.2f} {unit} at last")

    def _ticks(self) -> dict[str, list[tuple[float, float]]]:
        found = {}
        for state in self.deployment.instance.all_instigator_state():
            ticks = self.deployment.instance.get_ticks(state.instigator_origin_id, state.selector_id, after=self.began)
            timed = [(tick.timestamp, _seconds(tick)) for tick in ticks if tick.end_timestamp]
            self.breaches += [
                f"a tick of {state.name} failed: {tick.error.message if tick.error else ''}"
                for tick in ticks
                if tick.status is TickStatus.FAILURE
            ]
            if timed:
                found[state.name] = timed
        return found


def _seconds(tick: InstigatorTick) -> float:
    assert tick.end_timestamp is not None
    return tick.end_timestamp - tick.timestamp
