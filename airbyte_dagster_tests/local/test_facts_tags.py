"""Facts: tags, of their own and on connections.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from airbyte_dagster_tests.local.fakes import Api, ScriptedEngine, running_local_airbyte


def tag(api: Api, name: str = "nightly", color: str = "75DCFF", workspace: str | None = None) -> dict[str, Any]:
    body = {"name": name, "color": color, "workspaceId": workspace or api.workspace_id}
    made: dict[str, Any] = api.ok("POST", "/tags", json=body)
    return made


@pytest.fixture
def connection(api: Api) -> str:
    return api.connection(api.source(count=1), api.destination(), ["users"])


def test_tag_life(api: Api) -> None:
    """Create, get, list and patch answer 200 with the tag, delete 204; it is gone then. (§7, TagsController.kt)"""
    made = tag(api)
    assert made == {
        "tagId": made["tagId"],
        "name": "nightly",
        "color": "75DCFF",
        "workspaceId": api.workspace_id,
    }
    path = f"/tags/{made['tagId']}"
    assert api.ok("GET", path) == made
    assert api.ok("PATCH", path, json={"name": "weekly", "color": "000000"}) == {
        **made,
        "name": "weekly",
        "color": "000000",
    }
    assert api.ok("GET", "/tags") == {"data": [{**made, "name": "weekly", "color": "000000"}]}
    assert api.delete(path).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = api.request(method, path, json={"name": "n", "color": "000000"} if method == "PATCH" else None)
        assert answer.status_code == 404
        assert answer.json()["data"] == {"resourceType": "TAG", "resourceId": made["tagId"]}


def test_tags_are_not_paged(api: Api) -> None:
    """The list has data only, in full, and knows no limit; workspaceIds select. (§3, §7)"""
    other = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    for number in range(25):
        tag(api, f"t{number}")
    elsewhere = tag(api, "t0", workspace=other)
    assert api.ok("GET", "/tags?limit=1").keys() == {"data"}
    assert len(api.ok("GET", "/tags")["data"]) == 26
    assert api.ok("GET", f"/tags?workspaceIds={other}")["data"] == [elsewhere]
    assert [one["name"] for one in api.ok("GET", f"/tags?workspaceIds={api.workspace_id}")["data"]][:2] == ["t0", "t1"]


@pytest.mark.parametrize("color", ["#75DCFF", "75DCF", "75DCFFF", "nonsen", ""])
def test_colour_is_six_hex_digits(color: str, api: Api) -> None:
    """Without a #. (§7, TagHandler.kt; the problem's status and type are [?])"""
    body = {"name": "n", "color": color, "workspaceId": api.workspace_id}
    assert api.post("/tags", json=body).status_code == 400
    assert api.patch(f"/tags/{tag(api)['tagId']}", json={"name": "n", "color": color}).status_code == 400


def test_name_has_thirty_characters_at_most(api: Api) -> None:
    """A longer one is refused. (§7, TagHandler.kt; the problem's status and type are [?])"""
    assert tag(api, "x" * 30)
    body = {"name": "x" * 31, "color": "000000", "workspaceId": api.workspace_id}
    assert api.post("/tags", json=body).status_code == 400


def test_a_name_is_there_once_per_workspace(api: Api) -> None:
    """A second tag of the name is a 409 error:tag-already-exists, by create and by patch. (§2, TagHandler.kt)"""
    tag(api, "a")
    second = tag(api, "b")
    for answer in (
        api.post("/tags", json={"name": "a", "color": "000000", "workspaceId": api.workspace_id}),
        api.patch(f"/tags/{second['tagId']}", json={"name": "a", "color": "000000"}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "error:tag-already-exists")
        assert list(answer.json()) == ["status", "type", "title", "detail", "documentationUrl", "data"]
    assert api.ok("PATCH", f"/tags/{second['tagId']}", json={"name": "b", "color": "ffffff"})["color"] == "ffffff"


def test_a_workspace_has_a_hundred_tags_at_most(api: Api) -> None:
    """The hundred and first is refused in these words. (§7, TagHandler.kt; the problem's status and type are [?])"""
    for number in range(100):
        tag(api, f"t{number}")
    answer = api.post("/tags", json={"name": "one more", "color": "000000", "workspaceId": api.workspace_id})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Maximum 100 tags can be created in a workspace"


@pytest.mark.parametrize("missing", ["name", "color", "workspaceId"])
def test_what_a_tag_needs(missing: str, api: Api) -> None:
    """All three are required; name and colour in a patch too. (OAS: TagCreateRequest, TagPatchRequest)"""
    body = {"name": "n", "color": "000000", "workspaceId": api.workspace_id}
    body.pop(missing)
    assert api.post("/tags", json=body).status_code == 422
    assert missing == "workspaceId" or api.patch(f"/tags/{tag(api)['tagId']}", json=body).status_code == 422


def test_unknown_workspace(api: Api) -> None:
    """A tag of a workspace that isn't there is a 404. (§2)"""
    assert api.post("/tags", json={"name": "n", "color": "000000", "workspaceId": str(uuid4())}).status_code == 404


def test_tags_of_a_connection(api: Api) -> None:
    """Create and patch take tags, answers always have them; a patch replaces them all, [] takes them off. (§5)"""
    first, second = tag(api, "a"), tag(api, "b")
    made = api.connection(api.source(count=1), api.destination(), ["users"], tags=[first])
    path = f"/connections/{made}"
    assert api.ok("GET", path)["tags"] == [first]
    assert api.ok("PATCH", path, json={"name": "n"})["tags"] == [first]
    assert api.ok("PATCH", path, json={"tags": [second, second]})["tags"] == [second]
    assert api.ok("PATCH", path, json={"tags": []})["tags"] == []


def test_only_the_id_of_a_connections_tag_counts(api: Api, connection: str) -> None:
    """The rest is what the workspace has. (ours)"""
    made = tag(api)
    sent = {**made, "name": "another", "color": "000000"}
    assert api.ok("PATCH", f"/connections/{connection}", json={"tags": [sent]})["tags"] == [made]


def test_unknown_tags_of_a_connection(api: Api, connection: str) -> None:
    """A tag that isn't there, or is another workspace's, is refused and changes nothing. (the answer is [?])"""
    other = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    for wrong in ({"tagId": str(uuid4()), "name": "n", "color": "000000"}, tag(api, workspace=other)):
        answer = api.patch(f"/connections/{connection}", json={"name": "changed", "tags": [wrong]})
        assert (answer.status_code, answer.json()["title"]) == (400, "bad-request")
    assert api.ok("GET", f"/connections/{connection}")["name"] != "changed"


def test_connections_follow_their_tags(api: Api, connection: str) -> None:
    """A tag that is renamed or deleted is so on its connections too."""
    kept, gone = tag(api, "kept"), tag(api, "gone")
    path = f"/connections/{connection}"
    api.ok("PATCH", path, json={"tags": [kept, gone]})
    renamed = api.ok("PATCH", f"/tags/{kept['tagId']}", json={"name": "renamed", "color": "123456"})
    api.delete(f"/tags/{gone['tagId']}")
    assert api.ok("GET", path)["tags"] == [renamed]
    assert api.ok("GET", "/connections")["data"][0]["tags"] == [renamed]
    assert api.ok("GET", f"/connections?tagIds={gone['tagId']}")["data"] == []


def test_tag_ids_match_any(api: Api) -> None:
    """tagIds, repeated or comma-joined, select connections that have any of the tags. (§3)"""
    a, b, c = (tag(api, name) for name in "abc")
    source, destination = api.source(count=1), api.destination()
    first, second, _ = (api.connection(source, destination, ["users"], tags=tags) for tags in ([a], [b, c], []))

    def found(query: str) -> list[str]:
        return [one["connectionId"] for one in api.ok("GET", f"/connections?{query}")["data"]]

    assert found(f"tagIds={a['tagId']}") == [first]
    assert found(f"tagIds={a['tagId']}&tagIds={c['tagId']}") == [first, second]
    assert found(f"tagIds={a['tagId']},{c['tagId']}") == [first, second]
    assert found(f"tagIds={uuid4()}") == []
    assert api.get("/connections?tagIds=nonsense").status_code == 400


def test_a_deleted_workspaces_tags_are_not_listed(api: Api) -> None:
    """Without workspaceIds the list is of the workspaces that are there. (TagService.kt)"""
    other = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    tag(api, workspace=other)
    api.delete(f"/workspaces/{other}")
    assert api.ok("GET", "/tags")["data"] == []


def test_a_state_from_before_there_were_tags_still_opens(tmp_path: Path) -> None:
    """The table is made at the start, and what was there stays."""
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        source = api.source(count=1)
        with airbyte.store.database.write() as session:
            session.execute(text("DROP TABLE tags"))
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        assert tag(api)["name"] == "nightly"
        assert [one["sourceId"] for one in api.ok("GET", "/sources")["data"]] == [source]
