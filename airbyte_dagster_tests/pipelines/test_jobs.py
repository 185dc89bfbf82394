"""Ops and jobs that create a pipeline step by step, and that empty it: real instance, real HTTP, real file."""

from __future__ import annotations

import dagster as dg
import duckdb
import pytest

from airbyte_dagster_tests.conftest import client_of, pipeline_of
from airbyte_dagster_tests.dagster_runs import (
    ROWS,
    checks_of,
    definitions_of,
    failures_of,
    outputs_of,
    run_sync,
    with_job,
)
from airbyte_dagster_tests.local.fakes import RunningAirbyte


@pytest.fixture
def provisioned(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance, job="provision_example")


def test_provision_makes_all_and_syncs_nothing(airbyte: RunningAirbyte, provisioned: dg.ExecuteInProcessResult) -> None:
    """Each op's output has id, name, what was done, and a link."""
    outputs = outputs_of(provisioned)

    assert set(outputs) == {"list_workspaces", "create_source", "create_destination", "create_connection"}
    assert outputs["create_source"]["outcome"] == "created"
    assert outputs["create_source"]["airbyte"].endswith(f"/source/{outputs['create_source']['id']}")
    assert outputs["create_connection"]["streams"] == ["users", "products"]
    assert outputs["list_workspaces"]["workspaces"] == [{"id": airbyte.workspace_id, "name": "Default Workspace"}]
    assert airbyte.engine.requests == []


@pytest.mark.usefixtures("provisioned")
def test_provision_again_changes_nothing_and_config_changes_what_it_says(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """The launchpad's configuration is laid over the declared one."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))

    again = outputs_of(run_sync(definitions, instance, job="provision_example"))
    assert {values["outcome"] for name, values in again.items() if name != "list_workspaces"} == {"unchanged"}

    config = {"ops": {"create_source": {"config": {"configuration": {"count": 50}}}}}
    changed = outputs_of(run_sync(definitions, instance, job="provision_example", run_config=config))
    assert (changed["create_source"]["outcome"], changed["create_source"]["changes"]) == ("updated", ["count"])
    with client_of(airbyte) as client:
        assert client.actors("source", airbyte.workspace_id)[0].configuration["count"] == 50


def test_streams_are_refreshed_on_request(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """A pipeline that names no streams keeps those it was made with, until it is asked to look again."""
    airbyte.engine.add("faker", {"old": ROWS, "kept": ROWS})
    definitions = definitions_of(airbyte, pipeline_of(airbyte, streams=None))
    run_sync(definitions, instance, job="provision_example")
    with client_of(airbyte) as client:
        (made,) = client.connections(airbyte.workspace_id)
        append = [{"name": name, "syncMode": "full_refresh_append"} for name in ("old", "kept")]
        client.patch_connection(made.id, {"configurations": {"streams": append}})
    airbyte.engine.add("faker", {"kept": ROWS, "new": ROWS})

    assert outputs_of(run_sync(definitions, instance, job="provision_example"))["create_connection"]["streams"] == [
        "old",
        "kept",
    ]
    config = {"ops": {"create_connection": {"config": {"refresh_streams": True}}}}
    output = outputs_of(run_sync(definitions, instance, job="provision_example", run_config=config))[
        "create_connection"
    ]

    assert sorted(output["changes"]) == ["streams.new added", "streams.old removed"]
    with client_of(airbyte) as client:
        modes = {stream.name: stream.sync_mode for stream in client.connection(made.id).streams}
    assert modes == {"kept": "full_refresh_append", "new": "full_refresh_overwrite"}


def test_launchpad_refuses_unknown_config(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """A typo is refused before anything is called."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))

    with pytest.raises(dg.DagsterInvalidConfigError, match="nmae"):
        run_sync(
            definitions,
            instance,
            job="provision_example",
            run_config={"ops": {"create_source": {"config": {"nmae": "x"}}}},
        )


def test_reset_asks_for_confirmation(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Without it nothing happens; with it the tables are empty, and the number of rows that were there is told."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    run_sync(definitions, instance)

    refused = run_sync(definitions, instance, job="reset_example")
    assert not refused.success
    assert "set confirm: true" in failures_of(refused)[0]
    assert len(airbyte.engine.requests) == 1

    config = {"ops": {"reset": {"config": {"confirm": True}}}}
    done = run_sync(definitions, instance, job="reset_example", run_config=config)
    assert done.output_for_node("reset") == 70
    with duckdb.connect(str(airbyte.home.warehouse), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_checks_know_of_a_reset(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Tables that were emptied on purpose are no loss of data; rows that turn up in them are not right either."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    checks = with_job(definitions, dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks()))
    run_sync(definitions, instance)
    config = {"ops": {"reset": {"config": {"confirm": True}}}}
    assert run_sync(definitions, instance, job="reset_example", run_config=config).success

    assert all(check.passed for check in checks_of(run_sync(checks, instance, job="checks")).values())
    with duckdb.connect(str(airbyte.home.warehouse)) as connection:
        connection.execute("INSERT INTO users (id) VALUES (1)")
    found = checks_of(run_sync(checks, instance, job="checks"))
    assert (found["users"].passed, found["products"].passed) == (False, True)
    assert checks_of(run_sync(definitions, instance))["users"].passed


def test_reset_of_nothing_says_so(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """A connection that was never made can't be emptied."""
    config = {"ops": {"reset": {"config": {"confirm": True}}}}

    result = run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance, job="reset_example", run_config=config)

    assert "There is no connection 'faker to duck'" in failures_of(result)[0]
