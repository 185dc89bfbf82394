"""``airbyte-dagster doctor``: check the set-up step by step, and print what to do about what fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from airbyte_dagster.cli.findings import Finding, Report, Status
from airbyte_dagster.cli.terminal import Progress

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {Status.OK: ("✓", "green"), Status.WARNING: ("!", "yellow"), Status.FAILED: ("✗", "red")}


def doctor(home: Path, *, module: str | None, file: Path | None, write: bool, as_json: bool, console: Console) -> bool:
    """Check everything, and print each step as it is done.

    Args:
        home: Where local Airbyte and the default warehouse live.
        module: A code location's module; with neither it nor `file`, the package's own pipeline is checked, as the
            environment sets it.
        file: A code location's file.
        write: Also create a source in Airbyte and delete it.
        as_json: Print all findings as JSON at the end, and nothing else.
        console: Where the steps are printed.

    Returns:
        Whether nothing failed.
    """
    from airbyte_dagster.cli.diagnosis import diagnose  # noqa: PLC0415 - loads Dagster

    with Progress(console) if not as_json else nullcontext() as progress:
        report = Report(_printer(console), progress.waiting) if progress else Report(_ignore, _ignore)
        diagnose(report, home, module=module, file=file, write=write)
    if as_json:
        shown = [asdict(finding) for finding in report.findings]
        click.echo(json.dumps({"passed": report.passed, "findings": shown}, indent=2, ensure_ascii=False))
    else:
        counts = Counter(finding.status for finding in report.findings)
        failed = f"{counts[Status.FAILED]} failed" if not report.passed else "Nothing failed"
        warnings = f", {counts[Status.WARNING]} to look at" if counts[Status.WARNING] else ""
        console.print(Text(f"{failed}{warnings}.", style="green" if report.passed else "red"))
    return report.passed


def _ignore(_: object) -> None:
    """Show nothing."""


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
