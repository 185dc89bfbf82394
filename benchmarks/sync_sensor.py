"""Ticks of the sensor of Airbyte's own syncs, in a workspace of a thousand connections: what they cost."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import dagster as dg
from rich.table import Table

from airbyte_dagster.pipelines.sync_sensor import pipeline_targets
from airbyte_dagster.sensors.job_recorder import JobRecorder
from airbyte_dagster_tests.conftest import resource_of, warehouse_of
from airbyte_dagster_tests.local.fakes import ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.sensors.many_jobs import end_jobs, make_home, pipelines_of

_CONNECTIONS = 1000
_CHANGED = 100
_QUIET_TICKS = 20


def measure() -> Table:
    """Measure and tabulate."""
    table = Table("tick", "calls", "seconds", title=f"Syncs of Airbyte's own, {_CONNECTIONS} connections")
    table.title_justify = "left"
    long_ago = time.time() - 86_400
    with (
        tempfile.TemporaryDirectory() as directory,
        running_local_airbyte(make_home(Path(directory), _CONNECTIONS), ScriptedEngine()) as server,
        dg.instance_for_test(temp_dir=directory) as instance,
    ):
        end_jobs(server, range(_CONNECTIONS), at=long_ago, apart=10)
        airbyte, warehouse = resource_of(server), warehouse_of(server)
        recorder = JobRecorder(pipeline_targets(pipelines_of(server, range(_CHANGED))))
        client = airbyte.tick_client()
        cursor: str | None = None

        def tick(what: str, times: int = 1) -> None:
            nonlocal cursor
            calls, began = client.calls, time.perf_counter()
            for _ in range(times):
                outcome = recorder.tick(airbyte, warehouse.warehouse, instance, cursor, warn=lambda _text: None)
                cursor = outcome.cursor.to_json()
            seconds = (time.perf_counter() - began) / times
            table.add_row(what, f"{(client.calls - calls) / times:g}", f"{seconds:.3f}")

        tick("the first")
        tick("nothing changed", _QUIET_TICKS)
        end_jobs(server, range(_CHANGED, 2 * _CHANGED), at=long_ago + 40_000, apart=10)
        tick(f"{_CHANGED} jobs of others ended, seen for the first time")
        end_jobs(server, range(_CHANGED, 2 * _CHANGED), at=long_ago + 50_000, apart=10)
        tick(f"{_CHANGED} jobs of others ended, known by now")
        end_jobs(server, range(_CHANGED), at=long_ago + 60_000, apart=10)
        tick(f"{_CHANGED} jobs of ours ended, and were recorded")
    return table


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
