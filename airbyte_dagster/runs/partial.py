"""What a failed job has brought nevertheless: Airbyte says of each stream whether it is complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.records import Job, StreamKey
from airbyte_dagster.errors import SyncFailed
from airbyte_dagster.runs.reported import JobDetails
from airbyte_dagster.runs.targets import AssetTarget

_COMPLETE = "COMPLETE"
#: Names that a sentence has; each asset's event has its own.
_NAMED = 5


@dataclass(frozen=True)
class PartOfJob:
    """The part of a failed job that is complete.

    Attributes:
        complete: Assets whose streams are all complete; none where Airbyte does not say how the streams fared.
        reasons: Why other assets failed, where Airbyte names the stream.
        failed: Names of the streams that are not complete.
        details: What Airbyte says of the job.
    """

    complete: tuple[AssetTarget, ...] = ()
    reasons: Mapping[dg.AssetKey, str] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    details: JobDetails = field(default_factory=JobDetails)

    @classmethod
    def of(
        cls,
        client: AirbyteClient,
        workspace_id: str,
        job: Job,
        targets: Sequence[AssetTarget],
        describe: Callable[[Job], JobDetails],
    ) -> PartOfJob:
        """Ask how the streams of a failed job fared: a call, and two more if some are complete.

        Args:
            client: Of the Airbyte.
            workspace_id: Where the connection is.
            job: A job that failed.
            targets: The assets of its connection.
            describe: Returns the details of a job.
        """
        states = client.stream_states(workspace_id, job.connection_id, job.id) or {}
        by_target = {
            target.key: [records.of_stream(stream.key, states) for stream in target.streams] for target in targets
        }
        complete = tuple(target for target in targets if target.streams and set(by_target[target.key]) == {_COMPLETE})
        if not complete:
            return cls()
        others = [target for target in targets if target not in complete]
        reasons = _reasons(client, job, others)
        failed = [str(stream.key) for target in others for stream in target.streams]
        return cls(complete, reasons, tuple(failed), describe(job))

    def named(self, error: SyncFailed) -> SyncFailed:
        """Return the error of the job with the names of the streams that failed."""
        if not self.complete:
            return error
        more = f" and {len(self.failed) - _NAMED:,} more" if len(self.failed) > _NAMED else ""
        return SyncFailed(
            f"{error.message} Not complete: {', '.join(self.failed[:_NAMED])}{more}; the other "
            f"{sum(len(target.streams) for target in self.complete):,} streams are.",
            job_id=error.job_id,
            status=error.status,
            guidance=error.guidance,
            failure_type=error.failure_type,
        )


def _reasons(client: AirbyteClient, job: Job, targets: Sequence[AssetTarget]) -> dict[dg.AssetKey, str]:
    attempts = client.attempts(job.id)
    by_stream: Mapping[StreamKey, str] = attempts.reasons if attempts else {}
    reasons = {}
    for target in targets:
        told = [records.of_stream(stream.key, by_stream) for stream in target.streams]
        texts = [text for text in told if text]
        if texts:
            reasons[target.key] = f"Job {job.id} failed for this stream: {' '.join(texts)}"
    return reasons
