"""Workspaces of Airbyte's records, and what becomes of their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagster_shared.yaml_utils import safe_load_yaml

from airbyte_dagster import AirbytePipelineComponent
from airbyte_dagster.airbyte.records import Connection, Destination, Source, Stream, Workspace
from airbyte_dagster.export import Contents, Exported, export
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore
from airbyte_dagster.pipelines.plan import Plan, plan

WORKSPACE = Workspace("w", "Default Workspace")


def source_record(name: str = "shop", kind: str = "shop", **configuration: Any) -> Source:
    return Source(f"id of {name} as a source", name, "w", kind, None, configuration)


def destination_record(name: str = "duck", kind: str = "duckdb", **configuration: Any) -> Destination:
    where = {"destination_path": "/tmp/x.duckdb"} if kind == "duckdb" else {}
    return Destination(f"id of {name} as a destination", name, "w", kind, None, {**where, **configuration})


def connection_record(
    name: str = "orders",
    streams: Sequence[Stream] = (Stream("orders", sync_mode="full_refresh_overwrite"),),
    **more: Any,
) -> Connection:
    given: dict[str, Any] = {
        "id": f"id of {name}",
        "source_id": "id of shop as a source",
        "destination_id": "id of duck as a destination",
        "status": "active",
        "namespace_definition": "destination",
        "namespace_format": None,
        "prefix": "",
        "schedule": None,
        **more,
    }
    return Connection(name=name, workspace_id="w", streams=tuple(streams), **given)


def contents_of(
    connections: Sequence[Connection] = (connection_record(),),
    *,
    sources: Sequence[Source] = (source_record(),),
    destinations: Sequence[Destination] = (destination_record(),),
) -> Contents:
    return Contents(WORKSPACE, sources, destinations, connections)


def all_of(contents: Contents) -> list[Exported]:
    return export(contents, contents.connections)


def loaded(text: str) -> AirbytePipelineComponent:
    """What the component makes of a file, without a project around it."""
    return AirbytePipelineComponent.from_attributes_dict(attributes=safe_load_yaml(text)["attributes"])


def plan_of(text: str, contents: Contents) -> Plan:
    return plan(
        loaded(text).pipeline,
        WORKSPACE,
        sources=contents.sources,
        destinations=contents.destinations,
        connections=contents.connections,
        applied=InMemoryAppliedStore(),
        key="",
    )
