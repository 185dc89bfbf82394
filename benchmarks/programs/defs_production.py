"""A workspace as assets, as a deployment has it: state in Dagster's database, and a sensor of syncs by others."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster import AirbyteResource
from airbyte_dagster.workspaces.definitions import build_workspace_defs

defs = build_workspace_defs(AirbyteResource.from_env(), sync_sensor=True)


def sync_workspace() -> dg.JobDefinition:
    """Return the job that syncs all."""
    return defs.resolve_job_def("sync_workspace")
