"""``airbyte-dagster doctor``: what is set up, step by step, and what to do about what fails."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from airbyte_dagster.cli.diagnosis import airbyte, pipelines, variables, warehouses
from airbyte_dagster.cli.diagnosis.findings import Finding, Findings, Status
from airbyte_dagster.cli.local_airbyte import missing_locally, running_local_environment
from airbyte_dagster.cli.output import Progress
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.paths import HOME_VARIABLE

if TYPE_CHECKING:
    from rich.console import Console

    from airbyte_dagster.cli.diagnosis.loading import CodeLocation
    from airbyte_dagster.resources import SecretFieldsResource
    from airbyte_dagster.warehouse import Warehouse

_OWN_MODULE = "airbyte_dagster.definitions"
_MARKS = {
    Status.OK: ("✓", "green"),
    Status.WARNING: ("!", "yellow"),
    Status.FAILED: ("✗", "red"),
    Status.SKIPPED: ("–", "dim"),
}


def doctor(home: Path, *, module: str | None, file: Path | None, write: bool, as_json: bool, console: Console) -> bool:
    """Look at everything, and tell each step as it is done.

    Args:
        home: Where local Airbyte and the default warehouse live.
        module: A code location's module; with neither it nor `file`, the package's own pipeline is meant, as the
            environment says.
        file: A code location's file.
        write: Also create a source in Airbyte and delete it.
        as_json: Print all findings as JSON at the end, and nothing else.
        console: Where the steps are shown.

    Returns:
        Whether nothing failed.
    """
    if as_json:
        findings = Findings()
        _examine(findings, home, module=module, file=file, write=write)
        shown = [asdict(finding) for finding in findings.all]
        click.echo(json.dumps({"passed": not findings.failed, "findings": shown}, indent=2, ensure_ascii=False))
        return not findings.failed
    with Progress(console) as progress:
        findings = Findings(_Printer(console), progress.waiting)
        _examine(findings, home, module=module, file=file, write=write)
    console.print(_summary(findings))
    return not findings.failed


class _Printer:
    """Prints findings, with a heading above those that are about one thing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._about = ""

    def __call__(self, finding: Finding) -> None:
        if finding.about != self._about:
            self._about = finding.about
            self._console.print(Text(finding.about, style="bold"), soft_wrap=True)
        mark, style = _MARKS[finding.status]
        self._console.print(
            Text.assemble((mark, style), f" {finding.step}: ", finding.found),
            soft_wrap=True,
        )
        if finding.advice:
            self._console.print(Text(f"  → {finding.advice}"), soft_wrap=True)


def _summary(findings: Findings) -> Text:
    counts = Counter(finding.status for finding in findings.all)
    failed, warnings = counts[Status.FAILED], counts[Status.WARNING]
    words = f"{failed} failed" if failed else "Nothing failed"
    return Text(f"{words}, {warnings} to look at." if warnings else f"{words}.", style="red" if failed else "green")


def _examine(findings: Findings, home: Path, *, module: str | None, file: Path | None, write: bool) -> None:
    findings.hide(*(os.environ.get(name) for name in variables.SECRET_VARIABLES))
    why_not = ""
    is_own = module is None and file is None
    if is_own:
        with findings.about("Environment"):
            why_not = _environment(findings, home)
    findings.waiting("Loading Dagster …")
    location = _load(findings, module, file)
    if location is None:
        return
    seen: dict[str, airbyte.Seen | None] = {}
    for key, resource in location.airbytes.items():
        with findings.about(_title("Airbyte", key, len(location.airbytes))):
            if why_not:
                findings.skip(airbyte.STEPS, why_not)
            elif is_own or _settings(resource, findings, airbyte.STEPS):
                seen[key] = airbyte.examine_airbyte(resource, findings, write=write)
    opened: dict[str, Warehouse] = {}
    for key, warehouse in location.warehouses.items():
        with findings.about(_title("Warehouse", key, len(location.warehouses))):
            if is_own or _settings(warehouse, findings, ["connection"]):
                opened[key] = warehouses.examine_warehouse(warehouse, findings)
    for declared in location.pipelines:
        with findings.about(f"Pipeline {declared.pipeline.name}"):
            pipelines.examine_pipeline(
                declared.pipeline, seen.get(declared.airbyte_key), opened.get(declared.warehouse_key), findings
            )


def _environment(findings: Findings, home: Path) -> str:
    """Look at the variables, and let those of a local Airbyte that runs stand in for them.

    Returns:
        Why Airbyte is not to be asked; empty if it is.
    """
    os.environ[HOME_VARIABLE] = str(home)
    is_remote = variables.examine_variables(os.environ, findings)
    if is_remote is None:
        return "the environment does not say which"
    if is_remote:
        return ""
    missing = missing_locally()
    if missing:
        findings.fail(
            "local Airbyte",
            f"it needs {', '.join(missing)}, which is not installed",
            "Run: pip install 'airbyte-dagster[local]'. Or set the variables of your own Airbyte.",
        )
        return "local Airbyte is not installed"
    found = running_local_environment(home)
    if found is None:
        findings.warn(
            "local Airbyte",
            f"none runs for {home}, and it is not started by this command",
            "`airbyte-dagster run` and `airbyte-dagster dev` start it by themselves; or set the variables of your own.",
        )
        return "local Airbyte does not run"
    findings.hide(found["AIRBYTE_CLIENT_SECRET"])
    findings.ok("local Airbyte", f"runs at {found['AIRBYTE_SERVER_URL']}")
    os.environ.update(found)
    return ""


def _load(findings: Findings, module: str | None, file: Path | None) -> CodeLocation | None:
    from airbyte_dagster.cli.diagnosis import loading  # noqa: PLC0415 - loads Dagster, after the environment is set

    is_own = module is None and file is None
    with findings.about("Code location"):
        try:
            location = loading.load_file(file) if file else loading.load_module(module or _OWN_MODULE)
        except ConfigurationError as error:
            findings.error("definitions", error, "Mend them; then come back.")
            return None
        for resource in (*location.airbytes.values(), *location.warehouses.values()):
            findings.hide(*loading.secrets_of_resource(resource))
        if is_own:
            return location
        if not location.airbytes and not location.warehouses:
            findings.fail(
                "definitions",
                f"{file or module} has no AirbyteResource and no warehouse among its resources",
                "Give the module or file whose `defs` has the resources of your pipelines.",
            )
            return None
        findings.ok("definitions", str(location))
    return location


def _settings(resource: SecretFieldsResource, findings: Findings, steps: Sequence[str]) -> bool:
    """Look at the variables that a resource's settings are read from; return whether all are set."""
    from airbyte_dagster.cli.diagnosis import loading  # noqa: PLC0415 - as above

    for name, value in loading.settings_read_from_the_environment(resource):
        for found, advice in variables.odd_about(name, value):
            findings.warn("settings", found, advice)
    unset = loading.unset_variables(resource)
    if unset:
        findings.fail(
            "settings",
            f"read from variables that are not set: {', '.join(unset)}",
            "Set them where Dagster runs, and where this command runs.",
        )
        findings.skip(steps, "settings are missing")
    return not unset


def _title(kind: str, key: str, count: int) -> str:
    return kind if count == 1 else f"{kind} {key!r}"
