"""What the tests of doctor's steps share."""

from __future__ import annotations

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.cli.findings import Finding, Report
from airbyte_dagster_tests.local.fakes import RunningAirbyte


def a_report() -> Report:
    return Report(lambda _finding: None, lambda _line: None)


def by_step(report: Report) -> dict[str, Finding]:
    for finding in report.findings:
        assert "PLANTED" not in f"{finding.found} {finding.advice}", finding
    return {finding.step: finding for finding in report.findings}


def sources_of(client: AirbyteClient, server: RunningAirbyte) -> list[str]:
    return [source.name for source in client.actors("source", server.workspace_id)]
