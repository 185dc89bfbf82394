"""What a job reports of its streams, and the rows that were there before it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.destinations.tables import TableRef, key_columns
from airbyte_dagster.errors import ConfigurationError, WarehouseError, WarehouseMissing
from airbyte_dagster.warehouse import Warehouse

_Name = TypeVar("_Name", bound=Hashable)


def needs_count(stream: records.Stream) -> bool:
    """Whether the rule of a stream's sync mode needs the rows before the sync."""
    return not stream.sync_mode.startswith("full_refresh_overwrite")


def rows_before(
    warehouse: Warehouse, refs: Mapping[_Name, TableRef], *, warn: Callable[[str], None]
) -> dict[_Name, int]:
    """Count the rows of tables, all in one query; nothing where that can't be.

    Args:
        warehouse: Where they are; one that is missing has no rows.
        refs: The tables, by any name.
        warn: Takes one line for people.
    """
    try:
        found = warehouse.inspect(refs)
    except WarehouseMissing:
        return dict.fromkeys(refs, 0)
    except (WarehouseError, ConfigurationError) as error:
        warn(f"Rows before the sync could not be counted: {error}")
        return {}
    for why in found.unknown.values():
        warn(f"Rows before the sync could not be counted: {why}.")
    return {name: table.rows if table else 0 for name, table in found.items() if name not in found.unknown}


def reported_streams(client: AirbyteClient, job: records.Job) -> dict[StreamKey, records.StreamStats]:
    """Return what a job says of each stream, as far as it says it, by namespace and name."""
    return {item.key: item for item in client.job_stream_stats(job.id) or ()}


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
    streams: Sequence[records.Stream], reported: Mapping[StreamKey, int | None], before: Mapping[StreamKey, int]
) -> list[ReportedStats]:
    """Return what a job reports of some streams.

    Args:
        reported: Rows that the job reports, by the keys of `reported_streams`.
        before: Rows in the tables before the job, where they are known.
    """
    return [
        ReportedStats(
            stream.name,
            stream.sync_mode,
            records.of_stream(stream.key, reported),
            records.of_stream(stream.key, before),
            stream.namespace,
            key_columns(stream),
        )
        for stream in streams
    ]


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
