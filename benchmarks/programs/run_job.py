"""Run the job of a module of this folder with its own executor, as a program does, and tell when what was materialized.

Its arguments are the module's name, and ``program`` or ``server``: the second launches the run as Dagster's UI does,
by a code server and a process for the run.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

from benchmarks.programs.saying import say

_PAGE = 1000
_LOOK_SECONDS = 0.2
JOB = "sync_workspace"


def by_program(module: str, instance: dg.DagsterInstance) -> str:
    """Run it, and return the run's id."""
    job = dg.reconstructable(importlib.import_module(module).sync_workspace)
    return dg.execute_job(job, instance=instance).run_id


def by_server(module: str, instance: dg.DagsterInstance) -> str:
    """Launch it, wait for its end, and return the run's id."""
    target = PythonFileTarget(f"{module}.py", attribute=None, working_directory=str(Path.cwd()), location_name="here")
    with WorkspaceProcessContext(instance, target) as process:
        context = process.create_request_context()
        location = context.get_code_location("here")
        (repository,) = location.get_repositories().values()
        job = repository.get_full_job(JOB)
        plan = location.get_execution_plan(job, {}, None, None, instance=instance)
        run = instance.create_run(
            job_name=JOB,
            run_id=None,
            run_config={},
            resolved_op_selection=None,
            step_keys_to_execute=None,
            status=None,
            tags={},
            root_run_id=None,
            parent_run_id=None,
            job_snapshot=job.job_snapshot,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            parent_job_snapshot=job.parent_job_snapshot,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
            asset_selection=None,
            asset_check_selection=None,
            op_selection=None,
            asset_graph=repository.asset_graph,
        )
        instance.launch_run(run.run_id, context)
        while not status_of(instance, run.run_id).is_finished:
            time.sleep(_LOOK_SECONDS)
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    """Return a run as it is now."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def materializations(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[str, float]]:
    """Return the key and the time of each materialization of a run."""
    cursor = None
    while True:
        page = instance.get_records_for_run(
            run_id, cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=_PAGE
        )
        for record in page.records:
            key = record.asset_key
            assert key is not None
            yield key.to_user_string(), record.event_log_entry.timestamp
        if not page.has_more:
            return
        cursor = page.cursor


def main() -> None:
    """Run, and print what came of it."""
    module, way = sys.argv[1:]
    with dg.DagsterInstance.get() as instance:
        run_id = {"program": by_program, "server": by_server}[way](module, instance)
        say(
            {
                "success": status_of(instance, run_id).is_success,
                "materialized": list(materializations(instance, run_id)),
            }
        )


if __name__ == "__main__":
    main()
