"""Running jobs: the queue, the workers, cancelling.

At most N jobs run at once, and never two into one DuckDB file; the others are pending, oldest first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.exc import OperationalError

from airbyte_dagster.local import definitions, destinations, joblogs
from airbyte_dagster.local.beforehand import Beforehand
from airbyte_dagster.local.destinations import Places
from airbyte_dagster.local.drift import Disabled
from airbyte_dagster.local.engine import (
    ConnectorFailed,
    Engine,
    Failure,
    Outcome,
    Run,
    StreamStats,
    UnknownConnector,
)
from airbyte_dagster.local.jobrequests import JobRequests
from airbyte_dagster.local.jobstore import JobStore, failure_of, stats_of
from airbyte_dagster.local.notices import Notices
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Connection, Job
from airbyte_dagster.local.redaction import Redactor
from airbyte_dagster.local.statestore import StateStore
from airbyte_dagster.local.store import Store
from airbyte_dagster.local.tableclaims import Key

STOPPED = "The server was stopped while the job was active"
INTERRUPTED = "The server ended while the job was active"
CANCELLED = Failure("The job was cancelled", kind="manual_cancellation")
_SECONDS_TO_END = 30.0
_SECONDS_BETWEEN_TRIES = 1.0


@dataclass(eq=False)
class _Entry:
    """A job that is queued or running."""

    job: Job
    keys: frozenset[str]
    """Jobs that have one in common don't run together: the connection, and the warehouse file if there is one."""
    waits_for: str = ""
    """What it waits for, ``job`` or ``worker``, if its log says so."""
    running: bool = False
    run: Run | None = None
    ending: tuple[str, Failure] | None = None
    """How the job ends if it is ended from outside."""
    redactor: Redactor = field(default_factory=lambda: Redactor(()))
    """Hides the secrets of the job in its reason."""
    done: threading.Event = field(default_factory=threading.Event)


class JobRunner:
    """Runs the jobs of a store.

    Args:
        store: Where connections are.
        jobs: Where jobs are.
        states: Where incremental reads stopped.
        engine: What runs them.
        places: Where warehouse files may be; the home is for logs and temporary files, too.
        workers: How many jobs may run at once.
    """

    def __init__(
        self,
        store: Store,
        jobs: JobStore,
        states: StateStore,
        engine: Engine,
        places: Places,
        *,
        workers: int = 4,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._engine = engine
        self._places = places
        self._home = places.home
        self._workers = workers
        self._requests = JobRequests(store, states, places)
        self._notices = Notices(store, jobs, places.home)
        self.beforehand = Beforehand(store, engine, places)
        """What is done about jobs before they run; it knows which tables are shared."""
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._closed = False
        self._ending = threading.Event()

    def submit(self, job: Job) -> None:
        """Queue a pending job; it starts at once if there is room."""
        entry = _Entry(job, frozenset({job.connection_id, self._key(job.connection_id)} - {""}))
        with self._lock:
            if not self._closed:
                self._entries[job.id] = entry
        if self._closed:
            self._end(entry, "failed", Failure(STOPPED))
        self._dispatch()

    def sync(self, connection_id: str, workspace_id: str) -> Job:
        """Ask for a sync, as a client would; the job, which may have been waiting already.

        Raises:
            ApiError: 409: one runs.
        """
        job, is_new = self._jobs.add_sync(connection_id, workspace_id)
        if is_new:
            self.submit(job)
        return job

    def refresh(self, connection: Connection, mode: str, streams: Iterable[Key] | None = None) -> Job:
        """Ask for a sync that reads streams from their beginning.

        Args:
            connection: The connection.
            mode: ``Truncate``, so that only rows of this reading are left, or ``Merge``.
            streams: Namespace and name of those to refresh, the others sync as usual; None for all.

        Raises:
            ApiError: 409: a sync runs or waits.
        """
        job = self._jobs.add_refresh(connection.id, connection.workspace_id, mode, streams)
        self.submit(job)
        return job

    def clear(self, connection: Connection, streams: Iterable[Key] | None = None) -> Job:
        """Empty the tables of streams, None for all; what runs on the connection is cancelled first."""
        self.cancel([connection.id])
        job = self._jobs.add_reset(connection.id, connection.workspace_id, streams)
        self.submit(job)
        return job

    def cancel(self, connection_ids: Iterable[str]) -> None:
        """End all active jobs of these connections; returns when none of them runs."""
        wanted = set(connection_ids)
        with self._lock:
            entries = [entry for entry in self._entries.values() if entry.job.connection_id in wanted]
        self._end_all(entries, "cancelled", CANCELLED)
        # A job that another request is just about to submit has no entry yet; it must not start any more either.
        for connection_id in wanted:
            for job in self._jobs.active(connection_id):
                self._jobs.end(job.id, "cancelled", None, failure_of(CANCELLED))

    def close(self) -> None:
        """End all active jobs as failed and take no more."""
        self._ending.set()
        with self._lock:
            self._closed = True
            entries = list(self._entries.values())
        self._end_all(entries, "failed", Failure(STOPPED))

    def _end_all(self, entries: list[_Entry], status: str, failure: Failure) -> None:
        threads = [threading.Thread(target=self._stop, args=(entry, status, failure)) for entry in entries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._dispatch()

    def _stop(self, entry: _Entry, status: str, failure: Failure) -> None:
        with self._lock:
            entry.ending = entry.ending or (status, failure)
            running, run = entry.running, entry.run
            if not running:
                self._entries.pop(entry.job.id, None)
        if running:
            if run is not None:
                run.cancel()
            # Without a run yet, the thread sees `ending` as soon as it has one. An installation is not waited for.
            entry.done.wait(_SECONDS_TO_END)
        self._end(entry, *entry.ending)

    def _end(self, entry: _Entry, status: str, failure: Failure) -> None:
        if self._jobs.end(entry.job.id, status, None, failure_of(failure)):
            self._notices.send(entry.job.id)
        entry.done.set()

    def _dispatch(self) -> None:
        """Start what may start now."""
        starting: list[_Entry] = []
        waiting: list[tuple[_Entry, set[int]]] = []
        with self._lock:
            busy = {key: entry.job.id for entry in self._entries.values() if entry.running for key in entry.keys}
            free = self._workers - sum(entry.running for entry in self._entries.values())
            for entry in sorted(self._entries.values(), key=lambda entry: entry.job.id):
                if entry.running or self._closed:
                    continue
                blocking = {busy[key] for key in entry.keys if key in busy}
                if free > 0 and not blocking:
                    entry.running = True
                    starting.append(entry)
                    free -= 1
                else:
                    waiting.append((entry, blocking))
                if entry.running:
                    busy.update(dict.fromkeys(entry.keys, entry.job.id))
        for entry, blocking in waiting:
            self._note_waiting(entry, blocking)
        for entry in starting:
            name = f"job-{entry.job.id}"
            threading.Thread(target=self._execute, args=(entry,), name=name, daemon=True).start()

    def _note_waiting(self, entry: _Entry, blocking: set[int]) -> None:
        """Write into a job's log what it waits for, once; many wait for one another, each for many."""
        what = "job" if blocking else "worker"
        if entry.waits_for == what:
            return
        entry.waits_for = what
        if blocking:
            jobs = ", ".join(map(str, sorted(blocking)))
            line = f"Waiting for job {jobs}, which writes the same DuckDB file or is of the same connection."
        else:
            line = f"Waiting for one of the {self._workers} workers; `serve --workers` says how many jobs run at once."
        with contextlib.closing(joblogs.JobLog(self._home.job_log(entry.job.id))) as log:
            log.write(line)

    def _execute(self, entry: _Entry) -> None:
        job_id = entry.job.id
        try:
            if not self._jobs.start(job_id):
                return
            outcome = self._run(entry)
            with self._lock:
                ending = entry.ending
            own = "failed" if outcome.failure else "succeeded"
            status, failure = ending or (own, outcome.failure)
            self._finish(entry, status, stats_of(outcome.streams) or None, failure)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the job must not stay active
            self._finish(entry, "failed", None, Failure("Local Airbyte failed to run the job", repr(error)))
        finally:
            with self._lock:
                self._entries.pop(job_id, None)
            entry.done.set()
            self._dispatch()

    def _finish(self, entry: _Entry, status: str, stats: list[dict[str, Any]] | None, failure: Failure | None) -> None:
        """Write down how a job ended, if need be again and again: a full disk must not leave it running for ever."""
        hide = entry.redactor.text
        if failure is not None:
            failure = replace(failure, message=hide(failure.message), internal=hide(failure.internal))
        while True:
            try:
                ended = self._jobs.end(entry.job.id, status, stats, failure_of(failure))
            except OperationalError:
                if self._ending.wait(_SECONDS_BETWEEN_TRIES):
                    return  # the next start fails what is still active
            else:
                if ended:
                    self._notices.send(entry.job.id)
                return

    def _progress(self, job_id: int, streams: Sequence[StreamStats]) -> None:
        with contextlib.suppress(OperationalError):  # the next one may get through; the job goes on without
            self._jobs.progress(job_id, stats_of(streams))

    def _run(self, entry: _Entry) -> Outcome:
        with self._lock:
            active = set(self._entries)
        joblogs.prune(self._home.logs, active)
        try:
            secrets = self._requests.secrets(entry.job)
            entry.redactor = Redactor(secrets)  # first, as whatever is said of the job from here on may have them in it
            look = self.beforehand.begin(entry.job, entry.redactor.text)
            request, states = self._requests.prepare(entry.job, secrets)
        except Disabled as error:
            with self._lock:  # as Airbyte does: the sync of a connection that was disabled is cancelled
                reason = Failure(str(error), origin="source", kind="config_error")
                entry.ending = entry.ending or ("cancelled", reason)
            return Outcome()
        except UnknownConnector as error:
            return Outcome(failure=Failure(definitions.unknown_source(str(error)), kind="config_error"))
        except ConnectorFailed as error:
            return Outcome(failure=Failure(str(error), origin="source", kind="refresh_schema"))
        except ApiError as error:
            message = str((error.body.get("data") or {}).get("message") or error.body)
            return Outcome(failure=Failure(message, kind="config_error"))
        run = self._engine.start(request)
        with self._lock:
            entry.run = run
            ended = entry.ending is not None
        if ended:
            run.cancel()
        outcome = run.wait(lambda streams: self._progress(entry.job.id, streams))
        if outcome.failure is None and request.job_type != "reset":
            states.settle(request.streams)
        if look is not None:
            look.join(lambda: entry.ending is not None)
        return outcome

    def _key(self, connection_id: str) -> str:
        connection = self._store.connection(connection_id)
        try:
            destination = self._store.actor("destination", connection.destination_id)
            return destinations.warehouse(destination.type, destination.configuration, self._places).key
        except ApiError:
            return ""  # the job will fail with the reason when it runs
