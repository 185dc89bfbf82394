"""What Dagster keeps of a job, as metadata of materializations and observations: written here, read back here."""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.checks.history import RecordedJob
from airbyte_dagster.checks.results import JOB_ID
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.checks.table_rules import RecordedColumns
from airbyte_dagster.runs.reported import sum_of_all
from airbyte_dagster.warehouse import Table

JOB_STATUS = "airbyte/job_status"
_CONNECTION_ID = "airbyte/connection_id"
#: Rows that the whole job reports.
JOB_ROWS = "airbyte/job_rows"
#: Bytes of the asset's own streams, where Airbyte tells them.
BYTES = "airbyte/bytes_reported"
COLUMN_SCHEMA = "dagster/column_schema"
ROW_COUNT = "dagster/row_count"
_ENDED = "airbyte/ended"
_VALUELESS, _NO_COLUMNS = "airbyte/columns_without_values", "–"

#: One row per stream, see `_reports_to_table`. Only syncs that succeeded and resets have it.
_STREAMS = "airbyte/streams"
#: How far back to look: failed syncs, and observations of other tools, may lie above what is looked for.
_LOOK_BACK = 25
#: What Airbyte's destinations add to a stream's own columns.
_AIRBYTE_COLUMNS = {
    "_airbyte_raw_id": "Airbyte's id of the record.",
    "_airbyte_extracted_at": "When Airbyte read the record.",
    "_airbyte_loaded_at": "When the record was written.",
    "_airbyte_meta": "What Airbyte notes about the record, such as values that it had to change.",
    "_airbyte_generation_id": "Counts the refreshes of the stream.",
}


@dataclass(frozen=True)
class JobEvent:
    """What one event of an asset says of a job.

    Attributes:
        run_id: The run that recorded it; ``""`` where a sensor did.
        reports: What the job reports of each stream; ``None`` if it failed, or a newer one was recorded before.
        rows: Rows that the whole job reports; ``None`` where that was not recorded.
        row_count: Rows that were in the tables then; ``None`` if they were not counted.
        is_materialization: Whether it is no observation.
    """

    job_id: int
    status: str
    run_id: str
    reports: tuple[ReportedStats, ...] | None
    rows: int | None
    row_count: int | None
    is_materialization: bool


def synced_metadata(
    reports: Sequence[ReportedStats],
    tables: Sequence[Table | None] | None,
    job: records.Job,
    links: Links,
    *,
    size: int | None = None,
) -> dict[str, Any]:
    """Return the metadata of a materialization, in the order in which Dagster shows it: what people look for first.

    Args:
        reports: What the job says of each of the asset's streams.
        tables: Their tables after it; ``None`` if the warehouse could not be read.
        job: A job that succeeded.
        links: To Airbyte's pages.
        size: Bytes of the asset's streams, as the job reports them.
    """
    present = [table for table in tables or () if table is not None]
    numbers = {
        ROW_COUNT: sum_of_all([table.rows if table else None for table in tables or ()]),
        "airbyte/rows_reported": sum_of_all([report.reported for report in reports]),
        "airbyte/rows_rejected": sum_of_all([report.rejected for report in reports]) or None,
        BYTES: size,
        JOB_ROWS: job.rows,
        "airbyte/job_bytes": job.bytes,
        "airbyte/duration_seconds": duration(job),
    }
    metadata: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
    if len(present) == len(reports) == 1:
        metadata["dagster/table_name"] = present[0].full_name
        keys = {found[0] for found in map(present[0].column, reports[0].primary_key) if found}
        metadata[COLUMN_SCHEMA] = table_schema(present[0].columns, keys)
        valueless = RecordedColumns.of(present[0]).valueless
        if valueless is not None:
            metadata[_VALUELESS] = ", ".join(sorted(valueless)) or _NO_COLUMNS
    kept = [
        replace(report, generation=table.generations[1] if table and table.generations else None)
        for report, table in zip(reports, tables or [None] * len(reports), strict=True)
    ]
    return {**metadata, **job_metadata(job, links), _STREAMS: _reports_to_table(kept)}


def table_schema(columns: Iterable[tuple[str, str]], keys: Collection[str]) -> dg.TableSchema:
    """Return columns as Dagster shows them, with a word on those of the primary key and those that Airbyte adds.

    Args:
        columns: Names and types.
        keys: Names of those that make the primary key.
    """
    part = "Primary key." if len(keys) == 1 else "Part of the primary key."
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, type=type_, description=part if name in keys else _AIRBYTE_COLUMNS.get(name.lower()))
            for name, type_ in columns
        ]
    )


def emptied(key: dg.AssetKey, reports: Sequence[ReportedStats], job: records.Job, links: Links) -> dg.AssetObservation:
    """Return what says that a reset emptied an asset's tables, so that checks expect nothing there."""
    metadata = {**job_metadata(job, links), _STREAMS: _reports_to_table(reports), JOB_ROWS: 0}
    text = f"Emptied by Airbyte's job {job.id}, a {job.job_type}."
    return dg.AssetObservation(key, description=text, metadata=metadata)


def unsuccessful(
    key: dg.AssetKey,
    reason: str,
    *,
    job_id: int,
    status: str,
    connection_id: str,
    links: Links,
    rows: int | None = None,
) -> dg.AssetObservation:
    """Return what says that a job did not end in success, and why; `rows` are those that it brought nevertheless."""
    metadata = _job_metadata(job_id, status, connection_id, links)
    if rows is not None:
        metadata[JOB_ROWS] = rows
    return dg.AssetObservation(key, description=reason, metadata=metadata)


def without_reports(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a job that was recorded after a newer one: checks go on to hold to that one's reports."""
    return {name: value for name, value in metadata.items() if name != _STREAMS}


def job_metadata(job: records.Job, links: Links) -> dict[str, Any]:
    """Return the entries that tell which job it was, with links to Airbyte's pages."""
    metadata = _job_metadata(job.id, job.status, job.connection_id, links)
    if job.last_updated is not None:
        metadata[_ENDED] = dg.MetadataValue.timestamp(job.last_updated)
    return metadata


def _job_metadata(job_id: int, status: str, connection_id: str, links: Links) -> dict[str, Any]:
    return {
        # As text: Dagster draws a line through numbers, and there is nothing to see in that of ids.
        JOB_ID: str(job_id),
        JOB_STATUS: status,
        "airbyte/job": dg.MetadataValue.url(links.job(connection_id, job_id)),
        _CONNECTION_ID: connection_id,
        "airbyte/connection": dg.MetadataValue.url(links.connection(connection_id)),
        "airbyte/jobs": dg.MetadataValue.url(links.jobs(connection_id)),
    }


def duration(job: records.Job) -> float | None:
    """Return how many seconds a finished job took, by its own times where they are given."""
    if job.last_updated is not None:
        return max(0.0, (job.last_updated - job.start_time).total_seconds())
    return job.duration


# Reading back


@dataclass(frozen=True)
class InstanceHistory:
    """What an instance has recorded of assets' jobs, as `checks.evaluation.History`."""

    instance: dg.DagsterInstance

    def last_job(self, key: dg.AssetKey) -> RecordedJob | None:
        """Return the last sync that succeeded, or reset, of an asset, whoever recorded it."""
        return last_recorded(self.instance, key)

    def columns(self, key: dg.AssetKey) -> list[RecordedColumns]:
        """Return the columns of the last two materializations that have them, newest first."""
        return recorded_columns(self.instance, key)


def last_recorded(instance: dg.DagsterInstance, key: dg.AssetKey) -> RecordedJob | None:
    """Return the last sync that succeeded, or reset, of an asset, whoever recorded it."""
    for event in _events(instance, key):
        streams = event.metadata.get(_STREAMS)
        if streams is not None:
            return RecordedJob(
                tuple(_reports_from_table(streams)),
                _integer(event, JOB_ROWS),
                _integer(event, ROW_COUNT),
                isinstance(event, dg.AssetObservation),
                _integer(event, JOB_ID),
                _time(event, _ENDED),
            )
    return None


def job_events(instance: dg.DagsterInstance, key: dg.AssetKey, *, connection_id: str, since_job: int) -> list[JobEvent]:
    """Return what an asset's events say of the jobs of a connection, from one of them on, and of some before it.

    Ids of jobs ascend, and events come about in their order: it is read back until a stretch of events has nothing
    about a job that is as new. Another connection's jobs are not looked at, since another server has the same ids.

    Args:
        instance: Where the events are.
        key: The asset.
        connection_id: The connection.
        since_job: Id of the oldest job that matters.
    """
    found: list[JobEvent] = []
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        cursor: str | None = None
        while True:
            page = fetch(key, limit=_LOOK_BACK, cursor=cursor)
            events = [event for event in map(_job_event, page.records) if event and event[0] == connection_id]
            found += [event for _, event in events]
            if not page.has_more or not any(event.job_id >= since_job for _, event in events):
                break
            cursor = page.cursor
    return found


def _job_event(record: dg.EventLogRecord) -> tuple[str, JobEvent] | None:
    event = record.asset_materialization or record.event_log_entry.asset_observation
    job_id = _integer(event, JOB_ID) if event else None
    if event is None or job_id is None or _CONNECTION_ID not in event.metadata:
        return None
    streams = event.metadata.get(_STREAMS)
    return str(event.metadata[_CONNECTION_ID].value), JobEvent(
        job_id,
        str(event.metadata[JOB_STATUS].value) if JOB_STATUS in event.metadata else "",
        record.run_id,
        None if streams is None else tuple(_reports_from_table(streams)),
        _integer(event, JOB_ROWS),
        _integer(event, ROW_COUNT),
        isinstance(event, dg.AssetMaterialization),
    )


def recorded_columns(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[RecordedColumns]:
    """Return the columns of the last two materializations that have them, newest first."""
    found: list[RecordedColumns] = []
    for record in instance.fetch_materializations(key, limit=_LOOK_BACK).records:
        event = record.asset_materialization
        schema: Any = event.metadata.get(COLUMN_SCHEMA) if event else None
        if event is None or schema is None:
            continue
        noted = event.metadata.get(_VALUELESS)
        valueless = None if noted is None else frozenset(str(noted.value).split(", ")) - {_NO_COLUMNS}
        found.append(RecordedColumns({column.name: column.type for column in schema.value.columns}, valueless))
    return found[:2]


def _events(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """Yield an asset's newest events, newest first."""
    synced = instance.fetch_materializations(key, limit=_LOOK_BACK).records
    # A reset is recorded as an observation: it leaves the tables empty, and nothing new to build on.
    observed = instance.fetch_observations(key, limit=_LOOK_BACK).records
    for record in sorted([*synced, *observed], key=lambda record: record.storage_id, reverse=True):
        event = record.asset_materialization or record.event_log_entry.asset_observation
        if event is not None:
            yield event


def _integer(event: dg.AssetMaterialization | dg.AssetObservation, name: str) -> int | None:
    entry = event.metadata.get(name)
    return int(str(entry.value)) if entry is not None else None


def _time(event: dg.AssetMaterialization | dg.AssetObservation, name: str) -> dt.datetime | None:
    entry = event.metadata.get(name)
    return dt.datetime.fromtimestamp(float(str(entry.value)), dt.timezone.utc) if entry is not None else None


#: Columns of the table of streams that have another name in `ReportedStats`, for people.
_COLUMNS = {
    "stream": "stream",
    "namespace": "namespace",
    "sync_mode": "sync_mode",
    "rows_reported": "reported",
    "rows_before": "before",
    "rows_rejected": "rejected",
    "attempts": "attempts",
    "generation": "generation",
    "note": "doubt",
}
_KEY = "primary_key"
#: A name that needs no quotes in a list.
_PLAIN = re.compile(r"[^\s,\"](?:[^,\"\r\n]*[^\s,\"])?")


def _reports_to_table(reports: Sequence[ReportedStats]) -> dg.TableMetadataValue:
    """Return a row for each stream; what is not known is an empty cell, and what is known of none has no column.

    Dagster writes each column three times over with each event.
    """
    rows: list[dict[str, Any]] = [
        {
            **{name: getattr(report, attribute) for name, attribute in _COLUMNS.items()},
            _KEY: _names_to_text(report.primary_key) or None,
        }
        for report in reports
    ]
    names = [name for name in (*_COLUMNS, _KEY) if any(row[name] is not None for row in rows)]
    records = [dg.TableRecord({name: "" if row[name] is None else row[name] for name in names}) for row in rows]
    return dg.MetadataValue.table(
        records=records, schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in names])
    )


def _reports_from_table(table: Any) -> Iterator[ReportedStats]:
    for record in table.records:
        row = {name: None if value == "" else value for name, value in record.data.items()}
        known: dict[str, Any] = {attribute: row.get(name) for name, attribute in _COLUMNS.items()}
        yield ReportedStats(**known, primary_key=_names_from_text(str(row.get(_KEY) or "")))


def _names_to_text(names: Iterable[str]) -> str:
    """Return names as people list them: ``a, b``; quoted as in CSV where one could be taken for several."""
    return ", ".join(name if _PLAIN.fullmatch(name) else f'"{name.replace(chr(34), 2 * chr(34))}"' for name in names)


def _names_from_text(text: str) -> tuple[str, ...]:
    return tuple(name for row in csv.reader([text], skipinitialspace=True) for name in row)
