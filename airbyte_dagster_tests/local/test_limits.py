"""Bodies that are too large, too deep, or no text; and names that are none."""

from __future__ import annotations

import contextlib
import http.client
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from airbyte_dagster.local.guard import MOST_BYTES
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
TOKENS = ("/api/public/v1/applications/token", "/api/v1/applications/token")


def in_pieces(size: int) -> Iterator[bytes]:
    """A JSON text of this size, whose size isn't announced."""
    yield b'{"client_id": "'
    for _ in range(size // 100_000):
        yield b"x" * 100_000
    yield b'", "client_secret": "x"}'


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("path", TOKENS)
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"client_id": "\\ud800", "client_secret": "x"}', JSON),
        (b'{"client_id": "x", "client_secret": "\\udfff"}', JSON),
        (b"client_id=%ED%A0%80&client_secret=x", FORM),
        (b"client_id=\xed\xa0\x80&client_secret=\xff", FORM),
        (b"[" * 200_000, JSON),
        (b'{"client_id": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", JSON),
        (b'{"client_id": " ", "client_secret": ""}', JSON),
        (b"&".join([b"a=1"] * 1000), FORM),
    ],
    ids=lambda value: "" if isinstance(value, dict) else repr(value[:30]),
)
def test_odd_bodies_of_the_token_call(
    body: bytes, headers: dict[str, str], path: str, signed_in: bool, airbyte: RunningAirbyte, api: Api
) -> None:
    """Half characters, 200,000 brackets, blanks and endless forms are a 400 or a 422, signed in or not."""
    sender = api if signed_in else httpx
    answer = sender.post(airbyte.url + path, content=body, headers=headers)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("path", [*TOKENS, "/api/public/v1/sources", "/api/v1/state/create_or_update_safe"])
@pytest.mark.parametrize("announced", [True, False])
def test_large_bodies_are_a_413(announced: bool, path: str, airbyte: RunningAirbyte, api: Api) -> None:
    """A body of more than 8 MB is refused, whether it says its size or not, and the server goes on."""
    size = MOST_BYTES + 2_000_000
    content: Any = b"".join(in_pieces(size)) if announced else in_pieces(size)
    answer = api.post(airbyte.url + path, content=content, headers=JSON)
    assert answer.status_code == 413
    assert "more than 8 MB" in answer.json()["message"]
    assert api.get("/health").status_code == 200


def test_large_bodies_are_not_kept(airbyte: RunningAirbyte, api: Api) -> None:
    """Of 100 MB that come in pieces only what is allowed is in memory at any time."""
    tracemalloc.start()
    try:
        assert api.post("/sources", content=in_pieces(100_000_000), headers=JSON).status_code == 413
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()


def test_a_body_below_the_limit_is_read(api: Api) -> None:
    """A configuration of some megabytes is no problem."""
    api.source(count=1, note="x" * (MOST_BYTES - 1000))


@pytest.mark.parametrize("length", [MOST_BYTES + 1, 10**18])
def test_announced_sizes_are_believed(length: int, airbyte: RunningAirbyte) -> None:
    """What says that it is too large is refused before any of it is sent."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(airbyte.url).netloc, timeout=PATIENCE)) as connection:
        connection.putrequest("POST", TOKENS[0])
        connection.putheader("content-length", str(length))
        connection.endheaders()
        assert connection.getresponse().status == 413


NAMED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/workspaces", {}),
    ("PATCH", "/workspaces/{workspace}", {}),
    ("POST", "/sources", {"workspaceId": "{workspace}", "configuration": {"sourceType": "faker", "count": 1}}),
    ("PUT", "/sources/{source}", {"configuration": {"count": 1}}),
    ("PATCH", "/sources/{source}", {}),
    ("POST", "/connections", {"sourceId": "{source}", "destinationId": "{destination}"}),
    ("PATCH", "/connections/{connection}", {}),
    ("POST", "/tags", {"workspaceId": "{workspace}", "color": "ffffff"}),
    ("PATCH", "/tags/{tag}", {"color": "ffffff"}),
    ("POST", "{root}/api/v1/web_backend/connections/update", {"connectionId": "{connection}"}),
]


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u3000", "\ud800", "a\udfffb"], ids=ascii)
def test_names_that_are_none(name: str, airbyte: RunningAirbyte, api: Api) -> None:
    """A blank name, or one with half a character, is a 422 that names the field, and nothing is made or changed."""
    source, destination = api.source(count=1), api.destination()
    ids = {
        "root": airbyte.url,
        "workspace": api.workspace_id,
        "source": source,
        "destination": destination,
        "connection": api.connection(source, destination, ["users"]),
        "tag": api.ok("POST", "/tags", json={"name": "t", "color": "000000", "workspaceId": api.workspace_id})["tagId"],
    }
    lists = ("/workspaces", "/sources", "/connections", "/tags")
    before = [api.ok("GET", path)["data"] for path in lists]
    for method, path, body in NAMED:
        given = {key: value.format(**ids) if isinstance(value, str) else value for key, value in body.items()}
        content = ascii_json({**given, "name": name})
        answer = api.request(method, path.format(**ids), content=content, headers=JSON)
        assert (method, path, answer.status_code) == (method, path, 422)
        assert "body.name: " in answer.json()["message"]
    assert [api.ok("GET", path)["data"] for path in lists] == before


def ascii_json(value: Any) -> bytes:
    """JSON, in which half characters are escapes."""
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": "\ud800"},
        {"namespaceFormat": "\ud800"},
        {"schedule": {"scheduleType": "cron", "cronExpression": "\ud800"}},
        {"configurations": {"streams": [{"name": "\ud800"}]}},
        {"configurations": {"streams": [{"name": "users", "cursorField": ["\ud800"]}]}},
        {"configurations": {"streams": [{"name": "users", "selectedFields": [{"fieldPath": ["\ud800"]}]}]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_half_characters_in_any_text(change: dict[str, Any], api: Api) -> None:
    """What can't be written down is refused wherever a text may be."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    answer = api.patch(f"/connections/{connection}", content=ascii_json(change), headers=JSON)
    assert answer.status_code == 422


def test_half_characters_in_a_catalog(airbyte: RunningAirbyte, api: Api) -> None:
    """Also where a stream may have what is not known here."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    path = f"{airbyte.url}/api/v1/web_backend/connections/update"
    for icon, status in (("\ud800", 422), ("plain", 200)):
        catalog = {"streams": [{"stream": {"name": "users", "icon": icon}}]}
        content = ascii_json({"connectionId": connection, "syncCatalog": catalog})
        assert api.post(path, content=content, headers=JSON).status_code == status


@pytest.mark.parametrize(
    "notifications",
    [
        {"success": {"webhook": {"url": {}}}},
        {"failure": {"webhook": {"url": 1}}},
        {"connectionUpdate": {"webhook": {"enabled": "yes"}}},
        {"syncDisabled": {"email": {"enabled": 1}}},
        {"syncDisabledWarning": {"email": []}},
        {"connectionUpdateActionRequired": "x"},
        {"success": {"webhook": {"url": "\ud800"}}},
        [],
        "x",
    ],
    ids=ascii,
)
def test_notifications_off_the_schema(notifications: Any, api: Api) -> None:
    """Notifications follow the official schema; what doesn't is a 422, and nothing of it is stored."""
    content = ascii_json({"name": "n", "notifications": notifications})
    path = f"/workspaces/{api.workspace_id}"
    assert api.patch(path, content=content, headers=JSON).status_code == 422
    assert api.post("/workspaces", content=content, headers=JSON).status_code == 422
    assert [one["name"] for one in api.ok("GET", "/workspaces")["data"]] == ["Default Workspace"]


def test_notifications_are_kept_as_they_are_given(api: Api) -> None:
    """All six kinds, by email and by webhook, in Airbyte's own names; what is not given is not there."""
    given = {
        "failure": {"webhook": {"enabled": True, "url": "https://hook.example/x"}, "email": {"enabled": False}},
        "success": {"webhook": {"enabled": False}},
        "connectionUpdate": {"email": {"enabled": True}},
        "connectionUpdateActionRequired": {"email": {}},
        "syncDisabled": {},
        "syncDisabledWarning": {"webhook": {"url": ""}},
    }
    path = f"/workspaces/{api.workspace_id}"
    assert api.ok("PATCH", path, json={"notifications": given})["notifications"] == given
    assert api.ok("GET", path)["notifications"] == given
