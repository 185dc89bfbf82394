"""What a run remembers of the jobs that it wants, so that one request stays one sync whatever happens to a process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airbyte_dagster.airbyte.records import StreamKey


@dataclass(frozen=True)
class Checkpoint:
    """How far a run has come with the sync of one connection.

    Attributes:
        after: The newest job that was known before ours was requested; 0 if there was none. A job of the connection
            with a higher id is ours, even if the process died before it learnt the id.
        requested_at: When ours was requested, seconds since the epoch; a job that was requested just before the process
            died may yet appear. ``None`` once the job is known, or if it was not requested by us.
        job_id: The job, once known.
        is_ours: Whether this run, or the one that it resumes, requested the job. One that was joined is never
            cancelled.
        is_recorded: Whether the job's success has been recorded in full: it is not to be synced again by a resumed run.
        rows_before: Rows of the streams before the job, where they were counted.
    """

    after: int
    requested_at: float | None = field(default=None, compare=False)
    job_id: int | None = None
    is_ours: bool = True
    is_recorded: bool = False
    rows_before: Mapping[StreamKey, int] = field(default_factory=dict, compare=False)


class CheckpointStore(Protocol):
    """Where a run keeps its checkpoints, by connection; they survive the process. Called from several threads."""

    def load(self, connection_ids: Collection[str]) -> Mapping[str, Checkpoint]:
        """Return the checkpoints that this run has, or takes over from the run that it resumes."""

    def save(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Keep checkpoints in place of the former, all at once.

        Raises:
            Exception: They could not be written; the engine tries again, and goes on.
        """


class InMemoryCheckpoints(dict[str, Checkpoint]):
    """Checkpoints that last as long as the process: for callers that never run twice."""

    def load(self, connection_ids: Collection[str]) -> Mapping[str, Checkpoint]:
        """Return those of some connections."""
        return {key: self[key] for key in connection_ids if key in self}

    def save(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Keep some."""
        self.update(checkpoints)
