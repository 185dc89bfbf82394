"""What the pages' buttons do, and who can press them."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from fastapi.routing import APIRoute

from airbyte_dagster.local.routes import page_actions
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


def pages_of(airbyte: RunningAirbyte, connection: str) -> str:
    return f"{airbyte.url}/workspaces/{airbyte.workspace_id}/connections/{connection}"


def form(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form on a page that leads to an address ending so."""
    text = httpx.get(page).text
    for found in re.findall("<form.*?</form>", text, re.DOTALL):
        if re.search(rf'action="[^"]*/{action}"', found):
            fields = re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', found)
            return {name: unescape(value) for name, value in fields}
    raise AssertionError(f"{page} has no form for {action}")


def press(url: str, fields: dict[str, str], **headers: str) -> httpx.Response:
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
    """A sync when none is active, a cancel when one is; neither for a connection that is inactive."""

    def offered() -> tuple[bool, bool]:
        text = httpx.get(f"{pages_of(airbyte, connection)}/status").text
        return '/sync"' in text, '/cancel"' in text

    assert offered() == (True, False)
    airbyte.engine.hold()
    job = api.sync(connection)
    assert offered() == (False, True)
    airbyte.engine.release()
    api.finish(job)
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    assert offered() == (False, False)


def test_a_refusal_is_shown(airbyte: RunningAirbyte, api: Api, connection: str) -> None:
    """Where another was quicker, the connection's page has the reason, with the API's status."""
    path = pages_of(airbyte, connection)
    fields = form(f"{path}/status", "sync")
    airbyte.engine.hold()
    api.until(api.sync(connection), lambda job: job["status"] == "running")
    answer = press(f"{path}/sync", fields)
    assert answer.status_code == 409
    assert f"A sync is already running for: {connection}" in answer.text
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
    for body in (b"x" * 10_001, b"a=1&" * 100, b"\xff"):
        assert httpx.post(f"{path}/sync", content=body).status_code == 403


def test_each_change_needs_a_token(airbyte: RunningAirbyte) -> None:
    """There is no button without one."""
    routes = [route for route in page_actions.router.routes if isinstance(route, APIRoute)]
    changes = [route for route in routes if "POST" in (route.methods or ())]
    assert len(changes) >= 5
    for route in changes:
        answer = httpx.post(f"{airbyte.url}{re.sub('{.*?}', airbyte.workspace_id, route.path)}", data={"token": "x"})
        assert (route.path, answer.status_code) == (route.path, 403)
        assert "Open the page again." in answer.text
