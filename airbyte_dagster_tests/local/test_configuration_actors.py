"""Sources, destinations and organizations in the configuration API over HTTP. A test per fact."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.local import destinations
from airbyte_dagster.local.engine import Warehouse
from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

ORGANIZATION = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def config(airbyte: RunningAirbyte, api: Api) -> Config:
    return Config(airbyte, api)


def test_checking_a_source_asks_the_connector(config: Config, api: Api) -> None:
    """A refusal is an answer, not an error."""
    source_id = api.source()
    shown = config.ok("sources/check_connection", sourceId=source_id)
    assert (shown["status"], shown["jobInfo"]["succeeded"], "message" in shown) == ("succeeded", True, False)
    config.airbyte.engine.refused = "wrong password"
    shown = config.ok("sources/check_connection", sourceId=source_id)
    assert (shown["status"], shown["message"]) == ("failed", "wrong password")


def test_checking_a_file(config: Config, api: Api) -> None:
    """A file that could be made or is a DuckDB file passes; another doesn't, and nothing is made."""
    destination_id = api.destination("new.duckdb")
    assert config.ok("destinations/check_connection", destinationId=destination_id)["status"] == "succeeded"
    path = config.airbyte.home.root / "new.duckdb"
    assert not path.exists()
    path.write_text("this is some other file")
    shown = config.ok("destinations/check_connection", destinationId=destination_id)
    assert (shown["status"], "not a DuckDB file" in shown["message"]) == ("failed", True)
    path.unlink()
    connection_id = api.connection(api.source(count=1), destination_id, ["users"])
    api.finish(api.sync(connection_id))
    assert config.ok("destinations/check_connection", destinationId=destination_id)["status"] == "succeeded"


def test_a_file_below_a_file_can_not_be_made(tmp_path: Path) -> None:
    """Seen before the first sync fails of it."""
    (tmp_path / "file").write_text("")
    assert "can't be made" in str(destinations.reason_against(Warehouse("duckdb", path=str(tmp_path / "file" / "x"))))


def test_a_server_must_accept_connections(tmp_path: Path) -> None:
    """By its port or by its socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert destinations.reason_against(Warehouse("postgres", host="127.0.0.1", port=port)) is None
    reason = destinations.reason_against(Warehouse("postgres", host="127.0.0.1", port=port))
    assert "can't be reached" in str(reason)
    assert "can't be reached" in str(destinations.reason_against(Warehouse("postgres", host=str(tmp_path), port=1)))


def test_discovering_a_schema(config: Config, api: Api) -> None:
    """All streams with proposed settings; asked again only with ``disable_cache``."""
    source_id = api.source(count=2)
    shown = config.ok("sources/discover_schema", sourceId=source_id, disable_cache=True)
    assert [item["stream"]["name"] for item in shown["catalog"]["streams"]] == ["products", "users", "purchases"]
    assert shown["catalog"]["streams"][0]["config"]["syncMode"] == "full_refresh"
    assert shown["jobInfo"]["succeeded"]
    again = config.ok("sources/discover_schema", sourceId=source_id)
    assert again["catalogId"] == shown["catalogId"]


def test_a_failed_discovery_is_an_answer(config: Config, api: Api) -> None:
    """Without a catalog; the reason is in ``jobInfo``."""
    source_id = api.source()
    del config.airbyte.engine.sources["faker"]
    shown = config.ok("sources/discover_schema", sourceId=source_id)
    assert "catalog" not in shown
    assert not shown["jobInfo"]["succeeded"]
    assert "faker" in shown["jobInfo"]["failureReason"]["externalMessage"]
    assert config.ok("sources/check_connection", sourceId=source_id)["status"] == "failed"


def test_the_organization(config: Config, api: Api) -> None:
    """There is one, and every workspace is in it."""
    shown = config.ok("organizations/get_organization_info", organizationId=ORGANIZATION)
    assert (shown["organizationId"], shown["sso"]) == (ORGANIZATION, False)
    assert config.ok("workspaces/get_organization_info", workspaceId=api.workspace_id) == shown


def test_workspaces_of_the_organization(config: Config, api: Api) -> None:
    """All of them, by a part of their names, or a page."""
    api.ok("POST", "/workspaces", json={"name": "Second"})

    def names(**more: Any) -> list[str]:
        found = config.ok("workspaces/list_by_organization_id", organizationId=ORGANIZATION, **more)["workspaces"]
        return [workspace["name"] for workspace in found]

    assert names() == ["Default Workspace", "Second"]
    assert names(nameContains="sec") == ["Second"]
    assert names(pagination={"pageSize": 1, "rowOffset": 1}) == ["Second"]
    assert names(pagination={"pageSize": 1, "rowOffset": 2}) == []
