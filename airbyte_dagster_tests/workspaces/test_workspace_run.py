"""Runs over the connections of a workspace, against local Airbyte: what Dagster records of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
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
    MotherDuckResource,
)
from airbyte_dagster.runs import sync_op
from airbyte_dagster.runs.checkpoints import RunCheckpoints
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster.workspaces.definitions import build_workspace_defs, workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster_tests.conftest import RecordingTransport, client_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import failures_of, log_of
from airbyte_dagster_tests.local.processes import real_server
from airbyte_dagster_tests.workspaces.running import ALL, SHOPS, Workspace, checked, materialized, run


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


#: Runs the workspace's job in a process of its own, which can be killed. Arguments: state, home of Dagster, server's
#: address, id and secret, warehouse, run id of this process's run.
PROCESS = """
import sys
import threading
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
        server.engine.wait_for_start()
        with dg.DagsterInstance.local_temp(str(home)) as instance:
            # The ids of the jobs are kept just after they were created.
            until(lambda: jobs_known(instance, run_id, workspace) == len(SHOPS))
            process.send_signal(signal.SIGKILL)
            process.wait(300)
            server.engine.release()
            resumed = {"dagster/parent_run_id": run_id, "dagster/is_resume_retry": "true"}
            result = run(definitions, instance, tags=resumed)
    finally:
        process.kill()
        process.wait(300)

    assert result.success, failures_of(result)
    assert set(materialized(result)) == ALL
    assert workspace.jobs() == dict.fromkeys(SHOPS, 1)


def jobs_known(instance: dg.DagsterInstance, run_id: str, workspace: Workspace) -> int:
    """How many jobs a run knows the ids of."""
    found = instance.get_run_by_id(run_id)
    known = RunCheckpoints(instance, found).load(list(workspace.ids.values())) if found else {}
    return sum(checkpoint.job_id is not None for checkpoint in known.values())


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


@pytest.mark.real
def test_real_syncs_side_by_side(real_home: Path, instance: dg.DagsterInstance) -> None:
    """Real connectors, one run: each stream of each connection is there, as Airbyte reports it."""
    names = [f"shop {number}" for number in range(4)]
    with real_server(real_home) as server, server.api() as api:
        source, destination = api.source(count=20), api.destination(str(server.home.warehouse))
        for number, name in enumerate(names):
            api.connection(source, destination, ["users", "products"], name=name, prefix=f"shop_{number}_")
        snapshot = take_snapshot(client_of(server), server.workspace_id)
        definitions = workspace_defs(
            snapshot,
            WorkspaceOptions(
                resource_of(server, workspace_id=server.workspace_id),
                warehouse=warehouse_of(server),
                max_concurrent_syncs=3,
            ),
        )

        result = run(definitions, instance)

    assert result.success, failures_of(result)
    keys = {f"shop_{number}/{stream}" for number in range(4) for stream in ("users", "products")}
    assert {key: item["dagster/row_count"] for key, item in materialized(result).items()} == dict.fromkeys(keys, 20)
    assert checked(result) == dict.fromkeys(keys, True)
