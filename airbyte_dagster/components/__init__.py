"""Components for ``dg``: what stands in a ``defs.yaml`` → definitions."""

from __future__ import annotations

from airbyte_dagster.components.pipeline import AirbytePipelineComponent
from airbyte_dagster.components.workspace import AirbyteWorkspaceComponent

__all__ = ["AirbytePipelineComponent", "AirbyteWorkspaceComponent"]
