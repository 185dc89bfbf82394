"""A workspace as assets, by this package."""

from __future__ import annotations

import os

import dagster as dg

from airbyte_dagster import AirbyteResource
from airbyte_dagster.workspaces.definitions import build_workspace_defs

_most = os.environ.get("MOST_AT_ONCE")

defs = build_workspace_defs(
    AirbyteResource.from_env(),
    state_path=os.environ["STATE"],
    max_concurrent_syncs=int(_most) if _most else None,
)


def sync_workspace() -> dg.JobDefinition:
    """Return the job that syncs all."""
    return defs.resolve_job_def("sync_workspace")
