"""What Dagster is given of a check: one result of the findings of its streams."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import dagster as dg

from airbyte_dagster.checks import rules
from airbyte_dagster.checks.rules import Finding, Verdict
from airbyte_dagster.checks.specs import Check

_LOG = logging.getLogger(__name__)

#: The job that an event or a check is about.
JOB_ID = "airbyte/job_id"


def check_result(
    key: dg.AssetCheckKey, check: Check, findings: Mapping[str, Finding], job_id: int | None
) -> dg.AssetCheckResult:
    """Return the result: a failure has the declared severity; what could not be verified does not pass, but warns.

    Args:
        findings: By stream.
        job_id: The job that the check is about, if there is one.
    """
    verdicts = {finding.verdict for finding in findings.values()}
    failed = Verdict.FAILED in verdicts and check.severity == "error"
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=verdicts == {Verdict.PASSED},
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=" ".join(finding.text for finding in findings.values()),
        metadata={**_numbers(findings), **({} if job_id is None else {JOB_ID: job_id})},
    )


def unexpected(error: Exception, what: str) -> Finding:
    """Return what is known where something unforeseen was raised, which is logged with its traceback."""
    _LOG.error("%s could not be checked.", what, exc_info=error)
    return rules.unverified(f"something unexpected was raised: {type(error).__name__}: {error}")


def _numbers(findings: Mapping[str, Finding]) -> dict[str, Any]:
    """The numbers: as they are for one stream, in a table for several."""
    known = {
        stream: {name: value for name, value in finding.numbers.items() if value is not None}
        for stream, finding in findings.items()
    }
    if len(findings) == 1:
        [numbers] = known.values()
        return dict(numbers)
    return {"streams": dg.MetadataValue.json(known)}
