"""Why a job waits, or was ended by Airbyte itself: what people read in Dagster, with a real server behind it."""

from __future__ import annotations

import dagster as dg
import pytest

from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster_tests.conftest import client_of, pipeline_of
from airbyte_dagster_tests.dagster_runs import ROWS, definitions_of, failures_of, run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


def test_a_job_that_waits_says_for_what(airbyte: RunningAirbyte, api: Api) -> None:
    """The log has the last line of the job's own, as long as no row has come."""
    source, destination = api.source(count=1), api.destination()
    first, second = (api.connection(source, destination, ["users"], prefix=one) for one in "ab")
    airbyte.engine.hold()
    holding = api.sync(first)
    airbyte.engine.wait_for_start()
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if "Waiting for" in line:
            airbyte.engine.release()

    with client_of(airbyte) as client:
        [result] = SyncEngine(client, airbyte.workspace_id, log=log).run([second])

    assert result.error is None
    assert result.job is not None
    [said] = [line for line in lines if "Waiting for" in line]
    assert said.startswith(f"Job {result.job.id}: Waiting for job {holding}, which writes the same DuckDB file")


@pytest.mark.parametrize("behavior", ["disable_connection", "ignore"])
def test_a_connection_that_a_changed_schema_disables(
    behavior: str, airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance
) -> None:
    """The run says what has changed and what to do; the next one that Airbyte syncs only active connections.

    With ``ignore`` a change that breaks the connection does it: its cursor is gone.
    """
    airbyte.engine.add("faker", {"users": ROWS})
    definitions = definitions_of(airbyte, pipeline_of(airbyte, streams=[_MERGED], status=None))
    assert run_sync(definitions, instance).success
    connection = api.ok("GET", "/connections")["data"][0]["connectionId"]
    api.ok("PATCH", f"/connections/{connection}", json={"nonBreakingSchemaUpdatesBehavior": behavior})
    airbyte.engine.add("faker", {"users": [{"id": 1, "changed_at": "2026-01-01"}]}, cursor="changed_at")

    [disabled], [off] = (failures_of(run_sync(definitions, instance)) for _ in range(2))

    assert "was cancelled: The connection was disabled, as its source's schema has a breaking change" in disabled
    assert "Removed fields ['name', 'updated_at']" in disabled
    assert "Choose its streams again and make it active to go on." in disabled
    assert "is inactive" in off
    assert "its source's schema may have changed" in off
    assert len(airbyte.engine.requests) == 1


_MERGED = {"name": "users", "sync_mode": "incremental_deduped_history"}
