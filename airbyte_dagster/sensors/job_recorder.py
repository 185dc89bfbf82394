"""One tick over a workspace's jobs: what has ended since the last one becomes events of the assets it is about.

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
from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import AirbyteDagsterError, Conflict, NotFound
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.runs.checkpoints import RunsAtWork
from airbyte_dagster.runs.targets import TargetsOf
from airbyte_dagster.sensors.connection_book import ConnectionBook
from airbyte_dagster.sensors.job_cursor import RUN_PATIENCE, JobCursor, Waiting
from airbyte_dagster.sensors.job_events import AssetEvent, ConnectionJobs
from airbyte_dagster.sensors.job_writer import WAREHOUSE_SECONDS, JobWriter, Written
from airbyte_dagster.sensors.noted import Noted, NotedJobs
from airbyte_dagster.sensors.tick import TimeLimitedCall
from airbyte_dagster.warehouse import Warehouse

#: Dagster gives a tick 60 s: after these no further job is begun, or these after the connections are known.
_BUDGET_SECONDS = 15.0
_LEAST_SECONDS = 5.0
#: Jobs of runs that ended without recording them, asked for one by one in a tick.
_MOST_RELEASED = 20


@dataclass(frozen=True)
class Outcome:
    """What came of a tick.

    Attributes:
        cursor: For the next tick.
        summary: One sentence for people.
        events: What was written, in this order.
        to_check: Assets whose checks are to run now, with the job that is the reason.
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
        poll_interval: Seconds between two looks at Airbyte, where notices report what has ended; it is looked at with
            every tick by default, and while something is left or waited for.
        clock: Monotonic seconds.
        now: Epoch seconds.
    """

    def __init__(
        self,
        targets_of: TargetsOf,
        *,
        poll_interval: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._book = ConnectionBook(targets_of, clock=clock)
        self._limited = TimeLimitedCall(WAREHOUSE_SECONDS)
        self._poll_interval = poll_interval
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
        notes: NotedJobs | None = None,
    ) -> Outcome:
        """Look what has changed, and record it.

        Args:
            airbyte: Where the jobs are.
            warehouse: Where the tables are; ``None`` if there is none to look into.
            instance: Where runs and events are.
            cursor_text: What the last tick left.
            warn: Takes one line for people.
            notes: What a receiver of notices has recorded for this sensor.

        Raises:
            AirbyteDagsterError: Airbyte can't be asked; the next tick is to begin with the same cursor.
        """
        cursor = JobCursor.from_json(cursor_text) if cursor_text else None
        noted = notes.since(cursor.noted if cursor else 0) if notes else Noted()
        now = self._now()
        if cursor is not None:
            cursor = cursor.with_noted(noted.jobs, noted.last)
            if not cursor.waiting and self._is_early(cursor.looked_at, now):
                return Outcome(cursor, _between(noted), to_check=noted.to_check)
        try:
            client = airbyte.tick_client()
            workspace_id = self._workspace_id(airbyte, client)
            if cursor is None or cursor.workspace_id != workspace_id:
                outcome = self._start(client, workspace_id, warn, now, is_anew=bool(cursor_text))
                return replace(outcome, cursor=outcome.cursor.with_noted((), noted.last))
            writer = JobWriter(client, workspace_id, instance, warehouse, self._limited, clock=self._clock, warn=warn)
            outcome = self._look(client, instance, cursor, writer, now)
        except AirbyteDagsterError:
            self._workspace = None  # perhaps there is another one by now
            raise
        return replace(outcome, to_check={**noted.to_check, **outcome.to_check})

    def _look(
        self, client: AirbyteClient, instance: dg.DagsterInstance, cursor: JobCursor, writer: JobWriter, now: float
    ) -> Outcome:
        """Ask Airbyte what has ended since the last look, and record it."""
        began = self._clock()
        changes = client.changed_jobs(cursor.workspace_id, cursor.since)
        news = cursor.news(changes)
        if not news and not cursor.waiting:
            return Outcome(cursor.moved(changes, done=(), waiting={}, now=now), "No job has ended.")
        ready, waiting, gone = self._unclaimed(client, instance, cursor, news, now)
        found = self._book.targets(client, cursor.workspace_id, {job.connection_id for job in ready})
        deadline = max(began + _BUDGET_SECONDS, self._clock() + _LEAST_SECONDS)
        seen = _by_connection(changes.jobs)
        connections = []
        for connection_id, jobs in _by_connection(ready).items():
            targets = found.get(connection_id)
            if targets is None:
                continue
            others = list(seen.get(connection_id, ()))
            if targets and any(job.id in cursor.waiting for job in jobs):
                # What came after a job that has waited may lie before what was read now.
                others += writer.facts.history(connection_id) or ()
            connections.append((ConnectionJobs(connection_id, jobs, others, waiting.keys(), cursor.floor), targets))
        written = writer.write(connections, deadline=deadline, despite=cursor.waiting)
        done = gone | set(written.done)
        still = {key: cursor.waiting[key] for key in cursor.waiting.keys() - done - waiting.keys()}
        after = cursor.moved(changes, done=done, waiting={**waiting, **still}, now=now)
        return Outcome(after, _summary(written), written.events, written.to_check)

    def _start(
        self, client: AirbyteClient, workspace_id: str, warn: Callable[[str], None], now: float, *, is_anew: bool
    ) -> Outcome:
        newest = client.newest_jobs(workspace_id)
        if is_anew:
            warn("The cursor is of another workspace or version; jobs that ended since the last tick are not recorded.")
        cursor = JobCursor.starting(workspace_id, newest, now=now, is_all=len(newest) < PAGE_SIZE)
        return Outcome(cursor, "This is the first tick: jobs that end from now on are recorded.")

    def _is_early(self, looked_at: float | None, now: float) -> bool:
        """Whether Airbyte was looked at so recently that it is not to be looked at now."""
        if self._poll_interval is None or looked_at is None:
            return False
        return 0 <= now - looked_at < self._poll_interval  # below 0, this machine's clock was set back

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


def _by_connection(jobs: Sequence[Job]) -> Mapping[str, list[Job]]:
    found = defaultdict(list)
    for job in jobs:
        found[job.connection_id].append(job)
    return found


def _summary(written: Written) -> str:
    if not written.recorded:
        return "No job has ended that is not recorded already."
    return f"Recorded {_list(written.recorded)}."


def _between(noted: Noted) -> str:
    if not noted.jobs:
        return "Airbyte has reported nothing; it is looked at by itself less often than there are ticks."
    return f"Recorded when Airbyte reported it: {_list(noted.jobs)}."


def _list(jobs: Collection[int]) -> str:
    few = 10
    ids = ", ".join(map(str, sorted(jobs)[:few]))
    more = f" and {len(jobs) - few} more" if len(jobs) > few else ""
    return f"{'job' if len(jobs) == 1 else 'jobs'} {ids}{more}"
