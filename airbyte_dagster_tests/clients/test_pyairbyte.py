"""PyAirbyte's side for Airbyte Cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbyte_dagster.local.environments import Environments
from airbyte_dagster_tests.clients.conftest import Client
from airbyte_dagster_tests.local.fakes import RunningAirbyte


@pytest.mark.clients
def test_a_workspace_from_deploying_to_deleting(client: Client, airbyte: RunningAirbyte, environments: Path) -> None:
    """Deploy, sync, read the result, logs, history, state and catalog; change, cancel, delete."""
    faker = Environments(environments).ensure("faker").executable("source-faker")

    seen = client("pyairbyte", "pyairbyte", FAKER=str(faker))

    assert seen["organization"] == ["00000000-0000-0000-0000-000000000000", "Local Airbyte"]
    assert seen["workspaces"] == [airbyte.workspace_id]
    assert (seen["duplicate"], seen["checks"], seen["streams"]) == ("refused", [True, True], ["users", "products"])
    assert (seen["status"], seen["records"]) == ("succeeded", 70)
    assert seen["bytes"] > 0
    assert [attempt[:2] for attempt in seen["attempts"]] == [["succeeded", 70]]
    assert seen["attempts"][0][2] == int(seen["started"][:4])
    assert seen["tables"] == ["users", "products"]
    assert seen["modes"] == {"users": ["incremental", "append_dedup"], "products": ["full_refresh", "overwrite"]}
    (state,) = seen["state"]
    assert state["stream"]["stream_state"] == seen["stream_state"] == {"updated_at": "2026-01-01"}
    assert (seen["records_after_newer_state"], seen["new_state"]) == (35, {"updated_at": "2026-02-01"})
    assert (seen["complete"], seen["locked"], seen["cancelled"]) == (False, True, [True, "cancelled"])
    assert [status for _, status in seen["history"]] == ["cancelled", "succeeded", "succeeded", "succeeded"]
    assert seen["latest"] == seen["job_id"] + 3
    assert "disabled" in seen["disabled"]
    assert (seen["found"], seen["enabled"], seen["prefix"]) == ([seen["connection_id"]], False, "p_")
    assert seen["left"] == [0, 0, 0]
    assert airbyte.store.connection(seen["connection_id"]).status == "deprecated"
