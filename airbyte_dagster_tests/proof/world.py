"""A connection in a running local Airbyte, and the real definitions of Dagster that sync, record and check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from airbyte_dagster import (
    AirbytePipeline,
    Checks,
    Connection,
    Destination,
    MotherDuckResource,
    PostgresWarehouseResource,
    Source,
    Stream,
    build_airbyte_sync_sensor,
    build_pipeline_defs,
)
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster_tests.conftest import resource_of
from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres
from airbyte_dagster_tests.proof.airbyte import Clock
from airbyte_dagster_tests.proof.source import SourceStream, write_script

#: Between two jobs.
_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """Where a destination writes.

    Attributes:
        configuration: Of the destination.
        warehouse: What reads it.
    """

    configuration: Mapping[str, Any]
    warehouse: dg.ConfigurableResource[Any]

    @classmethod
    def duckdb(cls, file: Path) -> Place:
        """A DuckDB file."""
        return cls({"destinationType": "duckdb", "destination_path": str(file)}, MotherDuckResource(database=str(file)))

    @classmethod
    def postgres(cls, server: Postgres, schema: str) -> Place:
        """A schema of a PostgreSQL database."""
        where: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "database": "postgres"}
        reader = PostgresWarehouseResource(**where, username="airbyte", password=PASSWORD)
        return cls({**server.configuration, "schema": schema}, reader)


@dataclass
class World:
    """One connection.

    Attributes:
        name: Of the pipeline.
        checks: Of each stream.
        keys: The streams, by the last part of their assets' keys.
    """

    name: str
    airbyte: RunningAirbyte
    clock: Clock
    directory: Path
    place: Place
    instance: dg.DagsterInstance
    streams: Sequence[SourceStream]
    checks: Mapping[StreamKey, Checks]
    cursor: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.api = Api(self.airbyte.url, self.airbyte.credentials)
        self.config = Config(self.airbyte, self.api)
        self.resource = resource_of(self.airbyte, workspace_id=self.airbyte.workspace_id)
        self.script()
        self.declare()

    @property
    def _script(self) -> Path:
        return self.directory / f"{self.name}.json"

    def script(self, failing: Sequence[StreamKey] = (), **how: Any) -> None:
        """Let time go by, and the source say what its streams have by now."""
        self.clock.pass_by(_SECONDS)
        write_script(self._script, self.streams, self.clock(), failing, **how)

    def declare(self) -> None:
        """Declare the pipeline with the streams as they are, as a code location does that is loaded again."""
        self.pipeline = AirbytePipeline(
            name=self.name,
            source=Source(name=self.name, configuration={"sourceType": "scripted", "script": str(self._script)}),
            destination=Destination(name=self.name, configuration=self.place.configuration),
            connection=Connection(
                name=self.name,
                namespace_definition="source",
                streams=[
                    Stream(name=item.name, namespace=item.namespace, sync_mode=item.mode, checks=self.checks[item.key])
                    for item in self.streams
                ],
            ),
        )
        self.sensor = build_airbyte_sync_sensor([self.pipeline])
        own = build_pipeline_defs(self.pipeline, airbyte=self.resource, warehouse=self.place.warehouse)
        self.definitions = dg.Definitions.merge(own, dg.Definitions(sensors=[self.sensor]))

    # What happens

    def sync(self) -> dict[str, dg.AssetCheckEvaluation]:
        """Sync with a run of Dagster; its checks."""
        return self.run(f"sync_{self.name}")

    def look(self) -> dict[str, dg.AssetCheckEvaluation]:
        """Run the checks alone."""
        return self.run(f"check_{self.name}")

    def reset(self) -> None:
        """Empty all tables with Dagster's job."""
        config = {"ops": {"reset": {"config": {"confirm": True}}}}
        assert self.run(f"reset_{self.name}", run_config=config) == {}

    def run(self, job: str, **more: Any) -> dict[str, dg.AssetCheckEvaluation]:
        """Run a job of the definitions; its checks."""
        self.result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **more
        )
        return self._named(self.result)

    @cached_property
    def connection(self) -> str:
        """The connection's id."""
        found = self.api.ok("GET", "/connections", params={"limit": 100})["data"]
        (mine,) = [item for item in found if item["name"] == self.name]
        return str(mine["connectionId"])

    def foreign(self, job: str = "sync") -> None:
        """Have somebody else sync."""
        self.api.finish(self.api.sync(self.connection, job))

    def refresh(self, mode: str, streams: Sequence[StreamKey]) -> None:
        """Have somebody else refresh some streams."""
        body = {"refreshMode": mode, "streams": _descriptors(streams)}
        self.api.finish(self.config.ok("connections/refresh", connectionId=self.connection, **body)["job"]["id"])

    def clear(self, streams: Sequence[StreamKey]) -> None:
        """Have somebody else empty the tables of some streams."""
        body = {"connectionId": self.connection, "streams": _descriptors(streams)}
        self.api.finish(self.config.ok("connections/clear/stream", **body)["job"]["id"])

    def tick(self) -> dict[str, dg.AssetCheckEvaluation]:
        """Have the sensor record what has ended since its last tick; the checks that it asks for."""
        data = self._evaluated()
        self.cursor = data.cursor
        if not data.run_requests:
            return {}
        (request,) = data.run_requests
        job = self.definitions.resolve_job_def(f"{self.sensor.name}_checks")
        subset = job.get_subset(asset_check_selection=set(request.asset_check_keys or ()))
        return self._named(subset.execute_in_process(instance=self.instance, raise_on_error=False))

    def _evaluated(self) -> SensorExecutionData:
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={"airbyte": self.resource, "motherduck": self.place.warehouse},
            sensor_name=self.sensor.name,
        ) as context:
            return self.sensor.evaluate_tick(context)

    def _named(self, result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
        return {
            f"{'/'.join(found.asset_key.path[1:])}:{found.check_name}": found
            for found in result.get_asset_check_evaluations()
        }


def _descriptors(streams: Sequence[StreamKey]) -> list[dict[str, str]]:
    return [
        {"streamName": key.name, **({"streamNamespace": key.namespace} if key.namespace else {})} for key in streams
    ]


def red(checks: Mapping[str, dg.AssetCheckEvaluation]) -> dict[str, str]:
    """The checks that failed as errors, with what they say."""
    return {
        name: str(found.description)
        for name, found in checks.items()
        if not found.passed and found.severity is dg.AssetCheckSeverity.ERROR
    }


def green(checks: Mapping[str, dg.AssetCheckEvaluation]) -> set[str]:
    """The checks that passed."""
    return {name for name, found in checks.items() if found.passed}
