"""From the end of a sync that somebody else started until all of its streams are materialized in Dagster, by a notice.

Local Airbyte posts it over HTTP to ``airbyte-dagster webhook serve``, a process of its own; the instance is on SQLite.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from rich.table import Table

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte

_SYNCS = 40
_STREAMS = ("users", "products", "purchases")
_SECRET = "secret-of-the-benchmark"  # noqa: S105 - of nothing
_PATIENCE = 60.0
_DEFINITIONS = """\
import dagster as dg
from airbyte_dagster import *

destination = Destination(name="duck", configuration={{"destinationType": "duckdb", "destination_path": {database!r}}})
shop = AirbytePipeline(
    name="shop",
    source=Source(name="shop", configuration={{"sourceType": "faker", "count": 100}}),
    destination=destination,
    connection=Connection(name="shop", streams={streams!r}),
)
defs = dg.Definitions.merge(
    build_pipeline_defs(shop, airbyte=AirbyteResource.from_env(), warehouse=MotherDuckResource(database={database!r})),
    dg.Definitions(sensors=[build_airbyte_sync_sensor([shop])]),
)
"""


def measure() -> Table:
    """Measure and tabulate."""
    with tempfile.TemporaryDirectory() as name, running_local_airbyte(Path(name)) as server, server.api() as api:
        file, database = Path(name) / "shop.py", str(server.home.warehouse)
        file.write_text(_DEFINITIONS.format(database=database, streams=list(_STREAMS)))
        connection = api.connection(api.source(count=100), api.destination(database), list(_STREAMS), name="shop")
        with dg.instance_for_test(temp_dir=name) as instance, _receiver(file, Path(name), server) as url:
            webhook = {"webhook": {"enabled": True, "url": f"{url}/notices/{_SECRET}"}}
            changes = {"notifications": {"success": webhook}}
            api.ok("PATCH", f"/workspaces/{api.workspace_id}", json=changes)
            seconds = [_one(server, api, connection, instance) for _ in range(_SYNCS)]
    table = Table("syncs", "median", "of 95 % under", "longest", title="End of a foreign sync → in Dagster, seconds")
    table.title_justify = "left"
    ordered = sorted(seconds)
    shown = (statistics.median(ordered), ordered[int(_SYNCS * 0.95) - 1], ordered[-1])
    table.add_row(str(_SYNCS), *(f"{value:.2f}" for value in shown))
    table.caption = f"Load of the machine, {os.cpu_count()} processors: {os.getloadavg()[0]:.1f}"
    return table


def _one(server: RunningAirbyte, api: Api, connection: str, instance: dg.DagsterInstance) -> float:
    """Sync once; return the seconds from the job's end to the last stream's event, by the clock that both have."""
    job = api.finish(api.sync(connection))["jobId"]
    ended = server.jobs.get(job).updated_at
    deadline = time.monotonic() + _PATIENCE
    events = [_event_of(instance, stream, job, deadline) for stream in _STREAMS]
    return max(events) - float(ended)


def _event_of(instance: dg.DagsterInstance, stream: str, job: int, deadline: float) -> float:
    key = dg.AssetKey(["shop", stream])
    while time.monotonic() < deadline:
        record = next(iter(instance.fetch_materializations(key, limit=1).records), None)
        event = record.asset_materialization if record else None
        if record and event and event.metadata["airbyte/job_id"].value == str(job):
            return float(record.timestamp)
        time.sleep(0.05)
    raise RuntimeError(f"job {job} was not recorded for {stream}")


@contextlib.contextmanager
def _receiver(file: Path, directory: Path, server: RunningAirbyte) -> Iterator[str]:
    command = [sys.executable, "-m", "airbyte_dagster", "webhook", "serve", "-f", str(file), "--port", "0"]
    variables = {"DAGSTER_HOME": str(directory), "AIRBYTE_WEBHOOK_SECRET": _SECRET, **server.environment}
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((directory / "log").read_text()[-3000:])
        yield line.split()[-1]
    finally:
        process.terminate()
        process.communicate()


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
