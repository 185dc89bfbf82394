"""One run over connections of a workspace: sync them, read the warehouse, tell Dagster, as each ends."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.evaluation import CheckedAsset, CheckTarget, Evaluation, RecordedJob, checks_of
from airbyte_dagster.checks.rules import Claim
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.destinations.tables import TablePlaces, TableRef
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError, SyncError, WarehouseError
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.runs.background import outcomes_in_background
from airbyte_dagster.runs.checkpoints import RunJobMemory
from airbyte_dagster.runs.events import InstanceHistory, job_events, synced_metadata, unsuccessful
from airbyte_dagster.runs.reported import (
    needs_count,
    progress_line,
    reported_size,
    reported_streams,
    rows_before,
    stream_claims,
)
from airbyte_dagster.sync.many import ManySyncs, Outcome, Progress
from airbyte_dagster.sync.runner import SyncSettings
from airbyte_dagster.warehouse import Inspection, Table, Warehouse
from airbyte_dagster.workspaces.catalog import Catalog, WorkspaceAsset
from airbyte_dagster.workspaces.live import gone, inactive, live_connections
from airbyte_dagster.workspaces.snapshot import ConnectionRecord
from airbyte_dagster.workspaces.tables import table_places

_Stats: TypeAlias = Mapping[StreamKey, records.StreamStats]

#: Up to so many connections, each that ends has a line in the run's log.
_FEW = 50
#: Seconds between two lines of progress of many.
_PROGRESS_SECONDS = 10.0
#: Names that an error's sentence has; its metadata has all.
_NAMED = 10


@dataclass(frozen=True)
class _Live:
    """A connection of the run as it is now.

    Attributes:
        streams: Its streams that have an asset of the run.
        extra: Those that it got after definitions were loaded.
    """

    record: ConnectionRecord
    connection: records.Connection
    places: TablePlaces
    streams: Mapping[dg.AssetKey, records.Stream]
    extra: Mapping[dg.AssetKey, records.Stream]

    @property
    def all_streams(self) -> Mapping[dg.AssetKey, records.Stream]:
        return {**self.streams, **self.extra}


def checked_asset(asset: WorkspaceAsset, checks: Checks) -> CheckedAsset:
    """Return what the checks of an asset need to know of it."""
    record = asset.connection
    return CheckedAsset(asset.key, (asset.stream,), checks, table_places(record).ref, record.id, len(record.streams))


@dataclass
class WorkspaceRun:
    """One execution of the op.

    Attributes:
        catalog: The assets of the workspace.
        airbyte: Where the connections are.
        warehouse: Where their destinations write; ``None`` if nothing is to be looked into.
        elsewhere: Ids of destinations that write to another one.
        settings: Of each sync.
        most: How many syncs may be on their way at once.
        checks: Of each asset.
        now: Tells the time.
    """

    context: dg.AssetExecutionContext
    catalog: Catalog
    airbyte: AirbyteResource
    warehouse: Warehouse | None
    elsewhere: frozenset[str]
    settings: SyncSettings
    most: int | None
    checks: Checks
    now: Callable[[], dt.datetime]

    def __post_init__(self) -> None:
        self._snapshot = self.catalog.snapshot
        self._client = self.airbyte.client()
        self._links = Links(self._client.settings.server_url, self._snapshot.workspace_id)
        self._failures: dict[str, str] = {}
        self._selected = self._by_connection(self.context.selected_asset_keys)
        self._memory = RunJobMemory(
            self.context.instance, self.context.run.run_id, is_used_up=self._was_recorded_for_us
        )

    def results(self) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Sync the connections of the selected assets, and tell of each as it ends.

        Raises:
            dg.Failure: Some did not succeed; it names each.
        """
        live = self._live(self._to_do())
        before = self._rows_before(live.values())
        syncs = self._syncs(
            warn=self.context.log.warning, on_progress=_ProgressLog(self.context.log.info), learn=self._reported
        )
        for outcomes in outcomes_in_background(syncs, list(live)):
            for outcome in outcomes:
                self._tell(live[outcome.connection_id], outcome, few=len(live) <= _FEW)
            succeeded = [outcome for outcome in outcomes if outcome.error is None]
            yield from self._materialized([(live[outcome.connection_id], outcome) for outcome in succeeded], before)
            if succeeded:
                self._memory.done(*(outcome.connection_id for outcome in succeeded))
        self._raise_failures(len(self._selected))

    def start(self) -> None:
        """Start the syncs and leave it to the sync sensor to tell of their ends.

        Raises:
            dg.Failure: Some did not start; it names each.
        """
        live = self._live(self._to_do())
        started = 0
        for outcome in self._syncs(warn=self.context.log.warning).start_all(list(live)):
            if outcome.error is not None:
                self._tell(live[outcome.connection_id], outcome, few=True)
            else:
                started += 1
        self.context.log.info(f"{started:,} syncs are on their way; the sync sensor tells when they have ended.")
        self._raise_failures(len(self._selected))

    def check_only(self, targets: Sequence[CheckTarget]) -> Iterator[dg.AssetCheckResult]:
        """Run checks of what is in the warehouse now, without a sync."""
        if targets and self.warehouse is not None:
            yield from Evaluation(InstanceHistory(self.context.instance), targets, self.now()).run(self.warehouse)

    # Before the syncs

    def _by_connection(self, keys: Iterable[dg.AssetKey]) -> Mapping[str, list[WorkspaceAsset]]:
        found: dict[str, list[WorkspaceAsset]] = {}
        for key in keys:
            asset = self.catalog.by_key[key]
            found.setdefault(asset.connection.id, []).append(asset)
        return found

    def _to_do(self) -> list[str]:
        """Return the connections that are not done already, in a run that goes on where another failed."""
        done = [connection_id for connection_id in self._selected if self._memory.was_done(connection_id)]
        if done:
            self._memory.keep_done(*done)
            self.context.log.info(f"Already synced by the run that this one goes on with: {self._named(done)}.")
        return [connection_id for connection_id in self._selected if connection_id not in set(done)]

    def _live(self, connection_ids: Sequence[str]) -> Mapping[str, _Live]:
        found = live_connections(
            self._client, self._snapshot.workspace_id, connection_ids, known=len(self._snapshot.connections)
        )
        live = {}
        partly = []
        for connection_id in connection_ids:
            assets = self._selected[connection_id]
            record, connection = assets[0].connection, found.get(connection_id)
            if connection is None or connection.status == "inactive":
                error = inactive(connection) if connection else gone(connection_id, record.name)
                self._fail(record, str(error))
                continue
            live[connection_id] = self._compared(record, connection, assets)
            if len(assets) < len(self.catalog.of_connection(connection_id)):
                partly.append(connection_id)
        if partly:
            self.context.log.info(
                f"Of {self._named(partly)} only some streams are selected, but Airbyte syncs whole connections."
            )
        return live

    def _compared(
        self, record: ConnectionRecord, connection: records.Connection, assets: list[WorkspaceAsset]
    ) -> _Live:
        """Hold a connection as it is now against what was loaded."""
        streams = {(stream.namespace, stream.name): stream for stream in connection.streams}
        known = {asset.stream.key for asset in self.catalog.of_connection(record.id)}
        missing = [asset for asset in assets if asset.stream.key not in streams]
        if connection.name != record.name:
            self.context.log.warning(f"The connection '{record.name}' is called '{connection.name}' by now.")
        if missing:
            names = ", ".join(asset.key.to_user_string() for asset in missing)
            self.context.log.warning(f"No longer streams of '{connection.name}', so not materialized: {names}.")
        extra = {
            self.catalog.spec_of(record, stream).key: stream for key, stream in streams.items() if key not in known
        }
        if extra:
            names = ", ".join(key.to_user_string() for key in extra)
            self.context.log.warning(f"New streams of '{connection.name}', materialized without a definition: {names}.")
        return _Live(
            record,
            connection,
            table_places(record, connection),
            {asset.key: streams[asset.stream.key] for asset in assets if asset.stream.key in streams},
            extra,
        )

    def _rows_before(self, live: Iterable[_Live]) -> Mapping[dg.AssetKey, int]:
        if self.warehouse is None:
            return {}
        refs = {
            key: item.places.ref(stream)
            for item in live
            if item.record.destination.id not in self.elsewhere
            for key, stream in item.all_streams.items()
            if needs_count(stream)
        }
        return rows_before(self.warehouse, refs, warn=self.context.log.warning) if refs else {}

    def _syncs(self, **options: Any) -> ManySyncs:
        return ManySyncs(
            self._client, self._snapshot.workspace_id, self.settings, self._memory, most=self.most, **options
        )

    def _was_recorded_for_us(self, connection_id: str, job_id: int) -> bool:
        """Whether a sensor recorded a job of the run that this one retries: then a new sync is wanted."""
        found = [
            [
                event
                for event in job_events(self.context.instance, asset.key, connection_id=connection_id, since_job=job_id)
                if event.job_id == job_id and event.status == "succeeded"
            ]
            for asset in self._selected[connection_id]
        ]
        return all(found) and any(not event.run_id for events in found for event in events)

    # As they end

    def _reported(self, job: records.Job) -> _Stats:
        try:
            return reported_streams(self._client, job)
        except AirbyteDagsterError as error:
            self.context.log.warning(f"Airbyte did not tell the rows of each stream of job {job.id}: {error}")
            return {}

    def _tell(self, live: _Live, outcome: Outcome, *, few: bool) -> None:
        error = outcome.error
        if error is None:
            if few and outcome.job is not None:
                self.context.log.info(f"'{live.record.name}': {progress_line(outcome.job)}")
            return
        self._fail(live.record, str(error), job=error if isinstance(error, SyncError) else None)

    def _fail(self, record: ConnectionRecord, reason: str, *, job: SyncError | None = None) -> None:
        self.context.log.error(f"'{record.name}': {reason}")
        self._failures[f"{record.name} ({record.id})"] = reason
        if job is None:
            return
        # Airbyte moves all streams of a connection, and fails all of them, whichever were selected.
        for asset in self.catalog.of_connection(record.id):
            self.context.log_event(
                unsuccessful(
                    asset.key,
                    reason,
                    job_id=job.job_id,
                    status=job.status,
                    connection_id=record.id,
                    links=self._links,
                )
            )

    def _materialized(
        self, ended: Sequence[tuple[_Live, Outcome]], before: Mapping[dg.AssetKey, int]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Read what arrived, all tables in one query, and tell of each stream."""
        claims: dict[dg.AssetKey, Claim] = {}
        for live, outcome in ended:
            reported = {key: item.rows for key, item in (outcome.learnt or {}).items()}
            for key, stream in live.all_streams.items():
                # Another sync in between has changed the rows, too.
                is_counted = outcome.origin == "new" and outcome.is_alone and key in before
                counted = {stream.key: before[key]} if is_counted else {}
                [claims[key]] = stream_claims([stream], reported, counted)
        tables, results = self._measured(ended, claims)
        for live, outcome in ended:
            job = outcome.job
            if job is None:
                continue
            for key, stream in live.all_streams.items():
                found = [tables[key, stream.key]] if tables and (key, stream.key) in tables else None
                metadata = synced_metadata(
                    [claims[key]],
                    found,
                    job,
                    self._links,
                    size=reported_size([claims[key]], outcome.learnt or {}),
                )
                if key in live.extra:
                    self.context.log_event(dg.AssetMaterialization(key, metadata=metadata))
                else:
                    yield dg.MaterializeResult(asset_key=key, metadata=metadata, check_results=results.get(key, []))

    def _measured(
        self, ended: Sequence[tuple[_Live, Outcome]], claims: Mapping[dg.AssetKey, Claim]
    ) -> tuple[
        Mapping[tuple[dg.AssetKey, StreamKey], Table | None] | None, Mapping[dg.AssetKey, list[dg.AssetCheckResult]]
    ]:
        """Return the tables, and what the checks say of them."""
        if self.warehouse is None:
            return None, {}
        refs: dict[tuple[dg.AssetKey, StreamKey], TableRef] = {
            (key, stream.key): live.places.ref(stream)
            for live, _ in ended
            if live.record.destination.id not in self.elsewhere
            for key, stream in live.all_streams.items()
        }
        if not refs:
            return None, {}
        wanted = self.context.op_execution_context.selected_asset_check_keys
        targets = [
            target
            for live, _ in ended
            for key, stream in live.streams.items()
            for target in checks_of(
                [
                    CheckedAsset(
                        key, (stream,), self.checks, live.places.ref, live.record.id, len(live.connection.streams)
                    )
                ]
            )
            if dg.AssetCheckKey(key, target.name) in wanted
        ]
        just_ended = {
            key: RecordedJob((claims[key],), outcome.job.rows, None, is_reset=False, job_id=outcome.job.id)
            for live, outcome in ended
            if outcome.job is not None
            for key in live.streams
        }
        evaluation = Evaluation(InstanceHistory(self.context.instance), targets, self.now(), just_ended)
        tables: Inspection[tuple[dg.AssetKey, StreamKey]] | None
        try:
            with self.warehouse.session() as session:
                tables = session.inspect({**refs, **evaluation.refs()})
                results = evaluation.results(tables, session)
        except (WarehouseError, ConfigurationError) as error:
            self.context.log.warning(f"Syncs succeeded, but what arrived could not be read: {error}")
            tables, results = None, evaluation.unverified(str(error))
        by_asset: dict[dg.AssetKey, list[dg.AssetCheckResult]] = {}
        for result in results:
            by_asset.setdefault(result.asset_key, []).append(result)  # type: ignore[arg-type]  # it is always given
        return tables, by_asset

    # At the end

    def _named(self, connection_ids: Sequence[str]) -> str:
        names = [f"'{self._selected[connection_id][0].connection.name}'" for connection_id in connection_ids]
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more

    def _raise_failures(self, total: int) -> None:
        if not self._failures:
            return
        some = [f"{name}: {reason}" for name, reason in list(self._failures.items())[:_NAMED]]
        more = (
            f"\n… and {len(self._failures) - _NAMED:,} more, see the metadata." if len(self._failures) > _NAMED else ""
        )
        raise dg.Failure(
            description="\n".join([f"{len(self._failures):,} of {total:,} connections did not succeed.", *some]) + more,
            metadata={"failed": dg.MetadataValue.json(dict(self._failures))},
        )


class _ProgressLog:
    """Tells how far many syncs are: not more often than people read."""

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._told: Progress | None = None
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if progress == self._told or self._clock() < self._next:
                return
            self._told, self._next = progress, self._clock() + _PROGRESS_SECONDS
        ended = f"{progress.succeeded:,} succeeded, {progress.failed:,} failed"
        self._log(f"{ended}, {progress.active:,} on their way, {progress.waiting:,} waiting.")
