"""A source that has changed: what a connection makes of it, and who says so."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.local import schemachanges
from airbyte_dagster.local.connectionwarnings import warnings_of
from airbyte_dagster.local.records import Connection
from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

OLD: dict[str, list[dict[str, Any]]] = {
    "orders": [{"id": 1, "amount": 5, "updated_at": "2026-01-01"}],
    "rest": [{"id": 1}],
}
NEW = {"orders": [{"id": 1, "amont": 5, "updated_at": "2026-01-01"}], "rest": [{"id": 1}]}
MERGED = {"name": "orders", "syncMode": "incremental_deduped_history"}

Make = Callable[..., str]


@pytest.fixture
def make(airbyte: RunningAirbyte, api: Api) -> Make:
    """Makes a connection from the source ``shop``; of the stream ``orders``, overwritten, by default."""

    def connect(stream: Any = "orders", **more: Any) -> str:
        airbyte.engine.add("shop", OLD)
        return api.connection(api.source("shop"), api.destination(), [stream], **more)

    return connect


@pytest.fixture
def config(airbyte: RunningAirbyte, api: Api) -> Config:
    return Config(airbyte, api)


def change_of(config: Config, connection: str) -> str:
    """What ``web_backend/connections/list`` says of it."""
    found = config.ok("web_backend/connections/list", workspaceId=config.api.workspace_id)["connections"]
    return str(next(one["schemaChange"] for one in found if one["connectionId"] == connection))


def columns(api: Api, config: Config, connection: str, stream: str = "orders") -> set[str]:
    """The fields of a stream as the connection knows them."""
    found = config.ok("connections/get", connectionId=connection)["syncCatalog"]["streams"]
    return next(set(one["stream"]["jsonSchema"]["properties"]) for one in found if one["stream"]["name"] == stream)


def test_ignored_changes_are_said(config: Config, api: Api, make: Make) -> None:
    """With ``ignore`` the sync goes on with what it knows; the connection, its warnings and the job's log say so."""
    connection = make()
    assert change_of(config, connection) == "no_change"
    config.airbyte.engine.add("shop", NEW)
    job = api.finish(api.sync(connection))
    assert job["status"] == "succeeded"
    assert change_of(config, connection) == "non_breaking"
    words = "Modified stream 'orders': Added fields ['amont'], Removed fields ['amount']"
    (said,) = warnings_of(config.airbyte.context, config.airbyte.store.connection(connection))
    assert words in said
    assert words in config.airbyte.home.job_log(job["jobId"]).read_text()
    page = api.get(f"{config.airbyte.url}/workspaces/{api.workspace_id}/connections/{connection}/status").text
    assert words in html.unescape(page)
    assert columns(api, config, connection) == {"id", "amount", "updated_at"}
    assert api.ok("GET", f"/connections/{connection}")["status"] == "active"


@pytest.mark.parametrize("how", ["public", "web"])
def test_a_change_that_was_reviewed_is_none(how: str, config: Config, api: Api, make: Make) -> None:
    """Once the streams are chosen again, by either API, they are what the source has."""
    connection = make()
    config.airbyte.engine.add("shop", NEW)
    api.finish(api.sync(connection))
    if how == "public":
        api.ok("PATCH", f"/connections/{connection}", json={"configurations": {"streams": [{"name": "orders"}]}})
    else:
        found = config.ok("sources/discover_schema", sourceId=api.ok("GET", f"/connections/{connection}")["sourceId"])
        config.ok("web_backend/connections/update", connectionId=connection, syncCatalog=found["catalog"])
    assert change_of(config, connection) == "no_change"


def test_it_goes_back_by_itself(config: Config, api: Api, make: Make) -> None:
    """A source that is as it was has not changed."""
    connection = make()
    for streams, expected in ((NEW, "non_breaking"), (OLD, "no_change")):
        config.airbyte.engine.add("shop", streams)
        api.finish(api.sync(connection))
        assert change_of(config, connection) == expected


def test_any_change_disables(config: Config, api: Api, make: Make) -> None:
    """With ``disable_connection`` the sync is cancelled before it reads, with the reason; no other one starts."""
    connection = make(nonBreakingSchemaUpdatesBehavior="disable_connection")
    assert api.finish(api.sync(connection))["status"] == "succeeded"
    config.airbyte.engine.add("shop", NEW)
    job = api.finish(api.sync(connection))
    assert job["status"] == "cancelled"
    assert "Added fields ['amont']" in api.failure(job["jobId"])["externalMessage"]
    assert len(config.airbyte.engine.requests) == 1
    assert api.ok("GET", f"/connections/{connection}")["status"] == "inactive"
    assert change_of(config, connection) == "non_breaking"
    assert api.post("/jobs", json={"connectionId": connection, "jobType": "sync"}).status_code == 409


def test_columns_are_followed(config: Config, api: Api, make: Make) -> None:
    """With ``propagate_columns`` the stream has the new column and not the old one; new streams stay out."""
    connection = make(nonBreakingSchemaUpdatesBehavior="propagate_columns")
    config.airbyte.engine.add("shop", {**NEW, "fresh": [{"id": 1}]})
    api.finish(api.sync(connection))
    assert set(config.airbyte.engine.requests[0].streams[0].stream["json_schema"]["properties"]) == {
        "id",
        "amont",
        "updated_at",
    }
    assert columns(api, config, connection) == {"id", "amont", "updated_at"}
    assert change_of(config, connection) == "no_change"
    shown = api.ok("GET", f"/connections/{connection}")["configurations"]["streams"]
    assert [stream["name"] for stream in shown] == ["orders"]


def test_new_columns_of_chosen_fields(config: Config, api: Api, make: Make) -> None:
    """Where only some fields are selected, a new one is selected, too (ApplySchemaChangeHelper.kt)."""
    fields = [{"fieldPath": ["id"]}, {"fieldPath": ["amount"]}]
    stream = {"name": "orders", "selectedFields": fields}
    connection = make(stream, nonBreakingSchemaUpdatesBehavior="propagate_columns")
    config.airbyte.engine.add("shop", {"orders": [{**OLD["orders"][0], "note": "x"}], "rest": OLD["rest"]})
    api.finish(api.sync(connection))
    (shown,) = api.ok("GET", f"/connections/{connection}")["configurations"]["streams"]
    assert shown["selectedFields"] == [*fields, {"fieldPath": ["note"]}]


def test_streams_are_followed(config: Config, api: Api, make: Make) -> None:
    """With ``propagate_fully`` new streams are added, in the mode that Airbyte gives them; gone ones are removed."""
    connection = make(nonBreakingSchemaUpdatesBehavior="propagate_fully")
    fresh = [{"id": 1, "updated_at": "2026-01-01"}]
    config.airbyte.engine.add("shop", {"rest": OLD["rest"], "fresh": fresh, "plain": [{"x": 1}]})
    assert api.finish(api.sync(connection))["status"] == "succeeded"
    shown = api.ok("GET", f"/connections/{connection}")["configurations"]["streams"]
    assert [(stream["name"], stream["syncMode"]) for stream in shown] == [
        ("fresh", "incremental_deduped_history"),
        ("plain", "full_refresh_overwrite"),
    ]
    assert change_of(config, connection) == "no_change"


def test_a_new_stream_whose_table_is_taken(config: Config, api: Api, make: Make) -> None:
    """Is not added."""
    connection = make(nonBreakingSchemaUpdatesBehavior="propagate_fully")
    config.airbyte.engine.add("shop", {**OLD, "Orders": [{"id": 1}]})
    assert api.finish(api.sync(connection))["status"] == "succeeded"
    shown = api.ok("GET", f"/connections/{connection}")["configurations"]["streams"]
    assert [stream["name"] for stream in shown] == ["orders"]


@pytest.mark.parametrize("behavior", ["ignore", "propagate_columns", "propagate_fully"])
@pytest.mark.parametrize("gone", ["id", "updated_at"])
def test_a_breaking_change_disables(gone: str, behavior: str, config: Config, api: Api, make: Make) -> None:
    """Whatever the behaviour: a column is gone that is the cursor or in the primary key of the rows."""
    connection = make(MERGED, nonBreakingSchemaUpdatesBehavior=behavior)
    row = {key: value for key, value in OLD["orders"][0].items() if key != gone}
    config.airbyte.engine.add("shop", {"orders": [row], "rest": OLD["rest"]})
    job = api.finish(api.sync(connection))
    assert (job["status"], config.airbyte.engine.requests) == ("cancelled", [])
    assert "a breaking change" in api.failure(job["jobId"])["externalMessage"]
    shown = config.ok("connections/get", connectionId=connection)
    assert (shown["status"], shown["breakingChange"]) == ("inactive", True)
    assert change_of(config, connection) == "breaking"
    assert config.ok("web_backend/connections/get", connectionId=connection)["schemaChange"] == "breaking"
    (status,) = config.ok("connections/status", connectionIds=[connection])
    assert status["connectionSyncStatus"] == "failed"


def test_the_same_change_without_a_key_breaks_nothing(config: Config, api: Api, make: Make) -> None:
    """A table that is overwritten has no need of them."""
    connection = make()
    config.airbyte.engine.add("shop", {"orders": [{"amount": 5}], "rest": OLD["rest"]})
    assert api.finish(api.sync(connection))["status"] == "succeeded"
    assert change_of(config, connection) == "non_breaking"


def test_another_primary_key_breaks(config: Config, api: Api, make: Make) -> None:
    """Where rows are deduplicated by the one that the source defined before."""
    connection = make(MERGED)
    config.airbyte.engine.add("shop", OLD, primary_key="amount")
    assert api.finish(api.sync(connection))["status"] == "cancelled"
    assert "Changed primary key" in str(config.airbyte.store.connection(connection).drift)


def test_streams_that_come_and_go_are_changes(config: Config, api: Api, make: Make) -> None:
    """Also such that the connection leaves out; a connection of before this was noted begins to know them."""
    connection = make()
    with config.airbyte.store.database.write() as session:
        session.get_one(Connection, connection).known = None
    api.finish(api.sync(connection))
    assert change_of(config, connection) == "no_change"
    config.airbyte.engine.add("shop", {"orders": OLD["orders"], "fresh": [{"id": 1}]})
    api.finish(api.sync(connection))
    drift = config.airbyte.store.connection(connection).drift
    assert drift == {"change": "non_breaking", "words": ["Removed stream 'rest'", "Added new stream 'fresh'"]}


def test_looking_without_a_sync(config: Config, api: Api, make: Make) -> None:
    """``GET /streams`` with ``ignoreCache``, a refreshed catalog and a discovery without its cache note changes."""
    connection = make()
    source = api.ok("GET", f"/connections/{connection}")["sourceId"]
    looks: list[Callable[[], Any]] = [
        lambda: api.ok("GET", "/streams", params={"sourceId": source, "ignoreCache": True}),
        lambda: config.ok("web_backend/connections/get", connectionId=connection, withRefreshedCatalog=True),
        lambda: config.ok("sources/discover_schema", sourceId=source, disable_cache=True),
    ]
    for streams, look in zip((NEW, OLD, NEW), looks, strict=True):
        config.airbyte.engine.add("shop", streams)
        look()
        assert change_of(config, connection) == ("non_breaking" if streams is NEW else "no_change")
    assert config.airbyte.engine.requests == []


def test_a_source_that_can_not_be_asked(config: Config, api: Api, make: Make) -> None:
    """A connection that ignores changes reads all the same; one that is to follow them fails, with what was said."""
    connections = {
        behavior: make(nonBreakingSchemaUpdatesBehavior=behavior) for behavior in ("ignore", "propagate_columns")
    }
    connections["merged"] = make(MERGED)
    config.airbyte.engine.unreachable = "FileNotFoundError: orders.csv"
    ended = {behavior: api.finish(api.sync(connection)) for behavior, connection in connections.items()}
    assert {behavior: job["status"] for behavior, job in ended.items()} == {
        "ignore": "succeeded",
        "merged": "succeeded",
        "propagate_columns": "failed",
    }
    failure = api.failure(ended["propagate_columns"]["jobId"])
    assert failure["externalMessage"] == "FileNotFoundError: orders.csv"
    assert (failure["failureOrigin"], failure["failureType"]) == ("source", "refresh_schema")


def test_a_reset_looks_at_nothing(config: Config, api: Api, make: Make) -> None:
    """It needs no source."""
    connection = make(nonBreakingSchemaUpdatesBehavior="disable_connection")
    config.airbyte.engine.add("shop", NEW)
    before = config.airbyte.engine.discoveries
    assert api.finish(api.sync(connection, "reset"))["status"] == "succeeded"
    assert config.airbyte.engine.discoveries == before


def connection_of(schema: dict[str, Any], **settings: Any) -> Connection:
    shown = {"name": "t", "syncMode": "full_refresh_overwrite", "cursorField": [], "primaryKey": [], **settings}
    return Connection(streams=[shown], catalog=[{"name": "t", "json_schema": schema}], known=[[None, "t"]])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"a": {"type": "string"}}, {"a": {"type": "integer"}}, "Altered fields ['a']"),
        ({"a": {"type": "string"}}, {"a": {"type": "string", "description": "x"}}, None),
        ({"a": {"properties": {"b": {}}}}, {"a": {"properties": {"b": {}, "c": {}}}}, "Added fields ['a.c']"),
        ({"a": {"items": {"type": "string"}}}, {"a": {"items": {"type": "null"}}}, "Altered fields ['a.items']"),
        ({"a": {"oneOf": [{"properties": {"b": {}}}]}}, {"a": {"oneOf": [{"properties": {}}]}}, "Altered fields ['a']"),
        ({"a": True}, {"a": True}, None),
        ({"a": {"type": "string"}}, {}, None),
    ],
)
def test_what_counts_as_a_change(old: dict[str, Any], new: dict[str, Any], words: str | None) -> None:
    """Fields within fields and in lists, types, and alternatives as a whole; not what describes, nor no fields at all:
    a source that goes by its data does not know them while it has none."""
    connection = connection_of({"properties": old})
    changes = schemachanges.differences(connection, [{"name": "t", "json_schema": {"properties": new}}])
    assert [str(change) for change in changes] == ([f"Modified stream 't': {words}"] if words else [])


@pytest.mark.real
def test_a_renamed_column_with_a_real_connector(real_airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """With the real engine: the source is looked at beside the sync, and the job has not ended before that is known."""
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(OLD))
    with real_airbyte.api() as api:
        connection = api.connection(api.source("tiny", streams=str(data)), api.destination(), ["orders"])
        assert api.finish(api.sync(connection))["status"] == "succeeded"
        data.write_text(json.dumps(NEW))
        job = api.finish(api.sync(connection))
        assert job["status"] == "succeeded"
        assert change_of(Config(real_airbyte, api), connection) == "non_breaking"
        assert "Removed fields ['amount']" in real_airbyte.home.job_log(job["jobId"]).read_text()
