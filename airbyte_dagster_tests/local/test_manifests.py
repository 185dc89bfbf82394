"""Connectors that are manifests of the Connector Builder, run by Airbyte's development kit against a small HTTP API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest
import yaml
from airbyte_api import AirbyteAPI, api, models

from airbyte_dagster.local import manifests
from airbyte_dagster.local.connectors import Connectors
from airbyte_dagster.local.declarative import OwnConnectors
from airbyte_dagster.local.environments import MANIFESTS, Environments
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.processes import MANIFEST, real_server

ORDERS = [{"id": n, "item": f"item {n}", "updated_at": f"2026-01-0{n}T00:00:00Z"} for n in range(1, 6)]


class Shop(ThreadingHTTPServer):
    """An API that gives orders, a page at a time, to who has the key."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.server.asked.append(query)
        allowed = self.headers["Authorization"] == "Bearer the-key"
        begin = int(query.get("offset", 0))
        rows = [row for row in ORDERS if str(row["updated_at"]) >= query.get("since", "")]
        body = {"data": rows[begin : begin + int(query["limit"])]} if allowed else {"error": "no such key"}
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def development_kit(cache: Path) -> Environments:
    """The environments, that of Airbyte's development kit among them."""
    environments = Environments(cache / "environments")
    environments.ensure(MANIFESTS)
    return environments


def sync(client: Api, home: Path, source: str) -> list[Any]:
    """Sync the orders of a source, incrementally, into an empty file; its rows."""
    stream = {"name": "orders", "syncMode": "incremental_append"}
    connection = client.connection(source, client.destination("orders.duckdb"), [stream])
    for _ in range(2):
        job = client.finish(client.sync(connection))
        assert job["status"] == "succeeded", client.debug(job["jobId"])
    with contextlib.closing(duckdb.connect(str(home / "orders.duckdb"), read_only=True)) as connected:
        return connected.sql("SELECT id, item FROM orders ORDER BY id, item").fetchall()


@pytest.mark.real
def test_manifest_that_is_named_at_the_start(shop: Shop, real_home: Path, development_kit: Environments) -> None:
    """Its spec is checked, its secret masked, its streams are found, its records arrive, incrementally, in pages."""
    with real_server(real_home, connectors={"shop": MANIFEST}) as airbyte, airbyte.api() as client:
        refused = client.post(
            "/sources",
            json={"name": "x", "workspaceId": client.workspace_id, "configuration": {"sourceType": "shop"}},
        )
        assert refused.status_code == 422
        assert "base_url" in refused.text
        source = client.source("shop", base_url=shop.url, api_key="the-key")
        assert client.ok("GET", f"/sources/{source}")["configuration"]["api_key"] == "**********"
        rows = sync(client, real_home, source)
        logs = "".join(file.read_text() for file in (real_home / "local" / "logs").iterdir())

    # The second read begins where the first ended, and so repeats its last record.
    assert rows == [(order["id"], order["item"]) for order in [*ORDERS, ORDERS[-1]]]
    assert {query.get("since") for query in shop.asked[1:]} == {"2020-01-01T00:00:00Z", "2026-01-05T00:00:00Z"}
    assert {query.get("offset") for query in shop.asked} >= {None, "2", "4"}
    assert "the-key" not in logs


@pytest.mark.real
def test_definition_of_a_client(shop: Shop, real_home: Path, development_kit: Environments) -> None:
    """The official SDK defines a declarative source and makes a source of it; a sync moves its records."""
    with real_server(real_home) as airbyte, airbyte.api() as client:
        sdk = sdk_of(airbyte)
        definition = sdk.declarative_source_definitions.create_declarative_source_definition(
            request=api.CreateDeclarativeSourceDefinitionRequest(
                workspace_id=client.workspace_id,
                create_declarative_source_definition_request=models.CreateDeclarativeSourceDefinitionRequest(
                    name="Shop", manifest=yaml.safe_load(MANIFEST.read_text())
                ),
            )
        ).declarative_source_definition_response
        assert definition is not None
        body = {"name": "shop", "workspaceId": client.workspace_id, "definitionId": definition.id}
        config = {"base_url": shop.url, "api_key": "the-key"}
        source = client.ok("POST", "/sources", json={**body, "configuration": config})
        assert (
            sdk.sources.get_source(request=api.GetSourceRequest(source_id=source["sourceId"])).source_response
            is not None
        )
        rows = sync(client, real_home, source["sourceId"])

    assert (source["definitionId"], source["sourceType"]) == (definition.id, "")
    assert len(rows) == len(ORDERS) + 1


def sdk_of(airbyte: RunningAirbyte) -> AirbyteAPI:
    """The official SDK, signed in."""
    with airbyte.api() as client:
        token = client.headers["authorization"].removeprefix("Bearer ")
    return AirbyteAPI(server_url=airbyte.server_url, security=models.Security(bearer_auth=token))


def test_definitions_of_declarative_sources(airbyte: RunningAirbyte) -> None:
    """They can be listed, read, changed and deleted; a server that is started later has them, too."""
    manifest = yaml.safe_load(MANIFEST.read_text())
    with airbyte.api() as client:
        path = f"/workspaces/{client.workspace_id}/definitions/declarative_sources"
        first, second = (client.ok("POST", path, json={"name": name, "manifest": manifest}) for name in ("a", "b"))
        assert first == {"id": first["id"], "name": "a", "manifest": manifest, "version": 1}
        changed = client.ok("PUT", f"{path}/{first['id']}", json={"manifest": {**manifest, "version": "6.44.1"}})
        assert (changed["version"], changed["manifest"]["version"]) == (2, "6.44.1")
        assert client.ok("GET", path)["data"] == [changed, second]
        assert client.ok("GET", f"{path}/{first['id']}") == changed
        public = client.ok("GET", f"/workspaces/{client.workspace_id}/definitions/sources")["data"]
        assert first["id"] not in {definition["id"] for definition in public}

        later = OwnConnectors(airbyte.home.definitions)
        assert later.definitions(client.workspace_id) == [changed, second]
        assert len(later) == 2

        airbyte.engine.add(f"custom-{first['id']}", {"orders": []})
        body = {"name": "shop", "workspaceId": client.workspace_id, "definitionId": first["id"], "configuration": {}}
        source = client.ok("POST", "/sources", json=body)["sourceId"]
        assert client.ok("DELETE", f"{path}/{first['id']}") == changed
        assert client.ok("GET", path)["data"] == [second]
        assert client.ok("GET", "/sources")["data"] == []
        assert client.get(f"{path}/{first['id']}").status_code == 404
        assert client.get(f"{path}/{source}").status_code == 404
        assert client.post("/sources", json=body).status_code == 400


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (7, "The manifest is not an object"),
        ({}, "The manifest's type is not DeclarativeSource"),
        ({"type": "DeclarativeSource", "streams": []}, "The manifest has no streams"),
    ],
)
def test_what_is_no_manifest_is_refused(airbyte: RunningAirbyte, manifest: object, words: str) -> None:
    """422 with the field, when it is defined."""
    with airbyte.api() as client:
        path = f"/workspaces/{client.workspace_id}/definitions/declarative_sources"
        refused = client.post(path, json={"name": "x", "manifest": manifest})
        assert refused.status_code == 422
        assert refused.json()["data"]["message"] == f"$.manifest: {words}"
        assert client.ok("GET", path)["data"] == []


def test_broken_file_says_where(tmp_path: Path) -> None:
    """A manifest that is not YAML: the line; one without a spec takes any configuration."""
    with pytest.raises(manifests.BadManifest, match=r"is not YAML: .* \(line 2\)"):
        manifests.read("type: DeclarativeSource\n\tstreams: x\n")
    assert manifests.specification({"spec": {"$ref": "#/nowhere"}}) == {"type": "object", "properties": {}}
    circle = {"spec": {"$ref": "#/spec"}}
    assert manifests.specification(circle)["properties"] == {}


def test_changed_manifest_is_another_version(tmp_path: Path) -> None:
    """A change of the manifest, or of the code beside it, takes effect at once."""
    file = tmp_path / "a shop" / "manifest.yaml"
    file.parent.mkdir()
    file.write_bytes(MANIFEST.read_bytes())
    made = [manifests.make_program(tmp_path / "made", "shop", file, Path("/runner"))]
    made.append(manifests.make_program(tmp_path / "made", "shop", file, Path("/runner")))
    (file.parent / "components.py").write_text("x = 1\n")
    made.append(manifests.make_program(tmp_path / "made", "shop", file, Path("/runner")))
    assert made[0] == made[1]
    assert made[1] != made[2]
    assert "--components-path" in made[2][0].read_text()


@pytest.mark.real
def test_check_says_what_the_api_says(shop: Shop, tmp_path: Path, development_kit: Environments) -> None:
    """A wrong key fails the check of a connection, the right one passes."""
    connectors = Connectors(development_kit, tmp_path / "asking", {"shop": MANIFEST})
    assert connectors.check("shop", {"base_url": shop.url, "api_key": "the-key"}) is None
    assert connectors.check("shop", {"base_url": shop.url, "api_key": "wrong"})
    assert connectors.spec("shop")["required"] == ["base_url", "api_key"]
