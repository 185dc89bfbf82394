"""Run one job of a connection to its end: start or attach, watch, time out, cancel.

The rule behind it all: exactly one job for one request. An answer that is lost, a job that is running already, a step
that is tried again, a process that died: each ends in watching the job that is there, never in a second one and never
in a failure that did not happen. Only ``succeeded`` is success.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import ACTIVE_STATUSES, FINAL_STATUSES, Job, JobType
from airbyte_dagster.errors import (
    AirbyteError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    RequestTimedOut,
    ServerError,
    ServerUnreachable,
    SyncAlreadyRunning,
    SyncCancelled,
    SyncError,
    SyncFailed,
    SyncStatusUnknown,
    SyncTimedOut,
    UnexpectedAnswer,
)

#: A server waits up to 60 s for the id of a new job (``TemporalClient.kt``); a lost request may still be in there.
LOST_CREATE_SECONDS = 75.0
_CONFLICT_LOOK_SECONDS = 5.0
_MIN_POLL_SECONDS = 0.5
_POLLS_PER_AGE = 20
#: How long to wait for a cancelled job to stop before it is reported as it is.
_CANCEL_SECONDS = 60.0
_TRANSIENT = (ServerUnreachable, RequestTimedOut, RateLimited, ServerError)


Origin = Literal["new", "attached", "adopted"]


@dataclass(frozen=True)
class SyncSettings:
    """How to run a job; times in seconds.

    Attributes:
        timeout: After this the job is cancelled and `SyncTimedOut` raised. ``None`` (default) waits for ever.
        poll_ceiling: Longest wait between two polls. The wait is a twentieth of the job's age, at least 0.5 s.
        poll_failure_tolerance: For how long in a row polling may fail before the job is given up as unknown.
        on_running: What to do if the connection has an active sync: watch it (``attach``), raise (``fail``), or start
            our own once it has ended (``wait``).
        cancel_on_timeout: Whether a timeout cancels the job.
        cancel_on_termination: Whether terminating the run cancels the job.
    """

    timeout: float | None = None
    poll_ceiling: float = 10.0
    poll_failure_tolerance: float = 300.0
    on_running: Literal["attach", "fail", "wait"] = "attach"
    cancel_on_timeout: bool = True
    cancel_on_termination: bool = True


@dataclass(frozen=True)
class JobNote:
    """What a run remembers of the job that it wants, kept outside the process.

    Attributes:
        after: The connection's newest job before ours was asked for; 0 if there was none. A job with a higher id is
            ours, even if the process died before it learnt the id.
        job_id: Our job, once known.
        asked: When ours was asked for, seconds since the epoch; a job that was asked for just before the process died
            may yet appear.
    """

    after: int
    job_id: int | None = None
    asked: float | None = field(default=None, compare=False)


class JobMemory(Protocol):
    """Where a run keeps its `JobNote`, by connection; it survives the process."""

    def recall(self, connection_id: str) -> JobNote | None:
        """Return the note, if this run (or the one it retries) left one and has not used it up."""

    def note(self, connection_id: str, note: JobNote) -> None:
        """Keep a note in place of the former."""


@dataclass(frozen=True)
class Started:
    """A job to watch.

    Attributes:
        origin: ``new``: asked for just now. ``attached``: it was active already. ``adopted``: this run, or the one it
            retries, started it before.
    """

    job: Job
    origin: Origin


@dataclass(frozen=True)
class Succeeded:
    """A job that succeeded; `origin` as in `Started`."""

    job: Job
    origin: Origin


@dataclass
class _Asked:
    """How far a start has come, for an interrupt that may come at any point of it.

    Attributes:
        after: As in `JobNote`; ``None`` before a job is asked for.
        job_id: The job that is watched for us.
    """

    after: int | None = None
    job_id: int | None = None


class ForgetfulMemory:
    """Keeps nothing: for callers that never run twice."""

    def recall(self, connection_id: str) -> JobNote | None:  # noqa: ARG002
        """Return nothing."""
        return None

    def note(self, connection_id: str, note: JobNote) -> None:
        """Keep nothing."""


def poll_wait(age: float, ceiling: float) -> float:
    """Return the seconds to wait before the next poll of a job that is `age` seconds old.

    A twentieth of the age: a short job is noticed at once, and a long one costs about the calls of a fixed interval.
    """
    return max(_MIN_POLL_SECONDS, min(ceiling, age / _POLLS_PER_AGE))


@dataclass(frozen=True)
class SyncRunner:
    """Runs jobs through a client.

    Attributes:
        memory: Keeps the id of the job that a run started.
        log: Takes one line for people when something changes, not at every poll.
        warn: The same, for what is odd.
        on_progress: Called with the job whenever its status or numbers change.
        clock: Monotonic seconds; replaced in tests.
        now: Seconds since the epoch; replaced in tests.
        sleep: Waits; replaced in tests.
    """

    client: AirbyteClient
    settings: SyncSettings = SyncSettings()
    memory: JobMemory = field(default_factory=ForgetfulMemory)
    log: Callable[[str], None] = lambda _line: None
    warn: Callable[[str], None] = lambda _line: None
    on_progress: Callable[[Job], None] = lambda _job: None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def run(self, connection_id: str, job_type: JobType = "sync") -> Succeeded:
        """Start or attach, and watch to the end.

        Returns:
            The succeeded job, and where it came from.

        Raises:
            SyncFailed: It failed; with the job's id and, where the server gives one, the reason.
            SyncCancelled: Somebody cancelled it.
            SyncTimedOut: It was active for longer than `SyncSettings.timeout`.
            SyncStatusUnknown: Airbyte could not be asked for too long.
            SyncAlreadyRunning: A sync was active, and `SyncSettings.on_running` is ``fail``.
            OutcomeUnknown: No answer told whether a job was made, and none could be found.
            AirbyteError: Airbyte refused the job.
        """
        asked = _Asked()
        try:
            started = self._start(connection_id, job_type, asked)
            return Succeeded(self.watch(started.job), started.origin)
        except BaseException as error:
            # Only what is no ordinary error is a termination: KeyboardInterrupt, Dagster's interrupt, SystemExit.
            if not isinstance(error, Exception) and self.settings.cancel_on_termination:
                self.cancel_asked(connection_id, asked.after, asked.job_id, job_type)
            raise

    # Starting

    def start(self, connection_id: str, job_type: JobType = "sync", *, newest: int | None = None) -> Started:
        """Return the job to watch: the one this run has already, one that is active, or a new one.

        Args:
            connection_id: The connection.
            job_type: What is wanted.
            newest: Id of the newest job of the whole server, if it is known: then the connection's jobs are not asked
                for first, which saves a call, since Airbyte itself tells whether one is active. An active one is
                watched, whatever `SyncSettings.on_running` says.

        Raises:
            AirbyteDagsterError: As `run`, of a job that can't be started.
        """
        return self._start(connection_id, job_type, _Asked(), newest)

    def _start(self, connection_id: str, job_type: JobType, asked: _Asked, newest: int | None = None) -> Started:
        note = self.memory.recall(connection_id)
        if note is not None:
            adopted = self._adopt(connection_id, note, job_type)
            if adopted is not None:
                self.log(f"Going on with job {adopted.id}, which this run started before ({adopted.status}).")
                return self._remember(connection_id, note.after, Started(adopted, "adopted"), asked)
        recent = self.client.jobs(connection_id) if newest is None else []
        active = newest_active(recent, job_type)
        if active is not None:
            if self.settings.on_running == "fail":
                raise SyncAlreadyRunning(
                    f"Job {active.id} ({active.job_type}, {active.status}) is active on connection {connection_id}.",
                    status=409,
                    guidance="Wait for it, or set on_running to 'attach' or 'wait'.",
                )
            after = max((job.id for job in recent if job.id < active.id), default=0)
            if self.settings.on_running == "attach":
                self.log(f"Job {active.id} is {active.status} already; watching it instead of starting another.")
                return self._remember(connection_id, after, Started(active, "attached"), asked)
            self._wait_for(active)
            recent = [active, *recent]
        after = max((job.id for job in recent), default=newest or 0)
        self.memory.note(connection_id, JobNote(after, asked=self.now()))
        asked.after = after
        job = self._create(connection_id, job_type, after)
        started = Started(job, "new" if job.id > after else "attached")
        self._remember(connection_id, after, started, asked)
        self.log(f"{job.job_type.capitalize()} started: job {job.id} is {job.status}.")
        return started

    def _adopt(self, connection_id: str, note: JobNote, job_type: JobType) -> Job | None:
        """Return the noted job if it is still good for us: active or succeeded. A failed one asks for a new try."""
        if note.job_id is not None:
            try:
                job = self.client.job(note.job_id)
            except (NotFound, Conflict):  # how the API answers for a job that it does not know
                return None
        else:
            ours = self._job_after(connection_id, job_type, note.after) or self._late(connection_id, note, job_type)
            if ours is None:
                return None
            job = ours
        return job if job.active or job.status == "succeeded" else None

    def _late(self, connection_id: str, note: JobNote, job_type: JobType) -> Job | None:
        """Look for a job that was asked for just before the process died, while its request may still be served."""
        left = 0.0 if note.asked is None else note.asked + LOST_CREATE_SECONDS - self.now()
        if left <= 0:
            return None
        left = min(left, LOST_CREATE_SECONDS)  # clocks of machines differ
        self.log(
            f"A job may have been asked for just before this run was interrupted; looking for it for {left:.0f} s."
        )
        return self._look_for(connection_id, job_type, note.after, left)

    def _create(self, connection_id: str, job_type: JobType, after: int) -> Job:
        """Create the job. If no answer comes, look for it before asking again.

        A repeat is safe only once the first request can no longer be in the server: until then it might be served
        after ours. Later than that, Airbyte itself refuses a second sync, or answers with the queued one.
        """
        for last_try in (False, True):
            try:
                return self.client.create_job(connection_id, job_type)
            except SyncAlreadyRunning as conflict:
                running = newest_active(self._of_type(connection_id, job_type), job_type)
                if running is not None:
                    return running
                finished = self._job_after(connection_id, job_type, after)
                if finished is not None:
                    return finished
                if last_try:
                    raise
                self.log(f"{conflict.message} It has ended meanwhile; asking again.")
            except (Conflict, RequestTimedOut, UnexpectedAnswer) as error:
                # A 409 without "already running" is also how a server reports that it gave up waiting for the id.
                patience = _CONFLICT_LOOK_SECONDS if isinstance(error, Conflict) else LOST_CREATE_SECONDS
                found = self._look_for(connection_id, job_type, after, patience)
                if found is not None:
                    self.log(f"The answer was lost, but Airbyte has the job: {found.id} ({found.status}).")
                    return found
                if isinstance(error, Conflict):
                    raise
                if last_try:
                    raise OutcomeUnknown(
                        f"Airbyte gave no answer when it was asked to {job_type} connection {connection_id}, "
                        "and lists no new job.",
                        guidance="Look at the connection in Airbyte; a rerun attaches to a job that is active.",
                    ) from error
                self.log("Airbyte lists no new job; asking once more.")
        raise AssertionError("unreachable")

    def _look_for(self, connection_id: str, job_type: JobType, after: int, patience: float) -> Job | None:
        began = self.clock()
        while True:
            found = self._job_after(connection_id, job_type, after)
            if found is not None or self.clock() - began >= patience:
                return found
            self.sleep(poll_wait((self.clock() - began) * 2, self.settings.poll_ceiling))

    def _job_after(self, connection_id: str, job_type: JobType, after: int) -> Job | None:
        return next((job for job in self._of_type(connection_id, job_type) if job.id > after), None)

    def _of_type(self, connection_id: str, job_type: JobType) -> list[Job]:
        return [job for job in self.client.jobs(connection_id) if _same_type(job.job_type, job_type)]

    def _remember(self, connection_id: str, after: int, started: Started, asked: _Asked) -> Started:
        asked.job_id = started.job.id
        self.memory.note(connection_id, JobNote(after, started.job.id))
        return started

    def _wait_for(self, job: Job) -> None:
        self.log(f"Job {job.id} is {job.status}; waiting for it to end before starting our own.")
        not_ours = replace(self.settings, cancel_on_timeout=False)
        waiting = replace(self, on_progress=lambda _job: None, settings=not_ours)
        try:
            waiting.watch(job)
        except (SyncFailed, SyncCancelled):
            return

    # Watching

    def watch(self, job: Job) -> Job:
        """Poll a job to its end; see `run` for what is raised."""
        began = last_answer = self.clock()
        shown: Job | None = None
        warned: set[str] = set()
        while True:
            if shown is None or _moved(shown, job):
                self.on_progress(job)
                shown = job
            if job.status not in FINAL_STATUSES | ACTIVE_STATUSES and job.status not in warned:
                warned.add(job.status)
                self.warn(f"Job {job.id} has the unknown status {job.status!r}; still watching it.")
            if not job.active:
                return self.judge(job)
            age = self.clock() - began
            if self.settings.timeout is not None and age >= self.settings.timeout:
                return self.time_out(job)
            self.sleep(self._next_wait(age))
            try:
                job = self.client.job(job.id)
                last_answer = self.clock()
            except _TRANSIENT as error:
                self._check_tolerance(job, self.clock() - last_answer, error)

    def _next_wait(self, age: float) -> float:
        wait = poll_wait(age, self.settings.poll_ceiling)
        left = None if self.settings.timeout is None else self.settings.timeout - age
        return wait if left is None else max(0.0, min(wait, left))

    def time_out(self, job: Job) -> Job:
        """Give up a job that is over its time: cancel it, if the settings say so.

        Returns:
            The job, if it has succeeded after all.

        Raises:
            SyncTimedOut: It has not.
        """
        what = "left running"
        if self.settings.cancel_on_timeout:
            ended = self.cancel(job.id)
            if ended is not None and ended.status == "succeeded":
                return ended
            what = "cancelled" if ended is not None and not ended.active else "asked to stop"
        raise SyncTimedOut(
            f"Job {job.id} was still {job.status} after {self.settings.timeout:g} s and was {what}.",
            job_id=job.id,
            status=job.status,
            guidance="Raise sync_timeout if the sync needs longer.",
        )

    def _check_tolerance(self, job: Job, silent: float, error: AirbyteError) -> None:
        if silent < self.settings.poll_failure_tolerance:
            self.warn(f"Job {job.id} could not be polled, which says nothing about the sync: {error.message}")
            return
        raise status_unknown(job, silent) from error

    def judge(self, job: Job) -> Job:
        """Return a job that has ended, if it succeeded.

        Raises:
            SyncFailed: It failed; with the reason, where the server gives one.
            SyncCancelled: Somebody cancelled it.
        """
        if job.status == "succeeded":
            return job
        if job.status == "cancelled":
            raise SyncCancelled(
                f"Job {job.id} of connection {job.connection_id} was cancelled.", job_id=job.id, status=job.status
            )
        failure = self.client.job_failure(job.id)
        reason = f" after {failure.attempts} attempt(s): {failure.message} ({failure.origin})" if failure else ""
        raise SyncFailed(
            f"Job {job.id} of connection {job.connection_id} failed{reason}.".replace("..", "."),
            job_id=job.id,
            status=job.status,
            guidance="" if failure else "Its log in Airbyte says why; this server does not tell it through its API.",
        )

    def cancel_asked(
        self, connection_id: str, after: int | None, job_id: int | None, job_type: JobType = "sync"
    ) -> None:
        """Cancel the job of a start that was interrupted, however far it had come.

        Args:
            connection_id: The connection.
            after: As in `JobNote`; ``None`` if no job was asked for.
            job_id: The job, if it is known.
            job_type: What was asked for.
        """
        if job_id is None and after is not None:
            # Interrupted while the answer was awaited: the job may have been made.
            try:
                made = self._job_after(connection_id, job_type, after)
            except AirbyteError as error:
                self.warn(f"Terminated while a job was asked for; it may be running: {error.message}")
                return
            job_id = made.id if made else None
        if job_id is not None:
            self.log(f"Terminated: cancelling job {job_id}.")
            self.cancel(job_id)

    def cancel(self, job_id: int) -> Job | None:
        """Cancel a job if it is still active, and wait until it has stopped.

        Airbyte's DELETE stops whatever runs on the job's connection, so a finished job is never sent one
        (``SchedulerHandler.kt``).

        Returns:
            The job as last seen, or ``None`` if Airbyte could not be asked.
        """
        try:
            job = self.client.job(job_id)
            if job.active:
                job = self.client.cancel_job(job_id)
            began = self.clock()
            while job.active and self.clock() - began < _CANCEL_SECONDS:
                self.sleep(poll_wait(self.clock() - began, self.settings.poll_ceiling))
                job = self.client.job(job_id)
        except (AirbyteError, SyncError) as error:
            self.warn(f"Job {job_id} could not be cancelled and may still be running: {error.message}")
            return None
        return job


def status_unknown(job: Job, silent: float) -> SyncStatusUnknown:
    """Return the error of a job that could not be asked about for some seconds."""
    return SyncStatusUnknown(
        f"Airbyte could not be asked about job {job.id} for {silent:.0f} s; it may still be running.",
        job_id=job.id,
        status=job.status,
        guidance="A rerun goes on watching the same job.",
    )


def newest_active(jobs: Sequence[Job], job_type: JobType) -> Job | None:
    """Return the newest job of a type that has not ended, if there is one."""
    active = [job for job in jobs if job.active and _same_type(job.job_type, job_type)]
    return max(active, key=lambda job: job.id, default=None)


def _same_type(shown: str, asked: JobType) -> bool:
    """A clear is shown as ``reset``: the two are one (``JobService.kt``)."""
    return (shown in ("reset", "clear")) == (asked in ("reset", "clear"))


def _moved(before: Job, now: Job) -> bool:
    return (before.status, before.rows, before.bytes) != (now.status, now.rows, now.bytes)
