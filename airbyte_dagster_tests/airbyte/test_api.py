"""What each method sends, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

import pytest
from airbyte_api import models

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Failure, Permission, StreamStats
from airbyte_dagster.errors import BadCredentials, ServerError, UnexpectedAnswer, WorkspaceError, WrongBasePath
from airbyte_dagster_tests.airbyte.conftest import BASE, MakeClient, job, page, problem
from airbyte_dagster_tests.http_server import HttpServer, Reply

ONE = {"workspaceId": "w-1", "name": "One"}
TWO = {"workspaceId": "w-2", "name": "Two"}
WORKSPACES = f"{BASE}/workspaces"


def test_the_only_workspace(server: HttpServer, client: AirbyteClient) -> None:
    """With nothing given the only workspace is taken."""
    server.on("GET", WORKSPACES, page(ONE))
    assert client.find_workspace().id == "w-1"
    assert len(server.requests) == 1


def test_workspace_by_name_and_id(server: HttpServer, client: AirbyteClient) -> None:
    """A name and an id find one of several; an id costs one call."""
    server.on("GET", WORKSPACES, page(ONE, TWO))
    server.on("GET", f"{WORKSPACES}/w-2", Reply(200, TWO))
    assert client.find_workspace(name="Two").id == "w-2"
    assert client.find_workspace(workspace_id="w-2").name == "Two"
    assert len(server.requests) == 2
    with pytest.raises(WorkspaceError, match="has the name 'Two', not 'One'"):
        client.find_workspace(workspace_id="w-2", name="One")


@pytest.mark.parametrize("question", [{}, {"name": "Three"}])
def test_no_single_workspace(server: HttpServer, client: AirbyteClient, question: dict[str, str]) -> None:
    """Where none or several fit, the error lists what there is."""
    server.on("GET", WORKSPACES, page(ONE, TWO))
    with pytest.raises(WorkspaceError, match=r"One \(w-1\), Two \(w-2\)"):
        client.find_workspace(**question)


def test_two_workspaces_of_one_name(server: HttpServer, client: AirbyteClient) -> None:
    """A name that two have is not enough."""
    server.on("GET", WORKSPACES, page(ONE, {**TWO, "name": "One"}))
    with pytest.raises(
        WorkspaceError, match=r"2 workspaces named 'One': One \(w-1\), One \(w-2\).*Set the workspace id"
    ):
        client.find_workspace(name="One")


@pytest.mark.parametrize(
    "refusal",
    [
        problem(403, "forbidden", "Forbidden"),
        problem(404, "resource-not-found", resourceType="WORKSPACE"),
        Reply(500, {"errorId": "e"}),
        Reply(422, {"errorId": "e"}),
    ],
)
def test_wrong_workspace_id(server: HttpServer, client: AirbyteClient, refusal: Reply) -> None:
    """A wrong workspace id is a definite error that lists what there is, however Airbyte refuses it."""
    server.on("GET", f"{WORKSPACES}/w-9", refusal)
    server.on("GET", WORKSPACES, page(ONE))
    with pytest.raises(WorkspaceError, match=r"no workspace w-9; there are: One \(w-1\)"):
        client.find_workspace(workspace_id="w-9")


def test_no_workspace_at_all(server: HttpServer, client: AirbyteClient) -> None:
    """No workspace is an error, not an empty result."""
    server.on("GET", WORKSPACES, page())
    with pytest.raises(WorkspaceError, match="see no workspace"):
        client.find_workspace()


def test_other_failures_are_no_missing_workspace(server: HttpServer, client: AirbyteClient) -> None:
    """Bad credentials or a dead server are not mistaken for a wrong workspace id."""
    server.on("GET", f"{WORKSPACES}/w-1", Reply(401))
    with pytest.raises(BadCredentials):
        client.find_workspace(workspace_id="w-1")
    server.on("GET", f"{WORKSPACES}/w-1", Reply(503))
    with pytest.raises(ServerError):
        client.find_workspace(workspace_id="w-1")


def test_long_lists_are_cut(server: HttpServer, client: AirbyteClient) -> None:
    """An error doesn't list hundreds of workspaces."""
    server.on("GET", WORKSPACES, page(*({"workspaceId": f"w-{n}", "name": f"n{n}"} for n in range(60))))
    with pytest.raises(WorkspaceError, match="and 40 more"):
        client.find_workspace()


def _source(**more: Any) -> dict[str, Any]:
    return {"sourceId": "s-1", "name": "n", "workspaceId": "w-1", "sourceType": "faker", "configuration": {}, **more}


def test_create_source_is_what_the_sdk_would_send(server: HttpServer, client: AirbyteClient) -> None:
    """The body of a new source is one that the SDK's own model accepts and would send."""
    server.on("POST", f"{BASE}/sources", Reply(200, _source()))
    client.create_actor("source", workspace_id="w-1", name="n", configuration={"sourceType": "faker", "count": 35})
    body = server.requests[0].json
    assert body == {"name": "n", "workspaceId": "w-1", "configuration": {"sourceType": "faker", "count": 35}}
    request = models.SourceCreateRequest.model_validate(body)
    assert isinstance(request.configuration, models.SourceFaker)
    assert request.model_dump(mode="json", by_alias=True)["workspaceId"] == "w-1"


def test_create_destination_is_what_the_sdk_would_send(server: HttpServer, client: AirbyteClient) -> None:
    """So is the body of a new destination."""
    server.on("POST", f"{BASE}/destinations", Reply(200, {"destinationId": "d-1", "name": "n"}))
    configuration = {"destinationType": "duckdb", "destination_path": "md:lms", "motherduck_api_key": "k"}
    client.create_actor("destination", workspace_id="w-1", name="n", configuration=configuration, definition_id="def-1")
    body = server.requests[0].json
    assert body["definitionId"] == "def-1"
    request = models.DestinationCreateRequest.model_validate(body)
    assert isinstance(request.configuration, models.DestinationDuckdb)


def test_connections_and_jobs_are_what_the_sdk_would_send(server: HttpServer, client: AirbyteClient) -> None:
    """So are the bodies of new connections and jobs."""
    server.on("POST", f"{BASE}/connections", Reply(200, {"connectionId": "c-1", "name": "n"}))
    server.on("POST", f"{BASE}/jobs", Reply(200, job()))
    payload = {
        "sourceId": "s-1",
        "destinationId": "d-1",
        "name": "n",
        "configurations": {"streams": [{"name": "users", "syncMode": "full_refresh_overwrite"}]},
    }
    client.create_connection(payload)
    client.create_job("c-1", "reset")
    connection, start = (request.json for request in server.requests)
    assert connection == payload
    assert models.ConnectionCreateRequest.model_validate(connection).configurations is not None
    assert start == {"connectionId": "c-1", "jobType": "reset"}
    assert models.JobCreateRequest.model_validate(start).job_type == models.JobTypeEnum.RESET


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_changes(server: HttpServer, client: AirbyteClient, kind: Any) -> None:
    """PATCH sends only what is given, PUT sends both, DELETE nothing; the two kinds differ in nothing but the path."""
    answer = {f"{kind}Id": "a-1", "name": "new"}
    for method in ("PATCH", "PUT"):
        server.on(method, f"{BASE}/{kind}s/a-1", Reply(200, answer))
    server.on("DELETE", f"{BASE}/{kind}s/a-1", Reply(204))
    assert client.patch_actor(kind, "a-1", name="new").name == "new"
    client.patch_actor(kind, "a-1", configuration={"a": 1})
    client.replace_actor(kind, "a-1", name="new", configuration={"a": 1})
    client.delete_actor(kind, "a-1")
    assert [(request.method, request.json) for request in server.requests] == [
        ("PATCH", {"name": "new"}),
        ("PATCH", {"configuration": {"a": 1}}),
        ("PUT", {"name": "new", "configuration": {"a": 1}}),
        ("DELETE", None),
    ]


def test_actors_of_a_workspace(server: HttpServer, client: AirbyteClient) -> None:
    """Sources are read with their workspace; one of a connector that the SDK can't read doesn't spoil the list."""
    server.on("GET", f"{BASE}/sources", page(_source(), _source(sourceId="s-2", sourceType="", configuration={"x": 1})))
    found = client.actors("source", "w-1")
    assert [(source.id, source.configuration) for source in found] == [("s-1", {}), ("s-2", {"x": 1})]
    assert server.requests[0].query["workspaceIds"] == ["w-1"]


def test_streams(server: HttpServer, client: AirbyteClient) -> None:
    """The destination is asked with the source, so that the modes of both are known."""
    server.on("GET", f"{BASE}/streams", Reply(200, [{"streamName": "users"}]))
    assert client.available_streams("s-1", "d-1", ignore_cache=True)[0].name == "users"
    assert client.available_streams("s-1")[0].name == "users"
    first, second = (request.query for request in server.requests)
    assert first == {"sourceId": ["s-1"], "destinationId": ["d-1"], "ignoreCache": ["true"]}
    assert second == {"sourceId": ["s-1"], "ignoreCache": ["false"]}


def test_cancel(server: HttpServer, client: AirbyteClient) -> None:
    """A cancelled job comes back; a server that answers with nothing is asked for it."""
    server.on("DELETE", f"{BASE}/jobs/42", Reply(200, job(status="cancelled")), Reply(204))
    server.on("GET", f"{BASE}/jobs/42", Reply(200, job(status="cancelled")))
    assert client.cancel_job(42).status == "cancelled"
    assert client.cancel_job(42).status == "cancelled"
    assert len(server.sent("GET", f"{BASE}/jobs/42")) == 1


def test_details_from_the_configuration_api(server: HttpServer, make_client: MakeClient) -> None:
    """Per-stream rows and the reason of a failure come from the configuration API, with the same sign-in."""
    stats = [{"streamName": "users", "recordsCommitted": 35, "bytesCommitted": 100}]
    failures = [{"failureOrigin": "source", "externalMessage": "no such host"}]
    server.on("POST", "/api/v1/jobs/get_without_logs", Reply(200, {"job": {"streamAggregatedStats": stats}}))
    server.on(
        "POST",
        "/api/v1/jobs/get_debug_info",
        Reply(200, {"attempts": [{"attempt": {"failureSummary": {"failures": failures}}}]}),
    )
    client = make_client(bearer_token="abc")
    assert client.job_stream_stats(42) == (StreamStats("users", None, rows=35, bytes=100),)
    assert client.job_failure(42) == Failure("source", "no such host", attempts=1)
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer abc"}
    assert [request.json for request in server.requests] == [{"id": 42}, {"id": 42}]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, {"message": "Forbidden"}),
        Reply(401),
        Reply(404, {"errorId": "x"}),
        Reply(500),
        Reply(503),
        Reply(200, "x"),
    ],
)
def test_no_details(server: HttpServer, client: AirbyteClient, answer: Reply) -> None:
    """Whatever the configuration API's failure, there are no details, and no error."""
    server.on("POST", "/api/v1/jobs/get_without_logs", answer)
    server.on("POST", "/api/v1/jobs/get_debug_info", answer)
    assert client.job_stream_stats(42) is None
    assert client.job_failure(42) is None


def test_a_missing_configuration_api_is_asked_once(server: HttpServer, client: AirbyteClient) -> None:
    """A server without the configuration API costs one call, not one per job."""
    assert client.job_stream_stats(42) is None
    assert client.job_stream_stats(43) is None
    assert client.job_failure(43) is None
    assert client.calls == 1


def test_no_configuration_api_for_unknown_layouts(server: HttpServer, make_client: MakeClient) -> None:
    """Where its place can't be known it isn't guessed."""
    client = make_client(server_url=f"{server.url}/v1")
    assert client.job_failure(42) is None
    assert client.calls == 0


def test_an_unreadable_answer_to_a_create(server: HttpServer, client: AirbyteClient) -> None:
    """A create that succeeded with an unreadable answer says what is wrong with it."""
    server.on("POST", f"{BASE}/connections", Reply(200, {"name": "n"}))
    with pytest.raises(UnexpectedAnswer, match=r"POST /connections: .*a connection that has no connectionId"):
        client.create_connection({})


def test_repr_and_context(server: HttpServer, make_client: MakeClient) -> None:
    """A client shows where it leads, and can be used as a context."""
    with make_client(client_id="me", client_secret="hunter22") as client:
        assert repr(client) == f"AirbyteClient(server_url='{server.url}{BASE}')"
    assert client.http.is_closed


HEALTH = (
    Reply(200, "Successful operation"),
    Reply(200, "Successful operation", {"X-Local-Airbyte-Pid": "1"}),
    Reply(200, "<html>"),
    Reply(503),
)


def test_health_is_asked_without_signing_in(server: HttpServer, make_client: MakeClient) -> None:
    """Airbyte answers it to anyone, with a text; what is no such answer is told apart."""
    server.on("GET", f"{BASE}/health", *HEALTH)
    client = make_client(bearer_token="abc", max_attempts=1)
    assert not client.health()
    assert client.health()
    assert "authorization" not in server.requests[0].headers
    with pytest.raises(WrongBasePath, match="a web page"):
        client.health()
    with pytest.raises(ServerError):
        client.health()


def test_permissions(server: HttpServer, client: AirbyteClient) -> None:
    """The roles of whoever signs in, with what they are for; what is no role is left out."""
    role = {"permissionId": "p-1", "permissionType": "workspace_editor", "scope": "workspace", "scopeId": "w-1"}
    server.on("GET", f"{BASE}/permissions", Reply(200, {"data": [role, {"permissionType": "instance_admin"}, "x"]}))
    assert client.permissions() == [
        Permission("workspace_editor", "workspace", "w-1"),
        Permission("instance_admin", "", ""),
    ]
    assert server.requests[0].query == {}


def test_last_job_of_a_workspace(server: HttpServer, client: AirbyteClient) -> None:
    """One job is asked for, the newest; there may be none."""
    server.on("GET", f"{BASE}/jobs", page(job(42), job(41)), page())
    last = client.last_job("w-1")
    assert last is not None
    assert last.id == 42
    assert client.last_job("w-1") is None
    wanted = {"workspaceIds": ["w-1"], "orderBy": ["createdAt|DESC"], "limit": ["1"], "offset": ["0"]}
    assert [request.query for request in server.requests] == [wanted, wanted]


def test_reaching_the_configuration_api(server: HttpServer, make_client: MakeClient) -> None:
    """It answers, or the reason why not is raised, with the place not known, too."""
    path = "/api/v1/workspaces/get_organization_info"
    server.on("POST", path, Reply(200, {"organizationId": "o-1"}), Reply(404, "Object not found."))
    client = make_client()
    client.reach_configuration_api("w-1")
    assert server.requests[0].json == {"workspaceId": "w-1"}
    with pytest.raises(WrongBasePath, match="404"):
        client.reach_configuration_api("w-1")
    with pytest.raises(WrongBasePath, match="is not known"):
        make_client(server_url=f"{server.url}/elsewhere").reach_configuration_api("w-1")
