"""Jobs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request

from airbyte_dagster.local import problems, views
from airbyte_dagster.local.deps import Ctx, Limit, Offset, WorkspaceIds, base_url, uuids
from airbyte_dagster.local.jobstore import JobFilter
from airbyte_dagster.local.schemas import JobCreate

router = APIRouter(prefix="/jobs", tags=["6. Jobs"])

_EXAMPLES = {
    name: {"value": {"connectionId": "put the connectionId here", "jobType": name}}
    for name in ("sync", "clear", "reset")
}
Moment = Annotated[datetime | None, Query()]
State = Literal["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"]


@router.post("", summary="Start a sync, or clear the tables")
def create_job(context: Ctx, body: Annotated[JobCreate, Body(openapi_examples=_EXAMPLES)]) -> dict[str, Any]:
    """Answers as soon as the job exists. `clear`, and `reset`, its older name, empty the tables of all streams.

    The configuration API has `connections/refresh` and `connections/clear/stream` besides, for streams one by one.
    """
    connection = context.store.connection(str(body.connection_id))
    if body.job_type == "refresh":
        raise problems.unprocessable("Refreshes are not supported in the public API")
    if connection.status == "deprecated" or (body.job_type == "sync" and connection.status != "active"):
        raise problems.state_conflict("Could not fulfill request")
    if body.job_type == "sync":
        job = context.runner.sync(connection.id, connection.workspace_id)
    else:
        job = context.runner.clear(connection)
    return views.job(job, with_counts=False)


@router.get("", summary="List jobs")
def list_jobs(
    *,
    request: Request,
    context: Ctx,
    connection_id: Annotated[UUID | None, Query(alias="connectionId")] = None,
    workspace_ids: WorkspaceIds = None,
    status: State | None = None,
    job_type: Annotated[Literal["sync", "reset", "refresh", "clear"] | None, Query(alias="jobType")] = None,
    created_from: Annotated[datetime | None, Query(alias="createdAtStart")] = None,
    created_to: Annotated[datetime | None, Query(alias="createdAtEnd")] = None,
    updated_from: Annotated[datetime | None, Query(alias="updatedAtStart")] = None,
    updated_to: Annotated[datetime | None, Query(alias="updatedAtEnd")] = None,
    order_by: Annotated[str | None, Query(alias="orderBy", examples=["createdAt|DESC"])] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Oldest first, unless `orderBy` says otherwise: `createdAt|DESC`, `updatedAt|ASC`, …."""
    field, direction = _order(order_by)
    ids = uuids(workspace_ids)
    wanted = JobFilter(
        connection_id=str(connection_id) if connection_id else None,
        workspace_ids=ids,
        status=status,
        job_type=job_type,
        created_from=_seconds(created_from),
        created_to=_seconds(created_to),
        updated_from=_seconds(updated_from),
        updated_to=_seconds(updated_to),
        order_by=field,
        descending=direction == "DESC",
    )
    data = [views.job(job, with_counts=True) for job in context.jobs.page(wanted, limit, offset)]
    where = ("connectionId", str(connection_id)) if connection_id else ("workspaceIds", ",".join(ids))
    kept = [(key, value) for key, value in (("jobType", job_type), where) if value]
    return views.page(data, base_url(request), "/jobs", limit=limit, offset=offset, kept=kept)


@router.get("/{job_id}", summary="Get a job")
def get_job(context: Ctx, job_id: int) -> dict[str, Any]:
    """Ask again and again to watch a job: `pending`, `running`, then `succeeded`, `failed` or `cancelled`."""
    return views.job(context.jobs.get(job_id), with_counts=True)


@router.delete("/{job_id}", summary="Cancel a job")
def cancel_job(context: Ctx, job_id: int) -> dict[str, Any]:
    """Cancels **whatever runs on the job's connection**, as Airbyte does, and shows the given job afterwards."""
    job = context.jobs.get(job_id)
    if context.store.connection(job.connection_id).status == "deprecated":
        raise problems.state_conflict("Could not fulfill request")
    context.runner.cancel([job.connection_id])
    return views.job(context.jobs.get(job_id), with_counts=False)


def _order(order_by: str | None) -> tuple[str, str]:
    field, _, direction = (order_by or "createdAt|ASC").partition("|")
    if field not in {"createdAt", "updatedAt"} or direction not in {"ASC", "DESC"}:
        raise problems.bad_request("Invalid order by clause provided. The format is [field]|[ASC/DESC].")
    return field, direction


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
