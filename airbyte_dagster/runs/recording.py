"""What arrived with some jobs that succeeded: measured, checked, and turned into events of the assets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Job, StreamKey
from airbyte_dagster.checks.evaluation import Evaluation
from airbyte_dagster.checks.history import History, RecordedJob
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.targets import CheckedAsset, checks_of
from airbyte_dagster.destinations.tables import TableRef
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.runs.events import synced_metadata
from airbyte_dagster.runs.reported import JobDetails, after_others, reported_size, reported_stats
from airbyte_dagster.runs.targets import AssetTarget
from airbyte_dagster.warehouse import Inspection, Warehouse

#: An event that an op yields, or logs where Dagster did not select the asset.
AssetEvent: TypeAlias = "dg.MaterializeResult[Any] | dg.AssetMaterialization"
_Tables: TypeAlias = Inspection[tuple[dg.AssetKey, StreamKey]]


@dataclass(frozen=True)
class SyncedConnection:
    """A connection whose job has succeeded, or that part of it whose streams are complete.

    Attributes:
        streams: How many streams the connection has.
        assets: Those to be recorded.
        details: What Airbyte says of the job.
        rows_before: Rows of the streams before the job, where they are known.
    """

    connection_id: str
    name: str
    streams: int
    assets: tuple[AssetTarget, ...]
    job: Job
    details: JobDetails
    rows_before: Mapping[StreamKey, int]

    def reports(self, target: AssetTarget) -> list[ReportedStats]:
        """Return what the job reports of the streams of an asset."""
        return reported_stats(target.streams, self.details.stats, self.rows_before, attempts=self.details.attempts)


@dataclass(frozen=True)
class Recorder:
    """Turns jobs that succeeded into events.

    Attributes:
        warehouse: ``None`` if nothing is to be looked into.
        history: Of the assets.
        links: To Airbyte's pages.
        selected: The assets that the op materializes; of others that a job moved it logs a materialization.
        wanted: The checks that are to be evaluated.
        checks_of_asset: The checks of an asset.
        warn: Takes one line for people.
        now: Returns the time.
    """

    warehouse: Warehouse | None
    history: History
    links: Links
    selected: Collection[dg.AssetKey]
    wanted: Collection[dg.AssetCheckKey]
    checks_of_asset: Callable[[dg.AssetKey], Checks]
    warn: Callable[[str], None]
    now: Callable[[], dt.datetime]

    def events(self, connections: Sequence[SyncedConnection]) -> Iterator[tuple[SyncedConnection, list[AssetEvent]]]:
        """Yield the events of each connection; all tables are read in one session.

        Raises:
            Exception: Whatever is odd about one of the connections: call it again with each of them alone.
        """
        reports = {target.key: self._reports(item, target) for item in connections for target in item.assets}
        tables, results = self._measured(connections, reports)
        for item in connections:
            yield item, [self._event(item, target, reports[target.key], tables, results) for target in item.assets]

    def _reports(self, item: SyncedConnection, target: AssetTarget) -> list[ReportedStats]:
        return after_others(item.reports(target), item.job, lambda: self.history.last_job(target.key))

    def _event(
        self,
        item: SyncedConnection,
        target: AssetTarget,
        reports: Sequence[ReportedStats],
        tables: _Tables | None,
        results: Mapping[dg.AssetKey, list[dg.AssetCheckResult]],
    ) -> AssetEvent:
        found = [tables[target.key, stream.key] for stream in target.streams] if tables and target.tables else None
        size = reported_size(reports, item.details.stats)
        metadata = synced_metadata(reports, found, item.job, self.links, size=size)
        if target.key not in self.selected:
            return dg.AssetMaterialization(target.key, metadata=metadata)
        return dg.MaterializeResult(asset_key=target.key, metadata=metadata, check_results=results.get(target.key, []))

    def _measured(
        self, connections: Sequence[SyncedConnection], reports: Mapping[dg.AssetKey, Sequence[ReportedStats]]
    ) -> tuple[_Tables | None, Mapping[dg.AssetKey, list[dg.AssetCheckResult]]]:
        """Return the tables, and the results of the checks, by asset."""
        refs: dict[tuple[dg.AssetKey, StreamKey], TableRef] = {
            (target.key, key): ref
            for item in connections
            for target in item.assets
            for key, ref in target.tables.items()
        }
        if self.warehouse is None or not refs:
            return None, {}
        evaluation = self._evaluation(connections, reports)
        try:
            with self.warehouse.session() as session:
                found = session.inspect({**refs, **evaluation.refs()})
                results = evaluation.results(found, session)
            tables: _Tables | None = found
        except (WarehouseError, ConfigurationError) as error:
            self.warn(f"Syncs have ended, but what arrived could not be read: {error}")
            tables, results = None, evaluation.without_tables(error)
        by_asset: dict[dg.AssetKey, list[dg.AssetCheckResult]] = {}
        for result in results:
            by_asset.setdefault(result.asset_key, []).append(result)  # type: ignore[arg-type]  # it is always given
        return tables, by_asset

    def _evaluation(
        self, connections: Sequence[SyncedConnection], reports: Mapping[dg.AssetKey, Sequence[ReportedStats]]
    ) -> Evaluation:
        checked = [
            checked_asset(
                target, self.checks_of_asset(target.key), item.connection_id, item.streams, item.details.fields
            )
            for item in connections
            for target in item.assets
            if target.tables and target.key in self.selected
        ]
        targets = [
            target for target in checks_of(checked) if dg.AssetCheckKey(target.asset.key, target.name) in self.wanted
        ]
        just_ended = {
            target.key: RecordedJob(
                tuple(reports[target.key]),
                item.job.rows,
                None,
                is_reset=False,
                job_id=item.job.id,
                ended=item.job.last_updated,
            )
            for item in connections
            for target in item.assets
        }
        return Evaluation(self.history, targets, self.now(), just_ended)


def checked_asset(
    target: AssetTarget,
    checks: Checks,
    connection_id: str,
    streams: int,
    fields: Mapping[StreamKey, Sequence[str]] | None = None,
) -> CheckedAsset:
    """Return what the checks of an asset need to know of it.

    Args:
        target: The asset.
        checks: Its checks.
        connection_id: Whatever is the same for the assets of one connection.
        streams: How many streams the connection has.
        fields: What the source has of each stream, where that is known.
    """
    return CheckedAsset(
        target.key,
        target.streams,
        checks,
        lambda stream: target.tables[stream.key],
        connection_id,
        streams,
        fields or {},
    )
