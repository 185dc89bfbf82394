"""What the end of a job means."""

from __future__ import annotations

from collections.abc import Sequence

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Failure, Job, JobType, StreamStats
from airbyte_dagster.errors import SyncCancelled, SyncFailed, SyncStatusUnknown


def evaluate_job(client: AirbyteClient, job: Job) -> Job:
    """Return a job that has ended, if it succeeded; only ``succeeded`` is success.

    Raises:
        SyncFailed: It failed; with the reason, where the server gives one.
        SyncCancelled: Somebody cancelled it, or Airbyte did, which then says why.
        ValueError: It has not ended.
    """
    if job.active:
        raise ValueError(f"job {job.id} is {job.status}")
    if job.status == "succeeded":
        return job
    failure = _failure(client, job)
    if job.status == "cancelled":
        # That somebody did it needs no words of Airbyte; that a changed schema has disabled the connection does.
        said = f": {failure.message}" if failure and failure.type != "manual_cancellation" else "."
        raise SyncCancelled(
            f"Job {job.id} of connection {job.connection_id} was cancelled{said}",
            job_id=job.id,
            status=job.status,
            failure_type=failure.type if failure else None,
        )
    reason = f" after {failure.attempts} attempt(s): {failure.message} ({failure.origin})" if failure else ""
    raise SyncFailed(
        f"Job {job.id} of connection {job.connection_id} failed{reason}.".replace("..", "."),
        job_id=job.id,
        status=job.status,
        guidance="" if failure else "Its log in Airbyte has the reason, which this server's API does not give.",
        failure_type=failure.type if failure else None,
    )


def nothing_ran(client: AirbyteClient, job: Job, stats: Sequence[StreamStats] | None) -> SyncFailed | None:
    """Return the error of a sync that is called a success although nothing shows that it ran; ``None`` if any does.

    Airbyte has recorded launches that failed as a success, with no output and no stats (airbytehq/airbyte issues 85355,
    84961, 72448 and 70984). Where the configuration API is out of reach it is not known.

    Args:
        client: Of the Airbyte.
        job: A job that succeeded.
        stats: What it says of its streams; ``None`` where it says nothing.
    """
    if stats or job.rows or is_of_type(job, "reset"):
        return None
    attempts = client.attempts(job.id)
    if attempts is None or attempts.has_output:
        return None
    return SyncFailed(
        f"Job {job.id} of connection {job.connection_id} is called {job.status}, but no attempt of it has any output "
        "and no stream any stats: nothing shows that it ran.",
        job_id=job.id,
        status=job.status,
        guidance="Airbyte records some launches that failed so: look at the job in Airbyte, and sync again.",
    )


def _failure(client: AirbyteClient, job: Job) -> Failure | None:
    try:
        return client.job_failure(job.id)
    except Exception:  # noqa: BLE001 - the reason is an extra; an odd answer must not hide that the job failed
        return None


def status_unknown(job: Job, seconds: float) -> SyncStatusUnknown:
    """Return the error of a job that gave no answer for some seconds."""
    return SyncStatusUnknown(
        f"Airbyte gave no answer about job {job.id} for {seconds:.0f} s; it may still be running.",
        job_id=job.id,
        status=job.status,
        guidance="A rerun goes on watching the same job.",
    )


def is_of_type(job: Job, job_type: JobType) -> bool:
    """Whether a job is of a type; a clear is shown as ``reset``: the two are one (``JobService.kt``)."""
    return (job.job_type in ("reset", "clear")) == (job_type in ("reset", "clear"))
