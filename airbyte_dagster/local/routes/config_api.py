"""The calls of Airbyte's configuration API that tell more about a job than the public one: counts per stream, reasons.

Shapes as in airbyte-platform's ``JobConverter`` and ``JobHistoryHandler``.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import views
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.records import Job
from airbyte_dagster.local.schemas import JobId

router = APIRouter(prefix="/jobs", tags=["Configuration API"])
_MOST_BYTES = 256 * 1024


@router.post("/get_without_logs", summary="A job with counts per stream")
def get_without_logs(context: Ctx, body: JobId) -> dict[str, Any]:
    """Cheap; good for polling."""
    return {"job": views.config_api_job(context.jobs.get(body.id))}


@router.post("/get_debug_info", summary="A job with its attempt, its log and the reason of its failure")
def get_debug_info(context: Ctx, body: JobId) -> dict[str, Any]:
    """There is one attempt: local Airbyte doesn't try again by itself."""
    job = context.jobs.get(body.id)
    attempts = [] if job.started_at is None else [views.config_api_attempt(job, _events(context, job))]
    return {"job": views.config_api_job(job), "attempts": attempts}


def _events(context: Context, job: Job) -> list[dict[str, Any]]:
    """The last part of the job's log; its lines begin with their time."""
    try:
        with context.home.job_log(job.id).open("rb") as file:
            file.seek(max(file.seek(0, 2) - _MOST_BYTES, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    events = []
    for line in lines:
        stamp, _, text = line.partition(" ")
        events.append({"timestamp": stamp, "level": "INFO", "message": text, "logSource": "platform"})
    return events
