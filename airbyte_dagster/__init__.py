"""Airbyte pipelines as Dagster assets: declared, synced, watched to the end and verified in the warehouse.

Names are loaded when they are first used: importing this package loads neither Dagster nor Airbyte's SDK.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airbyte_dagster.checks.specs import Checks as Checks
    from airbyte_dagster.components import AirbytePipelineComponent as AirbytePipelineComponent
    from airbyte_dagster.components import AirbyteWorkspaceComponent as AirbyteWorkspaceComponent
    from airbyte_dagster.pipelines.assets import airbyte_assets as airbyte_assets
    from airbyte_dagster.pipelines.definitions import build_pipeline_defs as build_pipeline_defs
    from airbyte_dagster.pipelines.spec import AirbytePipeline as AirbytePipeline
    from airbyte_dagster.pipelines.spec import Connection as Connection
    from airbyte_dagster.pipelines.spec import Destination as Destination
    from airbyte_dagster.pipelines.spec import Reconcile as Reconcile
    from airbyte_dagster.pipelines.spec import Schedule as Schedule
    from airbyte_dagster.pipelines.spec import Source as Source
    from airbyte_dagster.pipelines.spec import Stream as Stream
    from airbyte_dagster.pipelines.spec import SyncMode as SyncMode
    from airbyte_dagster.pipelines.sync_sensor import build_airbyte_sync_sensor as build_airbyte_sync_sensor
    from airbyte_dagster.resources import AirbyteResource as AirbyteResource
    from airbyte_dagster.resources import MotherDuckResource as MotherDuckResource
    from airbyte_dagster.resources import PostgresWarehouseResource as PostgresWarehouseResource
    from airbyte_dagster.resources import SqlWarehouseResource as SqlWarehouseResource
    from airbyte_dagster.resources import WarehouseResource as WarehouseResource
    from airbyte_dagster.runs.single import CompletedSync as CompletedSync
    from airbyte_dagster.runs.sync_op import OpSettings as OpSettings
    from airbyte_dagster.sensors import build_file_sensor as build_file_sensor
    from airbyte_dagster.sensors import build_watermark_sensor as build_watermark_sensor
    from airbyte_dagster.sync.settings import OnRunning as OnRunning
    from airbyte_dagster.webhook import build_webhook_app as build_webhook_app
    from airbyte_dagster.workspaces.definitions import build_workspace_defs as build_workspace_defs
    from airbyte_dagster.workspaces.definitions import load_airbyte_asset_specs as load_airbyte_asset_specs
    from airbyte_dagster.workspaces.selector import ConnectionSelector as ConnectionSelector
    from airbyte_dagster.workspaces.translator import AirbyteStreamProps as AirbyteStreamProps
    from airbyte_dagster.workspaces.translator import AirbyteTranslator as AirbyteTranslator

_MODULES = {
    "AirbytePipeline": "pipelines.spec",
    "AirbytePipelineComponent": "components",
    "AirbyteResource": "resources",
    "AirbyteStreamProps": "workspaces.translator",
    "AirbyteTranslator": "workspaces.translator",
    "AirbyteWorkspaceComponent": "components",
    "Checks": "checks.specs",
    "CompletedSync": "runs.single",
    "Connection": "pipelines.spec",
    "ConnectionSelector": "workspaces.selector",
    "Destination": "pipelines.spec",
    "MotherDuckResource": "resources",
    "OnRunning": "sync.settings",
    "OpSettings": "runs.sync_op",
    "PostgresWarehouseResource": "resources",
    "Reconcile": "pipelines.spec",
    "Schedule": "pipelines.spec",
    "Source": "pipelines.spec",
    "SqlWarehouseResource": "resources",
    "Stream": "pipelines.spec",
    "SyncMode": "pipelines.spec",
    "WarehouseResource": "resources",
    "airbyte_assets": "pipelines.assets",
    "build_airbyte_sync_sensor": "pipelines.sync_sensor",
    "build_file_sensor": "sensors",
    "build_pipeline_defs": "pipelines.definitions",
    "build_watermark_sensor": "sensors",
    "build_webhook_app": "webhook",
    "build_workspace_defs": "workspaces.definitions",
    "load_airbyte_asset_specs": "workspaces.definitions",
}

__all__ = [*_MODULES]  # noqa: PLE0604 - names, each once


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
