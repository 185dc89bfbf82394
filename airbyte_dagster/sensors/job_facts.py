"""What Airbyte tells of finished jobs beyond the list of jobs, each asked for once in a tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job, StreamKey, StreamStats
from airbyte_dagster.errors import AirbyteError, SyncError, SyncFailed
from airbyte_dagster.runs.partial import PartOfJob
from airbyte_dagster.runs.reported import JobDetails, reported_streams
from airbyte_dagster.runs.targets import AssetTarget
from airbyte_dagster.sync.jobs import evaluate_job

#: Jobs of a connection that are looked at to find what lies between two of them.
_HISTORY = 20


class JobFacts:
    """Asks about jobs; nothing here raises, since all of it is an extra.

    Args:
        client: Of the Airbyte.
        workspace_id: Where the jobs are.
    """

    def __init__(self, client: AirbyteClient, workspace_id: str) -> None:
        self._client = client
        self._workspace_id = workspace_id
        self._parts: dict[int, PartOfJob] = {}
        self._stats: dict[int, Mapping[StreamKey, StreamStats]] = {}
        self._reasons: dict[int, str] = {}
        self._attempts: dict[int, int | None] = {}
        self._reset: dict[int, frozenset[StreamKey] | None] = {}
        self._histories: dict[str, Sequence[Job] | None] = {}

    def learn(self, job: Job, targets: Sequence[AssetTarget]) -> None:
        """Ask for what is to be recorded of a job: a call; of one that failed two, and two more if a part is complete.

        Args:
            job: A job that has ended.
            targets: The assets of its connection.
        """
        if job.status != "succeeded":
            if job.status == "failed" and not is_reset(job):
                self._parts[job.id] = PartOfJob.of(self._client, self._workspace_id, job, targets, self._details)
            self.reason(job)
        elif is_reset(job):
            self.reset_streams(job)
        else:
            self.stats(job)

    def part(self, job: Job) -> PartOfJob:
        """Return what a job that failed has brought nevertheless, if it was learnt."""
        return self._parts.get(job.id) or PartOfJob()

    def _details(self, job: Job) -> JobDetails:
        return JobDetails(self.stats(job))

    def stats(self, job: Job) -> Mapping[StreamKey, StreamStats]:
        """Return what a job says of each stream, as far as it says it."""
        if job.id not in self._stats:
            try:
                self._stats[job.id] = reported_streams(self._client, job)
            except SyncError as error:
                self._stats[job.id], self._reasons[job.id] = {}, str(error)
        return self._stats[job.id]

    def has_run(self, job: Job) -> bool:
        """Whether anything shows that a job ran that is called a success, as far as it is known; else see `reason`."""
        return is_reset(job) or bool(self.stats(job)) or job.id not in self._reasons

    def attempts(self, job: Job) -> int | None:
        """Return how many attempts a job made; ``None`` if that is not known."""
        if job.id not in self._attempts:
            found = self._client.attempts(job.id)
            self._attempts[job.id] = found.count if found else None
        return self._attempts[job.id]

    def reset_streams(self, job: Job) -> frozenset[StreamKey] | None:
        """Return the streams that a reset is of; ``None`` for all."""
        if job.id not in self._reset:
            self._reset[job.id] = self._client.reset_streams(job.id)
        return self._reset[job.id]

    def reason(self, job: Job) -> str:
        """Return why a job did not succeed, in the words that a run of ours would have for it."""
        if job.id not in self._reasons:
            self._reasons[job.id] = self._reason(job)
        return self._reasons[job.id]

    def _reason(self, job: Job) -> str:
        try:
            evaluate_job(self._client, job)
        except SyncFailed as error:
            return str(self.part(job).named(error))
        except SyncError as error:
            return str(error)
        raise AssertionError(f"job {job.id} succeeded")

    def history(self, connection_id: str) -> Sequence[Job] | None:
        """Return the newest jobs of a connection, newest first; ``None`` if Airbyte can't be asked."""
        if connection_id not in self._histories:
            try:
                self._histories[connection_id] = self._client.jobs(connection_id, limit=_HISTORY)
            except AirbyteError:
                self._histories[connection_id] = None
        return self._histories[connection_id]

    def known_history(self, connection_id: str) -> Sequence[Job]:
        """Return what `history` has returned for a connection, nothing if it was not asked for."""
        return self._histories.get(connection_id) or ()


def is_reset(job: Job) -> bool:
    """Whether a job empties tables."""
    return job.job_type in ("reset", "clear")
