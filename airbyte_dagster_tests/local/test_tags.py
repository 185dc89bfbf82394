"""Tags: made, changed, deleted, and on connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Iterator[Api]:
    with airbyte.api() as client:
        yield client


def make(api: Api, name: str = "nightly", color: str = "A1B2C3") -> dict[str, Any]:
    made: dict[str, Any] = api.ok("POST", "/tags", json={"workspaceId": api.workspace_id, "name": name, "color": color})
    return made


def test_tag_is_made_listed_changed_and_deleted(api: Api) -> None:
    """The list is not paged; a deleted tag is gone; deletion answers 204 (``TagHandler.kt``)."""
    tag = make(api)
    assert api.ok("GET", f"/tags/{tag['tagId']}") == tag
    assert api.ok("GET", "/tags") == {"data": [tag]}

    changed = api.ok("PATCH", f"/tags/{tag['tagId']}", json={"name": "daily", "color": "000000"})
    assert changed == {**tag, "name": "daily", "color": "000000"}

    assert api.delete(f"/tags/{tag['tagId']}").status_code == 204
    assert api.ok("GET", "/tags") == {"data": []}
    assert api.get(f"/tags/{tag['tagId']}").status_code == 404


@pytest.mark.parametrize(
    ("name", "color"), [("x" * 31, "A1B2C3"), ("fine", "#A1B2C3"), ("fine", "red"), ("fine", "A1B2C")]
)
def test_wrong_names_and_colours_are_refused(api: Api, name: str, color: str) -> None:
    """At most 30 characters; 6 hex digits without ``#`` (``TagHandler.kt``)."""
    answer = api.post("/tags", json={"workspaceId": api.workspace_id, "name": name, "color": color})

    assert answer.status_code == 400
    assert "status" in answer.json()
    assert api.ok("GET", "/tags") == {"data": []}


def test_second_tag_of_a_name_is_a_409(api: Api) -> None:
    """``error:tag-already-exists``."""
    make(api)

    answer = api.post("/tags", json={"workspaceId": api.workspace_id, "name": "nightly", "color": "FFFFFF"})

    assert answer.status_code == 409
    assert answer.json()["type"] == "error:tag-already-exists"


def test_connections_follow_their_tags(api: Api) -> None:
    """A PATCH replaces them; a renamed tag shows its new name; a deleted one is gone from the connection."""
    first, second = make(api, "first"), make(api, "second")
    connection_id = api.connection(api.source(count=1), api.destination(), ["users"], tags=[first])

    assert api.ok("PATCH", f"/connections/{connection_id}", json={"tags": [second]})["tags"] == [second]
    renamed = api.ok("PATCH", f"/tags/{second['tagId']}", json={"name": "renamed", "color": "FFFFFF"})
    assert api.ok("GET", f"/connections/{connection_id}")["tags"] == [renamed]
    api.delete(f"/tags/{second['tagId']}")
    assert api.ok("GET", f"/connections/{connection_id}")["tags"] == []


def test_unknown_tag_on_a_connection_is_refused(api: Api) -> None:
    """What Airbyte answers is not established; here it is a 400, and no connection is made."""
    unknown = {**make(api), "tagId": "11111111-1111-4111-8111-111111111111"}
    source_id, destination_id = api.source(count=1), api.destination()

    answer = api.post("/connections", json={"sourceId": source_id, "destinationId": destination_id, "tags": [unknown]})

    assert answer.status_code == 400
    assert api.ok("GET", "/connections")["data"] == []
