"""What is deleted while a request that builds on it is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


def during_discovery(airbyte: RunningAirbyte, action: Callable[[], Any]) -> None:
    """Do something once, while the next request waits for the source's streams."""
    discover, actions = airbyte.engine.discover, [action]

    def interrupted(*arguments: Any, **more: Any) -> Any:
        if actions:
            actions.pop()()
        return discover(*arguments, **more)

    airbyte.engine.discover = interrupted


def active(api: Api) -> list[str]:
    found = api.ok("GET", "/connections", params={"includeDeleted": True})["data"]
    return [one["connectionId"] for one in found if one["status"] != "deprecated"]


@pytest.mark.parametrize("kind", ["source", "destination", "workspace"])
def test_a_connection_of_what_was_deleted(kind: str, airbyte: RunningAirbyte, api: Api) -> None:
    """A source, a destination or a workspace that is deleted leaves no connection, also none that was just made."""
    workspace = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    body: dict[str, Any] = {"name": "n", "workspaceId": workspace}
    source = {**body, "configuration": {"sourceType": "faker", "count": 1}}
    destination = {**body, "configuration": {"destinationType": "duckdb", "destination_path": "x.duckdb"}}
    ids = {
        "source": api.ok("POST", "/sources", json=source)["sourceId"],
        "destination": api.ok("POST", "/destinations", json=destination)["destinationId"],
        "workspace": workspace,
    }
    during_discovery(airbyte, lambda: api.ok("DELETE", f"/{kind}s/{ids[kind]}"))
    answer = api.post("/connections", json={"sourceId": ids["source"], "destinationId": ids["destination"]})
    assert answer.status_code == 404
    assert active(api) == []


def test_a_deleted_connection_is_not_revived(airbyte: RunningAirbyte, api: Api) -> None:
    """A change that was under way when its connection was deleted comes too late."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    during_discovery(airbyte, lambda: api.ok("DELETE", f"/connections/{connection}"))
    change = {"status": "active", "configurations": {"streams": [{"name": "products"}]}}
    assert api.patch(f"/connections/{connection}", json=change).status_code == 404
    assert active(api) == []


def test_a_source_of_a_workspace_that_was_deleted(
    airbyte: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workspace goes between the look at it and the new source: there is no source in it afterwards."""
    workspace = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    database = airbyte.store.database
    write = database.write

    def interrupted() -> Any:
        monkeypatch.setattr(database, "write", write)
        api.ok("DELETE", f"/workspaces/{workspace}")
        return write()

    monkeypatch.setattr(database, "write", interrupted)
    body = {"name": "n", "workspaceId": workspace, "configuration": {"sourceType": "faker", "count": 1}}
    assert api.post("/sources", json=body).status_code == 404
    assert api.ok("GET", "/sources", params={"workspaceIds": workspace})["data"] == []


def during_check(airbyte: RunningAirbyte, action: Callable[[], Any]) -> None:
    """Do something once, while the next request has a configuration checked."""
    spec, actions = airbyte.engine.spec, [action]

    def interrupted(source_type: str) -> Any:
        if actions:
            actions.pop()()
        return spec(source_type)

    airbyte.engine.spec = interrupted


def test_two_changes_of_a_source_at_once(airbyte: RunningAirbyte, api: Api) -> None:
    """Each is made to what the other has left: none is lost."""
    source = api.source(count=1)
    other = {"configuration": {"seed": 7}}
    during_check(airbyte, lambda: api.ok("PATCH", f"/sources/{source}", json=other))
    api.ok("PATCH", f"/sources/{source}", json={"configuration": {"count": 5}})
    found = api.ok("GET", f"/sources/{source}")["configuration"]
    assert (found["count"], found["seed"]) == (5, 7)


def test_a_deleted_source_gets_no_configuration(
    airbyte: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes between the look at it and the change: no secret is stored where nobody looks for one any more."""
    airbyte.engine.add("plain", {"t": [{"id": 1}]})
    source = api.source("plain")  # its configuration is as empty as that of one that is deleted
    database = airbyte.store.database
    write = database.write

    def interrupted() -> Any:
        monkeypatch.setattr(database, "write", write)
        api.ok("DELETE", f"/sources/{source}")
        return write()

    monkeypatch.setattr(database, "write", interrupted)
    assert api.patch(f"/sources/{source}", json={"configuration": {"token": "secret"}}).status_code == 404
    assert airbyte.store.actors_by_id([source])[source].configuration == {}


@pytest.mark.parametrize("kind", ["sync", "reset"])
def test_a_job_of_a_connection_that_was_deleted(
    kind: str, airbyte: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes between the look at it and the job: there is no job, which nobody would end."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    add = {"sync": "add_sync", "reset": "add_reset"}[kind]
    original = getattr(airbyte.jobs, add)

    def interrupted(*arguments: Any) -> Any:
        airbyte.store.delete_connection(connection)
        return original(*arguments)

    monkeypatch.setattr(airbyte.jobs, add, interrupted)
    answer = api.post("/jobs", json={"connectionId": connection, "jobType": kind})
    assert (answer.status_code, answer.json()["title"]) == (409, "state-conflict")
    assert api.ok("GET", "/jobs")["data"] == []


def test_deprecating_ends_the_running_job(airbyte: RunningAirbyte, api: Api) -> None:
    """A connection that is set to deprecated is deleted by that, and its running sync is cancelled. (§5)"""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    assert api.ok("PATCH", f"/connections/{connection}", json={"status": "deprecated"})["status"] == "deprecated"
    assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"


def test_deactivating_leaves_the_running_job(airbyte: RunningAirbyte, api: Api) -> None:
    """A connection that is set to inactive starts nothing more; what runs is finished."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    airbyte.engine.hold()
    job = api.sync(connection)
    airbyte.engine.wait_for_start()
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    assert api.ok("GET", f"/jobs/{job}")["status"] == "running"
    airbyte.engine.release()
    assert api.finish(job)["status"] == "succeeded"
