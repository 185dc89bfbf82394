"""A destination that writes into a real DuckDB file as Airbyte's do, and says of its jobs what Airbyte says.

`Writer` is what the histories need: it can be replaced by one that runs real syncs.
"""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import duckdb

from airbyte_dagster.airbyte.records import Job, Stream, StreamKey, StreamStats
from airbyte_dagster.destinations import names
from airbyte_dagster.destinations.sync_modes import CDC_DELETED_AT, SYNC_MODES
from airbyte_dagster.runs.reported import JobDetails
from airbyte_dagster.warehouse.dialects import DUCKDB

#: A row of a source: its key, which may have a null part, and a value.
Row = tuple[int, str | None, Any]
HOUR = dt.timedelta(hours=1)


@dataclass
class SourceStream:
    """A stream of the source.

    Attributes:
        stream: As the connection has it.
        rows: What is in the source now, by key; with the version of each, which ascends with each change.
        cdc: What becomes of deleted rows in the destination, if the source reads a log; else it does not tell of them.
        deleted: Keys that were deleted, with the version of that.
        has_meta: Whether the destination notes what it changed.
    """

    stream: Stream
    rows: dict[tuple[int, str | None], tuple[Any, int]] = field(default_factory=dict)
    cdc: Literal["hard", "soft"] | None = None
    deleted: dict[tuple[int, str | None], int] = field(default_factory=dict)
    has_meta: bool = True
    version: int = 0

    def put(self, number: int, part: str | None, value: Any) -> None:
        """Insert or update a row."""
        self.version += 1
        self.rows[number, part] = (value, self.version)
        self.deleted.pop((number, part), None)

    def delete(self, number: int, part: str | None) -> None:
        """Delete a row."""
        if self.rows.pop((number, part), None) is not None:
            self.version += 1
            self.deleted[number, part] = self.version


@dataclass(frozen=True)
class Outcome:
    """What Airbyte says of a job that has ended.

    Attributes:
        complete: Streams that are complete, of a job that failed.
    """

    job: Job
    details: JobDetails
    complete: frozenset[StreamKey] = frozenset()


@dataclass(frozen=True)
class Happening:
    """What is odd about a job, by the number of a stream.

    Attributes:
        attempts: How many it makes.
        failing: Streams that are not complete in the end.
        rejected: Streams of which the destination rejects a record.
        changed: Streams of which it nulls a value.
        refreshed: Streams that are refreshed: what was there is removed.
        adds_column: Whether the source has a further column from now on.
    """

    attempts: int = 1
    failing: frozenset[int] = frozenset()
    rejected: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    refreshed: frozenset[int] = frozenset()
    adds_column: bool = False


class Writer(Protocol):
    """What runs jobs of a connection into a DuckDB file."""

    database: Path
    now: dt.datetime

    def sync(self, streams: Sequence[SourceStream], happening: Happening) -> Outcome:
        """Sync all streams."""

    def reset(self, streams: Sequence[SourceStream]) -> Outcome:
        """Empty all tables, and forget how far was read."""


class SimulatedWriter:
    """Writes as destinations of the second generation do, one job an hour."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
        self._jobs = 0
        self._read: dict[StreamKey, int] = {}
        self._generations: dict[StreamKey, int] = {}
        self._columns: list[str] = []

    def sync(self, streams: Sequence[SourceStream], happening: Happening) -> Outcome:
        """Sync all streams."""
        job = self._job("refresh" if happening.refreshed else "sync")
        if happening.adds_column:
            self._columns.append(f"extra_{len(self._columns)}")
        stats = {}
        with duckdb.connect(str(self.database)) as connection:
            for number, source in enumerate(streams):
                item = self._bring(connection, number, source, happening)
                stats[source.stream.key] = item
        failed = {streams[number].stream.key for number in happening.failing if number < len(streams)}
        complete = frozenset(source.stream.key for source in streams) - failed
        status = "failed" if failed else "succeeded"
        rows = sum(item.rows or 0 for item in stats.values())
        return Outcome(replace(job, status=status, rows=rows), JobDetails(stats, happening.attempts), complete)

    def reset(self, streams: Sequence[SourceStream]) -> Outcome:
        """Empty all tables, and forget how far was read."""
        job = self._job("reset")
        with duckdb.connect(str(self.database)) as connection:
            for source in streams:
                self._read.pop(source.stream.key, None)
                self._next_generation(source.stream.key)
                if _exists(connection, source):
                    connection.execute(f"DELETE FROM {table(source)}")
        return Outcome(replace(job, rows=0), JobDetails())

    def _job(self, job_type: str) -> Job:
        self._jobs += 1
        start, self.now = self.now, self.now + HOUR
        return Job(self._jobs, "c", job_type, "succeeded", start_time=start, last_updated=self.now)

    def _next_generation(self, key: StreamKey) -> None:
        self._generations[key] = self._generations.get(key, 0) + 1

    def _bring(
        self, connection: duckdb.DuckDBPyConnection, number: int, source: SourceStream, happening: Happening
    ) -> StreamStats:
        key, mode = source.stream.key, source.stream.sync_mode
        effect = SYNC_MODES[mode]
        is_refresh = number in happening.refreshed
        since = 0 if is_refresh or mode.startswith("full") else self._read.get(key, 0)
        rows = [(*name, *value) for name, value in source.rows.items() if value[1] > since]
        gone = [name for name, version in source.deleted.items() if version > since > 0] if source.cdc else []
        gone = gone if effect.dedupes and effect.keeps else []
        rejected = 1 if number in happening.rejected and rows else 0
        kept = rows[: len(rows) - rejected]
        _create(connection, source, self._columns)
        if number in happening.failing:
            if effect.keeps and not effect.dedupes:
                # What was read is committed, with the state after it; of the rest nothing is known.
                some = sorted(kept, key=lambda row: row[3])[: len(kept) // 2]
                self._insert(connection, source, some, frozenset())
                self._read[key] = some[-1][3] if some else since
            return StreamStats(key.name, key.namespace, None, None)
        if is_refresh or not effect.keeps:
            self._next_generation(key)
            connection.execute(f"DELETE FROM {table(source)}")
        changed = frozenset({kept[0][0]}) if number in happening.changed and kept and source.has_meta else frozenset()
        if happening.attempts > 1 and effect.keeps and not effect.dedupes:
            self._insert(connection, source, kept[: len(kept) // 2], frozenset())
        self._insert(connection, source, kept, changed)
        if effect.dedupes:
            _dedupe(connection, source)
            self._delete(connection, source, gone)
        self._read[key] = source.version
        return StreamStats(key.name, key.namespace, len(kept) + len(gone), None, rejected)

    def _insert(
        self, connection: duckdb.DuckDBPyConnection, source: SourceStream, rows: Sequence[Any], changed: Collection[int]
    ) -> None:
        read = self.now - HOUR / 2
        generation = self._generations.get(source.stream.key, 0)
        for number, part, value, version in rows:
            changes = [{"field": "value", "change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"}]
            meta = json.dumps({"sync_id": self._jobs, "changes": changes if number in changed else []})
            values = {
                "number": number,
                "part": part,
                "value": None if number in changed else str(value),
                "version": version,
                "_airbyte_extracted_at": read,
                "_airbyte_generation_id": generation,
                **({"_airbyte_meta": meta} if source.has_meta else {}),
                **dict.fromkeys(self._columns, "x"),
            }
            columns = ", ".join(map(DUCKDB.name, values))
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table(source)} ({columns}) VALUES ({marks})", list(values.values()))

    def _delete(
        self, connection: duckdb.DuckDBPyConnection, source: SourceStream, gone: Sequence[tuple[int, str | None]]
    ) -> None:
        for number, part in gone:
            where = "number = ? AND part = ?"
            if source.cdc == "hard":
                connection.execute(f"DELETE FROM {table(source)} WHERE {where}", [number, part])
            else:
                connection.execute(
                    f"UPDATE {table(source)} SET {DUCKDB.name(CDC_DELETED_AT)} = ? WHERE {where}",
                    [str(self.now), number, part],
                )


def table(source: SourceStream) -> str:
    """The table of a stream, quoted."""
    return f"main.{DUCKDB.name(names.motherduck(source.stream.name))}"


def _exists(connection: duckdb.DuckDBPyConnection, source: SourceStream) -> bool:
    name = names.motherduck(source.stream.name)
    query = "SELECT count(*) FROM information_schema.tables WHERE table_name = ?"
    [count] = connection.execute(query, [name]).fetchone() or (0,)
    return bool(count)


def _create(connection: duckdb.DuckDBPyConnection, source: SourceStream, columns: Sequence[str]) -> None:
    kept: Mapping[str, str] = {
        "number": "BIGINT",
        "part": "VARCHAR",
        "value": "VARCHAR",
        "version": "BIGINT",
        "_airbyte_extracted_at": "TIMESTAMPTZ",
        "_airbyte_generation_id": "BIGINT",
        **({"_airbyte_meta": "JSON"} if source.has_meta else {}),
        **({CDC_DELETED_AT: "VARCHAR"} if source.cdc else {}),
    }
    listed = ", ".join(f"{DUCKDB.name(name)} {type_}" for name, type_ in kept.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table(source)} ({listed})")
    for column in columns:
        connection.execute(f"ALTER TABLE {table(source)} ADD COLUMN IF NOT EXISTS {DUCKDB.name(column)} VARCHAR")


def _dedupe(connection: duckdb.DuckDBPyConnection, source: SourceStream) -> None:
    """Keep the newest row of each key; a key with a null in it is of one row alone."""
    name = table(source)
    connection.execute(
        f"DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM (SELECT rowid, row_number() OVER "
        f"(PARTITION BY number, part ORDER BY version DESC, rowid DESC) AS place FROM {name} "
        "WHERE number IS NOT NULL AND part IS NOT NULL) WHERE place > 1)"
    )
