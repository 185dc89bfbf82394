"""The evaluation of checks: what jobs report and what is expected, against what the warehouse has.

It knows assets, streams and tables, not what declared them. One odd value, table or check leaves that check unverified,
with the reason, and no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks import rules, specs
from airbyte_dagster.checks.results import check_result, unexpected
from airbyte_dagster.checks.rules import Finding, ReportedStats, Verdict
from airbyte_dagster.checks.specs import Check
from airbyte_dagster.destinations.tables import TableRef, apart, key_columns
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.warehouse import Inspection, QueryFailed, Table, Warehouse, WarehouseSession

#: An asset, and one of its streams by namespace and name.
TableKey: TypeAlias = tuple[dg.AssetKey, StreamKey]

_RULES: dict[type[Check], str] = {
    specs.RowCount: "Rows in the warehouse against the records that Airbyte reports, by the stream's sync mode.",
    specs.MovedSomething: "The last sync brought records.",
    specs.UniqueKey: "No two rows have the same key.",
    specs.NotNull: "No nulls in the primary key and the declared columns.",
    specs.Fresh: "The newest row is no older than the declared window.",
    specs.Schema: "Columns are those of the last materialization: removed or retyped ones fail, added ones warn.",
    specs.ExpectedRange: "The number of rows lies within the declared bounds.",
    specs.CustomSQL: "The declared query returns no rows.",
}


@dataclass(frozen=True)
class RecordedJob:
    """The last sync or reset of an asset.

    Attributes:
        reports: What it reports of each stream.
        total: Rows that the whole job reports.
        row_count: Rows that were in the tables then; ``None`` if they were not counted.
        is_reset: Whether it was a reset, which left the tables empty.
        job_id: Airbyte's id of it; ``None`` if it was not recorded.
    """

    reports: tuple[ReportedStats, ...]
    total: int | None
    row_count: int | None
    is_reset: bool
    job_id: int | None = None


class History(Protocol):
    """What was recorded of the jobs of assets before."""

    def last_job(self, key: dg.AssetKey) -> RecordedJob | None:
        """Return the last sync that succeeded, or reset, of an asset."""

    def column_schemas(self, key: dg.AssetKey) -> list[dict[str, str]]:
        """Return the columns, name → type, of the last two materializations that have them, newest first."""


@dataclass(frozen=True)
class CheckedAsset:
    """What checks need to know of an asset.

    Attributes:
        streams: That it stands for; empty where that is known only from its last job.
        checks: Its checks.
        table_ref: Tells where the table of a stream is.
        connection: Whatever is the same for the assets of one connection.
        streams_of_connection: How many the connection has; ``None`` if those of the last job are all.
    """

    key: dg.AssetKey
    streams: tuple[records.Stream, ...]
    checks: specs.Checks
    table_ref: Callable[[records.Stream], TableRef]
    connection: str
    streams_of_connection: int | None


@dataclass(frozen=True)
class CheckTarget:
    """One check of one asset."""

    asset: CheckedAsset
    name: str
    check: Check

    @property
    def key(self) -> dg.AssetCheckKey:
        """The asset's key and the check's name."""
        return dg.AssetCheckKey(self.asset.key, self.name)

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """How Dagster shows it."""
        return dg.AssetCheckSpec(
            self.name,
            asset=self.asset.key,
            blocking=self.check.blocking,
            description=_described(self.check),
        )


def checks_of(assets: Sequence[CheckedAsset]) -> list[CheckTarget]:
    """Return the checks of some assets, one by one."""
    return [CheckTarget(asset, name, check) for asset in assets for name, check in asset.checks.named()]


def _described(check: Check) -> str:
    settings = check.model_dump(mode="json", exclude_defaults=True, exclude={"blocking", "severity"})
    told = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"{_RULES[type(check)]}{f' ({told})' if told else ''}"


@dataclass(frozen=True)
class _Stream:
    """A stream to check: where its table is, and what the last job reports of it, if there was one."""

    declared: records.Stream
    report: ReportedStats | None
    ref: TableRef

    @property
    def primary_key(self) -> tuple[str, ...]:
        return key_columns(self.declared) or (self.report.primary_key if self.report else ())


_NO_SYNC = rules.unverified("no sync has been recorded for this asset yet.")


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
            results = self.unverified(str(error))
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
        """Evaluate all checks by the tables of `refs`, as they are now."""
        self._tables = tables
        return [self.result(target, session) for target in self._targets]

    def unverified(self, why: str) -> list[dg.AssetCheckResult]:
        """Return the results of all checks if the tables can't be read."""
        return [self._result(target, {"": rules.unverified(why)}) for target in self._targets]

    def result(self, target: CheckTarget, session: WarehouseSession) -> dg.AssetCheckResult:
        """Evaluate one check of one asset."""
        asset = self._assets[target.asset.key]
        try:
            findings = self._by_total(target) or {
                _label(stream, asset.streams): self._finding(target, stream, session) for stream in asset.streams
            }
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            findings = {"": unexpected(error, target.key.to_user_string())}
        return self._result(target, findings or {"": asset.problem})

    def _result(self, target: CheckTarget, findings: Mapping[str, Finding]) -> dg.AssetCheckResult:
        recorded = self._assets[target.asset.key].recorded
        return check_result(target.key, target.check, findings, recorded.job_id if recorded else None)

    def _read(self, asset: CheckedAsset) -> _Asset:
        """Read what was recorded of an asset, and where its tables are."""
        try:
            recorded = self._just_ended.get(asset.key) or self._history.last_job(asset.key)
            return _Asset(recorded, tuple(_streams(asset, recorded)))
        except ConfigurationError as error:
            return _Asset(problem=rules.unverified(str(error)))
        except Exception as error:  # noqa: BLE001 - as above
            return _Asset(problem=unexpected(error, asset.key.to_user_string()))

    def _finding(self, target: CheckTarget, stream: _Stream, session: WarehouseSession) -> Finding:
        check, key, report = target.check, (target.asset.key, stream.declared.key), stream.report
        recorded = self._assets[target.asset.key].recorded
        if isinstance(check, specs.RowCount | specs.MovedSomething) and (report is None or recorded is None):
            return _NO_SYNC
        if isinstance(check, specs.MovedSomething) and report and recorded:
            return rules.moved_something(report, recorded.total, check.min_rows, is_reset=recorded.is_reset)
        table = self._tables.get(key)
        if key in self._tables.unknown:
            return rules.unverified(f"{stream.declared.name}: {self._tables.unknown[key]}.")
        if table is None:
            return rules.missing_table(stream.declared.name)
        if isinstance(check, specs.RowCount) and report and recorded:
            # The count was made of all streams of the asset together.
            return rules.row_count(report, table, recorded.row_count if len(recorded.reports) == 1 else None)
        return self._of_table(target, stream, table, session)

    def _of_table(self, target: CheckTarget, stream: _Stream, table: Table, session: WarehouseSession) -> Finding:
        match check := target.check:
            case specs.UniqueKey():
                finding = rules.unique_key(table, check.columns or stream.primary_key)
            case specs.NotNull():
                finding = rules.not_null(table, _not_null_columns(check, stream.primary_key))
            case specs.Fresh():
                finding = rules.fresh(table, check.column, check.within, self._now)
            case specs.Schema() if len(target.asset.streams) != 1:
                finding = rules.unverified("columns are recorded only of pipelines that name their streams.")
            case specs.Schema():
                recorded = self._history.column_schemas(target.asset.key)
                if target.asset.key in self._just_ended:
                    recorded = [dict(table.columns), *recorded]  # as if the job were recorded already
                finding = rules.schema(table, recorded[:2])
            case specs.ExpectedRange():
                finding = rules.expected_range(table, check.min, check.max)
            case specs.CustomSQL():
                finding = _custom(check, table, session)
            case _:
                raise AssertionError(f"no rule for {type(check).__name__}")
        return finding

    def _by_total(self, target: CheckTarget) -> dict[str, Finding] | None:
        """Evaluate by the job's total, if there is no number of this asset's single streams but of the whole job."""
        asset = target.asset
        recorded = self._assets[asset.key].recorded
        if not isinstance(target.check, specs.RowCount) or recorded is None:
            return None
        if all(report.reported is not None for report in recorded.reports):
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
    match check:
        case specs.RowCount():
            return replace(ref, keys=(*ref.keys, primary_key))
        case specs.UniqueKey():
            return replace(ref, keys=(*ref.keys, check.columns or primary_key))
        case specs.NotNull():
            return replace(ref, not_null=(*ref.not_null, *_not_null_columns(check, primary_key)))
        case specs.Fresh():
            return replace(ref, newest=check.column)
    return ref


def _not_null_columns(check: specs.NotNull, primary_key: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*primary_key, *check.columns)))


def _custom(check: specs.CustomSQL, table: Table, session: WarehouseSession) -> Finding:
    try:
        return rules.no_rows(table, session.count(check.query.replace("{table}", table.sql)))
    except QueryFailed as error:
        return Finding(Verdict.FAILED, f"The query can't be run: {error}")
