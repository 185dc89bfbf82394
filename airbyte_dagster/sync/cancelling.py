"""Cancel jobs. Airbyte's DELETE stops whatever runs on the job's connection, so a finished job is never sent one.

See ``SchedulerHandler.kt``. It answers when the job has stopped, which takes seconds; so all are sent at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import SyncTimedOut
from airbyte_dagster.sync.settings import SyncSettings

#: DELETEs that are on their way at once.
MOST_AT_ONCE = 256
#: How long to wait for a cancelled job to stop before it is reported as it is.
_STOP_SECONDS = 60.0
_FIRST_LOOK_SECONDS, _LOOKS_PER_AGE = 1.0, 20


@dataclass(frozen=True)
class JobCanceller:
    """Cancels jobs; its methods are called in threads.

    Attributes:
        sleep: Waits, whether the run was terminated or not.
        clock: Monotonic seconds.
        warn: Takes one line for people.
    """

    client: AirbyteClient
    settings: SyncSettings
    warn: Callable[[str], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def send(self, executor: Executor, job: Job) -> Future[Job | None]:
        """Cancel a job that is known to be active, in a thread."""
        return executor.submit(self._cancel, job)

    def cancel_if_active(self, job_id: int) -> Job | None:
        """Cancel a job if it is still active, and wait until it has stopped.

        Returns:
            The job as last seen, or ``None`` if Airbyte did not answer.
        """
        try:
            job = self.client.job(job_id)
        except Exception as error:  # noqa: BLE001 - nobody may be kept from cancelling the others
            self._warn_of(job_id, error)
            return None
        return self._cancel(job) if job.active else job

    def _cancel(self, job: Job) -> Job | None:
        try:
            job = self.client.cancel_job(job.id)
            began = self.clock()
            while job.active and self.clock() - began < _STOP_SECONDS:
                age = self.clock() - began
                self.sleep(max(_FIRST_LOOK_SECONDS, age / _LOOKS_PER_AGE))
                job = self.client.job(job.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._warn_of(job.id, error)
            return None
        return job

    def _warn_of(self, job_id: int, error: Exception) -> None:
        self.warn(f"Job {job_id} could not be cancelled and may still be running: {error}")

    def time_out(self, job: Job, *, is_ours: bool) -> Job:
        """Give up a job that is over its time: cancel it, if it is ours and the settings say so.

        Returns:
            The job, if it has succeeded after all.

        Raises:
            SyncTimedOut: It has not.
        """
        what = "left running" if is_ours else "left running, since it was started by somebody else"
        if is_ours and self.settings.cancel_on_timeout:
            ended = self.cancel_if_active(job.id)
            if ended is not None and ended.status == "succeeded":
                return ended
            what = "cancelled" if ended is not None and not ended.active else "asked to stop"
        raise SyncTimedOut(
            f"Job {job.id} was still {job.status} after {self.settings.timeout:g} s and was {what}.",
            job_id=job.id,
            status=job.status,
            guidance="Raise sync_timeout if the sync needs longer.",
        )
