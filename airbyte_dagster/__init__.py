"""Airbyte pipelines as Dagster assets: declared, synced, watched to the end and verified in the warehouse.

Names are loaded when they are first used: importing this package loads neither Dagster nor Airbyte's SDK.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airbyte_dagster.check_specs import Checks as Checks
    from airbyte_dagster.components import AirbytePipelineComponent as AirbytePipelineComponent
    from airbyte_dagster.components import AirbyteWorkspaceComponent as AirbyteWorkspaceComponent
    from airbyte_dagster.pipeline_defs import build_pipeline_defs as build_pipeline_defs
    from airbyte_dagster.resource import AirbyteResource as AirbyteResource
    from airbyte_dagster.sensors import build_airbyte_sync_sensor as build_airbyte_sync_sensor
    from airbyte_dagster.sensors import build_file_sensor as build_file_sensor
    from airbyte_dagster.sensors import build_watermark_sensor as build_watermark_sensor
    from airbyte_dagster.spec import AirbytePipeline as AirbytePipeline
    from airbyte_dagster.spec import Connection as Connection
    from airbyte_dagster.spec import Destination as Destination
    from airbyte_dagster.spec import Schedule as Schedule
    from airbyte_dagster.spec import Source as Source
    from airbyte_dagster.spec import Stream as Stream
    from airbyte_dagster.warehouse_resource import MotherDuckResource as MotherDuckResource
    from airbyte_dagster.warehouse_resource import PostgresWarehouseResource as PostgresWarehouseResource
    from airbyte_dagster.workspace.defs import build_workspace_defs as build_workspace_defs
    from airbyte_dagster.workspace.selector import ConnectionSelector as ConnectionSelector
    from airbyte_dagster.workspace.translator import AirbyteStreamProps as AirbyteStreamProps
    from airbyte_dagster.workspace.translator import AirbyteTranslator as AirbyteTranslator

_MODULES = {
    "AirbytePipeline": "spec",
    "AirbytePipelineComponent": "components",
    "AirbyteResource": "resource",
    "AirbyteStreamProps": "workspace.translator",
    "AirbyteTranslator": "workspace.translator",
    "AirbyteWorkspaceComponent": "components",
    "Checks": "check_specs",
    "Connection": "spec",
    "ConnectionSelector": "workspace.selector",
    "Destination": "spec",
    "MotherDuckResource": "warehouse_resource",
    "PostgresWarehouseResource": "warehouse_resource",
    "Schedule": "spec",
    "Source": "spec",
    "Stream": "spec",
    "build_airbyte_sync_sensor": "sensors",
    "build_file_sensor": "sensors",
    "build_pipeline_defs": "pipeline_defs",
    "build_watermark_sensor": "sensors",
    "build_workspace_defs": "workspace.defs",
}

__all__ = [
    "AirbytePipeline",
    "AirbytePipelineComponent",
    "AirbyteResource",
    "AirbyteStreamProps",
    "AirbyteTranslator",
    "AirbyteWorkspaceComponent",
    "Checks",
    "Connection",
    "ConnectionSelector",
    "Destination",
    "MotherDuckResource",
    "PostgresWarehouseResource",
    "Schedule",
    "Source",
    "Stream",
    "build_airbyte_sync_sensor",
    "build_file_sensor",
    "build_pipeline_defs",
    "build_watermark_sensor",
    "build_workspace_defs",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
