"""The code location "shop": all connections with the tag "shop", synced by one op in one process.

This is the cheapest way, for a thousand connections, too: the work is waiting for Airbyte.
"""

import os

import dagster as dg

from airbyte_dagster import AirbyteResource, ConnectionSelector, PostgresWarehouseResource, build_workspace_defs

defs = dg.Definitions.merge(
    build_workspace_defs(
        AirbyteResource.from_env(),
        connection_selector=ConnectionSelector(tag="shop"),
        warehouse=PostgresWarehouseResource(
            host=dg.EnvVar("WAREHOUSE_HOST"),
            database=dg.EnvVar("WAREHOUSE_DB"),
            username=dg.EnvVar("WAREHOUSE_USER"),
            password=dg.EnvVar("WAREHOUSE_PASSWORD"),
        ),
        warehouse_key="warehouse",
        name="shop",
        pool="airbyte",
        sync_sensor=True,
    ),
    # Off until it is turned on in the UI.
    dg.Definitions(
        schedules=[
            dg.ScheduleDefinition(
                name="shop_schedule", job_name="sync_shop", cron_schedule=os.environ.get("SHOP_CRON", "0 * * * *")
            )
        ]
    ),
)
