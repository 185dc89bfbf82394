"""What must outlive a process, kept in the Dagster instance: the job of a run, and what was applied."""

from __future__ import annotations

import re

import dagster as dg

from airbyte_dagster.fingerprint import Applied
from airbyte_dagster.sync import JobNote

_TAG = "airbyte_dagster/job/{}"
_NOTE = re.compile(r"after=(?P<after>\d+)(?: job=(?P<job>\d+))?(?P<done> done)?")
_APPLIED = "airbyte_dagster/applied/{}"
_PARENT_RUN_TAG = "dagster/parent_run_id"


class RunJobMemory:
    """A `sync.JobMemory` in the tags of the run, where people can read it too.

    A run that retries another, after a crash or from the UI, takes over the job of that one unless it was used up.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance = instance
        self._run_id = run_id
        self._notes: dict[str, JobNote] = {}

    def recall(self, connection_id: str) -> JobNote | None:
        """Return the note of this run, or else of the run that it retries, unless `done` was said of it."""
        run_id: str | None = self._run_id
        for _ in range(2):
            run = self._instance.get_run_by_id(run_id) if run_id else None
            if run is None:
                return None
            text = run.tags.get(_TAG.format(connection_id))
            match = _NOTE.fullmatch(text) if text else None
            if match:
                job_id = int(match["job"]) if match["job"] else None
                return None if match["done"] else JobNote(int(match["after"]), job_id)
            run_id = run.tags.get(_PARENT_RUN_TAG)
        return None

    def note(self, connection_id: str, note: JobNote) -> None:
        """Write the note into this run's tags."""
        self._notes[connection_id] = note
        self._write(connection_id, _text(note))

    def done(self, connection_id: str) -> None:
        """Say that the result of the noted job was recorded: whoever runs again wants a new job."""
        self._write(connection_id, f"{_text(self._notes[connection_id])} done")

    def _write(self, connection_id: str, text: str) -> None:
        self._instance.add_run_tags(self._run_id, {_TAG.format(connection_id): text})


class InstanceAppliedStore:
    """A `fingerprint.AppliedStore` in the instance's key-value storage, shared by all that use the instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._storage = instance.daemon_cursor_storage

    def get(self, actor_id: str) -> Applied | None:
        """Return the record, if there is one."""
        key = _APPLIED.format(actor_id)
        text = self._storage.get_cursor_values({key}).get(key)
        return Applied.from_json(text) if text else None

    def put(self, actor_id: str, applied: Applied) -> None:
        """Keep a record in place of the former."""
        self._storage.set_cursor_values({_APPLIED.format(actor_id): applied.to_json()})


def _text(note: JobNote) -> str:
    return f"after={note.after}" + (f" job={note.job_id}" if note.job_id is not None else "")
