"""The warm main job against the bare work in it: a Dagster job that does nothing, and the same read by PyAirbyte alone.

All three run as processes of their own, one after another, a few times each; the least time counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.table import Table

from airbyte_dagster.local.environments import ENGINE, Environments, prepare
from airbyte_dagster.paths import home_directory

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

_BARE_READ = """
import sys
import airbyte
from airbyte.caches import DuckDBCache

executable, database = sys.argv[1:]
source = airbyte.get_source("source-faker", local_executable=executable, config={"count": 35})
source.select_all_streams()
source.read(cache=DuckDBCache(db_path=database, schema_name="main"), skip_validation=True)
"""


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the least wall time of a command, in seconds."""
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times)


def measure() -> Table:
    """Measure and tabulate."""
    root = home_directory() / "environments"
    prepare(root, ["faker"], print)
    engine, faker = (Environments(root).ensure(name) for name in (ENGINE, "faker"))
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        dagster_home = Path(directory) / "dagster"
        dagster_home.mkdir()
        home.mkdir()
        (home / "environments").symlink_to(root)
        main_job = [sys.executable, "-m", "airbyte_dagster", "run", "--home", str(home)]
        subprocess.run(main_job, check=True, capture_output=True)
        quiet = {"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1"}
        read = [str(engine.executable("python")), "-c", _BARE_READ, str(faker.executable("source-faker"))]
        bare_job = seconds([sys.executable, "-c", _BARE_DAGSTER], {"DAGSTER_HOME": str(dagster_home)})
        bare_read = seconds([*read, str(Path(directory) / "bare.duckdb")], quiet)
        whole = seconds(main_job, {})
    table = Table("what", "seconds", title=f"The main job, warm, best of {_RUNS}", title_justify="left")
    table.add_row("a bare Dagster job, in process", f"{bare_job:.1f}")
    table.add_row("the same read by PyAirbyte alone", f"{bare_read:.1f}")
    table.add_row("make run, server and connectors started and stopped", f"{whole:.1f}")
    table.add_row("more than the two together", f"{whole - bare_job - bare_read:.1f}")
    return table


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
