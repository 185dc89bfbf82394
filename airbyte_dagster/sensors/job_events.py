"""What finished jobs become as events of one asset: which are still to be recorded, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import FINAL_STATUSES, Job, StreamKey
from airbyte_dagster.checks.history import RecordedJob
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.runs.events import JobEvent, emptied, synced_metadata, unsuccessful, without_reports
from airbyte_dagster.runs.reported import (
    after_others,
    may_append_twice,
    nothing_reported,
    reported_size,
    reported_stats,
)
from airbyte_dagster.runs.targets import AssetTarget
from airbyte_dagster.sensors.job_facts import JobFacts, is_reset
from airbyte_dagster.sensors.row_chain import needs_before, rows_after
from airbyte_dagster.warehouse import Table

Tables = Mapping[tuple[dg.AssetKey, StreamKey], Table | None]
AssetEvent = dg.AssetMaterialization | dg.AssetObservation

_UNSUCCESSFUL = FINAL_STATUSES - {"succeeded"}


@dataclass(frozen=True)
class ConnectionJobs:
    """The jobs of one connection, as far as a tick knows them.

    Attributes:
        finished: Those that may have to be recorded, by id.
        seen: All that lists showed, whatever their status.
        waiting: Ids of those that a run of ours is about to record.
        floor: Of jobs with a higher id, all were seen since the sensor began.
    """

    connection_id: str
    finished: Sequence[Job]
    seen: Sequence[Job]
    waiting: Collection[int]
    floor: int

    def is_newest(self, job: Job) -> bool:
        """Whether no newer job moves the tables, or has moved them: one that failed does not count."""
        return not any(
            other.id > job.id and (other.active or other.status == "succeeded")
            for other in (*self.seen, *self.finished)
        )


@dataclass(frozen=True)
class Planned:
    """An event to be; what is in the warehouse is put in when all of them are known.

    Attributes:
        reads_tables: Whether the warehouse shows what this job left.
        make: Makes the event of the tables; of ``None`` if they are not to be read, or can't be.
    """

    job: Job
    target: AssetTarget
    reads_tables: bool
    make: Callable[[Sequence[Table | None] | None], AssetEvent]

    def event(self, tables: Tables | None) -> AssetEvent:
        """Return the event."""
        if tables is None or not self.reads_tables or not self.target.tables:
            return self.make(None)
        return self.make([tables[self.target.key, stream.key] for stream in self.target.streams])


@dataclass
class AssetPlan:
    """What is to be recorded of a connection's jobs for one asset.

    Attributes:
        events: To be recorded, in this order.
        to_check: The job after which the checks of the asset are to run; ``None`` if they are not.
    """

    target: AssetTarget
    jobs: ConnectionJobs
    recorded: Sequence[JobEvent]
    facts: JobFacts
    links: Links
    events: list[Planned] = field(default_factory=list)
    to_check: int | None = None

    def __post_init__(self) -> None:
        self._chain = _Chain(self.jobs, self.recorded, self.facts)
        self._last: RecordedJob | None = None
        self._newest_recorded = max((event.job_id for event in self.recorded if event.reports is not None), default=0)
        for job in self.jobs.finished:
            if not self.has(job):
                self.events += self._planned(job)
            elif job.id == self._newest_recorded and self.jobs.is_newest(job) and self._is_ours(job):
                # Its event was written, but the daemon ended before it asked for the checks.
                self.to_check = job.id

    def has(self, job: Job) -> bool:
        """Whether the asset has an event about the end of a job."""
        return is_recorded(self.recorded, job)

    def _is_ours(self, job: Job) -> bool:
        """Whether a sensor recorded this job as a materialization that checks hold to."""
        return any(
            event.job_id == job.id and not event.run_id and event.is_materialization and event.reports is not None
            for event in self.recorded
        )

    def _is_complete(self, job: Job) -> bool:
        """Whether a job brought all of this asset's streams, though it may have failed as a whole."""
        if job.status == "succeeded":
            return self.facts.has_run(job)
        return any(target.key == self.target.key for target in self.facts.part(job).complete)

    def _is_newest(self, job: Job) -> bool:
        """Whether no newer job moves this asset's tables, or has moved them, be it one that failed as a whole."""
        later = (other for other in self.jobs.finished if other.id > job.id)
        return self.jobs.is_newest(job) and not any(map(self._is_complete, later))

    def _planned(self, job: Job) -> Iterator[Planned]:
        key = self.target.key
        if not self._is_complete(job):
            if self._chain.is_unchecked and self.jobs.is_newest(job):
                self.to_check = job.id
            failed = unsuccessful(
                key,
                self.facts.part(job).reasons.get(key) or self.facts.reason(job),
                job_id=job.id,
                status=job.status,
                connection_id=job.connection_id,
                links=self.links,
                rows=job.rows,
            )
            yield Planned(job, self.target, reads_tables=False, make=lambda _tables: failed)
        elif is_reset(job):
            yield from self._emptied(job)
        elif job.id < self._newest_recorded:
            reports = self._reports(job, {})
            size = reported_size(reports, self.facts.stats(job))
            metadata = without_reports(synced_metadata(reports, None, job, self.links, size=size))
            late = dg.AssetMaterialization(key, description=_told(job), metadata=metadata)
            yield Planned(job, self.target, reads_tables=False, make=lambda _tables: late)
        else:
            yield self._synced(job)

    def _synced(self, job: Job) -> Planned:
        reports = self._reports(job, self._chain.rows_before(job, self.target))
        size, is_newest = reported_size(reports, self.facts.stats(job)), self._is_newest(job)
        self._chain.succeeded(job, reports)
        self._last = RecordedJob(tuple(reports), job.rows, None, is_reset=False, job_id=job.id)
        self.to_check = job.id if is_newest else None

        def make(tables: Sequence[Table | None] | None) -> AssetEvent:
            metadata = synced_metadata(reports, tables, job, self.links, size=size)
            return dg.AssetMaterialization(self.target.key, description=_told(job), metadata=metadata)

        return Planned(job, self.target, reads_tables=is_newest, make=make)

    def _emptied(self, job: Job) -> Iterator[Planned]:
        """Yield what says that a reset emptied the tables; nothing if it was of other streams only."""
        streams = self.facts.reset_streams(job)
        of_this = [
            stream.key
            for stream in self.target.streams
            if streams is None or stream.key in streams or _is_named(stream.key, streams)
        ]
        if not of_this:
            return
        nothing = nothing_reported([stream for stream in self.target.streams if stream.key in of_this])
        reports = reported_stats(self.target.streams, nothing, dict.fromkeys(of_this, 0))
        event = emptied(self.target.key, reports, job, self.links)
        is_whole = len(of_this) == len(self.target.streams)
        if is_whole and job.id > self._newest_recorded:
            self._chain.succeeded(job, reports)
            self._last = RecordedJob(tuple(reports), 0, None, is_reset=True, job_id=job.id)
            self.to_check = None
        else:
            metadata = without_reports(event.metadata)
            event = dg.AssetObservation(self.target.key, description=event.description, metadata=metadata)
        yield Planned(job, self.target, reads_tables=False, make=lambda _tables: event)

    def _reports(self, job: Job, before: Mapping[StreamKey, int]) -> list[ReportedStats]:
        streams = self.target.streams
        attempts = self.facts.attempts(job) if may_append_twice(streams) else None
        reports = reported_stats(streams, self.facts.stats(job), before, attempts=attempts)
        return after_others(reports, job, lambda: self._recorded_before(job))

    def _recorded_before(self, job: Job) -> RecordedJob | None:
        if self._last is not None:
            return self._last
        events = [event for event in self.recorded if event.reports is not None and event.job_id <= job.id]
        last = max(events, key=lambda event: event.job_id, default=None)
        if last is None or last.reports is None:
            return None
        return RecordedJob(last.reports, last.rows, last.row_count, not last.is_materialization, last.job_id)


def is_recorded(events: Sequence[JobEvent], job: Job) -> bool:
    """Whether events have the end of a job.

    A run that gave up watching recorded it with the status that it had: then the end is news, unless it was cancelled,
    which the run did itself.
    """
    return any(
        event.job_id == job.id and (event.status in FINAL_STATUSES or job.status == "cancelled") for event in events
    )


class _Chain:
    """The rows after the last job that succeeded, from one job to the next."""

    def __init__(self, jobs: ConnectionJobs, recorded: Sequence[JobEvent], facts: JobFacts) -> None:
        self._jobs = jobs
        self._recorded = recorded
        self._facts = facts
        self._last: tuple[int, dict[StreamKey, int]] | None = None

    def succeeded(self, job: Job, reports: Sequence[ReportedStats]) -> None:
        """Take up a job that is about to be recorded."""
        self._last = (job.id, rows_after(reports, None))

    @property
    def is_unchecked(self) -> bool:
        """Whether the last job that succeeded was recorded by a sensor while another one was moving the tables."""
        base = max((event for event in self._recorded if event.reports), key=lambda event: event.job_id, default=None)
        return self._last is None and base is not None and not base.run_id and base.row_count is None

    def rows_before(self, job: Job, target: AssetTarget) -> dict[StreamKey, int]:
        """Return the rows of the streams before a job, of those whose check needs them and where they are known."""
        streams = [stream.key for stream in target.streams if needs_before(stream.sync_mode)]
        if not streams or job.job_type != "sync":
            return {}
        base = self._base(job)
        if base is None or not self._is_undisturbed(base[0], job.id):
            return {}
        return {key: base[1][key] for key in streams if key in base[1]}

    def _base(self, job: Job) -> tuple[int, dict[StreamKey, int]] | None:
        """Return the last job that succeeded before this one, and the rows after it; ``None`` if it is not known."""
        events = [event for event in self._recorded if event.reports is not None and event.job_id < job.id]
        event = max(events, key=lambda event: event.job_id, default=None)
        if self._last is not None and (event is None or event.job_id < self._last[0]):
            return self._last
        if event is None or event.reports is None:
            return None
        # A sensor that recorded it saw all that came later; a run did not.
        if event.run_id or event.job_id <= self._jobs.floor:
            history = self._facts.history(self._jobs.connection_id)
            if history is None or event.job_id not in {other.id for other in history}:
                return None
        return event.job_id, rows_after(event.reports, event.row_count)

    def _is_undisturbed(self, after: int, before: int) -> bool:
        """Whether no job between two others brought or took rows, as far as that is known."""
        history = self._facts.known_history(self._jobs.connection_id)
        others = [job for job in (*self._jobs.seen, *self._jobs.finished, *history) if after < job.id < before]
        told = [event for event in self._recorded if after < event.job_id < before]
        between = {job.id for job in others} | {event.job_id for event in told}
        between |= {job_id for job_id in self._jobs.waiting if after < job_id < before}
        harmless = {job.id for job in others if job.status in _UNSUCCESSFUL and job.rows == 0}
        harmless |= {event.job_id for event in told if event.status in _UNSUCCESSFUL and event.rows == 0}
        return between <= harmless


def _is_named(key: StreamKey, streams: Collection[StreamKey]) -> bool:
    """Whether a stream that is declared without its namespace is among others that have theirs."""
    return key[0] is None and key[1] in {name for _, name in streams}


def _told(job: Job) -> str:
    return f"Airbyte's job {job.id}, recorded by a sensor: no run in Dagster started it, or none lived to record it."
