"""The code location "shop" in Dagster+, in a full deployment and in the branch deployments of its pull requests.

A branch deployment has another workspace of Airbyte, which writes to another database, and nothing in it starts by
itself. Where its variables are missing it fails; it never takes those of the full deployment.
"""

import os

import dagster as dg

from airbyte_dagster import AirbyteResource, ConnectionSelector, PostgresWarehouseResource, build_workspace_defs

# Dagster+ sets it in each process of a branch deployment.
IS_BRANCH = os.environ.get("DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT") == "1"
# Read here, and not by `EnvVar`: a deployment that lacks one does not even load.
WORKSPACE_ID = os.environ["AIRBYTE_BRANCH_WORKSPACE_ID" if IS_BRANCH else "AIRBYTE_WORKSPACE_ID"]
WAREHOUSE_DB = os.environ["WAREHOUSE_BRANCH_DB" if IS_BRANCH else "WAREHOUSE_DB"]

defs = dg.Definitions.merge(
    build_workspace_defs(
        AirbyteResource.from_env(workspace_id=WORKSPACE_ID),
        connection_selector=ConnectionSelector(tag="shop"),
        warehouse=PostgresWarehouseResource(
            host=dg.EnvVar("WAREHOUSE_HOST"),
            database=WAREHOUSE_DB,
            username=dg.EnvVar("WAREHOUSE_USER"),
            password=dg.EnvVar("WAREHOUSE_PASSWORD"),
        ),
        warehouse_key="warehouse",
        name="shop",
        pool="airbyte",
        # Off until it is turned on in the UI: in the full deployment alone.
        sync_sensor=not IS_BRANCH,
    ),
    dg.Definitions(
        schedules=[
            dg.ScheduleDefinition(
                name="shop_schedule",
                job_name="sync_shop",
                cron_schedule="0 * * * *",
                default_status=dg.DefaultScheduleStatus.STOPPED if IS_BRANCH else dg.DefaultScheduleStatus.RUNNING,
            )
        ]
    ),
)
