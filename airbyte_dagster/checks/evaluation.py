"""The evaluation of checks: what jobs claim and what is expected, held against what the warehouse has.

It knows assets, streams and tables, not what declared them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks import rules, specs
from airbyte_dagster.checks.rules import Claim, Finding, Verdict
from airbyte_dagster.checks.specs import Check
from airbyte_dagster.destinations.tables import TableRef, key_columns
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.warehouse import QueryFailed, Table, Warehouse, WarehouseSession, quoted

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
        claims: What it claims of each stream.
        total: Rows that the whole job reports.
        row_count: Rows that were in the tables then; ``None`` if they were not counted.
        is_reset: Whether it was a reset, which left the tables empty.
    """

    claims: tuple[Claim, ...]
    total: int | None
    row_count: int | None
    is_reset: bool


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
        streams_of_connection: How many the connection has; ``None`` if that is not known.
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
    """A stream to check: where its table is, and what the last job claims of it, if there was one."""

    declared: records.Stream
    claim: Claim | None

    @property
    def primary_key(self) -> tuple[str, ...]:
        return key_columns(self.declared) or (self.claim.primary_key if self.claim else ())


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
        assets = {target.asset.key: target.asset for target in targets}
        self._just_ended = just_ended or {}
        self._recorded = {key: self._just_ended.get(key) or history.last_job(key) for key in assets}
        self._streams = {key: _streams(asset, self._recorded[key]) for key, asset in assets.items()}
        self._tables: Mapping[TableKey, Table | None] = {}

    def run(self, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        """Measure the tables and judge all checks; what can't be read leaves them unverified."""
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
            for stream in self._streams[target.asset.key]:
                key = (target.asset.key, stream.declared.key)
                known = refs.get(key) or target.asset.table_ref(stream.declared)
                refs[key] = _with_measures(known, target.check, stream.primary_key)
        return refs

    def results(self, tables: Mapping[TableKey, Table | None], session: WarehouseSession) -> list[dg.AssetCheckResult]:
        """Judge all checks by the tables of `refs`, as they are now."""
        self._tables = tables
        return [self.result(target, session) for target in self._targets]

    def unverified(self, why: str) -> list[dg.AssetCheckResult]:
        """Return what is told of all checks if the tables can't be read."""
        return [_result(target, {"": rules.unverified(why)}) for target in self._targets]

    def result(self, target: CheckTarget, session: WarehouseSession) -> dg.AssetCheckResult:
        """Judge one check of one asset."""
        streams = self._streams[target.asset.key]
        if not streams:
            return _result(target, {"": rules.unverified("no sync has been recorded for this asset yet.")})
        findings = {stream.declared.name: self._finding(target, stream, session) for stream in streams}
        if isinstance(target.check, specs.RowCount):
            findings = self._by_total(target.asset) or findings
        return _result(target, findings)

    def _finding(self, target: CheckTarget, stream: _Stream, session: WarehouseSession) -> Finding:
        check, table = target.check, self._tables[target.asset.key, stream.declared.key]
        recorded = self._recorded[target.asset.key]
        if isinstance(check, specs.RowCount | specs.MovedSomething):
            if stream.claim is None or recorded is None:
                return rules.unverified("no sync has been recorded for this asset yet.")
            if isinstance(check, specs.RowCount):
                # The count was made of all streams of the asset together.
                counted = recorded.row_count if len(recorded.claims) == 1 else None
                return rules.judge(stream.claim, table, counted)
            if recorded.is_reset:
                return rules.unverified("the last job was a reset; there was no sync since.")
            return rules.moved_something(stream.claim, recorded.total, check.min_rows)
        if table is None:
            return rules.missing_table(stream.declared.name)
        return self._of_table(target, stream, table, session)

    def _of_table(self, target: CheckTarget, stream: _Stream, table: Table, session: WarehouseSession) -> Finding:
        match check := target.check:
            case specs.UniqueKey():
                finding = rules.unique_key(table, check.columns or stream.primary_key)
            case specs.NotNull():
                finding = rules.not_null(table, _not_null_columns(check, stream.primary_key))
            case specs.Fresh():
                finding = rules.fresh(table, check.column, check.within, self._now)
            case specs.Schema() if not target.asset.streams:
                finding = rules.unverified("columns are recorded only of pipelines that name their streams.")
            case specs.Schema():
                recorded = self._history.column_schemas(target.asset.key)
                is_new = target.asset.key in self._just_ended
                finding = rules.schema(table, [dict(table.columns), *recorded] if is_new else recorded)
            case specs.ExpectedRange():
                finding = rules.expected_range(table, check.min, check.max)
            case specs.CustomSQL():
                finding = _custom(check, table, session)
            case _:
                raise AssertionError(f"no rule for {type(check).__name__}")
        return finding

    def _by_total(self, asset: CheckedAsset) -> dict[str, Finding] | None:
        """Judge by the job's total, if there is no number of this asset's single streams but of the whole job."""
        recorded = self._recorded[asset.key]
        if recorded is None or all(claim.reported is not None for claim in recorded.claims):
            return None
        others = {target.asset.key for target in self._targets if target.asset.connection == asset.connection}
        streams = [(key, stream) for key in others for stream in self._streams[key]]
        claims = {(key, stream.declared.key): stream.claim for key, stream in streams if stream.claim}
        if len(claims) < max(len(streams), asset.streams_of_connection or 0):
            return None  # the total is of all streams of the connection
        finding = rules.judge_by_total(list(claims.values()), [self._tables[key] for key in claims], recorded.total)
        return {"": finding} if finding else None


def _streams(asset: CheckedAsset, recorded: RecordedJob | None) -> list[_Stream]:
    claims = {claim.key: claim for claim in recorded.claims} if recorded else {}
    declared = asset.streams or [
        records.Stream(
            name=claim.stream, namespace=claim.namespace, primary_key=tuple((name,) for name in claim.primary_key)
        )
        for claim in claims.values()
    ]
    return [_Stream(stream, claims.get(stream.key)) for stream in declared]


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
    place = ".".join(map(quoted, (table.database, table.schema, table.name)))
    try:
        return rules.no_rows(table, session.count(check.query.replace("{table}", place)))
    except QueryFailed as error:
        return Finding(Verdict.FAILED, f"The query can't be run: {error}")


def _result(target: CheckTarget, findings: Mapping[str, Finding]) -> dg.AssetCheckResult:
    """A failure has the declared severity; what could not be verified does not pass, but warns."""
    verdicts = {finding.verdict for finding in findings.values()}
    failed = Verdict.FAILED in verdicts and target.check.severity == "error"
    return dg.AssetCheckResult(
        asset_key=target.asset.key,
        check_name=target.name,
        passed=verdicts == {Verdict.PASSED},
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=" ".join(finding.text for finding in findings.values()),
        metadata=_metadata(findings),
    )


def _metadata(findings: Mapping[str, Finding]) -> dict[str, Any]:
    """The numbers: as they are for one stream, in a table for several."""
    known = {
        stream: {name: value for name, value in finding.numbers.items() if value is not None}
        for stream, finding in findings.items()
    }
    if len(findings) == 1:
        [numbers] = known.values()
        return dict(numbers)
    return {"streams": dg.MetadataValue.json(known)}
