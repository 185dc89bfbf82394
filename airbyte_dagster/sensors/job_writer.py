"""Write what is to be recorded of finished jobs into Dagster, each once: for the sensor, and for notices of syncs.

What is asked of Airbyte and of the warehouse takes a while, and meanwhile somebody else may have recorded the same
jobs. So plans are made first; then, one writer at a time in all processes that share an instance, those are dropped
that do not hold any more, and the others are written. What was dropped is news again when its jobs are next looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.runs.checkpoints import RunsAtWork
from airbyte_dagster.runs.event_storage import open_connections
from airbyte_dagster.runs.events import JobEvent, job_events
from airbyte_dagster.runs.instance_lock import instance_lock
from airbyte_dagster.runs.targets import AssetTarget
from airbyte_dagster.sensors.job_events import AssetEvent, AssetPlan, ConnectionJobs, Planned, Tables, is_recorded
from airbyte_dagster.sensors.job_facts import JobFacts
from airbyte_dagster.sensors.tick import TimeLimitedCall
from airbyte_dagster.sync.tracing import trace_recorded
from airbyte_dagster.warehouse import Warehouse

#: How long a warehouse is waited for.
WAREHOUSE_SECONDS = 10.0
#: How long others are held up at most.
_WRITING_SECONDS = 20.0
#: Counts the times that somebody has written; while somebody writes, it says so.
_COUNT = "airbyte_dagster:recorded"
_WRITING = " writing"


@dataclass(frozen=True)
class Written:
    """What came of it.

    Attributes:
        done: Jobs that are dealt with.
        recorded: Those of them that had something to be recorded.
        events: What was written, in this order.
        to_check: Assets whose checks are to run, with the job that is the reason.
    """

    done: Collection[int] = frozenset()
    recorded: Collection[int] = frozenset()
    events: Sequence[AssetEvent] = ()
    to_check: Mapping[dg.AssetKey, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _ConnectionPlan:
    """What is to be written of a connection."""

    jobs: ConnectionJobs
    assets: Sequence[AssetPlan]

    @property
    def planned(self) -> list[Planned]:
        """The events to be, in the order of the connection's jobs."""
        return sorted((event for asset in self.assets for event in asset.events), key=lambda event: event.job.id)

    def holds(self, instance: dg.DagsterInstance) -> bool:
        """Whether nobody has recorded anything of these jobs meanwhile."""
        return all(
            _identities(_recorded(instance, self.jobs, plan.target)) == _identities(plan.recorded)
            for plan in self.assets
        )


class JobWriter:
    """Plans and writes.

    Args:
        client: Of the Airbyte.
        workspace_id: Where the jobs are.
        instance: Where runs and events are.
        warehouse: Where the tables are; ``None`` if there is none to look into.
        limited: Calls the warehouse.
        clock: Monotonic seconds.
        warn: Takes one line for people.
    """

    def __init__(
        self,
        client: AirbyteClient,
        workspace_id: str,
        instance: dg.DagsterInstance,
        warehouse: Callable[[], Warehouse] | None,
        limited: TimeLimitedCall,
        *,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self.facts = JobFacts(client, workspace_id)
        self._instance = instance
        self._links = Links(client.settings.server_url, workspace_id)
        self._warehouse = warehouse
        self._limited = limited
        self._clock = clock
        self._warn = warn

    def write(
        self,
        connections: Sequence[tuple[ConnectionJobs, Sequence[AssetTarget]]],
        *,
        deadline: float,
        despite: Collection[int] = (),
        note: Callable[[Written], None] = lambda _written: None,
    ) -> Written:
        """Record the finished jobs of connections, as many of them as there is time for.

        Args:
            connections: Their jobs, and the assets of each.
            deadline: When no further job is begun, by the clock; at least one is.
            despite: Jobs that are to be recorded although a run that is under way would do it.
            note: Called with what was written before others can write.

        Raises:
            StorageLocked: Others write for too long; nothing was written.
        """
        count = self._count()
        plans = [self._plan(jobs, targets, deadline=deadline) for jobs, targets in connections]
        events = self._events(plans)
        if not any(events.values()):
            return _written(plans, events)
        with instance_lock(self._instance), open_connections(self._instance):
            now = self._count()
            plans = self._still_right(plans, despite, is_sure=now == count and not now.endswith(_WRITING))
            deadline = self._clock() + _WRITING_SECONDS
            # A writer that dies leaves the count as one who writes, so that nobody trusts it; the next one mends it.
            number = int(now.removesuffix(_WRITING)) + 1
            self._set_count(f"{number}{_WRITING}")
            written = list[_ConnectionPlan]()
            for plan in plans:
                if written and self._clock() >= deadline:
                    break
                for event in events[plan.jobs.connection_id]:
                    self._instance.report_runless_asset_event(event)
                written.append(plan)
            self._set_count(str(number))
            result = _written(written, events)
            note(result)
        trace_recorded({event.job.id: event.job for plan in written for event in plan.planned}.values())
        return result

    # Plans

    def _plan(self, jobs: ConnectionJobs, targets: Sequence[AssetTarget], *, deadline: float) -> _ConnectionPlan:
        """Plan what to record of a connection's jobs; those that are left for later are not among them."""
        if not targets:
            return _ConnectionPlan(jobs, [])
        recorded = [_recorded(self._instance, jobs, target) for target in targets]
        finished = list[Job]()
        for job in jobs.finished:
            if not all(is_recorded(events, job) for events in recorded):
                if self._clock() >= deadline:
                    break
                self.facts.learn(job, targets)
            finished.append(job)
        within = replace(jobs, finished=finished, seen=(*jobs.seen, *jobs.finished))
        if not finished:
            return _ConnectionPlan(within, [])
        return _ConnectionPlan(
            within,
            [
                AssetPlan(target, within, events, self.facts, self._links)
                for target, events in zip(targets, recorded, strict=True)
            ],
        )

    def _events(self, plans: Sequence[_ConnectionPlan]) -> dict[str, list[AssetEvent]]:
        """Return the events of each connection, in the order of its jobs; all tables are read at once."""
        planned = {plan.jobs.connection_id: plan.planned for plan in plans}
        refs = {
            (event.target.key, key): ref
            for events in planned.values()
            for event in events
            if event.reads_tables
            for key, ref in event.target.tables.items()
        }
        tables: Tables | None = None
        open_warehouse = self._warehouse
        if refs and open_warehouse is not None:
            try:
                tables = self._limited.call(lambda: open_warehouse().inspect(refs))
            except AirbyteDagsterError as error:
                self._warn(f"Syncs were recorded, but what arrived could not be read: {error}")
        return {key: [event.event(tables) for event in events] for key, events in planned.items()}

    # Whether they are right

    def _still_right(
        self, plans: Sequence[_ConnectionPlan], despite: Collection[int], *, is_sure: bool
    ) -> list[_ConnectionPlan]:
        """Return the plans that nobody was faster with: a run that waits for a job by now, or another writer.

        Args:
            plans: As they were made.
            despite: Jobs that runs may wait for.
            is_sure: Whether nobody has written meanwhile.
        """
        jobs = {job.id: job.connection_id for plan in plans if plan.assets for job in plan.jobs.finished}
        claimed = RunsAtWork.of(self._instance).claimed(jobs) - set(despite)
        free = [plan for plan in plans if not any(job.id in claimed for job in plan.jobs.finished)]
        return free if is_sure else [plan for plan in free if plan.holds(self._instance)]

    def _count(self) -> str:
        return self._instance.daemon_cursor_storage.get_cursor_values({_COUNT}).get(_COUNT, "0")

    def _set_count(self, text: str) -> None:
        self._instance.daemon_cursor_storage.set_cursor_values({_COUNT: text})


def _recorded(instance: dg.DagsterInstance, jobs: ConnectionJobs, target: AssetTarget) -> list[JobEvent]:
    return job_events(instance, target.key, connection_id=jobs.connection_id, since_job=jobs.finished[0].id)


def _identities(events: Sequence[JobEvent]) -> set[tuple[int, str, str]]:
    return {(event.job_id, event.status, event.run_id) for event in events}


def _written(plans: Sequence[_ConnectionPlan], events: Mapping[str, Sequence[AssetEvent]]) -> Written:
    assets = [asset for plan in plans for asset in plan.assets]
    return Written(
        frozenset(job.id for plan in plans for job in plan.jobs.finished),
        frozenset(event.job.id for asset in assets for event in asset.events),
        [event for plan in plans for event in events[plan.jobs.connection_id]],
        {asset.target.key: asset.to_check for asset in assets if asset.to_check is not None},
    )
