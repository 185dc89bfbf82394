"""A job that a notice names: looked up in Airbyte, and recorded as the sync sensor would record it.

The notice is not believed. What is recorded is what Airbyte says to our own client, of jobs that have ended, of
connections of the sensor's own workspace that have assets; what a run of ours waits for is left to it.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import ConfigurationError, Conflict, NotFound, PermissionDenied
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.runs.checkpoints import RunsAtWork
from airbyte_dagster.runs.event_storage import open_connections
from airbyte_dagster.runs.events import job_events
from airbyte_dagster.runs.instance_lock import has_lock
from airbyte_dagster.runs.targets import AssetTarget
from airbyte_dagster.sensors.connection_book import ConnectionBook
from airbyte_dagster.sensors.job_events import ConnectionJobs
from airbyte_dagster.sensors.job_writer import WAREHOUSE_SECONDS, JobWriter
from airbyte_dagster.sensors.sync_sensor import SyncSensor, sync_sensors
from airbyte_dagster.sensors.tick import TimeLimitedCall
from airbyte_dagster.warehouse import Warehouse, warehouse_at

_LOG = logging.getLogger("airbyte_dagster.webhook")
#: How long facts of a job are collected; it is one job, or a few.
_BUDGET_SECONDS = 15.0
#: A plan that somebody else was faster with is made again so often.
_MOST_PLANS = 3


class Outcome(enum.Enum):
    """What came of a notice."""

    RECORDED = "recorded"
    KNOWN = "recorded already"
    OF_A_RUN = "left to the run that waits for it"
    ACTIVE = "has not ended, as Airbyte says"
    UNKNOWN = "not known to Airbyte"
    FOREIGN = "of a connection that has no assets here"
    LEFT = "left to the sensor, since others were recording, too"


class NoticeRecorder:
    """Records the jobs of one sensor's connections; may be used from several threads.

    Args:
        declared: The sensor.
        airbyte: Where the jobs are.
        warehouse: Where the tables are; ``None`` if there is none to look into.
        instance: Where runs and events are.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        declared: SyncSensor,
        airbyte: AirbyteResource,
        warehouse: Callable[[], Warehouse] | None,
        instance: dg.DagsterInstance,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = declared.name
        self.airbyte = airbyte
        self._warehouse = warehouse
        self._instance = instance
        self._clock = clock
        self._notes = declared.notes(instance)
        self._book = ConnectionBook(declared.targets_of, clock=clock)
        self._workspace_id: str | None = None

    def workspace_id(self) -> str:
        """Return the workspace, asked for once.

        Raises:
            AirbyteDagsterError: Airbyte can't be asked, or has none that fits.
        """
        if self._workspace_id is None:
            self._workspace_id = self.airbyte.find_workspace(self.airbyte.tick_client()).id
        return self._workspace_id

    def notifications(self) -> Any:
        """Return what the workspace has set for its notices, in Airbyte's keys.

        Raises:
            AirbyteDagsterError: Airbyte can't be asked.
        """
        return self.airbyte.tick_client().workspace(self.workspace_id()).raw.get("notifications")

    def record(self, job_id: int) -> Outcome:
        """Record a job, and those of its connection that ended between the last recorded one and it.

        Raises:
            AirbyteDagsterError: Airbyte can't be asked, or others are recording for too long.
        """
        client = self.airbyte.tick_client()
        workspace_id = self.workspace_id()
        try:
            job = client.job(job_id)
        except (Conflict, NotFound, PermissionDenied):  # how the API answers for a job that it does not know, or show
            return Outcome.UNKNOWN
        if job.active:
            return Outcome.ACTIVE
        targets = self._book.targets(client, workspace_id, {job.connection_id}).get(job.connection_id)
        if not targets:
            return Outcome.FOREIGN
        for _ in range(_MOST_PLANS):
            outcome = self._record(client, workspace_id, job, targets)
            if outcome is not Outcome.LEFT:
                return outcome
        return Outcome.LEFT

    def _record(self, client: AirbyteClient, workspace_id: str, job: Job, targets: Sequence[AssetTarget]) -> Outcome:
        writer = JobWriter(
            client,
            workspace_id,
            self._instance,
            self._warehouse,
            TimeLimitedCall(WAREHOUSE_SECONDS),
            clock=self._clock,
            warn=_LOG.warning,
        )
        history = writer.facts.history(job.connection_id) or [job]
        claimed = RunsAtWork.of(self._instance).claimed({known.id: known.connection_id for known in (*history, job)})
        if job.id in claimed:
            return Outcome.OF_A_RUN
        missed = self._missed(job, history, targets[0])
        finished = [*(other for other in missed if other.id not in claimed), job]
        # All of the connection's last jobs are in the history: nothing is taken as seen because a sensor is there.
        jobs = ConnectionJobs(job.connection_id, finished, history, claimed, floor=job.id)
        written = writer.write(
            [(jobs, targets)],
            deadline=self._clock() + _BUDGET_SECONDS,
            note=lambda done: self._notes.add(done.done, done.to_check),
        )
        if job.id not in written.done:
            return Outcome.LEFT
        return Outcome.RECORDED if job.id in written.recorded else Outcome.KNOWN

    def _missed(self, job: Job, history: Sequence[Job], target: AssetTarget) -> list[Job]:
        """Return what ended between the last recorded job and this one: resets have no notices, and some are lost."""
        told = job_events(self._instance, target.key, connection_id=job.connection_id, since_job=job.id)
        before = max((event.job_id for event in told if event.job_id < job.id), default=None)
        if before is None:
            return []
        between = (other for other in history if before < other.id < job.id and not other.active)
        return sorted(between, key=lambda other: other.id)


@contextmanager
def recorders_of(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Iterator[list[NoticeRecorder]]:
    """Yield a recorder for each sync sensor of definitions, with their resources, for a block.

    Raises:
        ConfigurationError: They have no such sensor, or the instance's storage has no lock that processes share.
    """
    declared = sync_sensors(definitions)
    if not declared:
        raise ConfigurationError(
            "The definitions have no sensor that records Airbyte's syncs.",
            guidance="Add build_airbyte_sync_sensor, or sync_sensor=True for a workspace: notices are recorded for the "
            "same assets, and the sensor finds those that were lost and has the checks run.",
        )
    if not has_lock(instance):
        raise ConfigurationError(
            "The storage of this Dagster instance has no lock that a receiver of notices and a sensor could share.",
            guidance="Use SQLite, PostgreSQL or MySQL for it.",
        )
    with ExitStack() as until_end:
        until_end.enter_context(open_connections(instance))
        yield [_recorder(item, definitions, instance, until_end) for item in declared]


def _recorder(
    declared: SyncSensor, definitions: dg.Definitions, instance: dg.DagsterInstance, until_end: ExitStack
) -> NoticeRecorder:
    there = definitions.get_repository_def().get_top_level_resources()
    key = declared.warehouse_key
    wanted = [declared.airbyte_key, *([key] if key else [])]
    resources: Any = until_end.enter_context(dg.build_resources({name: there[name] for name in wanted}, instance))
    return NoticeRecorder(
        declared,
        getattr(resources, declared.airbyte_key),
        partial(warehouse_at, resources, key) if key else None,
        instance,
    )
