"""What this process has built definitions of, for commands that look at a code location from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_dagster.pipelines import spec
from airbyte_dagster.resources import AirbyteResource


@dataclass(frozen=True)
class DeclaredPipeline:
    """A pipeline, and the keys of the resources that its definitions use."""

    pipeline: spec.AirbytePipeline
    airbyte_key: str
    warehouse_key: str


@dataclass(frozen=True)
class DeclaredWorkspace:
    """A workspace whose connections are assets.

    Attributes:
        name: Of its definitions.
        state_path: File that keeps it; ``None`` for the default one.
        columns_of: Connections of whose streams the columns are asked for; ``None`` for none.
    """

    name: str
    airbyte: AirbyteResource
    state_path: Path | None
    columns_of: Callable[[Any], bool] | None = None


_pipelines: dict[str, DeclaredPipeline] = {}
_workspaces: dict[str, DeclaredWorkspace] = {}


def declare(pipeline: spec.AirbytePipeline, *, airbyte_key: str, warehouse_key: str) -> None:
    """Remember a pipeline; one of the same name is replaced, as a code location can't have two."""
    _pipelines[pipeline.name] = DeclaredPipeline(pipeline, airbyte_key, warehouse_key)


def declared_pipelines() -> tuple[DeclaredPipeline, ...]:
    """Return the pipelines, in the order of their declaration."""
    return tuple(_pipelines.values())


def declare_workspace(workspace: DeclaredWorkspace) -> None:
    """Remember a workspace; one of the same name is replaced, as a code location can't have two."""
    _workspaces[workspace.name] = workspace


def declared_workspaces() -> tuple[DeclaredWorkspace, ...]:
    """Return the workspaces, in the order of their declaration."""
    return tuple(_workspaces.values())
