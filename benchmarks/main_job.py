"""The warm main job against the bare work in it: a Dagster job that does nothing, and the connector alone.

All three run as processes of their own, one after another, a few times each; the least time counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.settings import resolve_home
from benchmarks.loading import Faker

_RUNS = 3

_BARE_DAGSTER = """
import dagster as dg

@dg.op
def nothing(): ...

@dg.job
def bare(): nothing()

with dg.DagsterInstance.get() as instance:
    assert bare.execute_in_process(instance=instance).success
"""


def least(work: Callable[[], object]) -> float:
    """Return the least wall time of some work, in seconds."""
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the least wall time of a command, in seconds."""
    return least(lambda: subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True))


def measure() -> Table:
    """Measure and tabulate."""
    root = resolve_home().environments
    faker = Environments(root).ensure("faker", print)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        dagster_home = Path(directory) / "dagster"
        dagster_home.mkdir()
        home.mkdir()
        main_job = [sys.executable, "-m", "airbyte_dagster", "run", "--home", str(home)]
        subprocess.run(main_job, check=True, capture_output=True)
        connector = Faker(str(faker.executable("source-faker")), Path(directory), count=35)
        bare_job = seconds([sys.executable, "-c", _BARE_DAGSTER], {"DAGSTER_HOME": str(dagster_home)})
        bare_read = least(connector.bare)
        whole = seconds(main_job, {})
    table = Table("what", "seconds", title=f"The main job, warm, best of {_RUNS}", title_justify="left")
    table.add_row("a bare Dagster job, in process", f"{bare_job:.1f}")
    table.add_row("the same read by the connector alone", f"{bare_read:.1f}")
    table.add_row("make run, server and connectors started and stopped", f"{whole:.1f}")
    table.add_row("more than the two together", f"{whole - bare_job - bare_read:.1f}")
    return table


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
