"""What Dagster is given of a check: one result of the findings of its streams."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from airbyte_dagster.checks.findings import Finding, Verdict, unverified
from airbyte_dagster.checks.targets import CheckTarget

_LOG = logging.getLogger(__name__)

#: Characters of a value of a row that is shown.
_LONGEST = 200
#: The job that an event or a check is about.
JOB_ID = "airbyte/job_id"


def check_result(target: CheckTarget, findings: Mapping[str, Finding], job_id: int | None) -> dg.AssetCheckResult:
    """Return the result: a failure has the declared severity; what could not be verified does not pass.

    It warns, or fails as well, as the checks say.

    Args:
        target: The check.
        findings: By stream.
        job_id: The job that the check is about, if there is one.
    """
    verdicts = {finding.verdict for finding in findings.values()}
    failing = {Verdict.FAILED, *([Verdict.UNVERIFIED] if target.asset.checks.on_unverified == "fail" else [])}
    failed = bool(verdicts & failing) and target.check.severity == "error"
    return dg.AssetCheckResult(
        asset_key=target.asset.key,
        check_name=target.name,
        passed=verdicts == {Verdict.PASSED},
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=" ".join(finding.text for finding in findings.values()),
        # As text: Dagster draws a line through numbers, and there is nothing to see in that of ids.
        metadata={**_shown(findings), **({} if job_id is None else {JOB_ID: str(job_id)})},
    )


def unexpected(error: Exception, what: str) -> Finding:
    """Return what is known where something unforeseen was raised, which is logged with its traceback."""
    _LOG.error("%s could not be checked.", what, exc_info=error)
    return unverified(f"something unexpected was raised: {type(error).__name__}: {error}")


def _shown(findings: Mapping[str, Finding]) -> dict[str, Any]:
    """The numbers: as they are for one stream, in a table for several; then the rows that are wrong."""
    known = {stream: _plain(finding.numbers) for stream, finding in findings.items()}
    if len(findings) == 1:
        [numbers] = known.values()
        shown: dict[str, Any] = dict(numbers)
    else:
        shown = {"streams": _table([{"stream": stream, **numbers} for stream, numbers in known.items()])}
    for stream, finding in findings.items():
        of_stream = "" if len(findings) == 1 else f" of {stream}"
        if finding.query is not None:
            shown[f"query{of_stream}"] = dg.MetadataValue.md(f"```sql\n{finding.query}\n```")
        if finding.sample is not None and finding.sample.rows:
            rows = [dict(zip(finding.sample.columns, row, strict=True)) for row in finding.sample.rows]
            shown[f"samples{of_stream}"] = _table([{name: _cell(value) for name, value in row.items()} for row in rows])
    return shown


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not known or empty, and write lists as people do."""
    found = {}
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            value = [f"{key}: {item}" for key, item in value.items()]  # noqa: PLW2901
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value)) or None  # noqa: PLW2901
        if value is not None:
            found[name] = value
    return found


def _table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: row.get(name, "") for name in names}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in names]),
    )


def _cell(value: Any) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
