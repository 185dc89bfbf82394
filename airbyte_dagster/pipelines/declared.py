"""What definitions were built from, in their own metadata: commands that load a code location find it there.

The objects stay in the process that loaded the definitions; Dagster stores no more of them than the class's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue

from airbyte_dagster.pipelines import spec
from airbyte_dagster.resources import AirbyteResource


@dataclass(frozen=True)
class DeclaredPipeline:
    """A pipeline, and the keys of the resources that its definitions use."""

    pipeline: spec.AirbytePipeline
    airbyte_key: str
    warehouse_key: str | None

    @property
    def name(self) -> str:
        """The pipeline's."""
        return self.pipeline.name


@dataclass(frozen=True)
class DeclaredWorkspace:
    """A workspace whose connections are assets.

    Attributes:
        name: Of its definitions.
        state_path: File that keeps it; ``None`` for the default one.
        columns_of: Connections of whose streams the columns are requested; ``None`` for none.
    """

    name: str
    airbyte: AirbyteResource
    state_path: Path | None
    columns_of: Callable[[Any], bool] | None = None


_Declared = TypeVar("_Declared", DeclaredPipeline, DeclaredWorkspace)


def metadata_of(declared: DeclaredPipeline | DeclaredWorkspace) -> dict[str, ObjectMetadataValue]:
    """Return the metadata of definitions that are built from a pipeline or a workspace."""
    return {f"airbyte_dagster/{type(declared).__name__}/{declared.name}": ObjectMetadataValue(declared)}


def declared_in(definitions: dg.Definitions, kind: type[_Declared]) -> list[_Declared]:
    """Return the pipelines, or the workspaces, that definitions were built from, merged ones included."""
    objects = [value.instance for value in definitions.metadata.values() if isinstance(value, ObjectMetadataValue)]
    return [item for item in objects if isinstance(item, kind)]
