"""``airbyte-dagster export``: existing connections as the ``defs.yaml`` of pipelines."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from airbyte_dagster.cli.environment import find_airbyte
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.export import Exported, choose, export, read_contents
from airbyte_dagster.output import Facts

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_FILE = "defs.yaml"


def export_connections(
    wanted: Sequence[str], *, home: Path, output: Path | None, force: bool, workspace: str | None
) -> Facts:
    """Write connections as pipelines: into a directory each, or as the facts. All else goes to stderr.

    Args:
        wanted: Names, ids, or globs of names.
        home: Of local Airbyte, which is used where the environment names no other.
        output: Takes ``NAME/defs.yaml`` for each; ``None`` to write nothing.
        force: Whether existing files are replaced.
        workspace: Id or name; that of the environment, or the only one, by default. Its id is written into the files.

    Returns:
        What was exported.

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
    if output is not None:
        _write(exported, output, force=force)
    _print(f"{len(exported)} of {len(contents.connections)} connections exported.")
    _print_variables(exported)
    record = {"workspaceId": found.id, "exported": [_record(one, output) for one in exported]}
    text = "---\n".join(one.text for one in exported) if output is None else ""
    return Facts(record, lambda: click.echo(text, nl=False))


def _record(one: Exported, output: Path | None) -> dict[str, object]:
    return {
        "name": one.name,
        "connectionId": one.connection.id,
        "connectionName": one.connection.name,
        "file": str(_file(one, output)) if output else None,
        "yaml": one.text,
        "variables": [{**asdict(item), "isSet": bool(os.environ.get(item.name))} for item in one.variables],
    }


def _file(one: Exported, output: Path) -> Path:
    return output / one.name / _FILE


def _write(exported: Sequence[Exported], output: Path, *, force: bool) -> None:
    files = {_file(one, output): one.text for one in exported}
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
