"""``airbyte-dagster doctor``: check the set-up step by step, and print what to do about what fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from airbyte_dagster.cli.findings import Finding, Report, Status
from airbyte_dagster.cli.terminal import Progress
from airbyte_dagster.output import Facts

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {Status.OK: ("✓", "green"), Status.WARNING: ("!", "yellow"), Status.FAILED: ("✗", "red")}


def doctor(home: Path, *, module: str | None, file: Path | None, write: bool, console: Console) -> Facts:
    """Check everything, and print each step as it is done.

    Args:
        home: Where local Airbyte and the default warehouse live.
        module: A code location's module; with neither it nor `file`, the package's own pipeline is checked, as the
            environment sets it.
        file: A code location's file.
        write: Also create a source in Airbyte and delete it.
        console: Where the steps are printed.

    Returns:
        All findings; the status is 1 if something failed.
    """
    from airbyte_dagster.cli.diagnosis import diagnose  # noqa: PLC0415 - loads Dagster

    with Progress(console) as progress:
        report = Report(_printer(console), progress.waiting)
        diagnose(report, home, module=module, file=file, write=write)
    record = {"passed": report.passed, "findings": [asdict(finding) for finding in report.findings]}
    return Facts(record, lambda: console.print(_summary(report)), status=0 if report.passed else 1)


def _summary(report: Report) -> Text:
    counts = Counter(finding.status for finding in report.findings)
    failed = f"{counts[Status.FAILED]} failed" if not report.passed else "Nothing failed"
    warnings = f", {counts[Status.WARNING]} to look at" if counts[Status.WARNING] else ""
    return Text(f"{failed}{warnings}.", style="green" if report.passed else "red")


def _printer(console: Console) -> Callable[[Finding], None]:
    """Return a function that prints findings, with a heading above those that are about one thing."""
    heading = ""

    def show(finding: Finding) -> None:
        nonlocal heading
        if finding.about != heading:
            heading = finding.about
            console.print(Text(heading, style="bold"), soft_wrap=True)
        console.print(Text.assemble(_MARKS[finding.status], f" {finding.step}: {finding.found}"), soft_wrap=True)
        if finding.advice:
            console.print(Text(f"  → {finding.advice}"), soft_wrap=True)

    return show
