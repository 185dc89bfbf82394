"""The steps of ``airbyte-dagster doctor`` that call Airbyte: what each answer makes of them, with no secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airbyte_dagster import AirbyteResource
from airbyte_dagster.airbyte.roles import LEAST_ROLE, NEEDED_FOR, Right
from airbyte_dagster.cli.airbyte_access import TRIAL, examine_airbyte
from airbyte_dagster.cli.findings import Finding, Status
from airbyte_dagster_tests.airbyte.conftest import BASE, job, page, problem, token_reply
from airbyte_dagster_tests.cli.reports import a_report, by_step, sources_of
from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.local.fakes import RunningAirbyte

SECRET = "PLANTED-secret"
WORKSPACE = {"workspaceId": "w-1", "name": "One"}
ORGANIZATION_INFO = "/api/v1/workspaces/get_organization_info"
OK, WARNING, FAILED = Status.OK, Status.WARNING, Status.FAILED


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """An Airbyte that has one empty workspace, and accepts everything."""
    with HttpServer() as running:
        running.on("GET", f"{BASE}/health", Reply(200, "Successful operation"))
        running.on("POST", f"{BASE}/applications/token", token_reply("PLANTED-token"))
        running.on("GET", f"{BASE}/workspaces", page(WORKSPACE))
        for name in ("sources", "destinations", "connections", "jobs"):
            running.on("GET", f"{BASE}/{name}", page())
        running.on("GET", f"{BASE}/permissions", roles(("workspace_editor", "workspace", "w-1")))
        running.on("POST", ORGANIZATION_INFO, Reply(200, {"organizationId": "o-1"}))
        yield running


def roles(*given: tuple[str, str, str]) -> Reply:
    data = [{"permissionId": "p", "permissionType": role, "scope": scope, "scopeId": of} for role, scope, of in given]
    return Reply(200, {"data": data})


def airbyte_at(server: HttpServer, **settings: Any) -> AirbyteResource:
    """A resource whose credentials no other test has: tokens are shared by the whole process."""
    settings = {"client_id": f"id-{server.port}", "client_secret": f"{SECRET}-{server.port}", **settings}
    return AirbyteResource(**{"server_url": server.url, "max_attempts": 1, "request_timeout": 5, **settings})


def examined(airbyte: AirbyteResource, *, write: bool = False, needed: Right = Right.EDIT) -> dict[str, Finding]:
    report = a_report()
    examine_airbyte(report, airbyte, write=write, needed=needed)
    return by_step(report)


def test_airbyte_that_is_as_it_should_be(server: HttpServer) -> None:
    """Every step is ok, with what it found; nothing but the token is requested with another method than GET."""
    server.on("GET", f"{BASE}/jobs", page(job(7, "succeeded")))

    found = examined(airbyte_at(server))

    assert {step: finding.found for step, finding in found.items()} == {
        "address": f"{server.url}{BASE}",
        "server": "Airbyte answers",
        "credentials": "client_id and client_secret accepted; they see One (w-1)",
        "workspace": "'One' (w-1)",
        "contents": "0 sources, 0 destinations, 0 connections",
        "jobs": "the last is job 7, a sync: succeeded",
        "rows of each stream": "the configuration API, which has them, answers",
        "roles": f"workspace_editor; enough for {NEEDED_FOR[Right.EDIT]}",
    }
    assert {finding.status for finding in found.values()} == {OK}
    written = {request.path for request in server.requests if request.method != "GET"}
    assert written == {f"{BASE}/applications/token", ORGANIZATION_INFO}


def test_health_is_requested_without_credentials(server: HttpServer) -> None:
    """The address may be a wrong one: nothing secret goes there before it has answered as Airbyte does."""
    server.on("GET", f"{BASE}/health", Reply(200, "<html>Welcome</html>"))

    examined(airbyte_at(server, client_id=None, client_secret=None, bearer_token="PLANTED-bearer"))

    assert [request.path for request in server.requests] == [f"{BASE}/health"]
    assert "authorization" not in server.requests[0].headers


REFUSED = Reply(401, {"errorId": "1"})
FORBIDDEN = problem(403, "forbidden", "the role is missing")


@pytest.mark.parametrize(
    ("method", "path", "answer", "step", "status", "words", "last"),
    [
        ("GET", "/health", Reply(200, "<html>"), "server", FAILED, "it answered 200 with a web page", "server"),
        ("GET", "/health", Reply(404, "Object not found."), "server", FAILED, "it answered 404", "server"),
        ("GET", "/health", Reply(503), "server", FAILED, "Airbyte answered 503", "server"),
        ("GET", "/health", Reply(401, "proxy"), "server", OK, "Airbyte answers", "roles"),
        ("POST", "/applications/token", REFUSED, "credentials", FAILED, "refused to sign in", "credentials"),
        ("GET", "/workspaces", Reply(500), "credentials", FAILED, "500", "credentials"),
        ("GET", "/workspaces", page(WORKSPACE, {"workspaceId": "w-2", "name": "Two"}), "workspace", FAILED,
         "There are 2 workspaces to choose from: One (w-1), Two (w-2)", "workspace"),
        ("GET", "/sources", FORBIDDEN, "contents", FAILED, "403 to GET /sources: the role is missing", "roles"),
        ("GET", "/connections", page({"name": "no id"}), "contents", FAILED, "no connectionId", "roles"),
        ("GET", "/jobs", FORBIDDEN, "jobs", FAILED, "the role is missing", "roles"),
        ("GET", "/permissions", Reply(404), "roles", WARNING, "can't be read", "roles"),
        ("GET", "/permissions", roles(("instance_admin", "none", "0")), "roles", OK, "instance_admin", "roles"),
        ("GET", "/permissions", roles(("workspace_reader", "workspace", "w-1")), "roles", WARNING,
         "workspace_reader; runs may not be allowed to do what they need: starting, cancelling", "roles"),
        ("GET", "/permissions", roles(("workspace_editor", "workspace", "w-2")), "roles", WARNING, "none is", "roles"),
    ],
)  # fmt: skip
def test_what_airbyte_answers(
    server: HttpServer, method: str, path: str, answer: Reply, step: str, status: Status, words: str, last: str
) -> None:
    """Each answer is found by its step; steps that need a failed one are left out, the others are done."""
    server.on(method, f"{BASE}{path}", answer)

    found = examined(airbyte_at(server))

    assert found[step].status is status
    assert words in found[step].found
    assert list(found)[-1] == last
    assert [name for name, finding in found.items() if finding.status is FAILED] == [step] * (status is FAILED)


@pytest.mark.parametrize(
    ("role", "enough"),
    [
        ("workspace_reader", Right.READ),
        ("organization_reader", Right.READ),
        ("organization_member", Right.NONE),
        ("workspace_runner", Right.RUN),
        ("workspace_source_editor", Right.RUN),
        ("workspace_editor", Right.EDIT),
        ("workspace_admin", Right.EDIT),
        ("organization_editor", Right.EDIT),
        ("instance_admin", Right.EDIT),
        ("a_role_of_tomorrow", Right.NONE),
    ],
)
@pytest.mark.parametrize("needed", [Right.READ, Right.RUN, Right.EDIT])
def test_roles_are_held_against_what_is_done(server: HttpServer, role: str, enough: Right, needed: Right) -> None:
    """Enough, or which features lack it and which role has it; a pipeline that is never changed needs no editor."""
    server.on("GET", f"{BASE}/permissions", roles((role, "workspace", "w-1")))

    found = examined(airbyte_at(server), needed=needed)["roles"]

    assert found.status is (OK if enough >= needed else WARNING)
    if found.status is OK:
        assert found.found == f"{role}; enough for {NEEDED_FOR[needed]}"
    else:
        lacking = {right for right, feature in NEEDED_FOR.items() if feature in found.found}
        assert lacking == {right for right in NEEDED_FOR if enough < right <= needed}
        assert f"the role {LEAST_ROLE[needed]}, in this workspace" in found.advice
        assert ("--write tries it" in found.advice) is (needed is Right.EDIT)


@pytest.mark.parametrize(
    ("method", "path", "step", "role"),
    [
        ("GET", "/connections", "contents", "workspace_reader"),
        ("GET", "/jobs", "jobs", "workspace_reader"),
        ("POST", "/sources", "writing", "workspace_editor"),
    ],
)
def test_a_refused_call_names_the_role_that_it_needs(
    server: HttpServer, method: str, path: str, step: str, role: str
) -> None:
    """And what it is needed for."""
    server.on(method, f"{BASE}{path}", FORBIDDEN)

    found = examined(airbyte_at(server), write=True)[step]

    assert found.status is FAILED
    assert f"This needs the role {role} or more, for" in found.advice


def test_settings_of_airbyte_that_are_not_valid() -> None:
    """Nothing is requested; the error's own guidance is what to do."""
    found = examined(AirbyteResource(server_url="http://127.0.0.1:1", client_id="a"))

    assert list(found) == ["address"]
    assert found["address"].found == "client_id is given without client_secret."
    assert found["address"].advice == "Give both or neither."


def test_workspaces_may_not_be_listed(server: HttpServer) -> None:
    """Then the credentials are good all the same, and a workspace that is configured can be found."""
    server.on("GET", f"{BASE}/workspaces", FORBIDDEN)
    server.on("GET", f"{BASE}/workspaces/w-1", Reply(200, WORKSPACE))

    found = examined(airbyte_at(server, workspace_id="w-1"))

    assert found["credentials"].found == "client_id and client_secret accepted"
    assert found["workspace"].status is OK


def test_configuration_api_out_of_reach(server: HttpServer) -> None:
    """A warning that says what it means for the checks."""
    server.on("POST", ORGANIZATION_INFO, Reply(404, "Object not found."))

    found = examined(airbyte_at(server))["rows of each stream"]

    assert (found.status, "404" in found.found) == (WARNING, True)
    assert "Checks can then verify row counts only where" in found.advice


def test_writing_is_tried_with_write_alone(airbyte: RunningAirbyte) -> None:
    """A source is created and deleted again."""
    assert "writing" not in examined(resource_of(airbyte))
    assert examined(resource_of(airbyte), write=True)["writing"].found == f"a source {TRIAL!r} was created and deleted"
    with client_of(airbyte) as client:
        assert sources_of(client, airbyte) == []


@pytest.mark.parametrize(
    ("created", "deleted", "words"),
    [
        (Reply(403, {"message": "Forbidden"}), Reply(204), "403 to POST /sources: Forbidden"),
        (Reply(drop="before"), Reply(204), "lost its connection"),
        (Reply(200, {"sourceId": "s-1", "name": TRIAL}), Reply(500), "500 to DELETE /sources/s-1"),
    ],
)
def test_writing_that_fails(server: HttpServer, created: Reply, deleted: Reply, words: str) -> None:
    """Whatever happened, the source is looked for by its name and deleted, and others are left alone."""
    server.on("POST", f"{BASE}/sources", created)
    trial, other = {"sourceId": "s-1", "name": TRIAL}, {"sourceId": "s-2", "name": "x"}
    server.on("GET", f"{BASE}/sources", page(), page(trial, other))
    server.on("DELETE", f"{BASE}/sources/{{id}}", deleted)

    found = examined(airbyte_at(server), write=True)["writing"]

    assert found.status is FAILED
    assert words in found.found
    assert {request.path for request in server.sent("DELETE", f"{BASE}/sources/{{id}}")} == {f"{BASE}/sources/s-1"}
