"""Runs over the connections of a workspace, against local Airbyte: what Dagster is told of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.job.asset_layer import AssetLayer

from airbyte_dagster import (
    AirbyteResource,
    AirbyteStreamProps,
    AirbyteTranslator,
    ConnectionSelector,
    MotherDuckResource,
)
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs import sync_op
from airbyte_dagster.runs.checkpoints import RunCheckpoints
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster.workspaces.catalog import build_catalog
from airbyte_dagster.workspaces.definitions import build_workspace_defs, workspace_defs
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster.workspaces.sync_assets import workspace_targets
from airbyte_dagster_tests.conftest import RecordingTransport, client_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import failures_of, log_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.processes import real_server

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
        self, name: str, streams: tuple[str, ...] = ("users", "products"), mode: str = "full_refresh_overwrite"
    ) -> str:
        return self.api.connection(
            self.source,
            self.destination,
            [{"name": stream, "syncMode": mode} for stream in streams],
            name=name,
            prefix=f"{name}_",
        )

    def definitions(self, **options: Any) -> dg.Definitions:
        snapshot = take_snapshot(client_of(self.server), self.server.workspace_id)
        settings = options.pop("airbyte", {})
        return workspace_defs(
            snapshot,
            airbyte=resource_of(self.server, workspace_id=self.server.workspace_id, **settings),
            **{"warehouse": warehouse_of(self.server, lock_timeout=5), **options},
        )

    def jobs(self) -> Counter[str]:
        """How many jobs each connection had."""
        listed = self.api.ok("GET", "/jobs", params={"limit": 100})["data"]
        names = {connection_id: name for name, connection_id in self.ids.items()}
        return Counter(names.get(job["connectionId"], job["connectionId"]) for job in listed)


@pytest.fixture
def workspace(airbyte: RunningAirbyte, api: Api) -> Workspace:
    return Workspace(airbyte, api)


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
    return {item.asset_key.to_user_string(): item.passed for item in result.get_asset_check_evaluations()}


ALL = {f"{shop}/{stream}" for shop in SHOPS for stream in ("users", "products")}


def test_all_connections_sync_and_each_stream_is_verified(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """One job for each connection; a materialization and a check of each stream, with what is in the warehouse."""
    result = run(workspace.definitions(), instance)

    assert result.success, failures_of(result)
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)
    assert set(materialized(result)) == ALL
    assert checked(result) == dict.fromkeys(ALL, True)
    users = materialized(result)["tea/users"]
    assert (users["dagster/row_count"], users["airbyte/rows_reported"]) == (7, 7)
    assert users["dagster/table_name"].endswith(".main.tea_users")
    assert {column.name for column in users["dagster/column_schema"].columns} >= {"id", "name"}


def test_selected_streams_decide_which_connections_sync(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """The others have no job; a connection moves as a whole, so all of its streams are recorded, and checked later."""
    definitions = workspace.definitions()
    result = run(definitions, instance, "books/users", "tea/users", "tea/products")

    assert result.success
    assert workspace.jobs() == {"books": 1, "tea": 1}
    assert set(materialized(result)) == {"books/users", "books/products", "tea/users", "tea/products"}
    assert checked(result) == dict.fromkeys(("books/users", "tea/users", "tea/products"), True)
    assert any("'books' only some streams are selected" in line for line in log_of(instance, result))


def test_a_few_connections_of_many_cost_few_calls(
    workspace: Workspace, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No list of jobs of a connection, no poll of a job: a list call tells of all."""
    definitions = workspace.definitions()
    transport = RecordingTransport()
    client = client_of(workspace.server, transport)
    monkeypatch.setattr("airbyte_dagster.resources.airbyte._shared_client", lambda **_settings: client)

    result = run(definitions, instance)

    assert result.success
    routes = Counter(transport.sent)
    assert routes["POST", "/jobs"] == len(SHOPS)
    assert routes["GET", "/connections"] == 1
    assert [path for _, path in transport.sent if path.startswith("/jobs/")] == []
    assert sum(path.endswith("get_without_logs") for _, path in transport.sent) == len(SHOPS)


def test_one_failure_stops_no_other_and_is_named_at_the_end(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """The run fails, after all others were told of; the failed streams have an observation that says why."""
    workspace.server.engine.fail_next("Out of stock")

    result = run(workspace.definitions(max_concurrent_syncs=1), instance)

    assert not result.success
    done = {key.split("/")[0] for key in materialized(result)}
    [failed] = set(SHOPS) - done
    [failure] = failures_of(result)
    assert failure.startswith("1 of 3 connections did not succeed.")
    assert failed in failure
    assert "Out of stock" in failure
    observed = instance.fetch_observations(dg.AssetKey([failed, "users"]), limit=1).records
    assert "Out of stock" in (observed[0].event_log_entry.asset_observation.description or "")  # type: ignore[union-attr]


class FullDisk(DuckDBWarehouse):
    """A warehouse that breaks, in a way that nobody expects, when it looks for one of the tables."""

    @contextmanager
    def connect(self) -> Iterator[Any]:
        with super().connect() as connection:
            yield FullConnection(connection)


class FullConnection:
    """A connection of it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, query: str) -> Any:
        if "shoes_users" in query:
            raise OSError("No space left on device")
        return self.connection.execute(query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


class FullDiskResource(MotherDuckResource):
    """The resource of it."""

    def warehouse(self) -> DuckDBWarehouse:
        return FullDisk(self.database)


def test_one_that_cannot_be_recorded_stops_no_other(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """It fails with its own error; no job is cancelled, and the others are recorded and checked."""
    warehouse = FullDiskResource(database=str(workspace.server.home.warehouse))

    result = run(workspace.definitions(warehouse=warehouse), instance)

    [failure] = failures_of(result)
    assert "shoes" in failure
    assert "No space left on device" in failure
    assert set(materialized(result)) == {key for key in ALL if not key.startswith("shoes/")}
    assert checked(result) == {key: True for key in ALL if not key.startswith("shoes/")}
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)
    assert {job["status"] for job in workspace.api.ok("GET", "/jobs")["data"]} == {"succeeded"}


def test_re_execution_from_failure_syncs_just_what_failed(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """And again, if that fails, too: what was synced is measured and checked again, never synced again."""
    definitions = workspace.definitions(max_concurrent_syncs=1)
    workspace.server.engine.fail_next("Out of stock")
    first = run(definitions, instance)
    [failed] = set(SHOPS) - {key.split("/")[0] for key in materialized(first)}

    def again(parent: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
        root = parent.dagster_run.root_run_id or parent.run_id
        tags = {
            "dagster/parent_run_id": parent.run_id,
            "dagster/root_run_id": root,
            "dagster/is_resume_retry": "true",
        }
        return run(definitions, instance, tags=tags)

    workspace.server.engine.fail_next("Still out of stock")
    second = again(first)
    third = again(second)

    assert not second.success
    assert set(materialized(second)) == ALL - {f"{failed}/users", f"{failed}/products"}
    assert third.success
    assert checked(third) == dict.fromkeys(ALL, True)
    assert workspace.jobs() == {**dict.fromkeys(SHOPS, 1), failed: 3}


def test_re_executing_all_syncs_all_anew(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Whoever wants that gets it."""
    definitions = workspace.definitions()
    first = run(definitions, instance)

    second = run(
        definitions, instance, tags={"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    )

    assert set(materialized(second)) == ALL
    assert workspace.jobs() == dict.fromkeys(SHOPS, 2)


def test_dagster_looks_up_the_assets_of_the_run_once(
    workspace: Workspace, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself it goes through all assets for each of them and each output: a thousand connections would not end."""
    asked = 0
    looked_up: list[tuple[set[dg.AssetKey], set[dg.AssetKey]]] = []
    of_node, remember = AssetLayer.get_selected_entity_keys_for_node, sync_op._remember_output_keys

    def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return of_node(*arguments)

    def compared(context: dg.AssetExecutionContext) -> None:
        step = context.op_execution_context.get_step_execution_context()
        by_dagster = set(step.get_output_asset_keys())
        remember(context)
        looked_up.append((by_dagster, set(step.get_output_asset_keys())))

    definitions = workspace.definitions(warehouse=None)
    monkeypatch.setattr(AssetLayer, "get_selected_entity_keys_for_node", counted)

    assert run(definitions, instance).success
    once = asked
    monkeypatch.setattr(sync_op, "_remember_output_keys", compared)
    assert run(definitions, instance, "tea/users", "books/users").success

    assert once <= 3 * len(ALL)
    assert looked_up == [({dg.AssetKey(["tea", "users"]), dg.AssetKey(["books", "users"])},) * 2]


def test_deps_within_one_op_are_refused(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Connections end in any order, which Dagster would not let an op do; with an op for each they are fine."""

    class Chained(AirbyteTranslator):
        def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
            spec = super().get_asset_spec(props)
            is_last = props.connection.name == "tea"
            return spec.replace_attributes(deps=[dg.AssetKey(["books", "users"])]) if is_last else spec

    with pytest.raises(ConfigurationError, match="depend on 'books/users'"):
        workspace.definitions(translator=Chained())
    result = run(workspace.definitions(translator=Chained(), one_op_per_connection=True), instance)

    assert set(materialized(result)) == ALL


def test_streams_that_appear_and_disappear_after_loading(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """New ones are materialized; one that is selected and missing fails the run, and is not materialized."""
    definitions = workspace.definitions()
    streams = [{"name": name, "syncMode": "full_refresh_overwrite"} for name in ("users", "purchases")]
    workspace.api.ok("PATCH", f"/connections/{workspace.ids['tea']}", json={"configurations": {"streams": streams}})

    result = run(definitions, instance)

    assert not result.success
    [failure] = failures_of(result)
    assert "The connection has no such streams any more, so these were not materialized: tea/products." in failure
    assert set(materialized(result)) - {"tea/purchases"} == ALL - {"tea/products"}
    appeared = instance.fetch_materializations(dg.AssetKey(["tea", "purchases"]), limit=1).records
    assert appeared[0].asset_materialization is not None
    assert appeared[0].asset_materialization.metadata["dagster/row_count"].value == 7
    log = log_of(instance, result)
    assert any("New streams of 'tea', materialized without a definition: tea/purchases." in line for line in log)


def test_a_connection_that_was_renamed_keeps_its_assets(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """It is known by its id."""
    definitions = workspace.definitions()
    workspace.api.ok("PATCH", f"/connections/{workspace.ids['tea']}", json={"name": "coffee"})

    result = run(definitions, instance)

    assert set(materialized(result)) == ALL
    assert any("'tea' is called 'coffee' by now" in line for line in log_of(instance, result))


@pytest.mark.parametrize("selected", [(), ("tea/users", "books/users")], ids=["all", "some"])
def test_a_connection_that_was_deleted_is_a_clear_error(
    workspace: Workspace, instance: dg.DagsterInstance, selected: tuple[str, ...]
) -> None:
    """The others sync."""
    definitions = workspace.definitions()
    workspace.api.ok("DELETE", f"/connections/{workspace.ids['tea']}")

    result = run(definitions, instance, *selected)

    assert not result.success
    [failure] = failures_of(result)
    assert "The connection 'tea'" in failure
    assert "airbyte-dagster refresh" in failure
    assert {key.split("/")[0] for key in materialized(result)} == ({"books"} if selected else {"books", "shoes"})


def test_a_connection_that_was_switched_off_says_so(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """It has no job."""
    definitions = workspace.definitions()
    workspace.api.ok("PATCH", f"/connections/{workspace.ids['tea']}", json={"status": "inactive"})

    result = run(definitions, instance)

    [failure] = failures_of(result)
    assert "is inactive" in failure
    assert workspace.jobs() == {"books": 1, "shoes": 1}


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
    [evaluation] = second.get_asset_check_evaluations()
    assert "had 7 rows and has 14, Airbyte reports 7 more" in (evaluation.description or "")


def test_checks_run_by_themselves(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Without a sync: what the last job claimed is held against what is there now."""
    definitions = workspace.definitions(checks=Checks(schema=True))
    run(definitions, instance)
    selection = dg.AssetSelection.checks_for_assets(dg.AssetKey(["tea", "users"]))
    alone = dg.define_asset_job("alone", selection=selection, executor_def=dg.in_process_executor)
    both = dg.Definitions(assets=definitions.assets, resources=definitions.resources, jobs=[alone])

    result = both.resolve_job_def("alone").execute_in_process(instance=instance)

    assert {item.check_name for item in result.get_asset_check_evaluations()} == {"row_count", "schema"}
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
    for connection in client_of(workspace.server).connections(workspace.server.workspace_id):
        targets = workspace_targets(catalog, frozenset([elsewhere]))(connection)
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

    first = tick(None)
    workspace.server.engine.hold()
    result = run(definitions, instance)
    assert result.success, failures_of(result)
    assert materialized(result) == {}
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)
    early = tick(first.cursor)
    workspace.server.engine.release()
    for job in workspace.api.ok("GET", "/jobs", params={"limit": 100})["data"]:
        workspace.api.finish(job["jobId"])
    late = tick(early.cursor)

    assert not early.asset_events
    told = {event.asset_key.to_user_string(): event for event in late.asset_events}
    assert set(told) == ALL
    assert {event.metadata["dagster/row_count"].value for event in told.values()} == {7}
    [request] = late.run_requests or []
    assert len(request.asset_check_keys or []) == len(ALL)


def test_a_sensor_for_syncs_of_airbytes_own_is_there_if_wanted(workspace: Workspace) -> None:
    """It is off until somebody switches it on; without a warehouse it looks into none."""
    definitions = workspace.definitions(sync_sensor=True, warehouse=None)

    [sensor] = definitions.sensors or []
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.name == "workspace_syncs"
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.required_resource_keys == {"airbyte"}
    dg.Definitions.validate_loadable(definitions)


#: Runs the workspace's job in a process of its own, which can be killed. Arguments: state, home of Dagster, server's
#: address, id and secret, warehouse, run id of this process's run.
PROCESS = """
import sys
import dagster as dg
from airbyte_dagster import AirbyteResource, MotherDuckResource, build_workspace_defs
state, home, server_url, client_id, client_secret, warehouse, run_id = sys.argv[1:]
definitions = build_workspace_defs(
    AirbyteResource(server_url=server_url, client_id=client_id, client_secret=client_secret),
    warehouse=MotherDuckResource(database=warehouse),
    state_path=state,
)
with dg.DagsterInstance.local_temp(home) as instance:
    definitions.resolve_job_def("sync_workspace").execute_in_process(instance=instance, run_id=run_id)
"""


def test_a_process_that_is_killed_doubles_no_sync(workspace: Workspace, tmp_path: Path) -> None:
    """Whoever retries the run adopts all jobs that it started, and tells of them."""
    home = tmp_path / "dagster"
    home.mkdir()
    server, state = workspace.server, tmp_path / "state.json"
    airbyte = resource_of(server, workspace_id=server.workspace_id)
    definitions = build_workspace_defs(airbyte, state_path=state, warehouse=warehouse_of(server, lock_timeout=5))
    server.engine.hold()
    run_id = str(uuid.uuid4())
    arguments = (state, home, server.server_url, server.client_id, server.client_secret, server.home.warehouse, run_id)
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, *map(str, arguments)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        server.engine.wait_for_start(timeout=120)
        with dg.DagsterInstance.local_temp(str(home)) as instance:
            # The ids of the jobs are kept just after they were created.
            until(lambda: jobs_known(instance, run_id, workspace) == len(SHOPS))
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            server.engine.release()
            resumed = {"dagster/parent_run_id": run_id, "dagster/is_resume_retry": "true"}
            result = run(definitions, instance, tags=resumed)
    finally:
        process.kill()
        process.wait(30)

    assert result.success, failures_of(result)
    assert set(materialized(result)) == ALL
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)


def jobs_known(instance: dg.DagsterInstance, run_id: str, workspace: Workspace) -> int:
    """How many jobs a run knows the ids of."""
    found = instance.get_run_by_id(run_id)
    known = RunCheckpoints(instance, found).load(list(workspace.ids.values())) if found else {}
    return sum(checkpoint.job_id is not None for checkpoint in known.values())


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.real
def test_a_dozen_real_syncs(real_home: Path, instance: dg.DagsterInstance) -> None:
    """Real connectors, one run: each stream of each connection is there, as Airbyte reports it."""
    dozen = [f"shop {number}" for number in range(12)]
    with real_server(real_home) as server, server.api() as api:
        source, destination = api.source(count=20), api.destination(str(server.home.warehouse))
        for number, name in enumerate(dozen):
            api.connection(source, destination, ["users", "products"], name=name, prefix=f"shop_{number}_")
        snapshot = take_snapshot(client_of(server), server.workspace_id)
        definitions = workspace_defs(
            snapshot,
            airbyte=resource_of(server, workspace_id=server.workspace_id),
            warehouse=warehouse_of(server),
            max_concurrent_syncs=6,
        )

        result = run(definitions, instance)

    assert result.success, failures_of(result)
    keys = {f"shop_{number}/{stream}" for number in range(12) for stream in ("users", "products")}
    assert {key: item["dagster/row_count"] for key, item in materialized(result).items()} == dict.fromkeys(keys, 20)
    assert checked(result) == dict.fromkeys(keys, True)
