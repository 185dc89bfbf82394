"""Records of a workspace that was never read from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.workspaces.snapshot import ActorRecord, ConnectionRecord, WorkspaceSnapshot

SERVER_URL = "http://airbyte.test/api/public/v1"


def stream(
    name: str, namespace: str | None = None, sync_mode: str = "full_refresh_overwrite", **changes: Any
) -> Stream:
    return Stream(name, namespace, sync_mode, **changes)


def connection(name: str, streams: Sequence[str | Stream] = ("users",), **changes: Any) -> ConnectionRecord:
    """A connection from PostgreSQL into a DuckDB file; its id is ``id-NAME``."""
    fields: dict[str, Any] = {
        "id": f"id-{name}",
        "name": name,
        "status": "active",
        "created_at": 1,
        "schedule": None,
        "prefix": "",
        "namespace_definition": "destination",
        "namespace_format": None,
        "tags": (),
        "source": ActorRecord("s-1", "orders database", "postgres", {}),
        "destination": ActorRecord("d-1", "duck", "duckdb", {"destination_path": "/data/lake.duckdb"}),
        "streams": tuple(item if isinstance(item, Stream) else stream(item) for item in streams),
    }
    return ConnectionRecord(**{**fields, **changes})


def snapshot(*connections: ConnectionRecord, **changes: Any) -> WorkspaceSnapshot:
    fields: dict[str, Any] = {
        "server_url": SERVER_URL,
        "workspace_id": "w-1",
        "taken_at": "2026-01-01T00:00:00+00:00",
        "connections": connections,
    }
    return WorkspaceSnapshot(**{**fields, **changes})
