"""The public API over HTTP, with a scripted engine: signing in, resources, lists, errors. A test per fact."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from airbyte_dagster.local.deps import Tokens
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.settings import Credentials
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte

MASK = "*" * 10


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Any:
    with airbyte.api() as client:
        yield client


def message(answer: httpx.Response) -> str:
    return str(answer.json()["data"]["message"])


# Signing in


@pytest.mark.parametrize("prefix", ["/api/public/v1", "/api/v1"])
@pytest.mark.parametrize("how", ["json", "form"])
def test_token_by_json_and_by_form(how: str, prefix: str, airbyte: RunningAirbyte) -> None:
    """A token is given for JSON and for a form, without and with a grant type, under both base paths."""
    body = {"client_id": airbyte.client_id, "client_secret": airbyte.client_secret, "grant_type": "client_credentials"}
    url = f"{airbyte.url}{prefix}/applications/token"
    answer = httpx.post(url, json=body) if how == "json" else httpx.post(url, data=body)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 900)


def test_bad_credentials_get_communitys_400(airbyte: RunningAirbyte) -> None:
    """Wrong credentials are a 400 with Micronaut's HAL body, not a 401."""
    body = {"client_id": airbyte.client_id, "client_secret": "wrong"}
    answer = httpx.post(f"{airbyte.server_url}/applications/token", json=body)
    assert answer.status_code == 400
    assert answer.json() == {
        "message": "Bad Request",
        "_links": {"self": {"href": "/api/public/v1/applications/token", "templated": False}},
        "_embedded": {"errors": [{"message": "Invalid client id or token", "_links": {}, "_embedded": {}}]},
    }


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", ["/workspaces", "/sources", "/destinations", "/connections", "/jobs", "/jobs/1"])
def test_everything_needs_a_token(path: str, headers: dict[str, str], airbyte: RunningAirbyte) -> None:
    """Without a valid bearer token the answer is 401."""
    assert httpx.get(airbyte.server_url + path, headers=headers).status_code == 401


def test_tokens_expire_after_their_time() -> None:
    """A token is good for 900 s and no longer."""
    now = [1000.0]
    tokens = Tokens(Credentials("id", "secret", "w"), clock=lambda: now[0])
    token = tokens.issue("id", "secret")
    now[0] += 899
    assert tokens.valid(token)
    now[0] += 1
    assert not tokens.valid(token)
    with pytest.raises(ApiError):
        tokens.issue("id", "sécret")


def test_health_needs_no_token(airbyte: RunningAirbyte) -> None:
    """Health is a text, without a token."""
    answer = httpx.get(f"{airbyte.server_url}/health")
    assert (answer.status_code, answer.text) == (200, "Successful operation")


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}, {"host": "a[b"}]
)
def test_other_sites_are_refused(headers: dict[str, str], airbyte: RunningAirbyte) -> None:
    """A foreign Host (DNS rebinding) or Origin (another site's page) gets 403, even for health."""
    assert httpx.get(f"{airbyte.server_url}/health", headers=headers).status_code == 403


def test_local_names_are_accepted(airbyte: RunningAirbyte) -> None:
    """The page at /docs may call the API, by localhost too."""
    for name in ("localhost", "127.0.0.1", "[::1]"):
        headers = {"host": f"{name}:1", "origin": f"http://{name}:1"}
        assert httpx.get(f"{airbyte.server_url}/health", headers=headers).status_code == 200


def test_docs_page_has_examples_and_a_place_for_the_token(airbyte: RunningAirbyte) -> None:
    """/docs works, and its description of the API has the course's examples and the bearer scheme."""
    assert "swagger" in httpx.get(f"{airbyte.url}/docs").text
    described = httpx.get(f"{airbyte.url}/openapi.json").json()
    assert described["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    create = described["paths"]["/api/public/v1/sources"]["post"]
    assert create["security"] == [{"token": []}]
    example = create["requestBody"]["content"]["application/json"]["examples"]["Faker: 35 rows"]["value"]
    assert example["configuration"] == {"sourceType": "faker", "count": 35}


# Workspaces


def test_workspace_life(api: Api) -> None:
    """Workspaces are made, renamed and deleted with what is in them; there is a default one from the start."""
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


# Sources and destinations


def test_source_shape(api: Api) -> None:
    """Create, get and list give the same source; its configuration has the type key, and createdAt is in seconds."""
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
    """As the real server, --strict never returns sourceType or destinationType inside the configuration."""
    with running_local_airbyte(tmp_path, strict=True) as airbyte, airbyte.api() as api:
        source, destination = api.source(count=35), api.destination()
        assert api.ok("GET", f"/sources/{source}")["configuration"] == {"count": 35}
        shown = api.ok("GET", f"/destinations/{destination}")
        assert shown["configuration"] == {"destination_path": "lms.duckdb"}
        assert shown["destinationType"] == "duckdb"


def test_wrong_configuration_is_a_422_and_makes_nothing(api: Api) -> None:
    """The configuration is validated against the connector's spec, with the validator's words in data.message."""
    body = {"name": "s", "workspaceId": api.workspace_id, "configuration": {"sourceType": "faker", "count": "x"}}
    answer = api.post("/sources", json=body)
    assert answer.status_code == 422
    assert list(answer.json()) == ["status", "type", "title", "detail", "documentationUrl", "data"]
    assert answer.json()["documentationUrl"] is None
    assert message(answer).startswith("json schema validation failed")
    assert message(answer).endswith("Errors: $.count: string found, integer expected")
    assert api.ok("GET", "/sources")["data"] == []


def test_unknown_type_is_value_not_found(api: Api) -> None:
    """An unknown sourceType or destinationType is a 400 that has the value; a missing one is a 422."""
    for kind in ("source", "destination"):
        body: dict[str, Any] = {"name": "s", "workspaceId": api.workspace_id}
        answer = api.post(f"/{kind}s", json={**body, "configuration": {f"{kind}Type": "nonesuch"}})
        assert answer.status_code == 400
        assert (answer.json()["title"], answer.json()["data"]) == ("value-not-found", {"value": "nonesuch"})
        assert api.post(f"/{kind}s", json={**body, "configuration": {}}).status_code == 422


def test_definition_id_names_the_type(api: Api) -> None:
    """definitionId stands in for the type key."""
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


def test_secrets_are_masked_and_kept(airbyte: RunningAirbyte, api: Api) -> None:
    """Every read shows the mask; PATCH and PUT with the mask keep the secret, anything else replaces it."""
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


def test_patch_and_put_validate_again(api: Api) -> None:
    """A change that does not fit the spec is refused and changes nothing."""
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
    """Deleting a source hides it and marks its connections as deprecated."""
    source = api.source(count=1)
    connection = api.connection(source, api.destination(), ["users"])
    assert api.delete(f"/sources/{source}").status_code == 204
    assert api.get(f"/sources/{source}").status_code == 404
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert api.ok("GET", "/connections")["data"] == []


# Lists and what can't be read


def test_pages(api: Api) -> None:
    """`next` is there whenever the page isn't empty, `previous` is empty on the first page; filters survive."""
    for _ in range(3):
        api.source(count=1)
    first = api.ok("GET", f"/sources?limit=2&workspaceIds={api.workspace_id}")
    assert len(first["data"]) == 2
    assert first["previous"] == ""
    assert f"workspaceIds={api.workspace_id}" in first["next"]
    last = httpx.get(first["next"], headers=api.headers).json()
    assert len(last["data"]) == 1
    assert last["next"] != ""
    assert last["previous"] != ""
    empty = httpx.get(last["next"], headers=api.headers).json()
    assert (empty["data"], empty["next"]) == ([], "")


def test_workspace_filter(api: Api) -> None:
    """workspaceIds may be repeated or comma-joined; another workspace's things are not shown."""
    api.source(count=1)
    other = str(uuid4())
    assert api.ok("GET", f"/sources?workspaceIds={other}")["data"] == []
    assert len(api.ok("GET", f"/sources?workspaceIds={other},{api.workspace_id}")["data"]) == 1
    assert len(api.ok("GET", f"/sources?workspaceIds={other}&workspaceIds={api.workspace_id}")["data"]) == 1
    assert api.get("/sources?workspaceIds=nonsense").status_code == 400


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("workspaces", "WORKSPACE"),
        ("sources", "SOURCE_CONNECTION"),
        ("destinations", "DESTINATION_CONNECTION"),
        ("connections", "STANDARD_SYNC"),
    ],
)
def test_unknown_ids(kind: str, resource: str, api: Api) -> None:
    """An unknown id is a 404 with its resource type; an id that is no UUID is a 400, never a 500."""
    unknown = str(uuid4())
    for method in ("GET", "PATCH", "DELETE"):
        answer = api.request(method, f"/{kind}/{unknown}", json={} if method == "PATCH" else None)
        assert answer.status_code == 404
        assert answer.json()["data"] == {"resourceType": resource, "resourceId": unknown}
        assert api.request(method, f"/{kind}/nonsense", json={} if method == "PATCH" else None).status_code == 400


def test_unrouted_path(api: Api) -> None:
    """An unknown path is a 404 with a text."""
    answer = api.get("/nonesuch")
    assert (answer.status_code, answer.text) == (404, "Object not found.")


BODIES: list[Any] = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"{}", b'{"name": 1}', b'{"name": null}']
WRONG_VALUES: list[Any] = [None, 1, "x", [], {}, [[1]], {"streams": 1}, {"streams": [1]}, {"streams": [{"name": []}]}]


@pytest.mark.parametrize(
    "path", ["/applications/token", "/workspaces", "/sources", "/destinations", "/connections", "/jobs"]
)
def test_malformed_bodies_are_never_a_500(path: str, api: Api) -> None:
    """A body that can't be read gets a 4xx with an errorId or a problem; never a 500, never a stack trace."""
    headers = {"content-type": "application/json"}
    bodies = [*BODIES]
    good = {
        "name": "n",
        "workspaceId": api.workspace_id,
        "configuration": {"sourceType": "faker", "destinationType": "duckdb", "destination_path": "x"},
        "sourceId": api.source(count=1),
        "destinationId": api.destination(),
        "configurations": {"streams": [{"name": "users"}]},
        "schedule": {"scheduleType": "manual"},
        "connectionId": str(uuid4()),
        "jobType": "sync",
    }
    for key in good:
        bodies += [httpx.Request("POST", "http://x", json={**good, key: wrong}).content for wrong in WRONG_VALUES]
    for body in bodies:
        answer = api.post(path, content=body, headers=headers)
        assert answer.status_code < 500, (body, answer.text)
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '"\\ud800"', "[" * 500 + "]" * 500, '{"\\udfff": 1}'])
def test_json_that_could_not_be_written_again_is_refused(value: str, api: Api) -> None:
    """What a lenient parser takes for JSON but can't be answered with is a 4xx, and no list breaks afterwards."""
    headers = {"content-type": "application/json"}
    body = f'{{"name":"n","workspaceId":"{api.workspace_id}","configuration":{{"sourceType":"faker","x":{value}}}}}'
    assert api.post("/sources", content=body, headers=headers).status_code == 422
    assert api.post("/workspaces", content=f'{{"name":"n","notifications":{{"x":{value}}}}}', headers=headers).is_error
    assert api.ok("GET", "/sources")["data"] == []
    assert len(api.ok("GET", "/workspaces")["data"]) == 1


def test_secrets_are_not_in_answers_to_malformed_bodies(api: Api) -> None:
    """An answer to a body that can't be read doesn't repeat its values."""
    body = {"name": "n", "workspaceId": "x", "configuration": {"sourceType": "faker", "api_key": "planted-secret"}}
    assert "planted-secret" not in api.post("/sources", json=body).text
    assert "planted-secret" not in api.post("/sources", json={**body, "configuration": ["planted-secret"]}).text
    valid = {
        **body,
        "workspaceId": api.workspace_id,
        "configuration": {"sourceType": "faker", "api_key": ["planted-secret"]},
    }
    assert "planted-secret" not in api.post("/sources", json=valid).text


def test_slow_discovery_holds_nobody_up(airbyte: RunningAirbyte, api: Api) -> None:
    """While discoveries take their time, other requests are answered."""
    source, destination = api.source(count=1), api.destination()
    airbyte.engine.slow_discovery = threading.Event()
    with ThreadPoolExecutor(60) as pool:
        slow = [pool.submit(api.get, f"/streams?sourceId={source}") for _ in range(60)]
        try:
            started = time.monotonic()
            api.ok("GET", f"/destinations/{destination}")
            assert time.monotonic() - started < 5
        finally:
            airbyte.engine.slow_discovery.set()
        assert [answer.result().status_code for answer in slow] == [200] * 60


def test_many_clients_at_once(airbyte: RunningAirbyte) -> None:
    """Two hundred requests in flight, reading and writing: no lock error, no lost update."""
    with airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])

        def work(number: int) -> None:
            # A client each: they are many clients, and httpx's pool is not made for 200 threads.
            with httpx.Client(base_url=api.base_url, headers=api.headers, timeout=60, verify=False) as own:  # noqa: S501
                config = {"destinationType": "duckdb", "destination_path": f"{number}.duckdb"}
                body = {"name": "new", "workspaceId": api.workspace_id, "configuration": config}
                made = own.post("/destinations", json=body).raise_for_status().json()["destinationId"]
                own.patch(f"/destinations/{made}", json={"name": f"d{number}"}).raise_for_status()
                own.patch(f"/connections/{connection}", json={"prefix": f"p{number}_"}).raise_for_status()
                own.get("/destinations?limit=100").raise_for_status()

        with ThreadPoolExecutor(200) as pool:
            list(pool.map(work, range(200)))
        names: list[str] = []
        for offset in (0, 100, 200):
            names += [d["name"] for d in api.ok("GET", f"/destinations?limit=100&offset={offset}")["data"]]
    assert sorted(names) == sorted(["duck", *(f"d{number}" for number in range(200))])


def test_restart_keeps_ids(tmp_path: Path) -> None:
    """Everything is there after a restart, with the same ids, and job ids go on."""
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        source, destination = api.source(count=1), api.destination()
        connection = api.connection(source, destination, ["users"])
        before = [api.finish(api.sync(connection)), api.ok("GET", f"/connections/{connection}")]
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        assert [api.ok("GET", "/jobs/1"), api.ok("GET", f"/connections/{connection}")] == before
        assert api.sync(connection) == 2
