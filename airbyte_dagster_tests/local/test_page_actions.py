"""What the pages' buttons do, and who can press them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from airbyte_dagster.local.routes import page_actions
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


def pages_of(airbyte: RunningAirbyte, connection: str) -> str:
    return f"{airbyte.url}/workspaces/{airbyte.workspace_id}/connections/{connection}"


def form(page: str, action: str) -> dict[str, Any]:
    """The hidden fields of the form on a page that leads to an address ending so, and the streams chosen there."""
    text = httpx.get(page).text
    for found in re.findall("<form.*?</form>", text, re.DOTALL):
        if re.search(rf'action="[^"]*/{action}"', found):
            fields = re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', found)
            streams = re.findall('name="stream" value="([^"]*)" checked', found)
            found_fields = {name: unescape(value) for name, value in fields}
            return {**found_fields, "stream": [unescape(value) for value in streams]}
    raise AssertionError(f"{page} has no form for {action}")


def press(url: str, fields: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(url, data=fields, headers={"sec-fetch-site": "same-origin", **headers}, follow_redirects=True)


@pytest.fixture
def connection(api: Api) -> str:
    return api.connection(api.source(count=3), api.destination(), ["users"], name="shop")


def test_sync(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """It starts a sync, and shows the job's page."""
    path = pages_of(airbyte, connection)
    answer = press(f"{path}/sync", form(f"{path}/status", "sync"))
    assert answer.status_code == 200
    assert answer.url.path.endswith("/timeline")
    assert "<h1>Job 1</h1>" in answer.text
    assert api.finish(1)["rowsSynced"] == 3


def test_cancel(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """On the connection's page and on the job's; what is not active any more changes nothing."""
    path = pages_of(airbyte, connection)
    for page in ("status", "timeline?jobId=2"):
        airbyte.engine.hold()
        job = api.sync(connection)
        fields = form(f"{path}/{page}", "cancel")
        answer = press(f"{path}/cancel", fields)
        assert f"<h1>Job {job}</h1>" in answer.text
        assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"
        assert "<h1>shop</h1>" in press(f"{path}/cancel", fields).text


def test_only_what_can_be_done_is_offered(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """A sync and a refresh when no job is active, a cancel when one is; none of them for an inactive connection."""

    def offered() -> set[str]:
        text = httpx.get(f"{pages_of(airbyte, connection)}/status").text
        return set(re.findall(rf'(?:action|href)="[^"]*/{connection}/(\w+)"', text))

    always = {"clear", "delete"}
    assert offered() == {"sync", "refresh", *always}
    airbyte.engine.hold()
    job = api.sync(connection)
    assert offered() == {"cancel", *always}
    airbyte.engine.release()
    api.finish(job)
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    assert offered() == always


def test_a_refusal_is_shown(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Where another was quicker, the connection's page has the reason, with the API's status."""
    path = pages_of(airbyte, connection)
    fields = form(f"{path}/status", "sync")
    airbyte.engine.hold()
    job = api.until(api.sync(connection), lambda job: job["status"] == "running")
    answer = press(f"{path}/sync", fields)
    assert answer.status_code == 409
    assert f"A sync is already running for: {connection}" in answer.text
    airbyte.engine.release()
    api.finish(job["jobId"])
    assert len(airbyte.engine.requests) == 1


def test_clear(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """After a page that says what it does; it is the API's reset."""
    api.finish(api.sync(connection))
    path = pages_of(airbyte, connection)
    assert (
        f'href="/workspaces/{airbyte.workspace_id}/connections/{connection}/clear"' in httpx.get(f"{path}/status").text
    )
    assert "empties the tables" in httpx.get(f"{path}/clear").text
    assert len(airbyte.engine.requests) == 1
    answer = press(f"{path}/clear", form(f"{path}/clear", "clear"))
    assert "clear of" in answer.text
    assert api.finish(2)["jobType"] == "reset"
    assert airbyte.jobs.get(2).streams is None


def test_clear_some_streams(airbyte: RunningAirbyte, api: Api) -> None:
    """Those that are chosen on the page before; a namesake in another namespace is not meant."""
    airbyte.engine.add("two", {"users": [{"id": 1}], "orders": [{"id": 1}]}, namespaces={"users": "eu"})
    connection = api.connection(api.source("two"), api.destination(), ["users", "orders"])
    path = pages_of(airbyte, connection)
    fields = form(f"{path}/clear", "clear")
    assert len(fields["stream"]) == 2
    answer = press(f"{path}/clear", {**fields, "stream": fields["stream"][:1]})
    assert "Of these streams only: eu.users" in answer.text
    assert airbyte.jobs.get(1).streams == [["eu", "users"]]
    for nothing in ([], ['[null, "users"]'], ["nonsense"]):
        refused = press(f"{path}/clear", {**fields, "stream": nothing})
        assert (refused.status_code, "No stream was chosen." in refused.text) == (422, True)


@pytest.mark.parametrize(("choice", "mode"), [("Merge", "Merge"), ("Truncate", "Truncate"), ("", "Merge")])
def test_refresh(choice: str, mode: str, airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """After a page where it is chosen what becomes of the rows: by default they stay."""
    path = pages_of(airbyte, connection)
    assert '/refresh"' in httpx.get(f"{path}/status").text
    assert 'value="Merge" checked' in httpx.get(f"{path}/refresh").text
    answer = press(f"{path}/refresh", {**form(f"{path}/refresh", "refresh"), "choice": choice})
    assert "refresh of" in answer.text
    job = airbyte.jobs.get(1)
    assert (job.type, job.refresh_mode, job.streams) == ("refresh", mode, None)
    assert api.finish(1)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("status", "refused"), [("inactive", {"sync", "refresh"}), ("deprecated", {"sync", "refresh", "clear"})]
)
def test_what_a_connection_that_is_not_active_refuses(
    status: str, refused: set[str], airbyte: RunningAirbyte, api: Api, connection: str
) -> None:
    """A page from before it was changed can't start what would be refused now."""
    path = pages_of(airbyte, connection)
    fields = {action: form(f"{path}/{page}", action) for action, page in PAGES.items()}
    if status == "deprecated":
        api.delete(f"/connections/{connection}")
    else:
        api.ok("PATCH", f"/connections/{connection}", json={"status": status})
    for action, given in fields.items():
        answer = press(f"{path}/{action}", given)
        assert (action, answer.status_code) == (action, 409 if action in refused else 200)
        assert (f"This connection is {status}." in answer.text) == (action in refused)


PAGES = {"sync": "status", "refresh": "refresh", "clear": "clear"}


def test_delete_a_connection(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """After a page that says what it does; its sync is cancelled, and its workspace is shown."""
    airbyte.engine.hold()
    job = api.sync(connection)
    path = pages_of(airbyte, connection)
    assert api.ok("GET", f"/connections/{connection}")["status"] == "active"
    fields = form(f"{path}/delete", "delete")
    answer = press(f"{path}/delete", fields)
    assert answer.url.path == f"/workspaces/{airbyte.workspace_id}"
    assert "shop" not in answer.text
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"
    assert press(f"{path}/delete", fields).status_code == 404


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_delete_an_actor(kind: str, airbyte: RunningAirbyte, api: Api) -> None:
    """The page before names the connections that go, too."""
    ends = {"source": api.source(count=3), "destination": api.destination()}
    connection = api.connection(ends["source"], ends["destination"], ["users"], name="shop")
    path = f"{airbyte.url}/workspaces/{airbyte.workspace_id}/{kind}/{ends[kind]}"
    assert "/delete" in httpx.get(path).text
    before = httpx.get(f"{path}/delete").text
    assert "Its connections are deleted, too." in before
    assert ">shop</a>" in before
    answer = press(f"{path}/delete", form(f"{path}/delete", "delete"))
    assert answer.url.path == f"/workspaces/{airbyte.workspace_id}"
    assert api.get(f"/{kind}s/{ends[kind]}").status_code == 404
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert httpx.get(f"{path}/delete").status_code == 404


def test_delete_an_unused_actor(airbyte: RunningAirbyte, api: Api) -> None:
    """The page before says that nothing uses it."""
    path = f"{airbyte.url}/workspaces/{airbyte.workspace_id}/source/{api.source(count=3)}"
    assert "No connection uses it." in httpx.get(f"{path}/delete").text


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"token": ""}, {}),
        ({"token": "0" * 64}, {}),
        ({"token": "é"}, {}),
        ("of another form", {}),
        ("right", {"sec-fetch-site": "cross-site"}),
        ("right", {"sec-fetch-site": "same-site"}),
        ("right", {"origin": "null"}),
        ("right", {"origin": "https://evil.example"}),
    ],
)
def test_a_form_of_others_does_nothing(
    fields: dict[str, str] | str, headers: dict[str, str], airbyte: RunningAirbyte, api: Api, connection: str
) -> None:
    """Without the token of that very form, or sent by another site by the browser's word: 403, and no job."""
    path = pages_of(airbyte, connection)
    given = {
        "right": form(f"{path}/status", "sync"),
        "of another form": form(f"{path}/clear", "clear"),
    }.get(str(fields), fields)
    assert press(f"{path}/sync", given, **headers).status_code == 403  # type: ignore[arg-type]
    assert airbyte.jobs.active(connection) == []
    assert airbyte.engine.requests == []


def test_a_body_without_end_is_refused(airbyte: RunningAirbyte, connection: str) -> None:
    """So are one of thousands of fields, and one that is no text."""
    path = pages_of(airbyte, connection)
    for body in (b"x" * 1_000_001, b"a=1&" * 10_001, b"\xff"):
        assert httpx.post(f"{path}/sync", content=body).status_code == 403


def test_each_change_needs_a_token(airbyte: RunningAirbyte) -> None:
    """There is no button without one."""
    routes = [route for route in page_actions.router.routes if isinstance(route, APIRoute)]
    changes = [route for route in routes if "POST" in (route.methods or ())]
    assert len(changes) >= 6
    for route in changes:
        answer = httpx.post(f"{airbyte.url}{re.sub('{.*?}', airbyte.workspace_id, route.path)}", data={"token": "x"})
        assert (route.path, answer.status_code) == (route.path, 403)
        assert "Open the page again." in answer.text
