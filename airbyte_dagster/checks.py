"""Asset checks: what a job claims and what is expected, held against what the warehouse has."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from airbyte_dagster import check_specs, spec, verify
from airbyte_dagster.check_specs import Check
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.naming import key_columns, table_ref
from airbyte_dagster.recorded import RecordedJob, column_schemas, last_recorded
from airbyte_dagster.stream_assets import StreamAsset, stream_assets
from airbyte_dagster.verify import Claim, Finding, Verdict
from airbyte_dagster.warehouse import QueryFailed, Table, TableRef, WarehouseSession, quoted
from airbyte_dagster.warehouse_resource import WarehouseResource

_StreamKey = tuple[str | None, str]

_RULES: dict[type[Check], str] = {
    check_specs.RowCount: "Rows in the warehouse against the records that Airbyte reports, by the stream's sync mode.",
    check_specs.MovedSomething: "The last sync brought records.",
    check_specs.UniqueKey: "No two rows have the same key.",
    check_specs.NotNull: "No nulls in the primary key and the declared columns.",
    check_specs.Fresh: "The newest row is no older than the declared window.",
    check_specs.Schema: "Columns are those of the last materialization: removed or retyped ones fail, added ones warn.",
    check_specs.ExpectedRange: "The number of rows lies within the declared bounds.",
    check_specs.CustomSQL: "The declared query returns no rows.",
}


def utc_now() -> dt.datetime:
    """Return the time, as the checks of freshness read it."""
    return dt.datetime.now(dt.timezone.utc)


def build_checks(
    pipeline: spec.AirbytePipeline, *, warehouse_key: str, now: Callable[[], dt.datetime] = utc_now
) -> list[dg.AssetChecksDefinition]:
    """Build the checks that a pipeline declares for its assets; none if it declares none.

    They run after a sync, and by themselves from the UI, any subset of them: what the last job claimed is read from
    its materialization. All tables are measured in one query; declared queries are one more each.

    Args:
        warehouse_key: Key of the `WarehouseResource`.
        now: Tells the time.
    """
    targets = [
        _Target(asset, name, check, pipeline)
        for asset in stream_assets(pipeline)
        for name, check in _checks_of(pipeline, asset).named()
    ]
    if not targets:
        return []

    @dg.multi_asset_check(
        name=f"{pipeline.name}_checks",
        specs=[target.spec for target in targets],
        can_subset=True,
        required_resource_keys={warehouse_key},
        description=f"Checks the tables of {pipeline.name} in the warehouse, all measured in one query.",
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = context.op_execution_context.selected_asset_check_keys
        selected = [target for target in targets if target.spec.key in wanted]
        warehouse: WarehouseResource = getattr(context.resources, warehouse_key)
        evaluation = _Evaluation(pipeline, context.instance, selected, now())
        try:
            with warehouse.warehouse().session() as session:
                evaluation.measure(session)
                yield from [evaluation.result(target, session) for target in selected]
        except (WarehouseError, ConfigurationError) as error:
            for target in selected:
                yield _result(target, {"": verify.unverified(str(error))})

    return [checks]


def _checks_of(pipeline: spec.AirbytePipeline, asset: StreamAsset) -> check_specs.Checks:
    return pipeline.checks_of(asset.streams[0]) if asset.streams else pipeline.checks


@dataclass(frozen=True)
class _Target:
    """One check of one asset."""

    asset: StreamAsset
    name: str
    check: Check
    pipeline: spec.AirbytePipeline

    @property
    def spec(self) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(
            self.name,
            asset=self.asset.key,
            blocking=self.check.blocking,
            description=_described(self.check),
        )


def _described(check: Check) -> str:
    settings = check.model_dump(mode="json", exclude_defaults=True, exclude={"blocking", "severity"})
    told = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"{_RULES[type(check)]}{f' ({told})' if told else ''}"


@dataclass(frozen=True)
class _Stream:
    """A stream to check: where its table is, and what the last job claims of it, if there was one."""

    declared: spec.Stream
    claim: Claim | None

    @property
    def primary_key(self) -> tuple[str, ...]:
        return key_columns(self.declared) or (self.claim.primary_key if self.claim else ())


class _Evaluation:
    """One run of some checks: what was recorded and what is in the warehouse, each read once for all of them."""

    def __init__(
        self, pipeline: spec.AirbytePipeline, instance: dg.DagsterInstance, targets: Sequence[_Target], now: dt.datetime
    ) -> None:
        self._pipeline = pipeline
        self._now = now
        self._instance = instance
        self._targets = targets
        assets = {target.asset.key: target.asset for target in targets}
        self._recorded = {key: last_recorded(instance, key) for key in assets}
        self._streams = {key: _streams(asset, self._recorded[key]) for key, asset in assets.items()}
        self._tables: Mapping[_StreamKey, Table | None] = {}

    def measure(self, session: WarehouseSession) -> None:
        """Measure all that the checks need."""
        refs: dict[_StreamKey, TableRef] = {}
        for target in self._targets:
            for stream in self._streams[target.asset.key]:
                key = stream.declared.key
                known = refs.get(key) or table_ref(self._pipeline, stream.declared)
                refs[key] = _with_measures(known, target.check, stream.primary_key)
        self._tables = session.inspect(refs)

    def result(self, target: _Target, session: WarehouseSession) -> dg.AssetCheckResult:
        """Judge one check of one asset."""
        streams = self._streams[target.asset.key]
        if not streams:
            return _result(target, {"": verify.unverified("no sync has been recorded for this asset yet.")})
        findings = {stream.declared.name: self._finding(target, stream, session) for stream in streams}
        if isinstance(target.check, check_specs.RowCount):
            findings = self._by_total(target.asset.key) or findings
        return _result(target, findings)

    def _finding(self, target: _Target, stream: _Stream, session: WarehouseSession) -> Finding:
        check, table = target.check, self._tables[stream.declared.key]
        recorded = self._recorded[target.asset.key]
        if isinstance(check, check_specs.RowCount | check_specs.MovedSomething):
            if stream.claim is None or recorded is None:
                return verify.unverified("no sync has been recorded for this asset yet.")
            if isinstance(check, check_specs.RowCount):
                # The count was made of all streams of the asset together.
                counted = recorded.row_count if len(recorded.claims) == 1 else None
                return verify.judge(stream.claim, table, counted)
            if recorded.is_reset:
                return verify.unverified("the last job was a reset; there was no sync since.")
            return verify.moved_something(stream.claim, recorded.total, check.min_rows)
        if table is None:
            return verify.missing_table(stream.declared.name)
        return self._of_table(target, stream, table, session)

    def _of_table(self, target: _Target, stream: _Stream, table: Table, session: WarehouseSession) -> Finding:
        match check := target.check:
            case check_specs.UniqueKey():
                finding = verify.unique_key(table, check.columns or stream.primary_key)
            case check_specs.NotNull():
                finding = verify.not_null(table, _not_null_columns(check, stream.primary_key))
            case check_specs.Fresh():
                finding = verify.fresh(table, check.column, check.within, self._now)
            case check_specs.Schema() if not target.asset.streams:
                finding = verify.unverified("columns are recorded only of pipelines that name their streams.")
            case check_specs.Schema():
                finding = verify.schema(table, column_schemas(self._instance, target.asset.key))
            case check_specs.ExpectedRange():
                finding = verify.expected_range(table, check.min, check.max)
            case check_specs.CustomSQL():
                finding = _custom(check, table, session)
            case _:
                raise AssertionError(f"no rule for {type(check).__name__}")
        return finding

    def _by_total(self, key: dg.AssetKey) -> dict[str, Finding] | None:
        """Judge by the job's total, if there is no number of this asset's single streams but of the whole job."""
        recorded = self._recorded[key]
        if recorded is None or all(claim.reported is not None for claim in recorded.claims):
            return None
        streams = [stream for several in self._streams.values() for stream in several]
        claims = [stream.claim for stream in streams if stream.claim]
        declared = self._pipeline.connection.streams
        if len(claims) < len(streams) or (declared is not None and len(claims) < len(declared)):
            return None  # the total is of all streams of the connection
        finding = verify.judge_by_total(claims, [self._tables[claim.key] for claim in claims], recorded.total)
        return {"": finding} if finding else None


def _streams(asset: StreamAsset, recorded: RecordedJob | None) -> list[_Stream]:
    claims = {claim.key: claim for claim in recorded.claims} if recorded else {}
    declared = asset.streams or [
        spec.Stream(name=claim.stream, namespace=claim.namespace, primary_key=[[name] for name in claim.primary_key])
        for claim in claims.values()
    ]
    return [_Stream(stream, claims.get(stream.key)) for stream in declared]


def _with_measures(ref: TableRef, check: Check, primary_key: tuple[str, ...]) -> TableRef:
    match check:
        case check_specs.RowCount():
            return replace(ref, keys=(*ref.keys, primary_key))
        case check_specs.UniqueKey():
            return replace(ref, keys=(*ref.keys, check.columns or primary_key))
        case check_specs.NotNull():
            return replace(ref, not_null=(*ref.not_null, *_not_null_columns(check, primary_key)))
        case check_specs.Fresh():
            return replace(ref, newest=check.column)
    return ref


def _not_null_columns(check: check_specs.NotNull, primary_key: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*primary_key, *check.columns)))


def _custom(check: check_specs.CustomSQL, table: Table, session: WarehouseSession) -> Finding:
    place = ".".join(map(quoted, (table.database, table.schema, table.name)))
    try:
        return verify.no_rows(table, session.count(check.query.replace("{table}", place)))
    except QueryFailed as error:
        return Finding(Verdict.FAILED, f"The query can't be run: {error}")


def _result(target: _Target, findings: Mapping[str, Finding]) -> dg.AssetCheckResult:
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
