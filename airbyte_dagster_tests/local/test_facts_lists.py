"""Facts: pages of lists, and what selects.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
import pytest

from airbyte_dagster_tests.local.fakes import Api, running_local_airbyte

LISTS = ["workspaces", "sources", "destinations", "connections", "jobs"]
OTHER = "11111111-1111-4111-8111-111111111111"


def parameters(link: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(link).query)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Three of everything in lists, for tests that add nothing to them."""
    with running_local_airbyte(tmp_path_factory.mktemp("filled")) as airbyte, airbyte.api() as api:
        for _ in range(3):
            api.ok("POST", "/workspaces", json={"name": "w"})
            source, destination = api.source(count=1), api.destination()
            api.finish(api.sync(api.connection(source, destination, ["users"])))
        yield api


def test_links_can_be_followed(api: Api) -> None:
    """Each link leads to the page it names, until the empty one. (ours: Airbyte's name a host that is
    seldom there, §3)
    """
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


@pytest.mark.parametrize("kind", LISTS)
def test_next_is_there_even_on_the_last_page(kind: str, filled: Api) -> None:
    """`next` is non-empty whenever the page is, even on the last one, and empty only on an empty page. (§3)"""
    assert filled.ok("GET", f"/{kind}?limit=100")["next"] != ""
    assert filled.ok("GET", f"/{kind}?limit=100&offset=100") | {"previous": ""} == {
        "previous": "",
        "next": "",
        "data": [],
    }


@pytest.mark.parametrize("kind", LISTS)
def test_previous_is_empty_at_offset_0_only(kind: str, filled: Api) -> None:
    """`previous` is empty at offset 0; further on it is there and never goes below 0. (§3, PaginationMapper.kt)"""
    assert filled.ok("GET", f"/{kind}?limit=2")["previous"] == ""
    assert ("offset", "0") in parameters(filled.ok("GET", f"/{kind}?limit=2&offset=1")["previous"])
    assert ("offset", "1") in parameters(filled.ok("GET", f"/{kind}?limit=2&offset=3")["previous"])


@pytest.mark.parametrize("kind", LISTS)
def test_previous_repeats_the_limit(kind: str, filled: Api) -> None:
    """One builder makes both links, so `previous` has `limit` twice, unless there is no `next`. (§3)"""
    page = filled.ok("GET", f"/{kind}?limit=2&offset=1")
    assert [name for name, _ in parameters(page["previous"])].count("limit") == 2
    assert [name for name, _ in parameters(page["next"])].count("limit") == 1
    assert [n for n, _ in parameters(filled.ok("GET", f"/{kind}?limit=2&offset=9")["previous"])].count("limit") == 1
    assert httpx.get(page["previous"], headers=filled.headers).status_code == 200


@pytest.mark.parametrize("kind", LISTS)
def test_limit_and_offset(kind: str, api: Api) -> None:
    """The limit is 20 unless given, from 1 to 100; the offset is 0 or more. (§3)"""
    for right in (1, 100):
        assert api.get(f"/{kind}?limit={right}").status_code == 200
    for wrong in ("limit=0", "limit=101", "limit=-1", "limit=x", "offset=-1", "offset=x"):
        assert api.get(f"/{kind}?{wrong}").status_code == 400
    if kind == "workspaces":
        for number in range(20):
            api.ok("POST", "/workspaces", json={"name": f"w{number}"})
        assert len(api.ok("GET", "/workspaces")["data"]) == 20
        assert ("limit", "20") in parameters(api.ok("GET", "/workspaces")["next"])


@pytest.mark.parametrize("kind", ["workspaces", "sources", "destinations", "connections"])
def test_which_filters_survive(kind: str, filled: Api) -> None:
    """includeDeleted and workspaceIds, comma-joined, are in the links; tagIds is lost. (§3, *sResponseMapper.kt)"""
    ids = f"workspaceIds={filled.workspace_id}&workspaceIds={OTHER}"
    page = filled.ok("GET", f"/{kind}?limit=1&includeDeleted=true&{ids}")
    assert parameters(page["next"]) == [
        ("includeDeleted", "true"),
        ("workspaceIds", f"{filled.workspace_id},{OTHER}"),
        ("limit", "1"),
        ("offset", "1"),
    ]
    assert ("includeDeleted", "false") in parameters(filled.ok("GET", f"/{kind}?limit=1")["next"])
    if kind == "connections":
        tag = filled.ok("POST", "/tags", json={"name": "t", "color": "75DCFF", "workspaceId": filled.workspace_id})
        filled.ok(
            "PATCH", f"/connections/{filled.ok('GET', '/connections')['data'][0]['connectionId']}", json={"tags": [tag]}
        )
        assert "tagIds" not in dict(parameters(filled.ok("GET", f"/connections?tagIds={tag['tagId']}")["next"]))


def test_which_filters_of_jobs_survive(filled: Api) -> None:
    """jobType and connectionId, or else workspaceIds, are in the links; all others are lost. (§3)"""
    connection = filled.ok("GET", "/connections")["data"][0]["connectionId"]
    lost = "status=succeeded&createdAtStart=2020-01-01T00:00:00Z&orderBy=createdAt|DESC"
    following = filled.ok("GET", f"/jobs?limit=1&jobType=sync&connectionId={connection}&workspaceIds={OTHER}&{lost}")
    assert parameters(following["next"]) == [
        ("jobType", "sync"),
        ("connectionId", connection),
        ("limit", "1"),
        ("offset", "1"),
    ]
    following = filled.ok("GET", f"/jobs?limit=1&workspaceIds={filled.workspace_id}&{lost}")
    assert parameters(following["next"]) == [("workspaceIds", filled.workspace_id), ("limit", "1"), ("offset", "1")]


def test_links_are_below_the_public_api(api: Api) -> None:
    """Links go on after the API's own URL with the list's path. (§3; the host is this server's own)"""
    api.source(count=1)
    assert api.ok("GET", "/sources")["next"].startswith(f"{api.root}/api/public/v1/sources?")


def test_workspace_filter(api: Api) -> None:
    """workspaceIds may be repeated or comma-joined; another workspace's things are not shown. (§3)"""
    api.source(count=1)
    other = str(uuid4())
    assert api.ok("GET", f"/sources?workspaceIds={other}")["data"] == []
    assert len(api.ok("GET", f"/sources?workspaceIds={other},{api.workspace_id}")["data"]) == 1
    assert len(api.ok("GET", f"/sources?workspaceIds={other}&workspaceIds={api.workspace_id}")["data"]) == 1
    assert api.get("/sources?workspaceIds=nonsense").status_code == 400


def test_no_workspace_ids_means_all(api: Api) -> None:
    """Without workspaceIds the lists are of all the user's workspaces. (§3)"""
    other = api.ok("POST", "/workspaces", json={"name": "other"})["workspaceId"]
    api.source(count=1)
    body = {"name": "s", "workspaceId": other, "configuration": {"sourceType": "faker"}}
    api.ok("POST", "/sources", json=body)
    assert {one["workspaceId"] for one in api.ok("GET", "/sources")["data"]} == {api.workspace_id, other}


@pytest.mark.parametrize("kind", ["source", "destination", "connection", "workspace"])
def test_deleted_things_are_hidden(kind: str, api: Api) -> None:
    """Lists hide what is deleted unless includeDeleted is true. (§3, OAS: false by default)"""
    make: dict[str, Callable[[], Any]] = {
        "source": lambda: api.source(count=1),
        "destination": api.destination,
        "connection": lambda: api.connection(api.source(count=1), api.destination(), ["users"]),
        "workspace": lambda: api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"],
    }
    made = make[kind]()
    assert api.delete(f"/{kind}s/{made}").status_code == 204

    def ids(query: str) -> list[str]:
        return [one[f"{kind}Id"] for one in api.ok("GET", f"/{kind}s?{query}")["data"]]

    assert made not in ids("") + ids("includeDeleted=false")
    assert made in ids("includeDeleted=true")


def test_absent_values_are_left_out_and_empty_lists_stay(api: Api) -> None:
    """Answers have no nulls; empty lists are there. (§3, application.yml: NON_ABSENT)"""
    shown = api.get(f"/connections/{api.connection(api.source(count=1), api.destination(), ['users'])}")
    assert "null" not in shown.text
    assert "namespaceFormat" not in shown.json()
    assert "statusReason" not in shown.json()
    assert shown.json()["tags"] == []
