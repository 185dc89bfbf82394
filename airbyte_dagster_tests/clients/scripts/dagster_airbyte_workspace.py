"""`dagster-airbyte` and its `AirbyteWorkspace`, as for a self-managed Airbyte."""

from __future__ import annotations

import dagster as dg
from dagster_airbyte import AirbyteWorkspace, build_airbyte_assets_definitions
from speaking import CLIENT_ID, CLIENT_SECRET, SERVER_URL, WORKSPACE_ID, ask, report


def workspace_of(**settings: float) -> AirbyteWorkspace:
    return AirbyteWorkspace(
        rest_api_base_url=SERVER_URL,
        configuration_api_base_url=SERVER_URL.replace("/api/public/v1", "/api/v1"),
        workspace_id=WORKSPACE_ID,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        poll_interval=0.1,
        max_items_per_page=1,
        **settings,
    )


workspace = workspace_of()
specs = workspace.load_asset_specs()
report(
    specs={
        spec.key.to_user_string(): [
            sorted(spec.kinds),
            sorted(column.name for column in spec.metadata["dagster/column_schema"].columns),
            spec.metadata["dagster-airbyte/connection_name"],
        ]
        for spec in specs
    }
)

assets = build_airbyte_assets_definitions(workspace=workspace)
result = dg.materialize(assets, resources={"airbyte": workspace})
report(
    success=result.success,
    materialized=sorted(event.asset_key.to_user_string() for event in result.get_asset_materialization_events()),
)

ask("hold")
impatient = workspace_of(poll_timeout=0.3)
stopped = dg.materialize(
    build_airbyte_assets_definitions(workspace=impatient), resources={"airbyte": impatient}, raise_on_error=False
)
failures = [str(event.step_failure_data.error) for event in stopped.get_step_failure_events()]
report(stopped=[stopped.success, "Timeout: Airbyte job" in failures[0]])
ask("release")
