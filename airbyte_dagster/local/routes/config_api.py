"""Jobs in the configuration API, which tells more than the public one: counts per stream, logs, reasons.

Shapes as in airbyte-platform's ``JobConverter`` and ``JobHistoryHandler``.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import configproblems, joblogs, views
from airbyte_dagster.local.configschemas import AttemptOfJob, JobId
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import Job

router = APIRouter(tags=["Configuration API"])
_MOST_CHARACTERS = 256 * 1024
_MOST_OF_A_LINE = 2000


@router.post("/jobs/get_without_logs", summary="A job with counts per stream")
def get_without_logs(context: Ctx, body: JobId) -> dict[str, Any]:
    """Cheap; good for polling. `lastLogLine` is local Airbyte's own: what the job does or waits for."""
    job = context.jobs.get(body.id)
    end, _ = joblogs.read_end(context.home.job_log(job.id), _MOST_OF_A_LINE)
    last = end.splitlines()[-1] if end else ""
    return {"job": {**views.config_api_job(job), "lastLogLine": last.partition(" ")[2]}}


@router.post("/jobs/get", summary="A job with its attempts and their logs")
def get_job(context: Ctx, body: JobId) -> dict[str, Any]:
    """There is one attempt once the job has started: local Airbyte doesn't try again by itself."""
    job = context.jobs.get(body.id)
    return {"job": views.config_api_job(job), "attempts": _attempts(context, job)}


@router.post("/jobs/get_debug_info", summary="A job with its attempt, its log and the reason of its failure")
def get_debug_info(context: Ctx, body: JobId) -> dict[str, Any]:
    """The same as `jobs/get`."""
    return get_job(context, body)


@router.post("/attempt/get_for_job", summary="One attempt of a job, with its log")
def get_attempt(context: Ctx, body: AttemptOfJob) -> dict[str, Any]:
    """The only attempt has the number 0."""
    attempts = _attempts(context, context.jobs.get(body.job_id))
    if not 0 <= body.attempt_number < len(attempts):
        raise configproblems.not_found("ATTEMPT", f"{body.job_id}/{body.attempt_number}")
    return attempts[body.attempt_number]


def _attempts(context: Context, job: Job) -> list[Json]:
    return [] if job.started_at is None else [views.config_api_attempt(job, _events(context, job))]


def _events(context: Context, job: Job) -> list[dict[str, Any]]:
    """The last part of the job's log; its lines begin with their time."""
    events = []
    for line in joblogs.read(context.home.job_log(job.id))[-_MOST_CHARACTERS:].splitlines():
        stamp, _, text = line.partition(" ")
        events.append({"timestamp": stamp, "level": "INFO", "message": text, "logSource": "platform"})
    return events
