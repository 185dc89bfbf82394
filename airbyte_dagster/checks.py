"""Asset checks: what a job claims, held against what the warehouse has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from airbyte_dagster import spec
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.naming import table_ref
from airbyte_dagster.recorded import RecordedJob, last_recorded
from airbyte_dagster.stream_assets import StreamAsset, stream_assets
from airbyte_dagster.verify import Claim, Finding, Verdict, judge, judge_by_total
from airbyte_dagster.warehouse import Table
from airbyte_dagster.warehouse_resource import WarehouseResource

ROW_COUNT = "row_count"


def build_checks(pipeline: spec.AirbytePipeline, *, warehouse_key: str) -> list[dg.AssetChecksDefinition]:
    """Build the blocking ``row_count`` check of each of a pipeline's assets; one query counts for all.

    They run after a sync, and by themselves from the UI: what the last job claimed is read from its materialization.

    Args:
        warehouse_key: Key of the `WarehouseResource`.
    """
    assets = stream_assets(pipeline)

    @dg.multi_asset_check(
        name=f"{pipeline.name}_{ROW_COUNT}",
        specs=[
            dg.AssetCheckSpec(
                ROW_COUNT,
                asset=asset.key,
                blocking=True,
                description="Rows in the warehouse against the rows that Airbyte reports, by its sync mode.",
            )
            for asset in assets
        ],
        can_subset=True,
        required_resource_keys={warehouse_key},
        description=f"Counts the tables of {pipeline.name} in the warehouse, all in one query.",
    )
    def row_count(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = [
            asset
            for asset in assets
            if dg.AssetCheckKey(asset.key, ROW_COUNT) in context.op_execution_context.selected_asset_check_keys
        ]
        claimed = {asset.key: last_recorded(context.instance, asset.key) for asset in selected}
        yield from _results(pipeline, selected, claimed, getattr(context.resources, warehouse_key))

    return [row_count]


def _results(
    pipeline: spec.AirbytePipeline,
    selected: Sequence[StreamAsset],
    claimed: Mapping[dg.AssetKey, RecordedJob | None],
    warehouse: WarehouseResource,
) -> Iterator[dg.AssetCheckResult]:
    declared = {stream.key: stream for stream in pipeline.connection.streams or ()}
    claims = [claim for job in claimed.values() if job for claim in job.claims]
    refs = {
        claim.key: table_ref(
            pipeline, declared.get(claim.key) or spec.Stream(name=claim.stream, namespace=claim.namespace)
        )
        for claim in claims
    }
    try:
        tables = warehouse.warehouse().inspect(refs)
    except (WarehouseError, ConfigurationError) as error:
        for asset in selected:
            yield _result(asset, [Finding(Verdict.UNVERIFIED, f"Unverified: {error}")], {})
        return
    for asset in selected:
        job = claimed[asset.key]
        if job is None:
            finding = Finding(Verdict.UNVERIFIED, "Unverified: no sync has been recorded for this asset yet.")
            yield _result(asset, [finding], {})
            continue
        findings = [judge(claim, tables[claim.key]) for claim in job.claims]
        if any(claim.reported is None for claim in job.claims) and _covers(pipeline, claims):
            by_total = judge_by_total(claims, [tables[claim.key] for claim in claims], job.total)
            findings = [by_total] if by_total else findings
        yield _result(asset, findings, _numbers(job.claims, [tables[claim.key] for claim in job.claims]))


def _covers(pipeline: spec.AirbytePipeline, claims: Sequence[Claim]) -> bool:
    """Whether the claims are of all streams of the connection, so that the job's total is theirs."""
    return pipeline.connection.streams is None or len(claims) == len(pipeline.connection.streams)


def _numbers(claims: Sequence[Claim], tables: Sequence[Table | None]) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    present = [table for table in tables if table is not None]
    if present:
        numbers["rows_in_warehouse"] = sum(table.rows for table in present)
    reported = [claim.reported for claim in claims if claim.reported is not None]
    if reported:
        numbers["rows_reported"] = sum(reported)
    if len(claims) == 1:
        numbers["sync_mode"] = claims[0].sync_mode
        if claims[0].before is not None:
            numbers["rows_before"] = claims[0].before
        if present and present[0].distinct_keys is not None:
            numbers["distinct_keys"] = present[0].distinct_keys
    return numbers


def _result(asset: StreamAsset, findings: Sequence[Finding], numbers: Mapping[str, Any]) -> dg.AssetCheckResult:
    """A failure blocks what is downstream; what could not be verified does not pass, but warns."""
    failed = any(finding.verdict is Verdict.FAILED for finding in findings)
    return dg.AssetCheckResult(
        asset_key=asset.key,
        check_name=ROW_COUNT,
        passed=all(finding.verdict is Verdict.PASSED for finding in findings),
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=" ".join(finding.text for finding in findings),
        metadata=dict(numbers),
    )
