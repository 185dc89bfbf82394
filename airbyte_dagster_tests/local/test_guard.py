"""The guard against other hosts and their pages.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

import httpx
import pytest

from airbyte_dagster.local.app import create_app
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.walk import routes


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


def test_no_origin_is_fine(api: Api) -> None:
    """curl and the SDKs send no Origin."""
    assert "origin" not in api.headers
    assert api.get("/workspaces").status_code == 200


def test_a_rebound_name_reaches_no_route(airbyte: RunningAirbyte, api: Api) -> None:
    """A page whose own name was made to point to this machine (DNS rebinding) sends that name: 403 everywhere, token or
    no token.
    """
    found = [*routes(create_app(airbyte.context)), *(("GET", path) for path in ("/docs", "/openapi.json", "/nonesuch"))]
    assert len(found) > 40
    for method, path in found:
        answer = api.request(method, airbyte.url + path, headers={"host": "rebound.example:8006"})
        assert (method, path, answer.status_code) == (method, path, 403)
        assert airbyte.workspace_id not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example#127.0.0.1",
        "127.0.0.1@evil.example",
        "0.0.0.0",  # noqa: S104 - a name here, not an address to listen on
        "",
    ],
)
def test_names_that_only_look_local_are_refused(host: str, airbyte: RunningAirbyte) -> None:
    """The whole name counts, not a part of it."""
    assert httpx.get(f"{airbyte.server_url}/health", headers={"host": host}).status_code == 403


def test_another_sites_form_is_refused(airbyte: RunningAirbyte, api: Api) -> None:
    """A form of another site may be sent without a preflight; its Origin gives it away, and no workspace is made."""
    headers = {"origin": "https://evil.example", "content-type": "text/plain"}
    assert api.post("/workspaces", content=b'{"name": "planted"}', headers=headers).status_code == 403
    assert [one["name"] for one in api.ok("GET", "/workspaces")["data"]] == ["Default Workspace"]


def test_no_page_may_read_across_origins(airbyte: RunningAirbyte) -> None:
    """No answer allows another origin to read it, not even one of this machine."""
    answer = httpx.get(f"{airbyte.server_url}/health", headers={"origin": "http://localhost:3000"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
