"""The code location of ``workspace.yaml``: the pipeline of Airbyte's course on its API, from Faker to DuckDB.

Without a MotherDuck token the warehouse is a DuckDB file in ``AIRBYTE_DAGSTER_HOME``.
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.paths import home_directory
from airbyte_dagster.pipelines.definitions import build_pipeline_defs
from airbyte_dagster.pipelines.spec import AirbytePipeline, Connection, Destination, Schedule, Source
from airbyte_dagster.pipelines.sync_sensor import build_airbyte_sync_sensor
from airbyte_dagster.resources import AirbyteResource, MotherDuckResource

MOTHERDUCK_DATABASE = "md:lms"
MOTHERDUCK_VARIABLE = "MOTHERDUCK_APIKEY"


def _warehouse() -> MotherDuckResource:
    if os.environ.get(MOTHERDUCK_VARIABLE):
        return MotherDuckResource(database=MOTHERDUCK_DATABASE, motherduck_token=dg.EnvVar(MOTHERDUCK_VARIABLE))
    return MotherDuckResource(database=str(Path(home_directory()) / "lms.duckdb"))


def _pipeline(warehouse: MotherDuckResource) -> AirbytePipeline:
    destination = {"destinationType": "duckdb", "destination_path": warehouse.database}
    if warehouse.motherduck_token:
        destination["motherduck_api_key"] = dg.EnvVar(MOTHERDUCK_VARIABLE)
    return AirbytePipeline(
        name="faker_to_duckdb",
        description="Made-up people, products and purchases.",
        source=Source(name="my_source_faker_using_api", configuration={"sourceType": "faker", "count": 35}),
        destination=Destination(name="my_duck_using_api", configuration=destination),
        connection=Connection(name="my_connection_using_api", streams=("users", "products", "purchases")),
        schedule=Schedule(cron="@daily"),
        checks=Checks(moved_something=True, unique_key=True, not_null=True, fresh={"within": "1d"}, schema=True),
    )


warehouse = _warehouse()
pipeline = _pipeline(warehouse)
defs = dg.Definitions.merge(
    build_pipeline_defs(pipeline, airbyte=AirbyteResource.from_env(), warehouse=warehouse),
    dg.Definitions(sensors=[build_airbyte_sync_sensor([pipeline])]),
)
