"""Pages for people, at the addresses that Dagster's metadata links to."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from airbyte_dagster.local import pages
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Iterator[Api]:
    with airbyte.api() as client:
        yield client


def page(airbyte: RunningAirbyte, path: str, status: int = 200) -> str:
    """Get a page as a browser does, without a token."""
    answer = httpx.get(f"{airbyte.url}{path}", follow_redirects=True)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def test_root_leads_to_the_workspace(airbyte: RunningAirbyte, api: Api) -> None:
    """With its sources, destinations and connections."""
    api.connection(api.source(count=1), api.destination(), ["users"], name="my connection")

    text = page(airbyte, "/")

    assert "Default Workspace" in text
    assert "faker source" in text
    assert "my connection" in text


@pytest.mark.parametrize("tab", ["", "/status", "/timeline"])
def test_connection_shows_its_jobs(airbyte: RunningAirbyte, api: Api, tab: str) -> None:
    """Rows, and why one failed."""
    connection_id = api.connection(api.source(count=1234), api.destination(), ["users"], name="my connection")
    api.finish(api.sync(connection_id))
    airbyte.engine.fail_next("The API key is expired")
    api.finish(api.sync(connection_id))

    text = page(airbyte, f"/workspaces/{api.workspace_id}/connections/{connection_id}{tab}")

    for words in ("my connection", "succeeded", "1,234", "failed", "The API key is expired", "users"):
        assert words in text


def test_source_shows_its_configuration_and_no_secret(airbyte: RunningAirbyte, api: Api) -> None:
    """Secrets are masked here too; what people typed is escaped."""
    body = {
        "name": "<script>alert(1)</script>",
        "workspaceId": api.workspace_id,
        "configuration": {"sourceType": "faker", "count": 7, "api_key": "PLANTED"},
    }
    source_id = api.ok("POST", "/sources", json=body)["sourceId"]

    text = page(airbyte, f"/workspaces/{api.workspace_id}/source/{source_id}")

    assert "count" in text
    assert "**********" in text
    assert "PLANTED" not in text
    assert "<script" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/workspaces/nonesuch",
        "/workspaces/{w}/source/11111111-1111-4111-8111-111111111111",
        "/workspaces/{w}/destination/x",
        "/workspaces/{w}/connections/11111111-1111-4111-8111-111111111111/status",
    ],
)
def test_address_of_nothing_is_a_404(airbyte: RunningAirbyte, path: str) -> None:
    """A page that says so, not JSON and no stack trace."""
    assert "Not found" in page(airbyte, path.format(w=airbyte.workspace_id), 404)


def test_pages_load_nothing_from_elsewhere(airbyte: RunningAirbyte) -> None:
    """No scripts, no foreign styles or pictures, and the browser is told so."""
    answer = httpx.get(f"{airbyte.url}/", follow_redirects=True)

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "src=" not in answer.text
    assert "http://" not in answer.text.replace(airbyte.url, "")


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (10**13, "10.0 TB")])
def test_sizes_are_for_people(count: int, text: str) -> None:
    """Decimal units."""
    assert pages.size(count) == text
