"""Ten thousand connections with Dagster's storage in PostgreSQL: calls, memory, the database, seconds.

    python -m benchmarks.production                       # 10,000 connections of a stream each: half an hour or so
    python -m benchmarks.production --connections 1000

Each part is a process of its own, against a simulated Airbyte with 50 ms a request in yet another one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from benchmarks.measured import run_program
from benchmarks.simulated_airbyte.process import RunningSimulation, running_simulation
from benchmarks.workspace_runs import PYTHON, calls_of

_LOAD = ("defs_production", "airbyte_dagster.workspaces.definitions")
_INSTANCE = """
telemetry: {{enabled: false}}
storage:
  postgres:
    postgres_db:
      {{hostname: 127.0.0.1, port: {port}, username: airbyte, password: {{env: BENCHMARK_PASSWORD}}, db_name: postgres,
       scheme: postgresql+psycopg2}}
"""


@contextmanager
def home_on(server: Postgres) -> Iterator[dict[str, str]]:
    """Make a home of Dagster whose storage is a PostgreSQL; yield the variables of programs that work with it."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "dagster.yaml").write_text(_INSTANCE.format(port=server.port))
        yield {"DAGSTER_HOME": directory, "BENCHMARK_PASSWORD": PASSWORD}


def database_mb(server: Postgres) -> float:
    """Return the size of the database."""
    return float(server.query("SELECT pg_database_size('postgres')")[0][0]) / 2**20


def measure(connections: int, streams: int, job_seconds: float) -> Table:
    """Measure and tabulate."""
    table = Table("work", "figures", title=f"{connections:,} connections of {streams} stream(s), on PostgreSQL")
    table.title_justify = "left"
    with (
        running_postgres() as server,
        home_on(server) as home,
        running_simulation(connections, streams, job_seconds=job_seconds) as simulation,
    ):
        variables = {**home, **simulation.environment}
        _load(table, server, simulation, variables)
        _run(table, server, simulation, variables, connections * streams)
        _ticks(table, simulation, variables)
    return table


def _load(table: Table, server: Postgres, simulation: RunningSimulation, variables: Mapping[str, str]) -> None:
    for what in ("load for the first time: the workspace is read", "load from the database"):
        before = database_mb(server)
        said = run_program(PYTHON, "load_defs", _LOAD, variables).said
        grown = database_mb(server) - before
        figures = f"{calls_of(simulation)} calls, {said['seconds']:.1f} s, {said['peak_mb']:.0f} MB"
        table.add_row(what, f"{figures}; database {grown:+.1f} MB")


def _run(
    table: Table, server: Postgres, simulation: RunningSimulation, variables: Mapping[str, str], assets: int
) -> None:
    before = database_mb(server)
    run = run_program(PYTHON, "run_job", ["defs_production", "program"], variables)
    jobs, keys = simulation.truth(), [key for key, _ in run.said["materialized"]]
    connections = len({job["connection_id"] for job in jobs})
    lost, doubled = assets - len(set(keys)), len(keys) - len(set(keys)) + len(jobs) - connections
    after = max(at for _, at in run.said["materialized"]) - max(job["ended"] for job in jobs)
    grown = database_mb(server) - before
    table.add_row(
        "a run over all, all at once",
        f"{run.seconds / 60:.1f} min, {run.cpu:.0f} s CPU, {run.peak_mb:.0f} MB, {calls_of(simulation):,} calls; "
        f"{lost} lost, {doubled} doubled; {after:.0f} s from the last end to the last materialization; "
        f"database {grown:+.0f} MB, {grown * 1024 / len(jobs):.1f} KB a sync",
    )


def _ticks(table: Table, simulation: RunningSimulation, variables: Mapping[str, str]) -> None:
    said = run_program(PYTHON, "tick_sensor", ["4"], variables).said
    first, *others = said["ticks"]
    quiet = min(tick["seconds"] for tick in others)
    table.add_row(
        "ticks of the sync sensor",
        f"the first {first['seconds']:.2f} s, then {quiet:.2f} s; {calls_of(simulation)} calls for "
        f"{len(said['ticks'])}, {said['peak_mb']:.0f} MB",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--job-seconds", type=float, default=60.0)
    chosen = parser.parse_args()
    began = time.monotonic()
    console = Console(width=120)
    console.print(measure(chosen.connections, chosen.streams, chosen.job_seconds))
    console.print(f"measured in {(time.monotonic() - began) / 60:.0f} min")


if __name__ == "__main__":
    main()
