"""``airbyte-dagster export``: existing connections as the ``defs.yaml`` of pipelines."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import click

from airbyte_dagster.cli.environment import find_airbyte
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.export import Exported, choose, export, read_contents

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_FILE = "defs.yaml"


def export_connections(
    wanted: Sequence[str], *, home: Path, output: Path | None, force: bool, workspace: str | None
) -> None:
    """Write connections as pipelines: to the standard output, or into a directory each. All else goes to stderr.

    Args:
        wanted: Names, ids, or globs of names.
        home: Of local Airbyte, which is used where the environment names no other.
        output: Takes ``NAME/defs.yaml`` for each; ``None`` for the standard output.
        force: Whether existing files are replaced.
        workspace: Id or name; that of the environment, or the only one, by default. Its id is written into the files.

    Raises:
        ConfigurationError: There is no such connection, or no Airbyte, or a file exists already. Nothing was written.
        SpecError: A connection can't be declared. Nothing was written.
        AirbyteError: Airbyte can't be read.
    """
    airbyte = find_airbyte(home, otherwise="run: airbyte-dagster local serve")
    client = airbyte.client()
    if workspace is None:
        found = airbyte.find_workspace()
    elif _UUID.fullmatch(workspace):
        found = client.find_workspace(workspace_id=workspace)
    else:
        found = client.find_workspace(name=workspace)
    _print(f"Reading the workspace {found.name!r} ({found.id}) at {client.settings.server_url} …")
    contents = read_contents(client, found)
    exported = export(contents, choose(contents, wanted), workspace_id=found.id if workspace else None)
    if output is None:
        click.echo("---\n".join(one.text for one in exported), nl=False)
    else:
        _write(exported, output, force=force)
    _print(f"{len(exported)} of {len(contents.connections)} connections exported.")
    _print_variables(exported)


def _write(exported: Sequence[Exported], output: Path, *, force: bool) -> None:
    files = {output / one.name / _FILE: one.text for one in exported}
    existing = [str(path) for path in files if path.exists()]
    if existing and not force:
        raise ConfigurationError(
            f"Existing files: {', '.join(existing)}.", guidance="--force replaces them. Nothing was written."
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        _print(f"{'Replaced' if str(path) in existing else 'Wrote'} {path}")


def _print_variables(exported: Sequence[Exported]) -> None:
    variables = dict.fromkeys(variable for one in exported for variable in one.variables)
    if not variables:
        return
    _print("Secrets are read from these variables. While one is not set, its secret stays as Airbyte has it:")
    for variable in variables:
        is_set = " (set here: its value will be sent)" if os.environ.get(variable.name) else ""
        _print(f"  {variable}{is_set}")


def _print(line: str) -> None:
    click.echo(line, err=True)
