"""The sensor of Airbyte's own syncs, ticked as the daemon would do it, and what is in the instance then."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import dagster as dg
import httpx
from dagster._core.definitions.sensor_definition import SensorExecutionData

from airbyte_dagster import AirbytePipeline, build_pipeline_defs
from airbyte_dagster.pipelines.apply import Reconciler
from airbyte_dagster.pipelines.last_applied import InstanceAppliedStore
from airbyte_dagster.pipelines.sync_sensor import build_airbyte_sync_sensor
from airbyte_dagster_tests.conftest import client_of, pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte

_CHECKS_JOB = "airbyte_syncs_checks"


@dataclass(frozen=True)
class Told:
    """An event of an asset that is about a job.

    Attributes:
        kind: ``materialization`` or ``observation``.
        run_id: ``""`` where the sensor recorded it.
        metadata: Plain values.
    """

    kind: str
    job_id: int
    run_id: str
    description: str
    metadata: dict[str, Any]


class Recording(logging.Handler):
    """A code location with pipelines and the sensor, and the daemon's part in its ticks.

    Attributes:
        cursor: What Dagster has kept of the last tick.
        logged: What ticks wrote into their logs.
    """

    def __init__(
        self, server: RunningAirbyte, instance: dg.DagsterInstance, *pipelines: AirbytePipeline, **settings: Any
    ) -> None:
        super().__init__()
        self.logged: list[str] = []
        self.server = server
        self.instance = instance
        self.pipelines = pipelines or (pipeline_of(server),)
        self.airbyte = resource_of(server, **settings)
        self.warehouse = warehouse_of(server, lock_timeout=5)
        self.cursor: str | None = None
        self.restart()

    def emit(self, record: logging.LogRecord) -> None:
        self.logged.append(record.getMessage())

    def restart(self) -> None:
        """Load the code location anew, as after a crash of its process."""
        self.sensor = build_airbyte_sync_sensor(self.pipelines)
        parts = [
            build_pipeline_defs(pipeline, airbyte=self.airbyte, warehouse=self.warehouse) for pipeline in self.pipelines
        ]
        self.definitions = dg.Definitions.merge(*parts, dg.Definitions(sensors=[self.sensor]))

    def evaluate(self) -> SensorExecutionData:
        """Evaluate the sensor, and leave it at that, as a daemon does that is killed then."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={"airbyte": self.airbyte, "motherduck": self.warehouse},
            sensor_name=self.sensor.name,
        ) as context:
            context.log.addHandler(self)
            return self.sensor.evaluate_tick(context)

    def tick(self) -> SensorExecutionData:
        """Evaluate the sensor, keep the cursor."""
        data = self.evaluate()
        self.cursor = data.cursor
        return data

    def check(self, data: SensorExecutionData) -> dict[str, dg.AssetCheckEvaluation]:
        """Run the checks that a tick requested, in this process; by asset."""
        (request,) = data.run_requests or ()
        job = self.definitions.resolve_job_def(_CHECKS_JOB)
        subset = job.get_subset(asset_check_selection=set(request.asset_check_keys or ()))
        result = subset.execute_in_process(instance=self.instance, raise_on_error=False)
        return {
            found.asset_key.path[-1]: found
            for found in result.get_asset_check_evaluations()
            if found.check_name != "values_kept"
        }

    def told(self, *path: str) -> list[Told]:
        """Return the events of an asset, oldest first."""
        key = dg.AssetKey(path or ("example", "users"))
        records = [
            *self.instance.fetch_materializations(key, limit=1000).records,
            *self.instance.fetch_observations(key, limit=1000).records,
        ]
        return [_told(record) for record in sorted(records, key=lambda record: record.storage_id)]

    def jobs(self, *path: str) -> list[int]:
        """Return the jobs that an asset's events are about, oldest event first."""
        return [event.job_id for event in self.told(*path)]

    def provision(self, pipeline: AirbytePipeline | None = None) -> str:
        """Make a pipeline's connection, as a run of ours does before it syncs; its id."""
        with client_of(self.server) as client:
            reconciler = Reconciler(client, InstanceAppliedStore(self.instance), key=self.airbyte.fingerprint_key())
            workspace = client.workspace(self.server.workspace_id)
            return reconciler.reconcile(pipeline or self.pipelines[0], workspace).connection.id

    def forget(self, statement: str, *parameters: str) -> None:
        """Take something out of the server's database that its API never takes out."""
        with closing(sqlite3.connect(self.server.home.database)) as database, database:
            database.execute(statement, parameters)


def _told(record: dg.EventLogRecord) -> Told:
    event = record.asset_materialization or record.event_log_entry.asset_observation
    assert event is not None
    metadata: dict[str, Any] = {name: value.value for name, value in event.metadata.items()}
    return Told(
        "materialization" if record.asset_materialization else "observation",
        int(metadata["airbyte/job_id"]),
        record.run_id,
        event.description or "",
        metadata,
    )


def count_calls(recording: Recording, act: Callable[[], Any]) -> Counter[str]:
    """Return how often a tick called what, ids left out, with ``all`` for their sum, requests for tokens included."""
    client = recording.airbyte.tick_client()
    paths: list[str] = []

    def note(request: httpx.Request) -> None:
        path = request.url.path.removeprefix("/api/public/v1").removeprefix("/api/v1")
        paths.append(f"{request.method} {'/'.join(path.split('/')[:2])}{'/*' if path.count('/') > 1 else ''}")

    before = client.calls
    client.http.event_hooks["request"] = [note]
    try:
        act()
    finally:
        client.http.event_hooks["request"] = []
    return Counter({**Counter(paths), "all": client.calls - before})


def ids_of(told: Sequence[Told], kind: str) -> list[int]:
    """Return the jobs of the events of one kind."""
    return [event.job_id for event in told if event.kind == kind]
