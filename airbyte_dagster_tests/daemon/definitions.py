"""The pipelines, schedules, sensors and assets that run under the real daemon.

To put something under the daemon, add it to `definitions_at`, turned on from the start, and its test to `test_daemon`.
"""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from airbyte_dagster import (
    AirbytePipeline,
    AirbyteResource,
    Connection,
    Destination,
    MotherDuckResource,
    Schedule,
    Source,
    build_pipeline_defs,
)
from airbyte_dagster.pipelines.sync_sensor import build_airbyte_sync_sensor
from airbyte_dagster.sensors import build_file_sensor, build_watermark_sensor

ROOT_VARIABLE = "DAEMON_TEST_ROOT"
PRICES_VARIABLE = "DAEMON_TEST_PRICES_URL"

_RUNNING = dg.DefaultSensorStatus.RUNNING


@dataclass(frozen=True)
class Places:
    """Where the tests and the code server meet.

    Attributes:
        root: The home of local Airbyte.
        prices_url: A file on a web server.
    """

    root: Path
    prices_url: str

    @classmethod
    def from_env(cls) -> "Places":
        return cls(Path(os.environ[ROOT_VARIABLE]), os.environ[PRICES_VARIABLE])

    @property
    def environment(self) -> dict[str, str]:
        return {ROOT_VARIABLE: str(self.root), PRICES_VARIABLE: self.prices_url}

    @property
    def marks(self) -> Path:
        """A DuckDB file with a table of orders, which a sensor watches."""
        return self.root / "marks.duckdb"

    @property
    def inbox(self) -> Path:
        """A directory that a sensor watches."""
        return self.root / "inbox"

    @property
    def orders_file(self) -> Path:
        """What the asset ``orders_file`` writes, and the source of ``imported`` reads."""
        return self.root / "orders.csv"

    def warehouse(self, pipeline: str) -> Path:
        """The DuckDB file that a pipeline writes into: each its own, as DuckDB lets only one process write."""
        return self.root / f"{pipeline}.duckdb"


def pipeline_at(
    places: Places, name: str, source: dict[str, Any], streams: Iterable[str], **more: Any
) -> AirbytePipeline:
    """A pipeline, whose source, destination and connection have its name."""
    destination = {"destinationType": "duckdb", "destination_path": str(places.warehouse(name))}
    return AirbytePipeline(
        name=name,
        source=Source(name=name, configuration=source),
        destination=Destination(name=name, configuration=destination),
        connection=Connection(name=name, streams=tuple(streams)),
        **more,
    )


def definitions_at(places: Places, airbyte: AirbyteResource) -> dg.Definitions:
    """Everything that runs under the daemon."""

    def faker(name: str, **more: Any) -> AirbytePipeline:
        return pipeline_at(places, name, {"sourceType": "faker", "count": 3}, ["users"], **more)

    def each_minute(**schedule: Any) -> Schedule:
        return Schedule(cron="* * * * *", running=True, **schedule)

    imported = pipeline_at(
        places,
        "imported",
        {"sourceType": "csv", "path": str(places.orders_file)},
        ["orders"],
        deps=[orders_file],
        automation_condition=dg.AutomationCondition.eager(),
    )
    pipelines = [
        faker("every_minute", schedule=each_minute()),
        faker("busy", schedule=each_minute()),
        faker("patient", schedule=each_minute(on_running="wait")),
        grown := faker("grown"),
        arrived := faker("arrived"),
        recorded := faker("recorded"),
        imported,
    ]
    look_often: dict[str, Any] = {"minimum_interval_seconds": 1, "default_status": _RUNNING}
    return dg.Definitions.merge(
        *(
            build_pipeline_defs(
                pipeline,
                airbyte=airbyte,
                warehouse=MotherDuckResource(database=str(places.warehouse(pipeline.name))),
                warehouse_key=f"{pipeline.name}_warehouse",
            )
            for pipeline in pipelines
        ),
        dg.Definitions(
            assets=[orders_file, report],
            jobs=[prices_job],
            sensors=[
                build_watermark_sensor(
                    "orders_grew", "SELECT max(id) FROM orders", target=grown, warehouse_key="marks", **look_often
                ),
                build_file_sensor("files_arrived", places.inbox / "*.csv", target=arrived, **look_often),
                build_file_sensor("prices_changed", places.prices_url, target=prices_job, **look_often),
                build_airbyte_sync_sensor([recorded], warehouse_key="recorded_warehouse", **look_often),
                dg.AutomationConditionSensorDefinition("automation", target="*", **look_often),
            ],
            resources={
                "marks": MotherDuckResource(database=str(places.marks)),
                "orders_path": dg.ResourceDefinition.hardcoded_resource(places.orders_file),
            },
        ),
    )


@dg.op
def look_at_prices() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def prices_job() -> None:
    look_at_prices()


@dg.asset(required_resource_keys={"orders_path"})
def orders_file(context: dg.AssetExecutionContext) -> None:
    """A CSV file of orders that has two more each time."""
    path: Path = context.resources.orders_path
    rows = read_orders(path) if path.exists() else []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "what"])
        writer.writeheader()
        writer.writerows([*rows, *({"id": f"{len(rows) + more}", "what": "tea"} for more in (1, 2))])


@dg.asset(
    deps=[dg.AssetKey(["imported", "orders"])],
    required_resource_keys={"imported_warehouse"},
    automation_condition=dg.AutomationCondition.eager(),
)
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Reads the table that the pipeline brought."""
    with context.resources.imported_warehouse.warehouse().connect() as connection:
        return dg.MaterializeResult(
            metadata={"orders": connection.execute("SELECT count(*) FROM orders").fetchone()[0]}
        )


def read_orders(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
