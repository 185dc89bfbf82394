"""The code location "crm" with its steps on Celery workers: all connections with the tag "crm", a task each.

The runs themselves are launched as dagster.yaml of the directory above has it: Celery lets no task wait for others, so
that a run that is a task itself, as with celery/dagster.yaml, can't have its steps there.
"""

import dagster as dg
from dagster_celery import celery_executor

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
    executor=celery_executor.configured(
        {
            "broker": {"env": "CELERY_BROKER_URL"},
            "backend": {"env": "CELERY_RESULT_BACKEND"},
            # As the workers have it: celery/steps.yaml.
            "config_source": {"broker_transport_options": {"visibility_timeout": 21600}},
        }
    ),
)
