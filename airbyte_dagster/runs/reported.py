"""What a job reports of its streams, and the rows that were there before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.history import RecordedJob
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.destinations.sync_modes import SYNC_MODES, RowEffect
from airbyte_dagster.destinations.tables import key_columns
from airbyte_dagster.sync.jobs import nothing_ran

_APPENDS = RowEffect(keeps=True, dedupes=False)


def needs_count(stream: records.Stream) -> bool:
    """Whether the rule of a stream's sync mode needs the rows before the sync."""
    return not stream.sync_mode.startswith("full_refresh_overwrite")


def reported_streams(client: AirbyteClient, job: records.Job) -> dict[StreamKey, records.StreamStats]:
    """Return what a job says of each stream, as far as it says it, by namespace and name.

    Raises:
        SyncFailed: The job is called a success, but nothing shows that it ran.
    """
    stats = client.job_stream_stats(job.id)
    error = nothing_ran(client, job, stats) if job.status == "succeeded" else None
    if error is not None:
        raise error
    return {item.key: item for item in stats or ()}


@dataclass(frozen=True)
class JobDetails:
    """What Airbyte says of a job beyond the list of jobs.

    Attributes:
        stats: Of each stream.
        attempts: How many there were; ``None`` if that is not known, or makes no difference.
        fields: What the source has of each stream; nothing where that is not known, or not wanted.
    """

    stats: Mapping[StreamKey, records.StreamStats] = field(default_factory=dict)
    attempts: int | None = None
    fields: Mapping[StreamKey, Sequence[str]] = field(default_factory=dict)


def job_details(
    client: AirbyteClient, job: records.Job, streams: Sequence[records.Stream], *, with_fields: bool
) -> JobDetails:
    """Ask for the details of a job: a call, and one more each for attempts and fields where they are needed.

    Args:
        client: Of the Airbyte.
        job: A job that has ended.
        streams: Of its connection.
        with_fields: Whether the fields are wanted.

    Raises:
        SyncFailed: See `reported_streams`.
    """
    stats = reported_streams(client, job)
    attempts = client.attempts(job.id) if may_append_twice(streams) else None
    fields = client.catalog(job.connection_id) if with_fields else None
    return JobDetails(stats, attempts.count if attempts else None, fields or {})


def may_append_twice(streams: Sequence[records.Stream]) -> bool:
    """Whether a further attempt of a job may bring rows of some streams again."""
    return any(SYNC_MODES.get(stream.sync_mode) == _APPENDS for stream in streams)


def reported_size(reports: Sequence[ReportedStats], stats: Mapping[StreamKey, records.StreamStats]) -> int | None:
    """Return the bytes that a job reports of some streams together; ``None`` where those of one are not known.

    Args:
        stats: From `reported_streams`.
    """
    found = [records.of_stream(report.key, stats) for report in reports]
    return sum_of_all([item.bytes if item else None for item in found])


def sum_of_all(numbers: Sequence[int | None]) -> int | None:
    """Return the sum of some numbers; ``None`` where one is not known, or there is none."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def reported_stats(
    streams: Sequence[records.Stream],
    stats: Mapping[StreamKey, records.StreamStats],
    before: Mapping[StreamKey, int],
    *,
    attempts: int | None = None,
) -> list[ReportedStats]:
    """Return what a job reports of some streams.

    Args:
        streams: The streams.
        stats: From `reported_streams`.
        before: Rows in the tables before the job, where they are known.
        attempts: How many the job made, if that is known.
    """
    found = []
    for stream in streams:
        item = records.of_stream(stream.key, stats)
        report = ReportedStats(
            stream.name,
            stream.sync_mode,
            item.rows if item else None,
            records.of_stream(stream.key, before),
            stream.namespace,
            key_columns(stream),
            item.rejected if item else None,
            attempts,
        )
        found.append(report)
    return found


def nothing_reported(streams: Sequence[records.Stream]) -> dict[StreamKey, records.StreamStats]:
    """Return what a reset reports of some streams: that there is nothing in them."""
    return {stream.key: records.StreamStats(stream.name, stream.namespace, 0, 0) for stream in streams}


def after_others(
    reports: Sequence[ReportedStats], job: records.Job, last: Callable[[], RecordedJob | None]
) -> list[ReportedStats]:
    """Return what a job reports, with what is to be known of the jobs before it to compare rows.

    Args:
        reports: Of the streams of one asset.
        job: The job.
        last: Returns the last job that was recorded of the asset: one before this, or this one; ``None`` if there is
            none.
    """
    if not any(_keeps(report) for report in reports):
        return [replace(report, doubt=_doubt_of_job(report, job)) for report in reports]
    recorded = last()
    before = {report.key: report for report in recorded.reports} if recorded else {}
    is_same = recorded is not None and recorded.job_id == job.id
    return [_after(report, job, records.of_stream(report.key, before), is_same=is_same) for report in reports]


def _after(report: ReportedStats, job: records.Job, before: ReportedStats | None, *, is_same: bool) -> ReportedStats:
    # Only rows of this very job may be of a generation that is gone: those before it were counted as it began, and a
    # stream that is read as a whole begins a new one with each job.
    generation = before.generation if before and is_same and _keeps(report) else None
    doubt = before.doubt if before and is_same else _doubt_of_job(report, job) or _doubt_of_rows(report, before)
    return replace(report, generation=generation, doubt=doubt)


def _doubt_of_job(report: ReportedStats, job: records.Job) -> str | None:
    """Return why rows may differ from what a job of this kind reports though nothing was lost."""
    if job.status != "succeeded":
        return f"job {job.id} as a whole is {job.status}, though this stream is called complete"
    if job.job_type == "refresh" and _keeps(report):
        return f"job {job.id} is a refresh, which may remove the rows that were there"
    return None


def _doubt_of_rows(report: ReportedStats, before: ReportedStats | None) -> str | None:
    """Return why rows that were there before may be merged with others: they were not written as they are now."""
    if SYNC_MODES.get(report.sync_mode) != RowEffect(keeps=True, dedupes=True) or not report.before:
        return None
    if before is None:
        return "how the rows before were written is not recorded"
    if before.sync_mode != report.sync_mode:
        return f"the sync mode was {before.sync_mode} before"
    if before.primary_key != report.primary_key:
        return f"the primary key was ({', '.join(before.primary_key)}) before"
    return None


def _keeps(report: ReportedStats) -> bool:
    effect = SYNC_MODES.get(report.sync_mode)
    return effect is not None and effect.keeps


def progress_line(job: records.Job) -> str:
    """Say in one line where a job is."""
    parts = [f"Job {job.id} {job.status}"]
    if job.rows is not None:
        parts.append(f"{job.rows:,} rows")
    if job.bytes is not None:
        parts.append(f"{job.bytes:,} bytes")
    if job.duration:
        parts.append(f"{job.duration:.0f} s")
    return " · ".join(parts)
