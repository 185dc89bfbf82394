"""A workspace of local Airbyte, and runs over it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dagster as dg

from airbyte_dagster.workspaces.definitions import workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster_tests.conftest import client_of, resource_of, warehouse_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

SHOPS = ("books", "shoes", "tea")


class Workspace:
    """Connections from Faker into the server's DuckDB file, each with tables of its own, and their definitions.

    Attributes:
        ids: Of the connections, by name.
    """

    def __init__(self, server: RunningAirbyte, api: Api) -> None:
        self.server = server
        self.api = api
        self.source = api.source(count=7)
        self.destination = api.destination(str(server.home.warehouse))
        self.ids = {name: self.connect(name) for name in SHOPS}

    def connect(
        self,
        name: str,
        streams: tuple[str, ...] = ("users", "products"),
        mode: str = "full_refresh_overwrite",
        destination: str | None = None,
    ) -> str:
        return self.api.connection(
            self.source,
            destination or self.destination,
            [{"name": stream, "syncMode": mode} for stream in streams],
            name=name,
            prefix=f"{name}_",
        )

    def definitions(self, **options: Any) -> dg.Definitions:
        snapshot = take_snapshot(client_of(self.server), self.server.workspace_id)
        settings = options.pop("airbyte", {})
        return workspace_defs(
            snapshot,
            WorkspaceOptions(
                resource_of(self.server, workspace_id=self.server.workspace_id, **settings),
                **{"warehouse": warehouse_of(self.server, lock_timeout=5), **options},
            ),
        )

    def jobs(self) -> Counter[str]:
        """How many jobs each connection had."""
        listed = self.api.ok("GET", "/jobs", params={"limit": 100})["data"]
        names = {connection_id: name for name, connection_id in self.ids.items()}
        return Counter(names.get(job["connectionId"], job["connectionId"]) for job in listed)


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, *keys: str, **options: Any
) -> dg.ExecuteInProcessResult:
    selection = [dg.AssetKey.from_user_string(key) for key in keys] or None
    return definitions.resolve_job_def("sync_workspace").execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=selection, **options
    )


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.materialization.asset_key.to_user_string(): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def checked(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """By asset, of all checks but that of changed values, which is on by default, too."""
    return {
        item.asset_key.to_user_string(): item.passed
        for item in result.get_asset_check_evaluations()
        if item.check_name != "values_kept"
    }


ALL = {f"{shop}/{stream}" for shop in SHOPS for stream in ("users", "products")}
