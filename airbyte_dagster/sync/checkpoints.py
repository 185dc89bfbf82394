"""What a run remembers of the jobs that it wants, so that one request stays one sync whatever happens to a process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import tenacity

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.errors import CheckpointNotSaved

_ATTEMPTS = 4


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


class CheckpointKeeper:
    """Reads and writes checkpoints, several times where that fails, and keeps in mind what could not be written.

    Args:
        store: Where they are kept.
        sleep: Waits between two attempts.
        warn: Takes one line for people.

    Attributes:
        current: The newest of each connection, written or not.
    """

    def __init__(self, store: CheckpointStore, sleep: Callable[[float], None], warn: Callable[[str], None]) -> None:
        self._store = store
        self._warn = warn
        self._attempts = tenacity.Retrying(
            sleep=sleep,
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.25, max=2.0),
            retry=tenacity.retry_if_exception_type(Exception),
            reraise=True,
        )
        self._errors: dict[str, Exception] = {}
        self.current: dict[str, Checkpoint] = {}

    def load(self, connection_ids: Collection[str]) -> dict[str, Checkpoint]:
        """Return the checkpoints of jobs that may still be of use: not of those that were recorded.

        Raises:
            Exception: The store could not be read.
        """
        found = self._attempts.copy()(self._store.load, connection_ids)
        return {key: checkpoint for key, checkpoint in found.items() if not checkpoint.is_recorded}

    def save(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Write checkpoints, all at once; see `error` for those that could not be written."""
        if not checkpoints:
            return
        self.current.update(checkpoints)
        try:
            self._attempts.copy()(self._store.save, checkpoints)
        except Exception as error:  # noqa: BLE001 - whatever a database raises, the jobs must go on being watched
            self._errors.update(dict.fromkeys(checkpoints, error))
            self._warn(f"The checkpoints of {len(checkpoints)} connection(s) could not be written: {_line(error)}")
        else:
            for connection_id in checkpoints:
                self._errors.pop(connection_id, None)

    def error(self, connection_id: str, *, tries_again: bool = False) -> CheckpointNotSaved | None:
        """Return the error of a connection whose last checkpoint could not be written.

        Args:
            connection_id: The connection.
            tries_again: Whether to write it once more first.
        """
        cause = self._errors.get(connection_id)
        if cause is None:
            return None
        checkpoint = self.current[connection_id]
        if tries_again:
            try:
                self._store.save({connection_id: checkpoint})
            except Exception as again:  # noqa: BLE001 - as above
                cause = again
            else:
                del self._errors[connection_id]
                return None
        what = "of a sync that was to be requested" if checkpoint.job_id is None else f"with job {checkpoint.job_id}"
        error = CheckpointNotSaved(
            f"The checkpoint of connection {connection_id}, {what}, could not be written: {_line(cause)}",
            guidance="Look at Dagster's storage: without checkpoints, a resumed run does not know its jobs.",
        )
        error.__cause__ = cause
        return error


def _line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
