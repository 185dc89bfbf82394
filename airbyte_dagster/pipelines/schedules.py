"""Schedules whose ticks don't pile up on a connection that still syncs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import RunsFilter

from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.names import by_name
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.runs.checkpoints import IN_PROGRESS, has_job

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from airbyte_dagster.airbyte import AirbyteClient
    from airbyte_dagster.airbyte.records import Job

_NEWEST_JOBS = 5


def build_sync_schedule(
    pipeline: spec.AirbytePipeline,
    schedule: spec.Schedule,
    *,
    job: UnresolvedAssetJobDefinition,
    sync_op: str,
    airbyte_key: str,
) -> dg.ScheduleDefinition:
    """Build ``sync_NAME_schedule``.

    A tick that finds the connection syncing, by this schedule or by anybody else, says so and does nothing, or starts
    a run that waits, as declared. If Airbyte can't be asked, the run is requested: it waits for Airbyte longer than a
    tick may, and where that does not help it fails for all to see, instead of a sync that silently never was.

    Args:
        job: The pipeline's ``sync_NAME``.
        sync_op: Name of the op that syncs.
        airbyte_key: Key of the `AirbyteResource`.
    """
    waits = schedule.on_running == "wait"
    otherwise = "starts a run that waits for it" if waits else "is skipped"

    @dg.schedule(
        name=f"{job.name}_schedule",
        job=job,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if schedule.running else dg.DefaultScheduleStatus.STOPPED,
        required_resource_keys={airbyte_key},
        description=f"Syncs {pipeline.name}. A tick that finds {pipeline.connection.name!r} syncing {otherwise}.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        runs = _runs_in_progress(context, job.name)
        if waits:
            return _skip_if_one_waits(context.instance, runs) or dg.RunRequest(run_config=_waiting(sync_op))
        if runs:
            return dg.SkipReason(f"Run {runs[0].run_id} of {job.name} is still {runs[0].status.value.lower()}.")
        try:
            active = _active_job(getattr(context.resources, airbyte_key), pipeline.connection.name)
        except AirbyteDagsterError as error:
            context.log.warning(f"Airbyte did not tell whether {pipeline.connection.name!r} syncs: {error}")
            return dg.RunRequest()
        if active is None:
            return dg.RunRequest()
        return dg.SkipReason(
            f"Airbyte is busy with {pipeline.connection.name!r} for somebody else: "
            f"job {active.id}, a {active.job_type}, is {active.status}."
        )

    return tick


def _runs_in_progress(context: dg.ScheduleEvaluationContext, job_name: str) -> Sequence[dg.DagsterRun]:
    """Return the runs of a job, without those of another code location that has a job of the same name."""
    runs = context.instance.get_runs(RunsFilter(job_name=job_name, statuses=list(IN_PROGRESS)))
    data = context.repository_def.repository_load_data
    if data is None or data.code_location_name is None:
        return runs
    here = f"{context.repository_def.name}@{data.code_location_name}"
    # A run that was started from a command line says nothing of where it is from.
    origins = [(run, run.remote_job_origin) for run in runs]
    return [run for run, origin in origins if origin is None or origin.repository_origin.get_label() == here]


def _skip_if_one_waits(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> dg.SkipReason | None:
    """Leave it at one run that waits, whomever it waits for: a run of this job, or a job of somebody else."""
    waiting = [run for run in runs if not has_job(instance, run)]
    if not waiting:
        return None
    return dg.SkipReason(f"Run {waiting[-1].run_id} of {waiting[-1].job_name} waits already: its sync has not begun.")


def _waiting(sync_op: str) -> dict[str, Any]:
    return {"ops": {sync_op: {"config": {"on_running": "wait"}}}}


def _active_job(airbyte: AirbyteResource, connection_name: str) -> Job | None:
    client: AirbyteClient = airbyte.tick_client()
    workspace = airbyte.find_workspace(client)
    connection = by_name("connection", connection_name, client.connections(workspace.id))
    if connection is None:
        return None
    return next((job for job in client.jobs(connection.id, limit=_NEWEST_JOBS) if job.active), None)
