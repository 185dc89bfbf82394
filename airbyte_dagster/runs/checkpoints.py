"""What must outlive a process, kept in the Dagster instance: the jobs of a run."""

from __future__ import annotations

import datetime as dt
import functools
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster import RunsFilter

from airbyte_dagster.sync.runner import JobNote

_TAG = "airbyte_dagster/job/{}"
#: The run's newest job, for people who look for the run of a job in Dagster's list of runs.
_JOB_ID_TAG = "airbyte/job_id"
_NOTE = re.compile(r"after=(?P<after>\d+)(?: asked=(?P<asked>\d+))?(?: job=(?P<job>\d+))?(?P<done> done)?")
_PARENT_RUN_TAG = "dagster/parent_run_id"
_RESUME_TAG = "dagster/is_resume_retry"
_WILL_RETRY_TAG = "dagster/will_retry"
_RETRIED_BY_TAG = "dagster/auto_retry_run_id"

IN_PROGRESS = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
#: How long after a run has failed Dagster may still start the retry that it has announced.
_RETRY_DELAY = dt.timedelta(hours=1)


class RunJobMemory:
    """A `sync.JobMemory` and `many_syncs.ManyMemory` in the tags of the run, where people can read it too.

    A run that retries another, after a crash or from the UI, takes over the jobs of that one unless they were used up.
    It may be used from several threads.

    Args:
        instance: Where the run is.
        run_id: The run.
        is_used_up: Whether somebody else recorded the result of a job of a connection for the run.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        run_id: str,
        *,
        is_used_up: Callable[[str, int], bool] = lambda _connection_id, _job_id: False,
    ) -> None:
        self._instance = instance
        self._run_id = run_id
        self._is_used_up = is_used_up
        self._notes: dict[str, JobNote] = {}
        # Dagster reads all tags of a run, and writes them back.
        self._lock = threading.Lock()

    @functools.cached_property
    def _before(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The tags of this run, as it was found, and of the run that it retries."""
        run = self._instance.get_run_by_id(self._run_id)
        parent_id = run.tags.get(_PARENT_RUN_TAG) if run else None
        parent = self._instance.get_run_by_id(parent_id) if parent_id else None
        return (run.tags if run else {}, parent.tags if parent else {})

    def recall(self, connection_id: str) -> JobNote | None:
        """Return the note of this run, or else of the run that it retries, unless `done` was said of it."""
        for tags in self._before:
            found = _noted(tags, connection_id)
            if found is not None:
                note, is_done = found
                is_used_up = note.job_id is not None and self._is_used_up(connection_id, note.job_id)
                return None if is_done or is_used_up else note
        return None

    def was_done(self, connection_id: str) -> bool:
        """Whether `done` was said by this run's former try, or by the run that this one resumes from its failure."""
        own, parent = self._before
        known = own if _noted(own, connection_id) or own.get(_RESUME_TAG) != "true" else parent
        found = _noted(known, connection_id)
        return found is not None and found[1]

    def note(self, connection_id: str, note: JobNote) -> None:
        """Write the note into this run's tags."""
        self.note_all({connection_id: note})

    def note_all(self, notes: Mapping[str, JobNote]) -> None:
        """Write the notes of several connections into this run's tags, in one go."""
        self._notes.update(notes)
        newest = max((note.job_id for note in notes.values() if note.job_id is not None), default=None)
        tags = {_TAG.format(connection_id): _text(note) for connection_id, note in notes.items()}
        self._write({**tags, **({} if newest is None else {_JOB_ID_TAG: str(newest)})})

    def done(self, *connection_ids: str) -> None:
        """Say that the results of the noted jobs were recorded: whoever runs again wants new ones."""
        self._write({_TAG.format(key): f"{_text(self._notes[key])} done" for key in connection_ids})

    def keep_done(self, *connection_ids: str) -> None:
        """Take over what `was_done` said, for a run that may resume this one."""
        _own, parent = self._before
        tags = {_TAG.format(key): parent.get(_TAG.format(key)) for key in connection_ids}
        self._write({key: text for key, text in tags.items() if text})

    def _write(self, tags: Mapping[str, str]) -> None:
        with self._lock:
            self._instance.add_run_tags(self._run_id, dict(tags))


@dataclass(frozen=True)
class JobClaims:
    """The jobs that runs have started, or watch, and will record themselves."""

    _tags: tuple[Mapping[str, str], ...]

    def hold(self, connection_id: str, job_id: int) -> bool:
        """Whether one of the runs will record this job; any that is newer than its note, if it has not learnt the id.

        A run that said `done` has recorded what it was to record.
        """
        noted = (_noted(tags, connection_id) for tags in self._tags)
        notes = [found[0] for found in noted if found is not None and not found[1]]
        return any(note.job_id == job_id or (note.job_id is None and job_id > note.after) for note in notes)


def job_claims(instance: dg.DagsterInstance) -> JobClaims:
    """Return the claims of the runs that are in progress, and of failed ones that Dagster is about to retry."""
    runs = instance.get_runs(RunsFilter(statuses=list(IN_PROGRESS)))
    failed = instance.get_runs(
        RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={_WILL_RETRY_TAG: "true"},
            updated_after=dt.datetime.now(dt.timezone.utc) - _RETRY_DELAY,
        )
    )
    runs = [*runs, *(run for run in failed if _RETRIED_BY_TAG not in run.tags)]
    # A run that retries another takes over its job, see `RunJobMemory`, even before it has begun.
    parents = {run.tags[_PARENT_RUN_TAG] for run in runs if _PARENT_RUN_TAG in run.tags}
    known = {run.run_id: run for run in instance.get_runs(RunsFilter(run_ids=sorted(parents)))} if parents else {}
    inherited = {run.run_id: known.get(run.tags.get(_PARENT_RUN_TAG, "")) for run in runs}
    return JobClaims(tuple({**(parent.tags if (parent := inherited[run.run_id]) else {}), **run.tags} for run in runs))


def has_job(run: dg.DagsterRun) -> bool:
    """Whether a run watches a job of Airbyte, or has watched one; before that it prepares, or waits."""
    return _JOB_ID_TAG in run.tags


def _noted(tags: Mapping[str, str], connection_id: str) -> tuple[JobNote, bool] | None:
    """Return the note about a connection in the tags of a run, if it has one, and whether `done` was said of it."""
    match = _NOTE.fullmatch(tags.get(_TAG.format(connection_id), ""))
    if match is None:
        return None
    job, asked = match["job"], match["asked"]
    note = JobNote(int(match["after"]), int(job) if job else None, float(asked) if asked else None)
    return note, bool(match["done"])


def _text(note: JobNote) -> str:
    if note.job_id is not None:
        return f"after={note.after} job={note.job_id}"
    return f"after={note.after}" + (f" asked={note.asked:.0f}" if note.asked is not None else "")
