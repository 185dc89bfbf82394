"""Facts: workspaces, sources and destinations.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte

MASK = "*" * 10


def message(answer: httpx.Response) -> str:
    return str(answer.json()["data"]["message"])


@pytest.fixture(params=[False, True], ids=["with type key", "strict"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Api, bool]]:
    """A client of a server in each mode, and whether it is strict."""
    running = running_local_airbyte(tmp_path / "home", ScriptedEngine(), strict=request.param)
    with running as airbyte, airbyte.api() as client:
        yield client, request.param


def test_workspace_life(api: Api) -> None:
    """Workspaces are made, renamed and deleted with what is in them; there is a default one from the start. (§4: delete
    cascades)
    """
    made = api.ok("POST", "/workspaces", json={"name": "second"})
    assert made.keys() == {"workspaceId", "name", "dataResidency", "notifications"}
    path = f"/workspaces/{made['workspaceId']}"
    assert api.ok("PATCH", path, json={"name": "renamed"})["name"] == "renamed"
    source = api.ok(
        "POST",
        "/sources",
        json={"name": "s", "workspaceId": made["workspaceId"], "configuration": {"sourceType": "faker"}},
    )
    assert [w["name"] for w in api.ok("GET", "/workspaces")["data"]] == ["Default Workspace", "renamed"]
    assert api.request("DELETE", path).status_code == 204
    assert api.request("GET", path).status_code == 404
    assert api.request("GET", f"/sources/{source['sourceId']}").status_code == 404
    assert [w["name"] for w in api.ok("GET", "/workspaces?includeDeleted=true")["data"]] == [
        "Default Workspace",
        "renamed",
    ]


def test_workspace_shape(api: Api) -> None:
    """A workspace has exactly these fields; organizationId is ignored in a self-managed create. (§4)"""
    made = api.ok("POST", "/workspaces", json={"name": "w", "organizationId": str(uuid4()), "dataResidency": "eu"})
    assert made == {"workspaceId": made["workspaceId"], "name": "w", "dataResidency": "auto", "notifications": {}}


def test_notifications_of_a_workspace_are_kept(api: Api) -> None:
    """notifications is there always, since the SDK requires it, and keeps what it was given. (§4, §9)"""
    wanted = {"failure": {"email": {"enabled": True}}}
    made = api.ok("POST", "/workspaces", json={"name": "w", "notifications": wanted})
    assert made["notifications"] == wanted
    assert api.ok("PATCH", f"/workspaces/{made['workspaceId']}", json={"name": "x"})["notifications"] == wanted


def test_source_shape(api: Api) -> None:
    """Create, get and list give the same source; its configuration has the type key, and createdAt is
    in seconds. (§4)
    """
    body = {"name": "s", "workspaceId": api.workspace_id, "configuration": {"sourceType": "faker", "count": 35}}
    made = api.ok("POST", "/sources", json=body)
    assert abs(made.pop("createdAt") - time.time()) < 60
    expected = {
        "sourceId": made["sourceId"],
        "name": "s",
        "sourceType": "faker",
        "definitionId": "dfd88b22-b603-4c3d-aad7-3701784586b1",
        "workspaceId": api.workspace_id,
        "configuration": {"sourceType": "faker", "count": 35},
    }
    assert made == expected
    got = api.ok("GET", f"/sources/{made['sourceId']}")
    assert api.ok("GET", "/sources")["data"] == [got]
    assert {key: value for key, value in got.items() if key != "createdAt"} == expected


def test_strict_mode_leaves_the_type_key_out(tmp_path: Path) -> None:
    """As the real server, --strict never returns sourceType or destinationType inside the configuration. (§4,
    ActorConfigurationHelper.kt)
    """
    with running_local_airbyte(tmp_path, strict=True) as airbyte, airbyte.api() as api:
        source, destination = api.source(count=35), api.destination()
        assert api.ok("GET", f"/sources/{source}")["configuration"] == {"count": 35}
        shown = api.ok("GET", f"/destinations/{destination}")
        assert shown["configuration"] == {"destination_path": "lms.duckdb"}
        assert shown["destinationType"] == "duckdb"


def test_the_type_key_in_every_answer(either: tuple[Api, bool]) -> None:
    """Create, get, list, put and patch agree on the type key: always without in strict mode, always with it else.
    The top-level sourceType is there either way. (§4, SourceReadMapper.kt)
    """
    api, strict = either
    expected = {"count": 1} if strict else {"count": 1, "sourceType": "faker"}
    body = {"name": "s", "workspaceId": api.workspace_id, "configuration": {"sourceType": "faker", "count": 1}}
    made = api.ok("POST", "/sources", json=body)
    path = f"/sources/{made['sourceId']}"
    answers = [
        made,
        api.ok("GET", path),
        api.ok("GET", "/sources")["data"][0],
        api.ok("PUT", path, json={"name": "s", "configuration": {"count": 1}}),
        api.ok("PATCH", path, json={"configuration": {"sourceType": "faker", "count": 1}}),
    ]
    for answer in answers:
        assert (answer["configuration"], answer["sourceType"]) == (expected, "faker")


def test_the_type_key_is_never_stored(either: tuple[Api, bool]) -> None:
    """What is validated and given to the connector has no type key, in both modes. (§4)"""
    api, _ = either
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    assert api.finish(api.sync(connection))["status"] == "succeeded"


def test_wrong_configuration_is_a_422_and_makes_nothing(api: Api) -> None:
    """The configuration is validated against the connector's spec, with the validator's words in
    data.message. (§4, §2)
    """
    body = {"name": "s", "workspaceId": api.workspace_id, "configuration": {"sourceType": "faker", "count": "x"}}
    answer = api.post("/sources", json=body)
    assert answer.status_code == 422
    assert list(answer.json()) == ["status", "type", "title", "detail", "documentationUrl", "data"]
    assert answer.json()["documentationUrl"] is None
    assert message(answer).startswith("json schema validation failed")
    assert message(answer).endswith("Errors: $.count: string found, integer expected")
    assert api.ok("GET", "/sources")["data"] == []


def test_creating_tries_no_connection(airbyte: RunningAirbyte, api: Api) -> None:
    """Create validates against the spec only; the connector isn't asked whether it can connect. (§4,
    SourceHandler.kt)
    """

    def check(*_: Any) -> Any:
        raise AssertionError("asked")

    airbyte.engine.check = airbyte.engine.discover = check
    assert api.source(count=1)


def test_names_may_be_taken_twice(api: Api) -> None:
    """Nothing requires names to be unique. (§4, SourceHandler.kt)"""
    assert api.source(count=1) != api.source(count=1)
    assert api.destination() != api.destination()


def test_unknown_type_is_value_not_found(api: Api) -> None:
    """An unknown sourceType or destinationType is a 400 that has the value; a missing one is a 422. (§4,
    NameToDefinitionMapper.kt)
    """
    for kind in ("source", "destination"):
        body: dict[str, Any] = {"name": "s", "workspaceId": api.workspace_id}
        answer = api.post(f"/{kind}s", json={**body, "configuration": {f"{kind}Type": "nonesuch"}})
        assert answer.status_code == 400
        assert (answer.json()["title"], answer.json()["data"]) == ("value-not-found", {"value": "nonesuch"})
        assert api.post(f"/{kind}s", json={**body, "configuration": {}}).status_code == 422


def test_definition_id_names_the_type(api: Api) -> None:
    """definitionId stands in for the type key. (§4)"""
    made = api.ok(
        "POST",
        "/destinations",
        json={
            "name": "d",
            "workspaceId": api.workspace_id,
            "definitionId": "94bd199c-2ff0-4aa2-b98e-17f0acb72610",
            "configuration": {"destination_path": "x.duckdb"},
        },
    )
    assert made["destinationType"] == "duckdb"


def test_definition_id_wins_over_the_type_key(api: Api) -> None:
    """With both, definitionId decides. (§4)"""
    config = {"destinationType": "motherduck", "destination_path": "x.duckdb"}
    body = {"name": "d", "workspaceId": api.workspace_id, "definitionId": "94bd199c-2ff0-4aa2-b98e-17f0acb72610"}
    assert api.ok("POST", "/destinations", json={**body, "configuration": config})["destinationType"] == "duckdb"


def test_secrets_are_masked_and_kept(airbyte: RunningAirbyte, api: Api) -> None:
    """Every read shows the mask; PATCH and PUT with the mask keep the secret, anything else replaces it. (§4,
    ConfigurationUpdate.kt, AirbyteSecretConstants.kt)
    """
    source = api.source(api_key="s3cret-value", count=1)
    path = f"/sources/{source}"

    def stored() -> Any:
        return airbyte.store.actor("source", source).configuration

    answers = [api.get(path), api.get("/sources")]
    answers.append(api.patch(path, json={"configuration": {"api_key": MASK, "count": 2}}))
    assert stored() == {"api_key": "s3cret-value", "count": 2}
    answers.append(api.put(path, json={"name": "n", "configuration": {"sourceType": "faker", "api_key": MASK}}))
    assert stored() == {"api_key": "s3cret-value"}
    answers.append(api.patch(path, json={"name": "other"}))
    assert stored() == {"api_key": "s3cret-value"}
    api.ok("PATCH", path, json={"configuration": {"api_key": "another"}})
    assert stored() == {"api_key": "another"}
    for answer in answers:
        assert answer.status_code == 200
        assert "s3cret-value" not in answer.text
        assert MASK in answer.text
    assert "s3cret-value" not in repr(airbyte.store.actor("source", source))


def test_patch_merges_deeply_and_put_replaces(airbyte: RunningAirbyte, api: Api) -> None:
    """PATCH keeps what it doesn't name at any depth; PUT requires name and configuration and keeps nothing. (§4)"""
    airbyte.engine.add("deep", {"t": [{"id": 1}]})
    path = f"/sources/{api.source('deep', login={'user': 'u', 'port': 1}, tables=['a', 'b'])}"
    patched = api.ok("PATCH", path, json={"configuration": {"login": {"port": 2}, "tables": ["c"]}})["configuration"]
    assert patched == {"sourceType": "deep", "login": {"user": "u", "port": 2}, "tables": ["c"]}
    replaced = api.ok("PUT", path, json={"name": "n", "configuration": {"login": {"port": 3}}})
    assert (replaced["name"], replaced["configuration"]) == ("n", {"sourceType": "deep", "login": {"port": 3}})
    assert api.put(path, json={"name": "n"}).status_code == 422
    assert api.put(path, json={"configuration": {}}).status_code == 422


def test_patch_and_put_validate_again(api: Api) -> None:
    """A change that does not fit the spec is refused and changes nothing. (§4)"""
    path = f"/sources/{api.source(count=1)}"
    assert api.patch(path, json={"configuration": {"count": "x"}}).status_code == 422
    assert api.put(path, json={"name": "n", "configuration": {"count": 0}}).status_code == 422
    assert api.ok("GET", path)["configuration"]["count"] == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"destination_path": "/etc/x.duckdb"}, "outside of"),
        ({"destination_path": "../x.duckdb"}, "outside of"),
        ({"destination_path": "md:lms"}, "motherduck_api_key"),
        ({"destination_path": "x.duckdb", "schema": 'a"b'}, "$.schema"),
        ({"destination_path": "."}, "directory"),
        ({"destination_path": "a\0b"}, "destination_path"),
        ({"destination_path": 7}, "integer found, string expected"),
        ({}, "required property 'destination_path' not found"),
    ],
)
def test_wrong_destinations_are_refused(config: dict[str, Any], words: str, api: Api) -> None:
    """A destination outside of the home, or that can't be one, is a 422 that says why."""
    body = {"name": "d", "workspaceId": api.workspace_id, "configuration": {"destinationType": "duckdb", **config}}
    answer = api.post("/destinations", json=body)
    assert answer.status_code == 422
    assert words in message(answer)


def test_allowed_paths_are_allowed(tmp_path: Path) -> None:
    """--allow-path lets destinations be in another directory."""
    with running_local_airbyte(tmp_path / "home", allow_paths=[tmp_path / "data"]) as airbyte, airbyte.api() as api:
        assert api.destination(str(tmp_path / "data" / "x.duckdb"))


def test_delete_takes_the_connections_along(api: Api) -> None:
    """Deleting a source hides it and marks its connections as deprecated. (§4; what GET answers for the tombstone is
    [?], here 404)
    """
    source = api.source(count=1)
    connection = api.connection(source, api.destination(), ["users"])
    assert api.delete(f"/sources/{source}").status_code == 204
    assert api.get(f"/sources/{source}").status_code == 404
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert api.ok("GET", "/connections")["data"] == []


def test_secrets_of_deleted_things_are_gone(airbyte: RunningAirbyte, api: Api) -> None:
    """The tombstone's configuration is void, in the list too. (§4)"""
    source = api.source(api_key="s3cret-value")
    api.delete(f"/sources/{source}")
    (shown,) = api.ok("GET", "/sources?includeDeleted=true")["data"]
    assert shown["configuration"] == {}
    assert airbyte.store.actors_by_id([source])[source].configuration == {}


def test_secrets_of_a_deleted_workspace_are_gone(airbyte: RunningAirbyte, api: Api) -> None:
    """What was in it has no configuration any more. (§4)"""
    workspace = api.ok("POST", "/workspaces", json={"name": "short-lived"})["workspaceId"]
    body = {"name": "s", "workspaceId": workspace, "configuration": {"sourceType": "faker", "api_key": "s3cret-value"}}
    source = api.ok("POST", "/sources", json=body)["sourceId"]
    assert airbyte.store.actors_by_id([source])[source].configuration["api_key"] == "s3cret-value"
    assert api.delete(f"/workspaces/{workspace}").status_code == 204
    assert airbyte.store.actors_by_id([source])[source].configuration == {}
