"""One tick over a workspace's jobs: what has ended since the last one, told as events of the assets it is about.

It does not know what assets there are, nor what declared them: `TargetsOf` finds those of a connection.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.calls import PAGE_SIZE
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import AirbyteDagsterError, Conflict, NotFound
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.runs.checkpoints import RunsAtWork
from airbyte_dagster.runs.events import job_events
from airbyte_dagster.runs.targets import AssetTarget, TargetsOf
from airbyte_dagster.sensors.connection_book import ConnectionBook
from airbyte_dagster.sensors.job_cursor import RUN_PATIENCE, JobCursor, Waiting
from airbyte_dagster.sensors.job_events import AssetEvent, AssetPlan, ConnectionJobs, Tables, is_recorded
from airbyte_dagster.sensors.job_facts import JobFacts
from airbyte_dagster.sensors.tick import TimeLimitedCall
from airbyte_dagster.sync.tracing import trace_recorded
from airbyte_dagster.warehouse import Warehouse

#: Dagster gives a tick 60 s: after these no further job is begun, or these after the connections are known, …
_BUDGET_SECONDS = 15.0
_LEAST_SECONDS = 5.0
#: … and this long the warehouse is waited for.
_WAREHOUSE_SECONDS = 10.0
#: Jobs of runs that ended without recording them, asked for one by one in a tick.
_MOST_RELEASED = 20


@dataclass(frozen=True)
class Outcome:
    """What came of a tick.

    Attributes:
        cursor: For the next tick.
        summary: One sentence for people.
        events: To be written, in this order.
        to_check: Assets whose checks are to run then, with the job that is the reason.
    """

    cursor: JobCursor
    summary: str
    events: Sequence[AssetEvent] = ()
    to_check: Mapping[dg.AssetKey, int] = field(default_factory=dict)


class JobRecorder:
    """Turns finished jobs into events, each job once for each asset, whatever restarts in between.

    What it remembers between ticks besides the cursor only saves calls.

    Args:
        targets_of: Finds the assets of a connection.
        clock: Monotonic seconds.
        now: Epoch seconds.
    """

    def __init__(
        self,
        targets_of: TargetsOf,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._book = ConnectionBook(targets_of, clock=clock)
        self._limited = TimeLimitedCall(_WAREHOUSE_SECONDS)
        self._clock = clock
        self._now = now
        self._workspace: tuple[AirbyteClient, str | None, str] | None = None

    def tick(
        self,
        airbyte: AirbyteResource,
        warehouse: Callable[[], Warehouse] | None,
        instance: dg.DagsterInstance,
        cursor_text: str | None,
        *,
        warn: Callable[[str], None],
    ) -> Outcome:
        """Look what has changed.

        Args:
            airbyte: Where the jobs are.
            warehouse: Where the tables are; ``None`` if there is none to look into.
            instance: Where runs and events are.
            cursor_text: What the last tick left.
            warn: Takes one line for people.

        Raises:
            AirbyteDagsterError: Airbyte can't be asked; the next tick is to begin with the same cursor.
        """
        try:
            return self._tick(airbyte, warehouse, instance, cursor_text, warn)
        except AirbyteDagsterError:
            self._workspace = None  # perhaps there is another one by now
            raise

    def _tick(
        self,
        airbyte: AirbyteResource,
        warehouse: Callable[[], Warehouse] | None,
        instance: dg.DagsterInstance,
        cursor_text: str | None,
        warn: Callable[[str], None],
    ) -> Outcome:
        began, now = self._clock(), self._now()
        client = airbyte.tick_client()
        workspace_id = self._workspace_id(airbyte, client)
        cursor = JobCursor.from_json(cursor_text) if cursor_text else None
        if cursor is None or cursor.workspace_id != workspace_id:
            return self._start(client, workspace_id, warn, now, is_anew=bool(cursor_text))
        changes = client.changed_jobs(workspace_id, cursor.since)
        news = cursor.news(changes)
        if not news and not cursor.waiting:
            return Outcome(cursor.moved(changes, done=(), waiting={}, now=now), "No job has ended.")
        ready, waiting, gone = self._unclaimed(client, instance, cursor, news, now)
        found = self._book.targets(client, workspace_id, {job.connection_id for job in ready})
        deadline = max(began + _BUDGET_SECONDS, self._clock() + _LEAST_SECONDS)
        seen = _by_connection(changes.jobs)
        facts = JobFacts(client, workspace_id)
        done, plans = set(gone), list[AssetPlan]()
        for connection_id, jobs in _by_connection(ready).items():
            targets = found.get(connection_id)
            if targets is None:
                continue
            others = list(seen.get(connection_id, ()))
            if targets and any(job.id in cursor.waiting for job in jobs):
                # What came after a job that has waited may lie before what was read now.
                others += facts.history(connection_id) or ()
            finished, planned = self._plan(
                ConnectionJobs(connection_id, jobs, others, waiting.keys(), cursor.floor),
                targets,
                instance,
                facts,
                Links(client.settings.server_url, workspace_id),
                deadline=deadline,
            )
            done |= {job.id for job in finished}
            plans += planned
        still = {key: cursor.waiting[key] for key in cursor.waiting.keys() - done - waiting.keys()}
        after = cursor.moved(changes, done=done, waiting={**waiting, **still}, now=now)
        return self._outcome(after, plans, warehouse, warn)

    def _start(
        self, client: AirbyteClient, workspace_id: str, warn: Callable[[str], None], now: float, *, is_anew: bool
    ) -> Outcome:
        newest = client.newest_jobs(workspace_id)
        if is_anew:
            warn("The cursor is of another workspace or version; jobs that ended since the last tick are not recorded.")
        cursor = JobCursor.starting(workspace_id, newest, now=now, is_all=len(newest) < PAGE_SIZE)
        return Outcome(cursor, "This is the first tick: jobs that end from now on are recorded.")

    def _workspace_id(self, airbyte: AirbyteResource, client: AirbyteClient) -> str:
        """Return the workspace, asked for once in this process."""
        name = airbyte.workspace_name
        if self._workspace is None or self._workspace[:2] != (client, name):
            self._workspace = (client, name, airbyte.find_workspace(client).id)
        return self._workspace[2]

    def _unclaimed(
        self, client: AirbyteClient, instance: dg.DagsterInstance, cursor: JobCursor, news: Sequence[Job], now: float
    ) -> tuple[list[Job], dict[int, Waiting], set[int]]:
        """Tell the jobs that are to be recorded now from those that runs of ours will record.

        Returns:
            Jobs to record; those that wait for a run; and those that Airbyte does not know any more.
        """
        candidates = {**cursor.waiting, **{job.id: Waiting(job.connection_id, now) for job in news}}
        claimed = RunsAtWork.of(instance).claimed({key: item.connection_id for key, item in candidates.items()})
        waiting = {
            job_id: item for job_id, item in candidates.items() if job_id in claimed and now - item.since < RUN_PATIENCE
        }
        ready = [job for job in news if job.id not in waiting]
        gone = set()
        for job_id in sorted(cursor.waiting.keys() - waiting.keys())[:_MOST_RELEASED]:
            try:
                ready.append(client.job(job_id))
            except (Conflict, NotFound):  # how the API answers for a job that it does not know
                gone.add(job_id)
        return sorted(ready, key=lambda job: job.id), waiting, gone

    def _plan(
        self,
        jobs: ConnectionJobs,
        targets: Sequence[AssetTarget],
        instance: dg.DagsterInstance,
        facts: JobFacts,
        links: Links,
        *,
        deadline: float,
    ) -> tuple[Sequence[Job], list[AssetPlan]]:
        """Plan what to record of a connection's jobs, as many of them as there is time for.

        Returns:
            The jobs that are dealt with, and a plan for each asset.
        """
        if not targets:
            return jobs.finished, []
        oldest = jobs.finished[0].id
        recorded = [
            job_events(instance, target.key, connection_id=jobs.connection_id, since_job=oldest) for target in targets
        ]
        finished = []
        for job in jobs.finished:
            if not all(is_recorded(events, job) for events in recorded):
                if self._clock() >= deadline:
                    break
                facts.learn(job, targets)
            finished.append(job)
        within = replace(jobs, finished=finished, seen=(*jobs.seen, *jobs.finished))
        return finished, [
            AssetPlan(target, within, events, facts, links) for target, events in zip(targets, recorded, strict=True)
        ]

    def _outcome(
        self,
        cursor: JobCursor,
        plans: Sequence[AssetPlan],
        warehouse: Callable[[], Warehouse] | None,
        warn: Callable[[str], None],
    ) -> Outcome:
        planned = sorted((event for plan in plans for event in plan.events), key=lambda event: event.job.id)
        refs = {
            (event.target.key, key): ref
            for event in planned
            if event.reads_tables
            for key, ref in event.target.tables.items()
        }
        tables: Tables | None = None
        if refs and warehouse is not None:
            try:
                tables = self._limited.call(lambda: warehouse().inspect(refs))
            except AirbyteDagsterError as error:
                warn(f"Syncs were recorded, but what arrived could not be read: {error}")
        jobs = {event.job.id: event.job for event in planned}
        trace_recorded(jobs.values())
        return Outcome(
            cursor,
            f"Recorded {_list(jobs)}." if jobs else "No job has ended that is not recorded already.",
            [event.event(tables) for event in planned],
            {plan.target.key: plan.to_check for plan in plans if plan.to_check is not None},
        )


def _by_connection(jobs: Sequence[Job]) -> Mapping[str, list[Job]]:
    found = defaultdict(list)
    for job in jobs:
        found[job.connection_id].append(job)
    return found


def _list(jobs: Collection[int]) -> str:
    few = 10
    ids = ", ".join(map(str, sorted(jobs)[:few]))
    more = f" and {len(jobs) - few} more" if len(jobs) > few else ""
    return f"{'job' if len(jobs) == 1 else 'jobs'} {ids}{more}"
