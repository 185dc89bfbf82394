"""``airbyte-dagster refresh``: read the workspaces of definitions again, and print what changed in them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from airbyte_dagster.cli.environment import find_airbyte, prepare_dagster_home
from airbyte_dagster.cli.terminal import Progress
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.output import Facts
from airbyte_dagster.paths import HOME_VARIABLE

if TYPE_CHECKING:
    from rich.console import Console

    from airbyte_dagster.pipelines.declared import DeclaredWorkspace
    from airbyte_dagster.workspaces.state import Refreshed

_MOST_LINES = 20


def refresh(home: Path, *, module: str | None, file: Path | None, console: Console) -> Facts:
    """Read workspaces from Airbyte, store them, and print what changed.

    Args:
        home: Where Dagster's instance is, unless ``DAGSTER_HOME`` names one.
        module: A code location's module; with neither it nor `file`, the workspace of the environment is read.
        file: A code location's file.
        console: Where each is shown, as soon as it is stored.

    Returns:
        What was read.

    Raises:
        AirbyteDagsterError: One of them can't be read or stored; those before it are.
    """
    os.environ[HOME_VARIABLE] = str(home)
    prepare_dagster_home(home)
    records = []
    with Progress(console) as progress:
        progress.waiting("Loading Dagster …")
        from airbyte_dagster.workspaces import state  # noqa: PLC0415 - loads Dagster

        for declared in _declared(module, file) if module or file else [_of_environment(home)]:
            progress.waiting(f"Reading workspace {declared.name!r} …")
            done = state.refresh(
                declared.airbyte, declared.state_path, declared.columns_of, on_progress=progress.waiting
            )
            _show(declared.name, done, console)
            records.append(_record(declared.name, done))
    return Facts({"workspaces": records})


def _declared(module: str | None, file: Path | None) -> Sequence[DeclaredWorkspace]:
    from airbyte_dagster.cli.code_location import load_definitions  # noqa: PLC0415 - loads Dagster
    from airbyte_dagster.pipelines.declared import DeclaredWorkspace, declared_in  # noqa: PLC0415 - loads Dagster

    found = declared_in(load_definitions(module, file), DeclaredWorkspace)
    if not found:
        raise ConfigurationError(
            f"The definitions of {file or module} have no workspace of build_workspace_defs.",
            guidance="For an AirbyteWorkspaceComponent, run: dg utils refresh-defs-state.",
        )
    return found


def _of_environment(home: Path) -> DeclaredWorkspace:
    from airbyte_dagster.pipelines.declared import DeclaredWorkspace  # noqa: PLC0415 - loads Dagster

    return DeclaredWorkspace("workspace", find_airbyte(home, otherwise="give your definitions with -m or -f"), None)


def _record(name: str, done: Refreshed) -> dict[str, Any]:
    from airbyte_dagster.workspaces.changes import diff  # noqa: PLC0415 - loads Dagster

    changes = diff(done.old, done.new)
    return {
        "name": name,
        "workspaceId": done.new.workspace_id,
        "serverUrl": done.new.server_url,
        "connections": len(done.new.connections),
        "streams": sum(len(connection.streams) for connection in done.new.connections),
        "storedBefore": done.old is not None,
        "added": [{"id": item.id, "name": item.name} for item in changes.added],
        "removed": [{"id": item.id, "name": item.name} for item in changes.removed],
        "changed": [{"id": item.new.id, "name": item.new.name, "what": str(item)} for item in changes.changed],
        "calls": done.calls,
        "seconds": done.seconds,
        "storedIn": done.stored_in,
    }


def _show(name: str, done: Refreshed, console: Console) -> None:
    from airbyte_dagster.workspaces.changes import counted, diff  # noqa: PLC0415 - loads Dagster

    new, changes = done.new, diff(done.old, done.new)
    streams = sum(len(connection.streams) for connection in new.connections)
    size = f"{counted(len(new.connections), 'connection')}, {counted(streams, 'stream')}"
    lines = list(changes.lines())
    shown = [
        f"Workspace {name!r} ({new.workspace_id} at {new.server_url}): {size}",
        f"  {changes if done.old else 'nothing was stored before'}",
        *(f"  {line}" for line in itertools.islice(lines if done.old else (), _MOST_LINES)),
    ]
    if done.old and len(lines) > _MOST_LINES:
        shown.append(f"  … and {len(lines) - _MOST_LINES:,} more")
    shown.append(f"  {counted(done.calls, 'call')}, {done.seconds:.1f} s; stored in {done.stored_in}")
    for line in shown:
        console.print(Text(line), soft_wrap=True)
