"""The pages for people."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from airbyte_dagster.local import pages
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte


def get(airbyte: RunningAirbyte, path: str) -> httpx.Response:
    """As a browser: no token."""
    return httpx.get(f"{airbyte.url}{path}", follow_redirects=True)


def test_root_leads_to_the_default_workspace(airbyte: RunningAirbyte, api: Api) -> None:
    """/ is a redirect, and the page lists what is there, with links that work."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"], name="my connection")
    api.finish(api.sync(connection))
    answer = get(airbyte, "/")
    assert answer.url.path == f"/workspaces/{airbyte.workspace_id}"
    assert answer.headers["content-type"].startswith("text/html")
    for words in ("my connection", "faker source", "duck", "succeeded"):
        assert words in answer.text
    links = {part.split('"')[0] for part in answer.text.split('href="')[1:]}
    assert len(links) >= 5
    for link in links:
        assert get(airbyte, link).status_code == 200, link


def test_a_connections_page(airbyte: RunningAirbyte, api: Api) -> None:
    """It shows the streams and the jobs with status, rows, bytes, start, duration and reason, the newest first."""
    connection = api.connection(api.source(count=1005), api.destination(), ["users"], prefix="raw_")
    api.finish(api.sync(connection))
    airbyte.engine.fail_next("The source <broke>")
    api.finish(api.sync(connection))
    for page in ("", "/status", "/timeline"):
        text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}{page}").text
        for words in ("users", "full refresh overwrite", "raw_", "1,005", " kB", " UTC", "The source &lt;broke&gt;"):
            assert words in text
        assert text.index(">failed<") < text.index(">succeeded<")
        assert "http-equiv" not in text


def test_a_page_of_a_running_job_renews_itself(airbyte: RunningAirbyte, api: Api) -> None:
    """As long as a job is active, and without a script."""
    connection = api.connection(api.source(count=1), api.destination(), ["users"])
    airbyte.engine.hold()
    job = api.sync(connection)
    path = f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status"
    assert 'http-equiv="refresh"' in get(airbyte, path).text
    airbyte.engine.release()
    api.finish(job)
    assert 'http-equiv="refresh"' not in get(airbyte, path).text


def test_the_last_fifty_jobs_are_shown(airbyte: RunningAirbyte, api: Api) -> None:
    """No more, however many there are."""
    connection = api.connection(api.source(count=1), api.destination(), [])
    for _ in range(52):
        job = airbyte.jobs.add_reset(connection, airbyte.workspace_id)
        airbyte.jobs.end(job.id, "cancelled", None)
    text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status").text
    assert text.count(">cancelled<") == 50
    assert "<td>52 " in text
    assert "<td>2 " not in text


@pytest.mark.parametrize("strict", [False, True])
def test_secrets_are_masked(strict: bool, tmp_path: Path) -> None:
    """A source's and a destination's page show the configuration with masks in both modes."""
    with running_local_airbyte(tmp_path, ScriptedEngine(), strict=strict) as airbyte, airbyte.api() as api:
        source = api.source(count=35, api_key="planted-secret")
        destination = api.destination("md:lms", motherduck_api_key="planted-secret")
        for path, words in ((f"source/{source}", "35"), (f"destination/{destination}", "md:lms")):
            text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/{path}").text
            assert words in text
            assert "*" * 10 in text
            assert "planted-secret" not in text


def test_everything_is_escaped(airbyte: RunningAirbyte, api: Api) -> None:
    """Names and values are text, whatever is in them."""
    bad = "<script>alert('x')</script>"
    workspace = api.ok("POST", "/workspaces", json={"name": bad})["workspaceId"]
    airbyte.engine.add("odd", {bad: [{"id": 1}]})
    body = {"name": bad, "workspaceId": workspace, "configuration": {"sourceType": "odd", bad: bad}}
    source = api.ok("POST", "/sources", json=body)["sourceId"]
    config = {"destinationType": "duckdb", "destination_path": "x.duckdb"}
    destination = api.ok("POST", "/destinations", json={**body, "configuration": config})["destinationId"]
    tag = api.ok("POST", "/tags", json={"name": bad[:30], "color": "000000", "workspaceId": workspace})
    connection = api.connection(source, destination, [bad], name=bad, prefix=bad, tags=[tag])
    for path in ("", f"/source/{source}", f"/destination/{destination}", f"/connections/{connection}/status"):
        answer = get(airbyte, f"/workspaces/{workspace}{path}")
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "&lt;script&gt;" in answer.text


def test_nothing_from_elsewhere(airbyte: RunningAirbyte, api: Api) -> None:
    """No scripts, no assets, no frames; the browser is told so too."""
    answer = get(airbyte, "/")
    assert "<script" not in answer.text
    assert "src=" not in answer.text
    assert "http:" not in answer.text + answer.text.replace("https:", "http:")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_pages_of_nothing(airbyte: RunningAirbyte, api: Api) -> None:
    """An unknown or malformed id, or a thing of another workspace, is a page that says so, with status 404."""
    other = api.ok("POST", "/workspaces", json={"name": "w"})["workspaceId"]
    source, destination = api.source(count=1), api.destination()
    connection = api.connection(source, destination, ["users"])
    paths = [f"/{uuid4()}", "/nonsense", f"/{airbyte.workspace_id}/source/{destination}"]
    for home, thing in ((other, None), (airbyte.workspace_id, str(uuid4())), (airbyte.workspace_id, "nonsense")):
        paths += [
            f"/{home}/source/{thing or source}",
            f"/{home}/destination/{thing or destination}",
            f"/{home}/connections/{thing or connection}/status",
        ]
    for path in paths:
        answer = get(airbyte, f"/workspaces{path}")
        assert (path, answer.status_code) == (path, 404)
        assert "Not found" in answer.text


def test_deleted_connections_keep_their_page(airbyte: RunningAirbyte, api: Api) -> None:
    """What it did can still be looked up, as the API still gives it by id, even when its ends are gone."""
    source = api.source(count=1)
    connection = api.connection(source, api.destination(), ["users"])
    api.delete(f"/sources/{source}")
    text = get(airbyte, f"/workspaces/{airbyte.workspace_id}/connections/{connection}/status").text
    assert ">deprecated<" in text
    assert ">deleted<" in text


def test_sizes() -> None:
    """Bytes are shown with a unit that suits them."""
    shown = [pages.size(count) for count in (0, 999, 1500, 2_500_000, 3_000_000_000, 4_000_000_000_000_000)]
    assert shown == ["0 B", "999 B", "1.5 kB", "2.5 MB", "3.0 GB", "4000.0 TB"]
