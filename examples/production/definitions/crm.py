"""The code location "crm": all connections with the tag "crm", each a step of its own, in a process of its own.

A step for each connection has a place of its own in the UI, and costs a process. The processes are forked from one that
has imported what they need.
"""

import dagster as dg

from airbyte_dagster import AirbyteResource, ConnectionSelector, PostgresWarehouseResource, build_workspace_defs

defs = build_workspace_defs(
    AirbyteResource.from_env(),
    connection_selector=ConnectionSelector(tag="crm"),
    warehouse=PostgresWarehouseResource(
        host=dg.EnvVar("WAREHOUSE_HOST"),
        database=dg.EnvVar("WAREHOUSE_DB"),
        username=dg.EnvVar("WAREHOUSE_USER"),
        password=dg.EnvVar("WAREHOUSE_PASSWORD"),
    ),
    warehouse_key="warehouse",
    name="crm",
    one_op_per_connection=True,
    pool="airbyte",
    executor=dg.multiprocess_executor.configured(
        {"max_concurrent": 8, "start_method": {"forkserver": {"preload_modules": ["airbyte_dagster", "psycopg"]}}}
    ),
)
