"""A workspace as assets, by ``dagster-airbyte``, with its own defaults."""

from __future__ import annotations

import os

import dagster as dg
from dagster_airbyte import AirbyteWorkspace, build_airbyte_assets_definitions

workspace = AirbyteWorkspace(
    rest_api_base_url=os.environ["AIRBYTE_SERVER_URL"],
    configuration_api_base_url=os.environ["AIRBYTE_SERVER_URL"].replace("/api/public/v1", "/api/v1"),
    workspace_id=os.environ["AIRBYTE_WORKSPACE_ID"],
    client_id=os.environ["AIRBYTE_CLIENT_ID"],
    client_secret=os.environ["AIRBYTE_CLIENT_SECRET"],
)
defs = dg.Definitions(
    assets=build_airbyte_assets_definitions(workspace=workspace),
    jobs=[dg.define_asset_job("sync_workspace")],
    resources={"airbyte": workspace},
)


def sync_workspace() -> dg.JobDefinition:
    """Return the job that syncs all."""
    return defs.resolve_job_def("sync_workspace")
