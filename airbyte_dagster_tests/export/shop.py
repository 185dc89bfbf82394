"""A workspace that somebody has set up by hand, and what planning its export finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airbyte_dagster import AirbytePipelineComponent
from airbyte_dagster.export import Exported, choose, export, read_contents
from airbyte_dagster.pipelines.apply import Reconciler
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore
from airbyte_dagster.pipelines.plan import Plan
from airbyte_dagster_tests.conftest import RecordingTransport, client_of
from airbyte_dagster_tests.dg_project import Project
from airbyte_dagster_tests.local.fakes import RunningAirbyte

SHOP_SPEC = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "password": {"type": "string", "airbyte_secret": True},
        "credentials": {
            "oneOf": [
                {"type": "object", "properties": {"auth": {"const": "token"}, "token": {"airbyte_secret": True}}},
                {"type": "object", "properties": {"auth": {"const": "none"}}},
            ]
        },
        "headers": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {}, "value": {"airbyte_secret": True}}},
        },
    },
}
ROWS = [{"id": 1, "region": "eu", "name": "One", "updated_at": "2026-01-01"}]


class Shop:
    """A workspace that somebody has set up by hand, what is exported of it, and what comes of that."""

    def __init__(self, server: RunningAirbyte, transport: RecordingTransport, project: Project) -> None:
        server.engine.add("shop", {"orders": ROWS, "people": ROWS}, spec=SHOP_SPEC, primary_key=None, cursor=None)
        server.engine.add(
            "places",
            {"cities": ROWS},
            spec=SHOP_SPEC,
            namespaces={"cities": "public"},
            cursor="updated_at",
        )
        self.server = server
        self.transport = transport
        self.project = project
        self.api = server.api()
        self.client = client_of(server, transport)
        self.workspace = self.client.find_workspace()
        self.applied = InMemoryAppliedStore()
        self.reconciler = Reconciler(self.client, self.applied, key="a key")

    def source(self, name: str = "shop db", kind: str = "shop", **configuration: Any) -> str:
        body = {"name": name, "workspaceId": self.workspace.id}
        configuration = {"sourceType": kind, **configuration}
        return str(self.api.ok("POST", "/sources", json={**body, "configuration": configuration})["sourceId"])

    def destination(self, name: str = "duck", **configuration: Any) -> str:
        body = {"name": name, "workspaceId": self.workspace.id}
        configuration = {"destinationType": "duckdb", "destination_path": "lms.duckdb", **configuration}
        return str(self.api.ok("POST", "/destinations", json={**body, "configuration": configuration})["destinationId"])

    def export(self, *wanted: str) -> list[Exported]:
        contents = read_contents(self.client, self.workspace)
        return export(contents, choose(contents, wanted or ["*"]))

    def component(self, exported: Exported) -> AirbytePipelineComponent:
        """What `dg` makes of the file."""
        self.project.write(exported.name, exported.text)
        component = self.project.component(exported.name)
        assert isinstance(component, AirbytePipelineComponent)
        return component

    def plan(self, exported: Exported) -> Plan:
        return self.reconciler.plan(self.component(exported).pipeline, self.workspace)

    def apply(self, exported: Exported) -> list[tuple[str, str]]:
        """Reconcile; the writes that it took."""
        before = len(self.transport.writes)
        self.reconciler.reconcile(self.component(exported).pipeline, self.workspace)
        return self.transport.writes[before:]

    def stored(self, source_id: str) -> Mapping[str, Any]:
        """A source's configuration in the server itself, secrets and all."""
        configuration: Mapping[str, Any] = self.server.store.actor("source", source_id).configuration
        return configuration


def shop_at(server: RunningAirbyte, transport: RecordingTransport, project: Project) -> Iterator[Shop]:
    made = Shop(server, transport, project)
    yield made
    made.client.close()
    made.api.close()


def assert_changes_nothing(shop: Shop, exported: Exported) -> None:
    """Planning and applying: before anything is recorded, and after."""
    assert shop.plan(exported).empty
    assert shop.apply(exported) == []
    assert shop.apply(exported) == []
