"""Columns of streams are asked for on request alone, once for each source, and kept with the workspace."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import AirbyteResource, ConnectionSelector, build_workspace_defs
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.workspaces.snapshot import WorkspaceSnapshot
from airbyte_dagster.workspaces.state import refresh
from airbyte_dagster_tests.airbyte.conftest import BASE, page, problem
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request
from airbyte_dagster_tests.workspaces.records import connection, snapshot, stream

#: What each source has, as Airbyte's ``propertyFields`` tell it.
SCHEMAS: dict[str, dict[str, list[list[str]]]] = {
    "s-1": {"users": [["id"], ["address", "street"], ["address", "city"], ["name"]], "orders": [["id"], ["total"]]},
    "s-2": {"people": [["key"], ["age"]]},
}


class Airbyte:
    """A workspace of three connections, two of which have one source."""

    def __init__(self, server: HttpServer, path: Path) -> None:
        self.server = server
        self.path = path
        self.streams: dict[str, list[dict[str, Any]]] = {
            "shop": [{"name": "users", "primaryKey": [["id"]], "syncMode": "incremental_deduped_history"}],
            "store": [{"name": "users", "selectedFields": [{"fieldPath": ["id"]}]}, {"name": "orders"}],
            "crm": [{"name": "people"}],
        }
        server.on("GET", f"{BASE}/connections", self._connections)
        server.on(
            "GET", f"{BASE}/sources", page({"sourceId": "s-1", "name": "one"}, {"sourceId": "s-2", "name": "two"})
        )
        server.on("GET", f"{BASE}/destinations", page({"destinationId": "d-1", "name": "duck"}))
        server.on("GET", f"{BASE}/streams", self._streams)

    def _connections(self, _: Request) -> Reply:
        return page(
            *(
                {
                    "connectionId": f"c-{name}",
                    "name": name,
                    "sourceId": "s-2" if name == "crm" else "s-1",
                    "destinationId": "d-1",
                    "status": "active",
                    "configurations": {"streams": streams},
                }
                for name, streams in self.streams.items()
            )
        )

    def _streams(self, request: Request) -> Reply:
        (source,) = request.query["sourceId"]
        if source not in SCHEMAS:
            return problem(500, "unexpected-problem")
        schema = SCHEMAS[source]
        return Reply(200, [{"streamName": name, "propertyFields": fields} for name, fields in schema.items()])

    @property
    def resource(self) -> AirbyteResource:
        return AirbyteResource(server_url=self.server.url, workspace_id="w-1", max_attempts=1)

    @property
    def asked(self) -> list[str]:
        """The sources that were asked, sorted: several are asked at once."""
        return sorted(
            request.query["sourceId"][0] for request in self.server.requests if request.path == f"{BASE}/streams"
        )

    def columns(self, **options: Any) -> dict[str, list[str] | None]:
        """Load definitions; return what they say of each asset's columns."""
        definitions = build_workspace_defs(self.resource, state_path=self.path, **{"column_schemas": True, **options})
        return {spec.key.to_user_string(): names_in(spec) for spec in definitions.resolve_all_asset_specs()}


def schema_in(spec: dg.AssetSpec) -> dg.TableSchema | None:
    value = spec.metadata.get("dagster/column_schema")
    return getattr(value, "value", value)


def names_in(spec: dg.AssetSpec) -> list[str] | None:
    schema = schema_in(spec)
    return None if schema is None else [column.name for column in schema.columns]


@pytest.fixture
def airbyte(tmp_path: Path) -> Iterator[Airbyte]:
    with HttpServer() as server:
        yield Airbyte(server, tmp_path / "state.json")


ALL = {
    "shop/users": ["id", "address", "name"],
    "store/users": ["id"],
    "store/orders": ["id", "total"],
    "crm/people": ["key", "age"],
}


def test_not_unless_they_are_asked_for(airbyte: Airbyte) -> None:
    assert set(airbyte.columns(column_schemas=False).values()) == {None}
    assert airbyte.asked == []


def test_each_source_is_asked_once(airbyte: Airbyte) -> None:
    """Of nested fields the column that they are in; of a connection that syncs some fields, those."""
    assert airbyte.columns() == ALL
    assert airbyte.asked == ["s-1", "s-2"]


def test_what_dagster_shows(airbyte: Airbyte) -> None:
    """The primary key is told; no type is claimed, since Airbyte tells none."""
    definitions = build_workspace_defs(airbyte.resource, state_path=airbyte.path, column_schemas=True)

    (users,) = [spec for spec in definitions.resolve_all_asset_specs() if spec.key.path == ["shop", "users"]]
    schema = schema_in(users)
    assert schema is not None
    assert [(column.name, column.type, column.description) for column in schema.columns] == [
        ("id", "?", "Primary key."),
        ("address", "?", None),
        ("name", "?", None),
    ]


def test_they_are_kept(airbyte: Airbyte) -> None:
    """Later loads ask nobody."""
    airbyte.columns()
    calls = len(airbyte.server.requests)

    assert airbyte.columns() == ALL
    assert len(airbyte.server.requests) == calls


def test_connections_that_are_not_selected_cost_nothing(airbyte: Airbyte) -> None:
    assert airbyte.columns(connection_selector=ConnectionSelector(name="crm")) == {"crm/people": ["key", "age"]}
    assert airbyte.asked == ["s-2"]


def test_what_is_no_selector_is_refused_before_anything_is_asked(airbyte: Airbyte) -> None:
    with pytest.raises(ConfigurationError, match=r"^connection_selector is 'crm'"):
        airbyte.columns(connection_selector="crm")

    assert airbyte.server.requests == []


def test_a_load_that_reads_anew_asks_for_what_is_unknown(airbyte: Airbyte) -> None:
    """Discovering takes minutes: what is known is not asked for again."""
    airbyte.columns()
    airbyte.streams["shop"].append({"name": "orders"})

    assert airbyte.columns(refresh_on_load=True)["shop/orders"] == ["id", "total"]
    assert airbyte.asked == ["s-1", "s-2"]

    airbyte.streams["crm"].append({"name": "new"})
    assert airbyte.columns(refresh_on_load=True)["crm/new"] is None
    assert airbyte.asked == ["s-1", "s-2", "s-2"]


def test_a_refresh_asks_for_all(airbyte: Airbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    airbyte.columns()
    monkeypatch.setitem(SCHEMAS, "s-2", {"people": [["key"], ["age"], ["height"]]})
    told: list[str] = []

    build_workspace_defs(airbyte.resource, state_path=airbyte.path, column_schemas=True)
    _forget_what_was_read(airbyte)
    refresh(airbyte.resource, airbyte.path, ConnectionSelector(), on_progress=told.append)

    assert airbyte.columns()["crm/people"] == ["key", "age", "height"]
    assert told == ["Columns of source 'two' (1 of 2)", "Columns of source 'one' (2 of 2)"]


def _forget_what_was_read(airbyte: Airbyte) -> None:
    """The first refresh after a load that read the workspace tells of that, and asks nothing."""
    asked = airbyte.asked
    refresh(airbyte.resource, airbyte.path, ConnectionSelector())
    assert airbyte.asked == asked


def test_whoever_does_not_ask_for_them_keeps_them(airbyte: Airbyte) -> None:
    """Several definitions may have one file."""
    airbyte.columns()
    _forget_what_was_read(airbyte)

    refresh(airbyte.resource, airbyte.path)

    assert airbyte.columns() == ALL
    assert airbyte.asked == ["s-1", "s-2"]


def test_a_source_that_cannot_be_asked(
    airbyte: Airbyte, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is warned of by its name; the others are asked, and it goes without, or with what was known."""
    known = SCHEMAS["s-1"]
    monkeypatch.delitem(SCHEMAS, "s-1")
    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        found = airbyte.columns()
    assert found == {"shop/users": None, "store/users": None, "store/orders": None, "crm/people": ["key", "age"]}
    assert "did not return the columns of source 'one'" in caplog.text

    monkeypatch.setitem(SCHEMAS, "s-1", known)
    _forget_what_was_read(airbyte)
    refresh(airbyte.resource, airbyte.path, ConnectionSelector())
    monkeypatch.delitem(SCHEMAS, "s-1")
    refresh(airbyte.resource, airbyte.path, ConnectionSelector())
    assert airbyte.columns() == ALL


def test_they_are_written_and_read_again() -> None:
    """Streams without them take no room for them."""
    full = stream("users", selected_fields=("id",), columns=("id", "name"))
    kept = snapshot(connection("shop", [full, "orders"]))

    assert WorkspaceSnapshot.from_json(kept.to_json()) == kept
    assert kept.to_json().count("columns") == kept.to_json().count("selected_fields") == 1
