"""What must outlive a process, kept in the Dagster instance: which jobs are a run's own.

A checkpoint is one entry of the instance's key-value storage for each run, connection and request, so that processes
and steps of one run never write the same one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
from dagster import RunsFilter
from dagster._core.storage.tags import (
    ASSET_RESUME_RETRY_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    PARENT_RUN_ID_TAG,
    RESUME_RETRY_TAG,
    RETRY_NUMBER_TAG,
    RETRY_STRATEGY_TAG,
    WILL_RETRY_TAG,
)

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.sync.checkpoints import Checkpoint

#: The run's newest job, for people who look for the run of a job in Dagster's list of runs.
JOB_ID_TAG = "airbyte/job_id"

IN_PROGRESS = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
#: How long after a run has failed Dagster may still start the retry that it has announced.
_RETRY_DELAY = dt.timedelta(hours=1)
#: Keys that are read with one query: databases take no more than some thousand parameters.
_KEYS_A_QUERY = 500


class RunCheckpoints:
    """A `sync.checkpoints.CheckpointStore` of one run.

    A run that goes on where another failed (re-executed from failure, or retried by Dagster) takes over the
    checkpoints of that one, and of those that it went on with; a run that executes all steps again does not, whatever
    tags it has copied. It may be used from several threads.

    Args:
        instance: Where the run is.
        run: The run.
        request: Which of several requests for a job of one connection in the run; the run's only one by default.
    """

    def __init__(self, instance: dg.DagsterInstance, run: dg.DagsterRun, request: str = "") -> None:
        self._instance = instance
        self._run = run
        self._request = request
        self._written: set[str] = set()
        self._lock = threading.Lock()
        self._is_tagged = has_job(instance, run)

    def load(self, connection_ids: Collection[str]) -> Mapping[str, Checkpoint]:
        """Return the checkpoints that this run has or takes over, by connection."""
        own = _read(self._instance, [(self._run.run_id, key) for key in connection_ids], self._request)
        found = {key: checkpoint for (_, key), checkpoint in own.items()}
        with self._lock:
            self._written |= found.keys()
        others = [key for key in connection_ids if key not in found]
        before = resumed_run_ids(self._instance, self._run)
        while others and (run_id := next(before, None)) is not None:
            inherited = _read(self._instance, [(run_id, key) for key in others], self._request)
            found |= {key: checkpoint for (_, key), checkpoint in inherited.items()}
            others = [key for key in others if key not in found]
        return found

    def save(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Write checkpoints, those of many connections in one statement or two."""
        texts = {key: _to_json(self._run.run_id, key, checkpoint) for key, checkpoint in checkpoints.items()}
        with self._lock:
            # Dagster's storage inserts all pairs of a call, or updates those that exist and drops the others.
            for keys in (texts.keys() & self._written, texts.keys() - self._written):
                pairs = {_cell(self._run.run_id, key, self._request): texts[key] for key in keys}
                if pairs:
                    self._instance.daemon_cursor_storage.set_cursor_values(pairs)
                    self._written |= keys
        self._tag(item.job_id for item in checkpoints.values() if item.job_id is not None)

    def _tag(self, job_ids: Iterable[int]) -> None:
        """Tag the run with its first job, once: adding tags reads and writes back all that a run has."""
        job_id = max(job_ids, default=None)
        if job_id is None or self._is_tagged:
            return
        self._is_tagged = True
        self._instance.add_run_tags(self._run.run_id, {JOB_ID_TAG: str(job_id)})


def resumed_run_ids(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """Yield the runs that a run goes on with, the nearest first.

    That is the run that it was re-executed from the failure of, and, if that one was such a run, too, the one before:
    each of them may have died before it took over anything.
    """
    seen = {run.run_id}
    current: dg.DagsterRun | None = run
    while current is not None:
        parent_id = _parent_id(current)
        if parent_id is None or parent_id in seen or not _is_from_failure(instance, current, parent_id):
            return
        yield parent_id
        seen.add(parent_id)
        current = instance.get_run_by_id(parent_id)


def _is_from_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, parent_id: str) -> bool:
    if RETRY_NUMBER_TAG in run.tags:  # Dagster's run retries launched it
        return run.tags.get(RETRY_STRATEGY_TAG) != "ALL_STEPS"
    if run.tags.get(RESUME_RETRY_TAG) == "true":
        return True
    if run.tags.get(ASSET_RESUME_RETRY_TAG) != "true":
        return False
    # Dagster copies this tag, too, when all steps of such a run are executed again: then the selection is the same.
    parent = instance.get_run_by_id(parent_id)
    if parent is None or parent.tags.get(ASSET_RESUME_RETRY_TAG) != "true":
        return True
    return (run.asset_selection, run.asset_check_selection) != (parent.asset_selection, parent.asset_check_selection)


def has_job(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run watches a job of Airbyte, or has watched one; before that it prepares, or waits."""
    parent_id = _parent_id(run)
    if JOB_ID_TAG not in run.tags or parent_id is None:
        return JOB_ID_TAG in run.tags
    # A re-execution has the tags of its parent, this one too.
    parent = instance.get_run_by_id(parent_id)
    return parent is None or parent.tags.get(JOB_ID_TAG) != run.tags[JOB_ID_TAG]


def _parent_id(run: dg.DagsterRun) -> str | None:
    return run.parent_run_id or run.tags.get(PARENT_RUN_ID_TAG)


@dataclass(frozen=True)
class RunsAtWork:
    """The runs that record their jobs themselves: those in progress, and failed ones that Dagster is about to retry.

    Attributes:
        run_ids: Theirs, and those of the runs that they go on with.
    """

    instance: dg.DagsterInstance
    run_ids: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> RunsAtWork:
        """Look which there are: two queries."""
        runs = list(instance.get_runs(RunsFilter(statuses=list(IN_PROGRESS))))
        failed = instance.get_runs(
            RunsFilter(
                statuses=[dg.DagsterRunStatus.FAILURE],
                tags={WILL_RETRY_TAG: "true"},
                updated_after=dt.datetime.now(dt.timezone.utc) - _RETRY_DELAY,
            )
        )
        runs += [run for run in failed if AUTO_RETRY_RUN_ID_TAG not in run.tags]
        resumed = {run_id for run in runs for run_id in resumed_run_ids(instance, run)}
        return cls(instance, frozenset({run.run_id for run in runs} | resumed))

    def claimed(self, jobs: Mapping[int, str]) -> set[int]:
        """Return those of some jobs that one of the runs will record.

        Of a run that has requested a job and does not know it yet, it is any later one of the connection.

        Args:
            jobs: Id of each job → its connection.
        """
        pairs = itertools.product(sorted(self.run_ids), sorted(set(jobs.values())))
        by_connection: dict[str, list[Checkpoint]] = {}
        for (_, connection_id), checkpoint in _read(self.instance, pairs).items():
            if not checkpoint.is_recorded:
                by_connection.setdefault(connection_id, []).append(checkpoint)
        return {
            job_id
            for job_id, connection_id in jobs.items()
            for checkpoint in by_connection.get(connection_id, ())
            if checkpoint.job_id == job_id or _may_be(checkpoint, job_id)
        }


def recorded(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint of a job whose end has been recorded."""
    return replace(checkpoint, is_recorded=True)


def _may_be(checkpoint: Checkpoint, job_id: int) -> bool:
    """Whether a job may be the one that was requested and is not known yet."""
    is_awaited = checkpoint.job_id is None and checkpoint.requested_at is not None
    return is_awaited and job_id > checkpoint.after


def _read(
    instance: dg.DagsterInstance, pairs: Iterable[tuple[str, str]], request: str = ""
) -> dict[tuple[str, str], Checkpoint]:
    """Return the checkpoints of runs and connections, as far as there are any."""
    cells = {_cell(run_id, connection_id, request): (run_id, connection_id) for run_id, connection_id in pairs}
    found: dict[tuple[str, str], Checkpoint] = {}
    keys = list(cells)
    for start in range(0, len(keys), _KEYS_A_QUERY):
        values = instance.daemon_cursor_storage.get_cursor_values(set(keys[start : start + _KEYS_A_QUERY]))
        for key, text in values.items():
            checkpoint = _from_json(text)
            if checkpoint is not None:
                found[cells[key]] = checkpoint
    return found


def _cell(run_id: str, connection_id: str, request: str) -> str:
    """Return a key of at most 64 characters: MySQL's index of Dagster's key-value table has no more of it."""
    return "airbyte_job:" + hashlib.sha256("\0".join((run_id, connection_id, request)).encode()).hexdigest()[:48]


def _to_json(run_id: str, connection_id: str, checkpoint: Checkpoint) -> str:
    content: dict[str, Any] = {
        "run_id": run_id,
        "connection_id": connection_id,
        "after": checkpoint.after,
        "requested_at": checkpoint.requested_at,
        "job_id": checkpoint.job_id,
        "is_ours": checkpoint.is_ours,
        "is_recorded": checkpoint.is_recorded,
        "rows_before": [[*key, rows] for key, rows in checkpoint.rows_before.items()],
    }
    return json.dumps(content)


def _from_json(text: str) -> Checkpoint | None:
    """Read what `_to_json` wrote; ``None`` for anything else."""
    try:
        content = json.loads(text)
        return Checkpoint(
            after=content["after"],
            requested_at=content["requested_at"],
            job_id=content["job_id"],
            is_ours=content["is_ours"],
            is_recorded=content["is_recorded"],
            rows_before={StreamKey(namespace, name): rows for namespace, name, rows in content["rows_before"]},
        )
    except (ValueError, KeyError, TypeError):
        return None
