"""The evaluation of checks: what jobs report and what is expected, against what the warehouse has.

It knows assets, streams and tables, not what declared them. One odd value, table or check leaves that check unverified,
with the reason, and no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks import rules, specs, table_rules
from airbyte_dagster.checks.findings import Finding, Verdict, excused, missing_table, unverified
from airbyte_dagster.checks.history import History, RecordedJob
from airbyte_dagster.checks.results import check_result, unexpected
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.checks.samples import with_sample
from airbyte_dagster.checks.specs import EXTRACTED_AT, Check
from airbyte_dagster.checks.table_rules import RecordedColumns
from airbyte_dagster.checks.targets import CheckedAsset, CheckTarget
from airbyte_dagster.destinations.sync_modes import CDC_DELETED_AT, SYNC_MODES, RowEffect
from airbyte_dagster.destinations.tables import TableRef, apart, key_columns
from airbyte_dagster.errors import ConfigurationError, WarehouseError, WarehouseMissing
from airbyte_dagster.warehouse import Inspection, QueryFailed, Table, Warehouse, WarehouseSession

#: An asset, and one of its streams by namespace and name.
TableKey: TypeAlias = tuple[dg.AssetKey, StreamKey]


@dataclass(frozen=True)
class _Stream:
    """A stream to check: where its table is, and what the last job reports of it, if there was one."""

    declared: records.Stream
    report: ReportedStats | None
    ref: TableRef

    @property
    def appends(self) -> bool:
        """Whether rows of earlier syncs stay beside those of the same key."""
        mode = self.report.sync_mode if self.report else self.declared.sync_mode
        return SYNC_MODES.get(mode) == RowEffect(keeps=True, dedupes=False)

    @property
    def primary_key(self) -> tuple[str, ...]:
        return key_columns(self.declared) or (self.report.primary_key if self.report else ())


_NO_SYNC = unverified("no sync has been recorded for this asset yet.")
#: Times of jobs are given to the second.
_TO_THE_SECOND = dt.timedelta(seconds=1)
#: What ``_airbyte_meta`` says of rows is read in so many wordings.
_WORDINGS = 1000


@dataclass(frozen=True)
class _Asset:
    """What is known of an asset before its tables are measured.

    Attributes:
        problem: Why nothing of it can be checked.
    """

    recorded: RecordedJob | None = None
    streams: tuple[_Stream, ...] = ()
    problem: Finding = _NO_SYNC


class Evaluation:
    """One run of some checks: what was recorded and what is in the warehouse, each read once for all of them.

    Args:
        history: Where the last jobs are recorded.
        targets: The checks.
        now: The time.
        just_ended: The last job of each asset, where it has ended just now and is still to be recorded; of the other
            assets it is read from the history.
    """

    def __init__(
        self,
        history: History,
        targets: Sequence[CheckTarget],
        now: dt.datetime,
        just_ended: Mapping[dg.AssetKey, RecordedJob] | None = None,
    ) -> None:
        self._now = now
        self._history = history
        self._targets = targets
        self._just_ended = just_ended or {}
        self._assets = {key: self._read(asset) for key, asset in {t.asset.key: t.asset for t in targets}.items()}
        self._tables: Inspection[TableKey] = Inspection({})

    def run(self, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        """Measure the tables and evaluate all checks; what can't be read leaves them unverified."""
        try:
            with warehouse.session() as session:
                results = self.results(session.inspect(self.refs()), session)
        except (WarehouseError, ConfigurationError) as error:
            results = self.without_tables(error)
        yield from results

    def refs(self) -> dict[TableKey, TableRef]:
        """Return the tables of the checks' streams, with all that is to be measured of them."""
        refs: dict[TableKey, TableRef] = {}
        for target in self._targets:
            for stream in self._assets[target.asset.key].streams:
                key = (target.asset.key, stream.declared.key)
                refs[key] = _with_measures(refs.get(key, stream.ref), target.check, stream.primary_key)
        return refs

    def results(self, tables: Inspection[TableKey], session: WarehouseSession) -> list[dg.AssetCheckResult]:
        """Evaluate all checks by the tables of `refs`, as they are now.

        Returns:
            Of each check, but for `specs.ValuesKept` of tables that have no list of changed values, and for
            `specs.UniqueKey` of the primary key where rows are appended.
        """
        self._tables = tables
        results = (self.result(target, session) for target in self._targets)
        return [result for result in results if result is not None]

    def without_tables(self, error: WarehouseError | ConfigurationError) -> list[dg.AssetCheckResult]:
        """Return the results of all checks if the tables can't be read, or if there is no database any more."""
        return [self._result(target, self._without_tables(target, error)) for target in self._targets]

    def _without_tables(self, target: CheckTarget, error: WarehouseError | ConfigurationError) -> Mapping[str, Finding]:
        asset = self._assets[target.asset.key]
        if isinstance(target.check, specs.MovedSomething) and asset.streams and asset.recorded:
            return {_label(stream, asset.streams): self._moved(target.check, asset, stream) for stream in asset.streams}
        if isinstance(error, WarehouseMissing) and asset.recorded is not None and not asset.recorded.is_reset:
            return {"": Finding(Verdict.FAILED, f"All tables are missing. {error}")}
        return {"": unverified(str(error))}

    def result(self, target: CheckTarget, session: WarehouseSession) -> dg.AssetCheckResult | None:
        """Evaluate one check of one asset; ``None`` if there is nothing that it could look at."""
        asset = self._assets[target.asset.key]
        try:
            found = self._by_total(target) or {
                _label(stream, asset.streams): self._finding(target, stream, session) for stream in asset.streams
            }
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            found = {"": unexpected(error, target.key.to_user_string())}
        findings = {name: finding for name, finding in found.items() if finding is not None}
        if found and not findings:
            return None
        return self._result(target, findings or {"": asset.problem})

    def _result(self, target: CheckTarget, findings: Mapping[str, Finding]) -> dg.AssetCheckResult:
        recorded = self._assets[target.asset.key].recorded
        return check_result(target, findings, recorded.job_id if recorded else None)

    def _read(self, asset: CheckedAsset) -> _Asset:
        """Read what was recorded of an asset, and where its tables are."""
        try:
            recorded = self._just_ended.get(asset.key) or self._history.last_job(asset.key)
            return _Asset(recorded, tuple(_streams(asset, recorded)))
        except ConfigurationError as error:
            return _Asset(problem=unverified(str(error)))
        except Exception as error:  # noqa: BLE001 - as above
            return _Asset(problem=unexpected(error, asset.key.to_user_string()))

    def _finding(self, target: CheckTarget, stream: _Stream, session: WarehouseSession) -> Finding | None:
        check, key, asset = target.check, (target.asset.key, stream.declared.key), self._assets[target.asset.key]
        if isinstance(check, specs.MovedSomething):
            return self._moved(check, asset, stream)
        if isinstance(check, specs.RowCount) and (stream.report is None or asset.recorded is None):
            return _NO_SYNC
        table = self._tables.get(key)
        if key in self._tables.unknown:
            return unverified(f"{stream.declared.name}: {self._tables.unknown[key]}.")
        if table is None:
            return _missing(stream.declared.name, asset.recorded)
        if isinstance(check, specs.RowCount) and stream.report and asset.recorded:
            return self._row_count(target.asset, stream, table, asset.recorded, session)
        return self._of_table(target, stream, table, session)

    def _moved(self, check: specs.MovedSomething, asset: _Asset, stream: _Stream) -> Finding:
        if stream.report is None or asset.recorded is None:
            return _NO_SYNC
        is_reset = asset.recorded.is_reset
        return rules.moved_something(stream.report, asset.recorded.total, check.min_rows_synced, is_reset=is_reset)

    def _row_count(
        self, asset: CheckedAsset, stream: _Stream, table: Table, recorded: RecordedJob, session: WarehouseSession
    ) -> Finding:
        assert stream.report is not None  # noqa: S101 - the caller has looked
        # The count was made of all streams of the asset together.
        counted = recorded.row_count if len(recorded.reports) == 1 else None
        deletes = CDC_DELETED_AT in (*stream.declared.columns, *asset.fields_of(stream.declared))
        found = rules.row_count(stream.report, table, counted, deletes=deletes)
        if found.verdict is not Verdict.FAILED or recorded.ended is None:
            return found
        newest = session.inspect({"table": replace(stream.ref, newest=EXTRACTED_AT)})["table"]
        if newest is None or newest.newest is None or newest.newest <= recorded.ended + _TO_THE_SECOND:
            return found
        read = newest.newest.isoformat(" ", "seconds")
        return excused(found, f"records were read at {read}, after the job had ended: by a sync that is not recorded")

    def _of_table(
        self, target: CheckTarget, stream: _Stream, table: Table, session: WarehouseSession
    ) -> Finding | None:
        key = stream.primary_key
        found: Finding | None
        match check := target.check:
            case specs.UniqueKey() if not check.columns and stream.appends:
                found = None  # each version of a row stays, with the key that it has
            case specs.UniqueKey():
                found = table_rules.unique_key(table, check.columns or key)
                found = with_sample(found, check, table, check.columns or key, session)
            case specs.NotNull():
                columns = _not_null_columns(check, key)
                found = with_sample(table_rules.not_null(table, columns), check, table, columns, session)
            case specs.Fresh():
                is_empty = _is_known_empty(stream.report, self._assets[target.asset.key].recorded)
                found = table_rules.fresh(table, check.column, check.within, self._now, is_known_empty=is_empty)
            case specs.Schema():
                found = self._schema(target.asset, stream, table)
            case specs.ValuesKept():
                found = table_rules.values_kept(table, session.changes(table, _WORDINGS) if table.changed_rows else ())
            case specs.ExpectedRange():
                found = table_rules.expected_range(table, check.min, check.max)
            case specs.CustomSQL():
                found = with_sample(_custom(check, table, session), check, table, key, session)
            case _:
                raise AssertionError(f"no rule for {type(check).__name__}")
        return found

    def _schema(self, asset: CheckedAsset, stream: _Stream, table: Table) -> Finding:
        if len(asset.streams) != 1:
            return unverified("columns are recorded only of pipelines that name their streams.")
        recorded = self._history.columns(asset.key)
        if asset.key in self._just_ended:
            recorded = [RecordedColumns.of(table), *recorded]  # as if the job were recorded already
        return table_rules.schema(table, recorded[:2], asset.fields_of(stream.declared))

    def _by_total(self, target: CheckTarget) -> dict[str, Finding | None] | None:
        """Evaluate by the job's total, if there is no number of this asset's single streams but of the whole job."""
        asset = target.asset
        recorded = self._assets[asset.key].recorded
        if not isinstance(target.check, specs.RowCount) or recorded is None:
            return None
        if any(report.reported is not None for report in recorded.reports):
            return None
        others = {target.asset.key for target in self._targets if target.asset.connection == asset.connection}
        streams = [(key, stream) for key in others for stream in self._assets[key].streams]
        reports = {(key, stream.declared.key): stream.report for key, stream in streams if stream.report}
        # An asset that declares no streams stands for all that the job had.
        of_connection = len(streams) if asset.streams_of_connection is None else asset.streams_of_connection
        if len(reports) < max(len(streams), of_connection):
            return None  # the total is of all streams of the connection
        finding = rules.row_count_by_total(
            list(reports.values()), [self._tables[key] for key in reports], recorded.total
        )
        return {"": finding} if finding else None


def _label(stream: _Stream, streams: Sequence[_Stream]) -> str:
    """Return a stream's name, with its namespace where two have one name."""
    key = stream.declared.key
    return key.name if sum(other.declared.name == key.name for other in streams) == 1 else str(key)


def _streams(asset: CheckedAsset, recorded: RecordedJob | None) -> list[_Stream]:
    """Return the streams of an asset with what the last job reports of each.

    Raises:
        ConfigurationError: One is declared without a namespace, and the job has several of its name.
    """
    reports = {report.key: report for report in recorded.reports} if recorded else {}
    found = list[_Stream]()
    if not asset.streams:
        for known in reports.values():
            key = tuple((name,) for name in known.primary_key)
            stream = records.Stream(name=known.stream, namespace=known.namespace, primary_key=key)
            found.append(_Stream(stream, known, asset.table_ref(stream)))
    for declared in asset.streams:
        report = records.of_stream(declared.key, reports)
        namesakes = [str(key) for key in reports if key.name == declared.name]
        if report is None and declared.namespace is None and len(namesakes) > 1:
            raise ConfigurationError(
                f"the last job has several streams named {declared.name}: {', '.join(sorted(namesakes))}.",
                guidance="Declare the stream with its namespace.",
            )
        stream = replace(declared, namespace=report.namespace) if report else declared
        found.append(_Stream(stream, report, asset.table_ref(stream)))
    return [replace(stream, ref=ref) for stream, ref in zip(found, apart([item.ref for item in found]), strict=True)]


def _with_measures(ref: TableRef, check: Check, primary_key: tuple[str, ...]) -> TableRef:
    wanted: dict[str, Any] = {}
    match check:
        case specs.RowCount():
            wanted = {"keys": (*ref.keys, primary_key), "generations": True}
        case specs.UniqueKey():
            wanted = {"keys": (*ref.keys, check.columns or primary_key)}
        case specs.NotNull():
            wanted = {"not_null": (*ref.not_null, *_not_null_columns(check, primary_key))}
        case specs.Fresh():
            wanted = {"newest": check.column}
        case specs.Schema():
            wanted = {"values": True}
        case specs.ValuesKept():
            wanted = {"changes": True}
    return replace(ref, **wanted)


def _not_null_columns(check: specs.NotNull, primary_key: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*primary_key, *check.columns)))


def _missing(stream: str, recorded: RecordedJob | None) -> Finding:
    """Return what a table that is not there means: before the first sync, and after a reset, there may be none."""
    if recorded is None:
        return _NO_SYNC
    if recorded.is_reset:
        return unverified(f"the last job was a reset, and there is no table of {stream}.")
    return missing_table(stream)


def _is_known_empty(report: ReportedStats | None, recorded: RecordedJob | None) -> bool:
    """Whether a table without rows is as the last job reports it; before the first one nothing is expected."""
    if recorded is None or recorded.is_reset:
        return True
    if report is None:
        return False
    effect = SYNC_MODES.get(report.sync_mode)
    return effect is not None and report.reported == 0 and (not effect.keeps or not report.before)


def _custom(check: specs.CustomSQL, table: Table, session: WarehouseSession) -> Finding:
    try:
        return table_rules.no_rows(table, session.count(check.query.replace("{table}", table.sql)))
    except QueryFailed as error:
        return Finding(Verdict.FAILED, f"The query can't be run: {error}")
