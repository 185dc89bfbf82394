"""Facts: signing in, and health.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

import httpx
import pytest

from airbyte_dagster.local.deps import Tokens
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.settings import Credentials
from airbyte_dagster_tests.local.fakes import RunningAirbyte


@pytest.mark.parametrize("prefix", ["/api/public/v1", "/api/v1"])
@pytest.mark.parametrize("how", ["json", "form"])
def test_token_by_json_and_by_form(how: str, prefix: str, airbyte: RunningAirbyte) -> None:
    """A token is given for JSON and for a form, without and with a grant type, under both base paths. (§1,
    ApplicationsController.kt)
    """
    body = {"client_id": airbyte.client_id, "client_secret": airbyte.client_secret, "grant_type": "client_credentials"}
    url = f"{airbyte.url}{prefix}/applications/token"
    answer = httpx.post(url, json=body) if how == "json" else httpx.post(url, data=body)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 900)


def test_a_body_without_a_content_type_is_json(airbyte: RunningAirbyte) -> None:
    """JSON is what is read when the request doesn't say what it is. (ours; the real server's answer is [?])"""
    body = f'{{"client_id": "{airbyte.client_id}", "client_secret": "{airbyte.client_secret}"}}'
    answer = httpx.post(f"{airbyte.server_url}/applications/token", content=body.encode())
    assert answer.status_code == 200


def test_incomplete_credentials_are_a_422(airbyte: RunningAirbyte) -> None:
    """A missing client_id or client_secret, or a body that isn't JSON, is a 422 with an errorId. (§2; 400 or 422 is
    [?])
    """
    url = f"{airbyte.server_url}/applications/token"
    answers = [
        httpx.post(url, json={"client_id": "x"}),
        httpx.post(url, data={"client_secret": "x"}),
        httpx.post(url, json=[]),
        httpx.post(url, content=b"{", headers={"content-type": "application/json"}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert "errorId" in answer.json()


def test_bad_credentials_get_communitys_400(airbyte: RunningAirbyte) -> None:
    """Wrong credentials are a 400 with Micronaut's HAL body, not a 401. (§1, ApplicationServiceMicronautImpl.kt)"""
    body = {"client_id": airbyte.client_id, "client_secret": "wrong"}
    answer = httpx.post(f"{airbyte.server_url}/applications/token", json=body)
    assert answer.status_code == 400
    assert answer.json() == {
        "message": "Bad Request",
        "_links": {"self": {"href": "/api/public/v1/applications/token", "templated": False}},
        "_embedded": {"errors": [{"message": "Invalid client id or token", "_links": {}, "_embedded": {}}]},
    }


def test_token_needs_no_token(airbyte: RunningAirbyte) -> None:
    """Asking for a token is anonymous; an expired one sent along doesn't matter. (§1)"""
    body = {"client_id": airbyte.client_id, "client_secret": airbyte.client_secret}
    answer = httpx.post(
        f"{airbyte.server_url}/applications/token", json=body, headers={"authorization": "Bearer expired"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", ["/workspaces", "/sources", "/destinations", "/connections", "/jobs", "/jobs/1"])
def test_everything_needs_a_token(path: str, headers: dict[str, str], airbyte: RunningAirbyte) -> None:
    """Without a valid bearer token the answer is 401. (§1; its body is [?])"""
    assert httpx.get(airbyte.server_url + path, headers=headers).status_code == 401


def test_the_401_is_micronauts(airbyte: RunningAirbyte) -> None:
    """There is no handler of Airbyte's for it, so the body is the framework's. (§1; [?])"""
    answer = httpx.get(f"{airbyte.server_url}/workspaces")
    assert answer.json()["message"] == "Unauthorized"
    assert answer.json()["_links"]["self"] == {"href": "/api/public/v1/workspaces", "templated": False}


def test_tokens_expire_after_their_time() -> None:
    """A token is good for 900 s and no longer. (§1: 15 minutes)"""
    now = [1000.0]
    tokens = Tokens(Credentials("id", "secret", "w"), clock=lambda: now[0])
    token = tokens.issue("id", "secret")
    now[0] += 899
    assert tokens.valid(token)
    now[0] += 1
    assert not tokens.valid(token)
    with pytest.raises(ApiError):
        tokens.issue("id", "sécret")


def test_health_needs_no_token(airbyte: RunningAirbyte) -> None:
    """Health is a text, without a token. (§7, HealthController.kt)"""
    answer = httpx.get(f"{airbyte.server_url}/health")
    assert (answer.status_code, answer.text) == (200, "Successful operation")
