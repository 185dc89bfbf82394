"""Malformed requests against every route: never a 500, never a hang, never a stack trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airbyte_dagster.local.app import create_app
from airbyte_dagster.local.server import Options, make_context
from airbyte_dagster.local.settings import ensure_credentials, resolve_home
from airbyte_dagster_tests.local.fakes import ScriptedEngine
from airbyte_dagster_tests.local.walk import body_fields, routes

BODIES: list[Any] = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"{}", b'{"name": 1}', b'{"name": null}']
WRONG_VALUES: list[Any] = [None, 1, "x", [], {}, [[1]], {"streams": 1}, {"streams": [1]}, {"streams": [{"name": []}]}]


class Server(NamedTuple):
    """A server with something in it, to be asked in this process."""

    client: TestClient
    routes: list[tuple[str, str]]
    bodies: dict[tuple[str, str], list[str]]
    good: dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = resolve_home(Path(tmp_path_factory.mktemp("fuzz")))
    context = make_context(home, Options(port=0), ScriptedEngine())
    app = create_app(context)
    credentials = ensure_credentials(home)
    token = context.tokens.issue(credentials.client_id, credentials.client_secret)
    with TestClient(app, base_url="http://127.0.0.1:8006", raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {token}"
        yield Server(client, routes(app), body_fields(app), _fill(client, credentials.workspace_id))
    context.store.database.close()


def _fill(client: TestClient, workspace: str) -> dict[str, Any]:
    """Make one of everything; the words that a good body, path or query may have."""

    def post(path: str, **body: Any) -> dict[str, Any]:
        answer = client.post(f"/api/public/v1{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    named: dict[str, Any] = {"name": "n", "workspaceId": workspace}
    source = post("/sources", **named, configuration={"sourceType": "faker", "count": 1})["sourceId"]
    config = {"destinationType": "duckdb", "destination_path": "x.duckdb"}
    destination = post("/destinations", **named, configuration=config)["destinationId"]
    tag = post("/tags", **named, color="000000")
    streams = {"streams": [{"name": "users", "syncMode": "full_refresh_overwrite"}]}
    connection = post("/connections", sourceId=source, destinationId=destination, configurations=streams)[
        "connectionId"
    ]
    post("/jobs", connectionId=connection, jobType="reset")
    return {
        **named,
        "configuration": {**config, "sourceType": "faker"},
        "configurations": streams,
        "sourceId": source,
        "destinationId": destination,
        "connectionId": connection,
        "id": 1,
        "jobId": 1,
        "attemptNumber": 0,
        "jobType": "reset",
        "schedule": {"scheduleType": "cron", "cronExpression": "0 0 8 * * ?"},
        "tags": [tag],
        "color": "000000",
        "status": "active",
        "client_id": "x",
        "client_secret": "x",
        "userId": "00000000-0000-0000-0000-000000000000",
        "organizationId": "00000000-0000-0000-0000-000000000000",
        "permissionType": "workspace_admin",
        "dockerRepository": "r",
        "dockerImageTag": "1",
    }


def check(server: Server, method: str, path: str, **arguments: Any) -> None:
    """Send it and look at the answer."""
    answer = server.client.request(method, path, follow_redirects=False, **arguments)
    assert answer.status_code < 500, (method, path, arguments, answer.text)
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.text(max_size=12) | st.sampled_from(["-1", "0", "1e9", "\0", "..", "%00", "x" * 3000, "9" * 400])
QUERY_KEYS = st.sampled_from(
    [
        "limit",
        "offset",
        "workspaceIds",
        "includeDeleted",
        "tagIds",
        "status",
        "jobType",
        "orderBy",
        "createdAtStart",
        "createdAtEnd",
        "updatedAtStart",
        "updatedAtEnd",
        "connectionId",
        "sourceId",
        "destinationId",
        "ignoreCache",
        "organizationId",
        "userId",
        "ids",
        "emails",
    ]
)
CAREFUL = settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@CAREFUL
@given(data=st.data())
def test_generated_requests(server: Server, data: st.DataObject) -> None:
    """Any route with generated ids, queries, headers and bodies, near to good ones and far from them."""
    method, template = data.draw(st.sampled_from(server.routes))
    path = _path(server, template, data)
    query = data.draw(st.lists(st.tuples(QUERY_KEYS, WORDS), max_size=4))
    headers = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "content-type": st.sampled_from(
                    ["application/json", "text/plain", "application/x-www-form-urlencoded", "x"]
                ),
                "accept": st.sampled_from(["*/*", "text/html", "\x01"]),
                "x-anything": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
            },
        )
    )
    arguments: dict[str, Any] = {"params": query, "headers": headers}
    kind = data.draw(st.sampled_from(["none", "bytes", "json", "near"]))
    if kind == "bytes":
        arguments["content"] = data.draw(st.binary(max_size=60) | st.sampled_from(BODIES))
    elif kind != "none":
        body = data.draw(JSON)
        if kind == "near":
            changed = data.draw(st.dictionaries(st.sampled_from(sorted(server.good)), JSON, max_size=2))
            body = {**server.good, **changed}
        arguments["content"] = _encoded(body)
        arguments["headers"] = {"content-type": "application/json", **headers}
    if _is_deletion(method, template):  # what the other examples need has to stay
        path = path.replace(server.good["workspaceId"], server.good["tags"][0]["tagId"])
    check(server, method, path, **arguments)


def _path(server: Server, template: str, data: st.DataObject) -> str:
    parts = []
    for part in template.split("/"):
        if not part.startswith("{"):
            parts.append(part)
            continue
        good = ["1"] + [str(value) for key, value in server.good.items() if key.endswith("Id")]
        word = data.draw(
            st.sampled_from(good) | st.uuids().map(str) | WORDS.filter(lambda text: text.strip("./") != "")
        )
        parts.append(quote(word, safe="", errors="replace"))
    return "/".join(parts)


def _is_deletion(method: str, template: str) -> bool:
    return method == "DELETE" or template.endswith("delete")


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_each_field_wrong_in_turn(server: Server) -> None:
    """Every route that takes a body, with each field that it reads replaced by each wrong value."""
    for (method, template), fields in server.bodies.items():
        path = template
        for name, value in (
            ("{workspace_id}", "workspaceId"),
            ("{connection_id}", "connectionId"),
            ("{job_id}", "jobId"),
        ):
            path = path.replace(name, str(server.good[value]))
        path = path.replace("{actor_id}", server.good["sourceId" if "source" in path else "destinationId"])
        path = path.replace("{tag_id}", server.good["tags"][0]["tagId"])
        path = re.sub(r"{\w+}", server.good["userId"], path)
        headers = {"content-type": "application/json"}
        for body in BODIES:
            check(server, method, path, content=body, headers=headers)
        for key in fields:
            for wrong in WRONG_VALUES:
                check(server, method, path, content=_encoded({**server.good, key: wrong}), headers=headers)


def test_walks_all_routes(server: Server) -> None:
    """What is walked are the routes of all three: public API, configuration API, pages."""
    paths = {path for _, path in server.routes}
    for expected in ("/api/public/v1/tags/{tag_id}", "/api/v1/jobs/get_without_logs", "/workspaces/{workspace_id}"):
        assert expected in paths
    assert len(server.bodies) > 30
    assert "syncCatalog" in server.bodies["POST", "/api/v1/web_backend/connections/update"]
