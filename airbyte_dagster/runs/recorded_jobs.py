"""Jobs that a former run has recorded already, to be measured and checked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.runs.reported import JobDetails
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.results import SyncResult

#: Requests at once.
_SIDE_BY_SIDE = 8


def recorded_results(
    client: AirbyteClient, known: Mapping[str, Checkpoint], describe: Callable[[Job], JobDetails]
) -> list[SyncResult]:
    """Return the job of each connection; or a later sync of somebody else, whose data it is that is there now.

    Args:
        client: Of the Airbyte.
        known: What the former run kept, by connection.
        describe: Returns the details of a job, for `SyncResult.details`.

    Returns:
        Its own job has the origin ``resumed``, that of somebody else ``attached``.
    """

    def one(connection_id: str, checkpoint: Checkpoint) -> SyncResult:
        try:
            if checkpoint.job_id is None:
                raise ConfigurationError("The former run did not keep which job it was.")
            later = _later_sync(client, connection_id, checkpoint.job_id)
            job = later or client.job(checkpoint.job_id)
            details = describe(job)
        except AirbyteDagsterError as error:
            return SyncResult(connection_id, error=error)
        if later is not None:
            return SyncResult(connection_id, job, "attached", details=details)
        return SyncResult(connection_id, job, "resumed", details=details, rows_before=checkpoint.rows_before)

    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="airbyte-jobs") as pool:
        return list(pool.map(lambda item: one(*item), known.items()))


def _later_sync(client: AirbyteClient, connection_id: str, job_id: int) -> Job | None:
    for job in client.jobs(connection_id):
        if job.id > job_id and job.job_type == "sync" and job.status == "succeeded":
            return job
    return None
