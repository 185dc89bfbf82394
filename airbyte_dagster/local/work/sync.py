"""A job: the connector is read in one thread while what it wrote is typed and committed in another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.destinations.types import type_of
from airbyte_dagster.local.engine import Json, StreamPlan, Warehouse
from airbyte_dagster.local.work.loading import Loader
from airbyte_dagster.local.work.postgres import PostgresTarget
from airbyte_dagster.local.work.reading import Reading
from airbyte_dagster.local.work.reporting import Failed, Reporter
from airbyte_dagster.local.work.source import Source, configured_catalog
from airbyte_dagster.local.work.staging import Staging
from airbyte_dagster.local.work.states import input_of, without_streams
from airbyte_dagster.local.work.tables import StreamTable, fold_of, table_of
from airbyte_dagster.local.work.targets import DuckDBTarget, Existing, Target


@dataclass(frozen=True)
class Job:
    """What the server hands over; see `airbyte_dagster.local.engine.JobRequest`."""

    id: int
    type: str
    executable: Path
    arguments: tuple[str, ...]
    config: Json
    warehouse: Warehouse
    streams: tuple[StreamPlan, ...]
    states: Sequence[Json]
    scratch: Path
    lock_timeout: float


def run_sync(job: Job, reporter: Reporter, clock: Callable[[], float] = time.monotonic) -> None:
    """Read the connector to its end.

    Raises:
        Failed: The job failed. What was complete before is committed, and no row of what was not.
    """
    plain = [table_of(plan, job.warehouse.kind) for plan in job.streams]
    staging, target = _opened(job, plain, reporter)
    existing = target.look([table.place for table in plain])
    tables = [
        _fitted(plan, existing.get(table.place), target, job) for plan, table in zip(job.streams, plain, strict=True)
    ]
    incremental = {(plan.namespace, plan.name) for plan in job.streams if plan.incremental}
    # Without its table a stream's state says nothing, as after the user removed it.
    gone = {table.key for table in tables if table.key in incremental and table.place not in existing}
    states = without_streams(job.states, gone, incremental)
    loader = Loader(staging, target, tables, reporter)
    reading = Reading(tables, incremental, loader=loader, reporter=reporter, scratch=job.scratch, clock=clock)
    source = Source([str(job.executable), *job.arguments], job.scratch, reporter)
    try:
        catalog = configured_catalog(job.streams, job.id)
        for lines in source.lines(job.config, catalog, input_of(states) if incremental else None):
            reading.take(lines)
    except Failed as failed:
        reading.fail(failed.failure)
    reading.end(source.exit_code, source.last_error)


def run_reset(job: Job, reporter: Reporter) -> None:
    """Empty the tables of all streams."""
    _, target = _opened(job, (), reporter)
    target.empty([Place(plan.schema, plan.table) for plan in job.streams])


def _opened(job: Job, tables: Sequence[StreamTable], reporter: Reporter) -> tuple[Staging, Target]:
    postgres = job.warehouse.kind == "postgres"
    most = max((len(table.columns) for table in tables), default=0)
    staging = Staging(job.scratch, job.id, most_columns=most, text_holds_zero=not postgres)
    if postgres:
        return staging, PostgresTarget(staging, job.warehouse, job.scratch)
    return staging, DuckDBTarget(staging, job.warehouse, reporter, job.lock_timeout)


def _fitted(plan: StreamPlan, existing: Existing | None, target: Target, job: Job) -> StreamTable:
    """The table with the names and types that its columns can have, by what is there."""
    kind = job.warehouse.kind
    if existing is None:
        return table_of(plan, kind)
    fold = fold_of(kind)
    there = {fold(name): type_of(text, target.types) for name, text in existing.columns.items()}
    table = table_of(plan, kind, {name: existing.fields.get(name) for name in there})
    if table.strategy == "replace":
        return table
    types = {column.name: there.get(fold(column.name)) for column in table.columns}
    for column in table.columns:
        # Whole numbers become numbers with a fraction only if each of them stays the same.
        if (types[column.name], column.declared) == ("integer", "number") and target.is_exact(table.place, column.name):
            types[column.name] = "number"
    return table.fitted(types)
