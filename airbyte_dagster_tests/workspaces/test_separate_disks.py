"""A code server and a run in containers of their own, which share Dagster's database and no directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_representation.external import RemoteJob
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._grpc.types import ExecuteRunArgs

from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.workspaces.state import refresh
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

DEFINITIONS = """\
import os
from airbyte_dagster import AirbyteResource, build_workspace_defs

with open(os.environ["LOADS"], "a") as file:
    print(os.environ["DAGSTER_HOME"], file=file)
defs = build_workspace_defs(AirbyteResource.from_env())
"""
SETTINGS = """\
telemetry: {{enabled: false}}
storage:
  sqlite: {{base_dir: {database}}}
"""


def homes(home: Path) -> dict[str, str]:
    """The environment of a container."""
    return {"DAGSTER_HOME": str(home), "AIRBYTE_DAGSTER_HOME": str(home / "airbyte")}


def enter(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process be one of a container."""
    for name, value in homes(home).items():
        monkeypatch.setenv(name, value)


def container(root: Path, name: str) -> Path:
    """A home with a disk of its own, on the database that all of them have."""
    home = root / name
    home.mkdir()
    (home / "dagster.yaml").write_text(SETTINGS.format(database=root / "database"))
    return home


def create_run(instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> dg.DagsterRun:
    """Create a run as Dagster's web server does, with the plan that the code server gives."""
    location = workspace.create_request_context().get_code_location("location")
    (repository,) = location.get_repositories().values()
    job = repository.get_full_job("sync_workspace")
    assert isinstance(job, RemoteJob)
    plan = location.get_execution_plan(job, {}, None, None, instance)
    return instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config={},
        status=None,
        tags={},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=plan.execution_plan_snapshot,
        job_snapshot=job.job_snapshot,
        parent_job_snapshot=job.parent_job_snapshot,
        op_selection=None,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
        asset_graph=repository.asset_graph,
    )


def execute(run: dg.DagsterRun, home: Path) -> None:
    """Execute a run as the launchers of Kubernetes and Docker do: by a command in another container."""
    assert run.job_code_origin is not None
    arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, InstanceRef.from_dir(str(home)))
    subprocess.run(
        [sys.executable, "-m", "dagster", "api", "execute_run", dg.serialize_value(arguments)],
        env={**os.environ, **homes(home)},
        check=True,
        capture_output=True,
    )


def test_a_run_has_the_definitions_of_its_code_server(
    airbyte: RunningAirbyte, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its disk has no state, and the workspace was refreshed from a third container before the run started."""
    connection = api.connection(api.source(count=5), api.destination(), ["users"], name="shop")
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOADS", str(tmp_path / "loads"))
    server, worker, shell = (container(tmp_path, name) for name in ("server", "worker", "shell"))
    (tmp_path / "defs.py").write_text(DEFINITIONS)

    enter(server, monkeypatch)
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance, PythonFileTarget(str(tmp_path / "defs.py"), None, str(tmp_path), "location")
        ) as workspace,
    ):
        run = create_run(instance, workspace)
        api.ok("PATCH", f"/connections/{connection}", json={"name": "store"})
        enter(shell, monkeypatch)
        assert refresh(AirbyteResource.from_env(), None).new.connections[0].name == "store"
        execute(run, worker)

        finished = instance.get_run_by_id(run.run_id)
        assert finished is not None
        assert finished.status is dg.DagsterRunStatus.SUCCESS
        assert instance.get_latest_materialization_event(dg.AssetKey(["shop", "users"])) is not None
        assert instance.get_latest_materialization_event(dg.AssetKey(["store", "users"])) is None
    assert {Path(line).name for line in (tmp_path / "loads").read_text().splitlines()} == {"server", "worker"}
