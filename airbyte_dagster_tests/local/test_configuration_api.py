"""The configuration API over HTTP, with a scripted engine. A test per fact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte

ID = str(uuid4())
BODIES: dict[str, dict[str, Any]] = {
    "connections/get": {"connectionId": ID},
    "web_backend/connections/get": {"connectionId": ID},
    "web_backend/connections/update": {"connectionId": ID},
    "connections/sync": {"connectionId": ID},
    "connections/refresh": {"connectionId": ID, "refreshMode": "Merge"},
    "connections/clear": {"connectionId": ID},
    "connections/reset": {"connectionId": ID},
    "connections/clear/stream": {"connectionId": ID, "streams": []},
    "connections/reset/stream": {"connectionId": ID, "streams": []},
    "connections/status": {"connectionIds": [ID]},
    "connections/sync_progress": {"connectionId": ID},
    "connections/list": {"workspaceId": ID},
    "web_backend/connections/list": {"workspaceId": ID},
    "state/get": {"connectionId": ID},
    "state/create_or_update_safe": {"connectionId": ID, "connectionState": {"stateType": "not_set"}},
    "sources/check_connection": {"sourceId": ID},
    "sources/discover_schema": {"sourceId": ID},
    "destinations/check_connection": {"destinationId": ID},
    "organizations/get_organization_info": {"organizationId": ID},
    "workspaces/get_organization_info": {"workspaceId": ID},
    "workspaces/list_by_organization_id": {"organizationId": ID},
    "jobs/get": {"id": 99},
    "jobs/get_debug_info": {"id": 99},
    "jobs/get_without_logs": {"id": 99},
    "attempt/get_for_job": {"jobId": 99, "attemptNumber": 0},
}
INCREMENTAL = {"name": "users", "syncMode": "incremental_deduped_history"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A server with nothing in it, for requests that are refused."""
    with running_local_airbyte(tmp_path_factory.mktemp("empty")) as airbyte, airbyte.api() as api:
        yield Config(airbyte, api)


@pytest.fixture
def config(airbyte: RunningAirbyte, api: Api) -> Config:
    return Config(airbyte, api)


@pytest.fixture
def connection_id(api: Api) -> str:
    return api.connection(
        api.source(count=3, api_key="hidden"), api.destination(), ["products", INCREMENTAL], prefix="p_"
    )


@pytest.mark.parametrize("path", BODIES)
def test_everything_needs_a_token(path: str, empty: Config) -> None:
    """401, as in the public API."""
    assert httpx.post(f"{empty.root}/{path}", json=BODIES[path]).status_code == 401


@pytest.mark.parametrize("path", [path for path in BODIES if "jobs" not in path and "attempt" not in path])
def test_an_unknown_id_is_not_found(path: str, empty: Config) -> None:
    """404 in the configuration API's own body, which has a message and the id and is no problem."""
    answer = empty.ask(path, **BODIES[path])
    assert answer.status_code == 404
    assert answer.json()["id"] == ID
    assert answer.json()["message"].startswith("Could not find configuration for ")
    assert "title" not in answer.json()


@pytest.mark.parametrize("path", [path for path in BODIES if "jobs" in path or "attempt" in path])
def test_an_unknown_job_is_a_conflict(path: str, empty: Config) -> None:
    """409, as in the public API; what the real configuration API answers is not established."""
    answer = empty.ask(path, **BODIES[path])
    assert (answer.status_code, answer.json()["title"]) == (409, "state-conflict")


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_lacks_its_field_is_refused(path: str, empty: Config) -> None:
    """422, whatever is asked."""
    assert empty.ask(path).status_code == 422


def test_a_connection_has_its_catalog(config: Config, connection_id: str) -> None:
    """``connections/get`` shows the selected streams with schema and settings."""
    shown = config.ok("connections/get", connectionId=connection_id)
    first, second = shown["syncCatalog"]["streams"]
    assert first["stream"]["name"] == "products"
    assert set(first["stream"]["jsonSchema"]["properties"]) == {"id", "make", "updated_at"}
    assert first["stream"]["supportedSyncModes"] == ["full_refresh", "incremental"]
    assert (first["config"]["syncMode"], first["config"]["destinationSyncMode"]) == ("full_refresh", "overwrite")
    assert (second["config"]["syncMode"], second["config"]["destinationSyncMode"]) == ("incremental", "append_dedup")
    assert (second["config"]["cursorField"], second["config"]["primaryKey"]) == (["updated_at"], [["id"]])
    assert all(stream["config"]["selected"] for stream in (first, second))
    assert (shown["prefix"], shown["scheduleType"], shown["status"]) == ("p_", "manual", "active")
    assert (shown["namespaceDefinition"], shown["nonBreakingChangesPreference"]) == ("destination", "ignore")


def test_words_differ_from_the_public_api(config: Config, api: Api) -> None:
    """``customformat``, ``disable`` and a cron of two fields."""
    connection_id = api.connection(
        api.source(),
        api.destination(),
        ["users"],
        namespaceDefinition="custom_format",
        namespaceFormat="x_${SOURCE_NAMESPACE}",
        nonBreakingSchemaUpdatesBehavior="disable_connection",
        schedule={"scheduleType": "cron", "cronExpression": "0 0 8 * * ?"},
    )
    shown = config.ok("connections/get", connectionId=connection_id)
    assert (shown["namespaceDefinition"], shown["namespaceFormat"]) == ("customformat", "x_${SOURCE_NAMESPACE}")
    assert shown["nonBreakingChangesPreference"] == "disable"
    assert shown["scheduleData"] == {"cron": {"cronExpression": "0 0 8 * * ?", "cronTimeZone": "UTC"}}


def test_a_deleted_connection_is_still_shown(config: Config, api: Api, connection_id: str) -> None:
    """As in the public API, with the status ``deprecated``; it can't be changed any more."""
    api.ok("DELETE", f"/connections/{connection_id}")
    assert config.ok("connections/get", connectionId=connection_id)["status"] == "deprecated"
    assert config.ask("web_backend/connections/update", connectionId=connection_id, name="x").status_code == 404


def test_the_web_view_has_everything_around_a_connection(config: Config, api: Api, connection_id: str) -> None:
    """Source and destination with secrets masked, the newest sync, and the streams that are not selected."""
    before = config.ok("web_backend/connections/get", connectionId=connection_id)
    assert (before["isSyncing"], "latestSyncJobStatus" in before) == (False, False)
    config.airbyte.engine.hold()
    api.sync(connection_id)
    config.airbyte.engine.wait_for_start()
    shown = config.ok("web_backend/connections/get", connectionId=connection_id)
    assert (shown["isSyncing"], shown["latestSyncJobStatus"]) == (True, "running")
    assert shown["source"]["connectionConfiguration"] == {"count": 3, "api_key": "*" * 10}
    assert shown["destination"]["destinationName"] == "duckdb"
    selected = {item["stream"]["name"]: item["config"]["selected"] for item in shown["syncCatalog"]["streams"]}
    assert selected == {"products": True, "users": True, "purchases": False}


def test_a_refreshed_catalog_asks_the_source(config: Config, connection_id: str) -> None:
    """Streams that are new since then are shown as not selected, and what the source says of its failure is told."""
    config.airbyte.engine.add("faker", {"users": [{"id": 1}], "fresh": [{"id": 1}]})
    shown = config.ok("web_backend/connections/get", connectionId=connection_id, withRefreshedCatalog=True)
    names = [item["stream"]["name"] for item in shown["syncCatalog"]["streams"]]
    assert names == ["products", "users", "fresh"]


def test_a_dumped_catalog_can_be_put_back(config: Config, connection_id: str) -> None:
    """Reading and writing are each other's reverse."""
    before = config.ok("connections/get", connectionId=connection_id)
    dumped = config.ok("web_backend/connections/get", connectionId=connection_id)["syncCatalog"]
    shown = config.ok("web_backend/connections/update", connectionId=connection_id, syncCatalog=dumped, skipReset=True)
    assert shown["syncCatalog"] == dumped
    assert config.ok("connections/get", connectionId=connection_id) == before


def test_a_catalog_is_replaced(config: Config, api: Api, connection_id: str) -> None:
    """Selection, modes and fields change; what is not in the request stays."""
    catalog = config.ok("web_backend/connections/get", connectionId=connection_id)["syncCatalog"]
    for entry in catalog["streams"]:
        entry["config"]["selected"] = entry["stream"]["name"] == "purchases"
        entry["config"]["destinationSyncMode"] = "append"
        entry["config"] |= {"fieldSelectionEnabled": True, "selectedFields": [{"fieldPath": ["user_id"]}]}
    config.ok("web_backend/connections/update", connectionId=connection_id, syncCatalog=catalog)
    shown = api.ok("GET", f"/connections/{connection_id}")
    (stream,) = shown["configurations"]["streams"]
    assert (stream["name"], stream["syncMode"]) == ("purchases", "full_refresh_append")
    assert stream["selectedFields"] == [{"fieldPath": ["user_id"]}]
    assert shown["prefix"] == "p_"


def test_no_stream_may_be_selected(config: Config, api: Api, connection_id: str) -> None:
    """A catalog without a selected stream leaves the connection without streams."""
    config.ok("web_backend/connections/update", connectionId=connection_id, syncCatalog={"streams": []})
    assert api.ok("GET", f"/connections/{connection_id}")["configurations"]["streams"] == []


def test_other_settings_are_changed(config: Config, api: Api, connection_id: str) -> None:
    """Name, prefix, status and the words that differ."""
    config.ok(
        "web_backend/connections/update",
        connectionId=connection_id,
        name="new",
        prefix="q_",
        status="inactive",
        namespaceDefinition="customformat",
        namespaceFormat="x",
        nonBreakingChangesPreference="propagate_fully",
    )
    shown = api.ok("GET", f"/connections/{connection_id}")
    assert (shown["name"], shown["prefix"], shown["status"]) == ("new", "q_", "inactive")
    assert (shown["namespaceDefinition"], shown["namespaceFormat"]) == ("custom_format", "x")
    assert shown["nonBreakingSchemaUpdatesBehavior"] == "propagate_fully"


@pytest.mark.parametrize(
    "change",
    [
        {"syncCatalog": {"streams": [{"config": {}}]}},
        {"syncCatalog": {"streams": [3]}},
        {"syncCatalog": {"streams": [{"stream": {"name": "users"}, "config": {"syncMode": "sideways"}}]}},
        {"namespaceDefinition": "custom_format"},
        {"nonBreakingChangesPreference": "disable_connection"},
        {"syncCatalog": {"streams": [{"stream": {"name": "users", "supportedSyncModes": 5}}]}},
    ],
)
def test_what_is_no_change_is_refused(change: dict[str, Any], config: Config, connection_id: str) -> None:
    """422 that says where."""
    answer = config.ask("web_backend/connections/update", connectionId=connection_id, **change)
    assert answer.status_code == 422
    assert next(iter(change)) in answer.json()["message"]


def test_modes_must_go_together(config: Config, connection_id: str) -> None:
    """400 that names the stream."""
    modes = {"syncMode": "incremental", "destinationSyncMode": "overwrite"}
    catalog = {"streams": [{"stream": {"name": "users"}, "config": modes}]}
    answer = config.ask("web_backend/connections/update", connectionId=connection_id, syncCatalog=catalog)
    assert answer.status_code == 400
    assert "for stream users" in answer.json()["data"]["message"]


def test_state_is_what_the_sync_left(config: Config, api: Api, connection_id: str) -> None:
    """``not_set`` before, then the state of the incremental stream; a reset forgets it."""
    assert config.ok("state/get", connectionId=connection_id) == {"stateType": "not_set", "connectionId": connection_id}
    api.finish(api.sync(connection_id))
    assert config.ok("state/get", connectionId=connection_id) == {
        "stateType": "stream",
        "connectionId": connection_id,
        "streamState": [{"streamDescriptor": {"name": "users"}, "streamState": {"updated_at": "2026-01-01"}}],
    }
    api.finish(api.sync(connection_id, "reset"))
    assert config.ok("state/get", connectionId=connection_id)["stateType"] == "not_set"


def test_a_replaced_state_is_what_the_next_sync_goes_on_from(config: Config, api: Api, connection_id: str) -> None:
    """Nothing is older than the state, so nothing is read; with an older one everything is."""
    for cursor, rows in (("2026-02-01", 3), ("2025-01-01", 6)):
        state = {
            "stateType": "stream",
            "connectionId": connection_id,
            "streamState": [{"streamDescriptor": {"name": "users"}, "streamState": {"updated_at": cursor}}],
        }
        assert config.ok("state/create_or_update_safe", connectionId=connection_id, connectionState=state) == state
        assert api.finish(api.sync(connection_id))["rowsSynced"] == rows


@pytest.mark.parametrize(
    "state",
    [
        {
            "stateType": "global",
            "globalState": {
                "sharedState": {"lsn": 7},
                "streamStates": [{"streamDescriptor": {"name": "users", "namespace": "n"}, "streamState": {"id": 3}}],
            },
        },
        {"stateType": "legacy", "state": {"users": {"id": 3}}},
        {"stateType": "not_set"},
    ],
)
def test_every_kind_of_state_is_kept(state: dict[str, Any], config: Config, connection_id: str) -> None:
    """As it was written."""
    config.ok("state/create_or_update_safe", connectionId=connection_id, connectionState=state)
    assert config.ok("state/get", connectionId=connection_id) == {**state, "connectionId": connection_id}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"stateType": "other"},
        {"stateType": "legacy"},
        {"stateType": "stream", "streamState": [{}]},
        {"stateType": "global", "globalState": {"sharedState": 3}},
    ],
)
def test_what_is_no_state_is_refused(state: dict[str, Any], config: Config, connection_id: str) -> None:
    """422."""
    answer = config.ask("state/create_or_update_safe", connectionId=connection_id, connectionState=state)
    assert answer.status_code == 422


def test_state_is_locked_while_a_sync_runs(config: Config, api: Api, connection_id: str) -> None:
    """423, and what is there stays."""
    config.airbyte.engine.hold()
    api.sync(connection_id)
    answer = config.ask(
        "state/create_or_update_safe", connectionId=connection_id, connectionState={"stateType": "legacy", "state": {}}
    )
    assert answer.status_code == 423
    assert "while a sync is running" in answer.json()["message"]
    assert config.ok("state/get", connectionId=connection_id)["stateType"] == "not_set"


def test_a_job_has_its_attempt_and_log(config: Config, api: Api, connection_id: str) -> None:
    """``jobs/get`` and ``jobs/get_debug_info`` show the same; ``attempt/get_for_job`` shows the one attempt."""
    job = api.finish(api.sync(connection_id))
    log = config.airbyte.home.job_log(job["jobId"])
    log.write_text("2026-01-01T00:00:00Z read 3 rows\n")
    shown = config.ok("jobs/get", id=job["jobId"])
    (attempt,) = shown["attempts"]
    assert (shown["job"]["status"], shown["job"]["configId"]) == ("succeeded", connection_id)
    assert (attempt["attempt"]["id"], attempt["attempt"]["recordsSynced"]) == (0, 6)
    assert {item["streamName"]: item["stats"]["recordsCommitted"] for item in attempt["attempt"]["streamStats"]} == {
        "products": 3,
        "users": 3,
    }
    assert attempt["logs"]["events"][0]["message"] == "read 3 rows"
    assert config.ok("jobs/get_debug_info", id=job["jobId"]) == shown
    short = config.ok("jobs/get_without_logs", id=job["jobId"])
    assert short == {"job": {**shown["job"], "lastLogLine": "read 3 rows"}}
    assert config.ok("attempt/get_for_job", jobId=job["jobId"], attemptNumber=0) == attempt
    assert config.ask("attempt/get_for_job", jobId=job["jobId"], attemptNumber=1).status_code == 404


def test_the_older_part_of_a_log_is_read_too(config: Config, api: Api, connection_id: str) -> None:
    """A log that grew too long is in two files."""
    job = api.finish(api.sync(connection_id))
    log = config.airbyte.home.job_log(job["jobId"])
    log.write_text("2026-01-01T00:00:01Z second\n")
    log.with_name(f"{log.name}.1").write_text("2026-01-01T00:00:00Z first\n")
    events = config.ok("jobs/get", id=job["jobId"])["attempts"][0]["logs"]["events"]
    assert [event["message"] for event in events] == ["first", "second"]


def test_states_outlive_the_server(tmp_path: Path) -> None:
    """They are in its database."""
    for expected in ("not_set", "stream"):
        with running_local_airbyte(tmp_path / "home", ScriptedEngine()) as airbyte, airbyte.api() as api:
            config = Config(airbyte, api)
            found = api.ok("GET", "/connections")["data"]
            connection_id = (
                found[0]["connectionId"]
                if found
                else api.connection(api.source(count=1), api.destination(), [INCREMENTAL])
            )
            assert config.ok("state/get", connectionId=connection_id)["stateType"] == expected
            api.finish(api.sync(connection_id))
