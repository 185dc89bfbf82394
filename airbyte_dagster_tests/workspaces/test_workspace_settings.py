"""What the settings of a workspace's definitions do: its checks, warehouse, ops, sensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import (
    AirbyteResource,
    ConnectionSelector,
    MotherDuckResource,
)
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.workspaces.catalog import build_catalog
from airbyte_dagster.workspaces.definitions import build_workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster.workspaces.sync_assets import WorkspaceSyncs
from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.dagster_runs import failures_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.workspaces.running import ALL, SHOPS, Workspace, checked, materialized, run


def test_rows_before_are_counted_for_the_modes_that_need_them(
    airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance
) -> None:
    """Appended rows are verified, not only counted."""
    workspace = Workspace(airbyte, api)
    workspace.ids["log"] = workspace.connect("log", ("users",), mode="full_refresh_append")
    definitions = workspace.definitions()

    run(definitions, instance, "log/users")
    second = run(definitions, instance, "log/users")

    assert checked(second) == {"log/users": True}
    [evaluation] = [item for item in second.get_asset_check_evaluations() if item.check_name == "row_count"]
    assert "had 7 rows and has 14, Airbyte reports 7 more" in (evaluation.description or "")


def test_checks_run_by_themselves(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Without a sync: what the last job claimed is held against what is there now."""
    definitions = workspace.definitions(checks=Checks(schema=True))
    run(definitions, instance)
    selection = dg.AssetSelection.checks_for_assets(dg.AssetKey(["tea", "users"]))
    alone = dg.define_asset_job("alone", selection=selection, executor_def=dg.in_process_executor)
    both = dg.Definitions(assets=definitions.assets, resources=definitions.resources, jobs=[alone])

    result = both.resolve_job_def("alone").execute_in_process(instance=instance)

    assert {item.check_name for item in result.get_asset_check_evaluations()} == {"row_count", "schema", "values_kept"}
    assert checked(result) == {"tea/users": True}
    assert workspace.jobs()["tea"] == 1


def test_without_a_warehouse_nothing_is_checked(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Airbyte's own numbers are told; there is no check that would have nothing to look at."""
    result = run(workspace.definitions(warehouse=None), instance)

    assert result.success
    assert set(materialized(result)) == ALL
    assert materialized(result)["tea/users"]["airbyte/rows_reported"] == 7
    assert checked(result) == {}


def test_a_warehouse_that_cannot_be_read_fails_no_sync(
    workspace: Workspace, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Materializations are there; checks say that they could not look."""
    file = tmp_path / workspace.server.home.warehouse.name
    file.write_text("This is no database.")
    warehouse = MotherDuckResource(database=str(file))

    result = run(workspace.definitions(warehouse=warehouse), instance)

    assert set(materialized(result)) == ALL
    assert checked(result) == dict.fromkeys(ALL, False)


def test_what_goes_to_another_database_is_not_checked(
    workspace: Workspace, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    """The warehouse may have tables of the same names: what it says of them is nothing about this destination."""
    elsewhere = workspace.api.destination("other.duckdb")
    workspace.api.connection(
        workspace.api.source(count=7),
        elsewhere,
        [{"name": "users", "syncMode": "incremental_append"}],
        name="wine",
        prefix="tea_",
    )

    result = run(workspace.definitions(), instance)

    assert result.success, failures_of(result)
    assert checked(result) == dict.fromkeys(ALL, True)
    wine = materialized(result)["wine/users"]
    assert wine["airbyte/rows_reported"] == 7
    assert not wine.keys() & {"dagster/row_count", "dagster/column_schema"}
    assert "Not counted and checked" in caplog.text
    assert "'duck'" in caplog.text
    deferred = workspace.definitions(wait="deferred").resolve_asset_graph()
    assert {key.asset_key.to_user_string() for key in deferred.asset_check_keys} == ALL
    catalog = build_catalog(take_snapshot(client_of(workspace.server), workspace.server.workspace_id))
    syncs = WorkspaceSyncs(catalog, WorkspaceOptions(None), None, frozenset([elsewhere]))
    for connection in client_of(workspace.server).connections(workspace.server.workspace_id):
        targets = syncs.targets_of(connection)
        assert [bool(target.tables) for target in targets.assets] == [connection.name != "wine"] * len(
            connection.streams
        )


def test_an_op_for_each_connection_where_that_is_wanted(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Then Dagster retries and shows each by itself."""
    result = run(workspace.definitions(one_op_per_connection=True), instance)

    assert result.success
    assert len({event.step_key for event in result.get_asset_materialization_events()}) == len(SHOPS)
    assert checked(result) == dict.fromkeys(ALL, True)
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)


def test_settings_that_contradict_each_other_are_refused(workspace: Workspace) -> None:
    """When definitions are built, with what to do."""
    with pytest.raises(ConfigurationError, match="no warehouse"):
        workspace.definitions(warehouse=None, checks=Checks())
    with pytest.raises(ConfigurationError, match="max_concurrent_syncs is 0"):
        workspace.definitions(max_concurrent_syncs=0)
    with pytest.raises(ConfigurationError, match="deferred"):
        workspace.definitions(wait="deferred", sync_sensor=False)
    with pytest.raises(ConfigurationError, match=r"wait is 'later'.*inline, deferred"):
        workspace.definitions(wait="later")
    with pytest.raises(ConfigurationError, match="name is 'my ws'"):
        workspace.definitions(name="my ws")


def test_a_workspace_without_assets_says_so(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """A selector that nothing fits may be a mistake."""
    definitions = workspace.definitions(connection_selector=ConnectionSelector(id="nonsense"))

    assert list(definitions.resolve_all_asset_keys()) == []
    assert f"of its {len(SHOPS)} connections none is selected" in caplog.text


def test_a_workspace_without_assets_loads_with_what_refers_to_it(
    workspace: Workspace, instance: dg.DagsterInstance
) -> None:
    """A schedule of its job, a sensor; its job is no success, and its sensor takes note of nothing."""
    schedule = dg.ScheduleDefinition(name="hourly", job_name="sync_workspace", cron_schedule="0 * * * *")
    definitions = dg.Definitions.merge(
        workspace.definitions(connection_selector=ConnectionSelector(id="nonsense"), sync_sensor=True),
        dg.Definitions(schedules=[schedule]),
    )
    repository = definitions.get_repository_def()

    result = repository.get_job("sync_workspace").execute_in_process(instance=instance, raise_on_error=False)
    sensor = repository.get_sensor_def("workspace_syncs")
    resources: dict[str, Any] = dict(definitions.resources or {})
    with dg.build_sensor_context(instance=instance, definitions=definitions, resources=resources) as context:
        tick = sensor.evaluate_tick(context)

    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    reason = str(failed.step_failure_data.error)
    assert "none is selected" in reason
    assert "airbyte-dagster refresh" in reason
    assert tick.run_requests == []
    assert tick.skip_message


def test_definitions_load_from_the_file_with_airbyte_down(
    workspace: Workspace, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """It is asked once; later loads call nothing."""
    state = tmp_path / "state.json"
    airbyte = resource_of(workspace.server, workspace_id=workspace.server.workspace_id)
    build_workspace_defs(airbyte, state_path=state)
    server_url = workspace.server.server_url
    nobody = AirbyteResource(server_url=server_url, client_id="nobody", client_secret="wrong")

    definitions = build_workspace_defs(nobody, state_path=state)

    assert json.loads(state.read_text())["workspace_id"] == workspace.server.workspace_id
    assert {key.to_user_string() for key in definitions.resolve_all_asset_keys()} >= ALL


def test_deferred_syncs_are_told_of_by_the_sensor(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """The run starts them and ends; whoever starts Dagster anew in between loses nothing; checks follow."""
    definitions = workspace.definitions(wait="deferred")
    [sensor] = definitions.sensors or []
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    repository = definitions.get_repository_def()

    def tick(cursor: str | None) -> Any:
        with dg.build_sensor_context(
            instance, cursor=cursor, repository_def=repository, resources=definitions.resources, sensor_name=sensor.name
        ) as context:
            return sensor.evaluate_tick(context)

    def recorded() -> dict[str, dg.AssetMaterialization]:
        events = [instance.get_latest_materialization_event(key) for key in repository.asset_graph.get_all_asset_keys()]
        found = [event.asset_materialization for event in events if event]
        return {event.asset_key.to_user_string(): event for event in found if event}

    first = tick(None)
    workspace.server.engine.hold()
    result = run(definitions, instance)
    assert result.success, failures_of(result)
    assert materialized(result) == {}
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)
    early = tick(first.cursor)
    assert recorded() == {}
    workspace.server.engine.release()
    for job in workspace.api.ok("GET", "/jobs", params={"limit": 100})["data"]:
        workspace.api.finish(job["jobId"])
    late = tick(early.cursor)

    assert set(recorded()) == ALL
    assert {event.metadata["dagster/row_count"].value for event in recorded().values()} == {7}
    [request] = late.run_requests or []
    assert len(request.asset_check_keys or []) == 2 * len(ALL)


def test_a_sensor_for_syncs_of_airbytes_own_is_there_if_wanted(workspace: Workspace) -> None:
    """It is off until somebody switches it on; without a warehouse it looks into none."""
    definitions = workspace.definitions(sync_sensor=True, warehouse=None)

    [sensor] = definitions.sensors or []
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.name == "workspace_syncs"
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.required_resource_keys == {"airbyte"}
    dg.Definitions.validate_loadable(definitions)
