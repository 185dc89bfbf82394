"""Start a job on a connection: resume the one that exists, join one that is active, or request a new one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job, JobType
from airbyte_dagster.errors import (
    AirbyteError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    RequestTimedOut,
    ServerError,
    SyncAlreadyRunning,
    UnexpectedAnswer,
)
from airbyte_dagster.sync.checkpoints import Checkpoint, CheckpointKeeper
from airbyte_dagster.sync.jobs import is_of_type, nothing_ran
from airbyte_dagster.sync.results import JobOrigin
from airbyte_dagster.sync.settings import SyncSettings

#: A server waits up to 60 s for the id of a new job (``TemporalClient.kt``); a lost request may still be in there.
LOST_CREATE_SECONDS = 75.0
_REFUSED_LOOK_SECONDS = 5.0
#: A request that had to wait so long for its turn gets a new checkpoint, with the time at which it is sent.
_FRESH_SECONDS = 10.0
_FIRST_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Started:
    """A job to watch; `checkpoint` names it."""

    job: Job
    origin: JobOrigin
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Busy:
    """The connection has a foreign job, and ours is to be requested when that has ended."""

    job: Job


@dataclass(frozen=True)
class Ready:
    """A job can be requested.

    Attributes:
        after: As in `Checkpoint`.
        ended: Ids of jobs of the connection that had ended by then.
    """

    after: int
    ended: Collection[int] = ()


class Terminated(Exception):
    """Somebody called `SyncEngine.terminate` while a request waited.

    Attributes:
        is_requested: Whether a job may have been requested.
    """

    def __init__(self, *, is_requested: bool = True) -> None:
        super().__init__()
        self.is_requested = is_requested


@dataclass(frozen=True)
class JobStarter:
    """Starts jobs; its methods are called in threads.

    Attributes:
        checkpoints: Keeps when a job was requested.
        log: Takes one line for people.
        clock: Monotonic seconds.
        now: Seconds since the epoch.
        sleep: Waits; raises `Terminated` if the run was terminated.
        stop: Done when it was.
    """

    client: AirbyteClient
    settings: SyncSettings
    job_type: JobType
    checkpoints: CheckpointKeeper
    log: Callable[[str], None]
    clock: Callable[[], float]
    now: Callable[[], float]
    sleep: Callable[[float], None]
    stop: Future[bool]

    def prepare(self, connection_id: str, checkpoint: Checkpoint | None) -> Started | Busy | Ready:
        """Look for a job that is to be watched, or waited for, in place of a new one.

        Raises:
            SyncAlreadyRunning: One is active, and `SyncSettings.on_running` is ``fail``.
            AirbyteError: Airbyte did not answer.
        """
        if checkpoint is not None:
            resumed = self._resume(connection_id, checkpoint)
            if resumed is not None:
                return resumed
        jobs = self.client.jobs(connection_id)
        active = _active(jobs)
        ready = Ready(max((job.id for job in jobs), default=0), frozenset(job.id for job in jobs if not job.active))
        return ready if active is None else self._meet(active) or ready

    def _meet(self, active: Job) -> Started | Busy | None:
        """Return what to do about a foreign job that is active; ``None`` if ours can be requested all the same."""
        on_running = self.settings.on_running
        if on_running == "fail":
            raise SyncAlreadyRunning(
                f"Job {active.id} ({active.job_type}, {active.status}) is active on connection {active.connection_id}.",
                status=409,
                guidance="Wait for it, or set on_running to 'attach' or 'wait'.",
            )
        if on_running == "attach" and is_of_type(active, self.job_type):
            return self._attached(active)
        if on_running == "wait" or self.job_type == "sync":
            self.log(f"Job {active.id} is {active.status}; waiting for it to end before requesting our own.")
            return Busy(active)
        return None  # a reset or clear makes Airbyte cancel what runs

    def _attached(self, job: Job) -> Started:
        self.log(f"Job {job.id} is {job.status} already; watching it instead of requesting another.")
        return Started(job, "attached", Checkpoint(job.id - 1, job_id=job.id, is_ours=False))

    # What a former process requested

    def _resume(self, connection_id: str, checkpoint: Checkpoint) -> Started | None:
        """Return the job of a checkpoint if it is still good for us: active or succeeded. A failed one is repeated.

        So is one that is called succeeded although nothing ran.
        """
        if checkpoint.job_id is not None:
            job = self._patiently(checkpoint.job_id)
        elif checkpoint.requested_at is not None:
            job = self._find_requested(connection_id, checkpoint.after, checkpoint.requested_at)
        else:
            job = None  # nothing was requested
        if job is None or not (job.active or job.status == "succeeded"):
            return None
        is_doubtful = job.status == "succeeded" and not job.rows
        if is_doubtful and nothing_ran(self.client, job, self.client.job_stream_stats(job.id)):
            return None
        self.log(f"Job {job.id} was requested by this run before, and is {job.status}: going on with it.")
        rows = checkpoint.rows_before
        if rows and any(
            other.id > checkpoint.after and other.id != job.id for other in self.client.jobs(connection_id)
        ):
            rows = {}
        found = replace(checkpoint, job_id=job.id, requested_at=None, rows_before=rows)
        return Started(job, "resumed" if checkpoint.is_ours else "attached", found)

    def _patiently(self, job_id: int) -> Job | None:
        """Return a job; as while it is watched, no answer of another kind says anything about it."""
        began = self.clock()
        while True:
            try:
                return self.client.job(job_id)
            except (NotFound, Conflict):  # how the API answers for a job that it does not know
                return None
            except AirbyteError:
                if self.clock() - began >= self.settings.poll_failure_tolerance:
                    raise
            self.sleep(self._look_wait(began))

    def _find_requested(self, connection_id: str, after: int, requested_at: float) -> Job | None:
        """Look for a job that was requested before the process died, while its request may still be served."""
        # Not longer, since clocks of machines differ.
        left = min(requested_at + LOST_CREATE_SECONDS - self.now(), LOST_CREATE_SECONDS)
        self.log("A job may have been requested before an interruption; looking for it.")
        return self.look_for(connection_id, after, max(0.0, left))

    # A new one

    def request(self, connection_id: str, checkpoint: Checkpoint) -> Started | Busy:
        """Request a job. If no answer comes, look for it before requesting it again.

        A repeat is safe only once the first request can no longer be in the server: until then it might be served
        after ours. Later than that, Airbyte itself refuses a second sync, or answers with the queued one.

        Raises:
            OutcomeUnknown: No answer shows whether there is a job, and none was found.
            SyncAlreadyRunning: A foreign one is active, and `SyncSettings.on_running` is ``fail``.
            CheckpointNotSaved: The time of a late request could not be kept, so it was not sent.
            AirbyteError: Airbyte refused.
        """
        is_lost = False
        for is_last in (False, True):
            checkpoint = self._renewed(connection_id, checkpoint, is_first=not is_lost)
            try:
                job = self.client.create_job(connection_id, self.job_type)
                return self._requested(job, checkpoint)
            except SyncAlreadyRunning as refusal:
                found = self._after_refusal(connection_id, checkpoint, refusal, is_lost=is_lost)
                if found is not None:
                    return found
                if is_last:
                    raise
                self.log(f"{refusal.message} It has ended meanwhile; requesting again.")
            except (Conflict, ServerError, RequestTimedOut, UnexpectedAnswer) as error:
                # A 409 without "already running" is also how a server reports that it gave up waiting for the id.
                is_answer = isinstance(error, Conflict | ServerError)
                made = self._look_after_loss(
                    connection_id, checkpoint, _REFUSED_LOOK_SECONDS if is_answer else LOST_CREATE_SECONDS
                )
                if made is not None:
                    return made
                if is_answer:
                    raise
                if is_last:
                    raise self._unknown(connection_id) from error
                is_lost = True
                self.log("Airbyte lists no new job; requesting once more.")
        raise AssertionError("unreachable")

    def _renewed(self, connection_id: str, checkpoint: Checkpoint, *, is_first: bool) -> Checkpoint:
        """Return a checkpoint that says when the request is sent, as exactly as a resumed run needs it."""
        if self.stop.done():
            raise Terminated(is_requested=not is_first)
        now = self.now()
        if checkpoint.requested_at is not None and now - checkpoint.requested_at < _FRESH_SECONDS:
            return checkpoint
        renewed = replace(checkpoint, requested_at=now)
        self.checkpoints.save({connection_id: renewed})
        error = self.checkpoints.error(connection_id)
        if error is not None:
            raise error
        return renewed

    def _requested(self, job: Job, checkpoint: Checkpoint) -> Started:
        if job.id <= checkpoint.after:
            # A queued one that was there before is what Airbyte answers with.
            return self._attached(job)
        self.log(f"{job.job_type.capitalize()} started: job {job.id} is {job.status}.")
        return Started(job, "new", replace(checkpoint, job_id=job.id, requested_at=None))

    def _after_refusal(
        self, connection_id: str, checkpoint: Checkpoint, refusal: SyncAlreadyRunning, *, is_lost: bool
    ) -> Started | Busy | None:
        """Find what Airbyte refused ours for; ``None`` if nothing is there any more.

        Args:
            connection_id: The connection.
            checkpoint: Of our request.
            refusal: What Airbyte said.
            is_lost: Whether a former request got no answer, so that the job may be ours.
        """
        jobs = self.client.jobs(connection_id)
        newer = [job for job in jobs if job.id > checkpoint.after and is_of_type(job, self.job_type)]
        if is_lost and newer:
            return self._requested(newer[0], checkpoint)
        active = _active(jobs)
        if active is not None:
            return self._meet(active)
        if self.settings.on_running == "fail":
            raise refusal
        if not newer:
            return None
        return Busy(newer[0]) if self.settings.on_running == "wait" else self._attached(newer[0])

    def _look_after_loss(self, connection_id: str, checkpoint: Checkpoint, patience: float) -> Started | None:
        try:
            job = self.look_for(connection_id, checkpoint.after, patience)
        except AirbyteError as error:
            raise self._unknown(connection_id) from error
        if job is None:
            return None
        self.log(f"The answer was lost, but Airbyte has the job: {job.id} ({job.status}).")
        return self._requested(job, checkpoint)

    def _unknown(self, connection_id: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"Airbyte gave no answer to the request to {self.job_type} connection {connection_id}, and lists no new "
            "job.",
            guidance="Look at the connection in Airbyte; a rerun attaches to a job that is active.",
        )

    def look_for(self, connection_id: str, after: int, patience: float) -> Job | None:
        """Look for a job of a connection with a higher id, for some seconds.

        Raises:
            AirbyteError: The last look got no answer.
        """
        began = self.clock()
        while True:
            is_over = self.clock() - began >= patience
            try:
                found = self._job_after(connection_id, after)
            except AirbyteError:
                found = None
                if is_over:
                    raise
            if found is not None or is_over:
                return found
            self.sleep(min(self._look_wait(began), max(0.1, patience - (self.clock() - began))))

    def _look_wait(self, began: float) -> float:
        return max(_FIRST_LOOK_SECONDS, min(self.settings.poll_ceiling, (self.clock() - began) / 10))

    def _job_after(self, connection_id: str, after: int) -> Job | None:
        jobs = self.client.jobs(connection_id)
        return next((job for job in jobs if job.id > after and is_of_type(job, self.job_type)), None)


def _active(jobs: Iterable[Job]) -> Job | None:
    return next((job for job in jobs if job.active), None)
