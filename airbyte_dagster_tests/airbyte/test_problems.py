"""Each kind of failure has its own error, its own sentence, and Airbyte's words."""

from __future__ import annotations

import ssl
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from airbyte_dagster import errors
from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.problems import BY_EXCEPTION
from airbyte_dagster_tests.airbyte.conftest import BASE, FakeTime, MakeClient, page, problem, token_reply
from airbyte_dagster_tests.http_server import HttpServer, Reply

HTML = "<!DOCTYPE html><html><title>Airbyte</title></html>"


def _all_of_httpx() -> Iterator[type[Exception]]:
    waiting: list[type[Exception]] = [httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += found.__subclasses__()


@pytest.mark.parametrize("kind", list(_all_of_httpx()), ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_is_mapped(kind: type[Exception], time: FakeTime) -> None:
    """Each exception of httpx is named in the map, and comes out of a call as one of this package's."""
    assert kind in BY_EXCEPTION

    def fail(request: httpx.Request) -> httpx.Response:
        arguments: dict[str, Any] = {}
        if kind is httpx.HTTPStatusError:
            arguments = {"request": request, "response": httpx.Response(500)}
        if kind in (httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead):
            raise kind()
        raise kind("what happened", **arguments)

    settings = ClientSettings(server_url="http://airbyte.example:8000")
    client = AirbyteClient(settings, transport=httpx.MockTransport(fail), sleep=time.sleep, clock=time.clock)
    with pytest.raises(errors.AirbyteError) as caught:
        client.job(1)
    assert type(caught.value) is BY_EXCEPTION[kind]
    assert "GET /jobs/1" in caught.value.message
    assert caught.value.request == "GET /jobs/1"
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.BadCredentials),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (418, errors.ApiError),
        (422, errors.InvalidConfiguration),
        (423, errors.Conflict),
        (429, errors.RateLimited),
        (500, errors.ServerError),
        (501, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_statuses(server: HttpServer, client: AirbyteClient, status: int, kind: type[errors.ApiError]) -> None:
    """Each status has its error; the message has the call without its query, the status and Airbyte's own words."""
    server.on("GET", f"{BASE}/connections/c-1", problem(status, "some-title", "Airbyte's own words"))
    with pytest.raises(kind) as caught:
        client.connection("c-1")
    assert type(caught.value) is kind
    assert caught.value.message == f"Airbyte answered {status} to GET /connections/c-1: Airbyte's own words"
    assert caught.value.status == status
    assert caught.value.reason == "Airbyte's own words"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"status": 400, "title": "bad-request", "detail": "constant", "data": {"message": "the text"}}, "the text"),
        ({"message": "Bad Request", "_embedded": {"errors": [{"message": "one"}, {"message": "two"}]}}, "one; two"),
        ({"message": "Forbidden", "_links": {}, "_embedded": None}, "Forbidden"),
        ({"title": "unexpected-problem", "detail": "Something", "data": {"message": None}}, "Something"),
        (
            {"title": "value-not-found", "detail": "Unknown value", "data": {"value": "source-x"}},
            "Unknown value (source-x)",
        ),
        ({"title": "service-unavailable", "data": None}, "service-unavailable"),
        ({"errorId": "abc-def"}, "errorId abc-def"),
        ({"detail": [{"loc": ["body", "name"], "msg": "Field required", "input": "X"}]}, "body.name: Field required"),
        ("plain words", "plain words"),
        (["?"], "Bad Request"),
        ("", "Bad Request"),
    ],
)
def test_words_of_airbyte(server: HttpServer, client: AirbyteClient, body: Any, said: str) -> None:
    """The text is found in each of the shapes that failures have."""
    server.on("GET", f"{BASE}/jobs", Reply(400, body))
    with pytest.raises(errors.InvalidRequest) as caught:
        client.jobs("c-1")
    assert caught.value.message == f"Airbyte answered 400 to GET /jobs: {said}"


def test_resource_not_found(server: HttpServer, client: AirbyteClient) -> None:
    """A 404 of Airbyte names what was not found."""
    server.on(
        "GET",
        f"{BASE}/connections/c-9",
        problem(404, "resource-not-found", resourceType="STANDARD_SYNC", resourceId="c-9"),
    )
    with pytest.raises(errors.NotFound, match=r"STANDARD_SYNC c-9"):
        client.connection("c-9")


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, HTML, {"Content-Type": "text/html"}),
        Reply(200, HTML, {"Content-Type": "text/html; charset=utf-8"}),
        Reply(404, HTML, {"Content-Type": "text/html"}),
        Reply(404, "Object not found."),
        Reply(404, {"detail": "Not Found"}),
        Reply(404, {"message": "Page Not Found", "_links": {}}),
        Reply(405, HTML, {"Content-Type": "text/html"}),
        Reply(301, None, {"Location": "https://elsewhere.example/login?secret=1"}),
    ],
)
@pytest.mark.parametrize(
    "call", [lambda c: c.workspaces(), lambda c: c.create_job("c", "sync")], ids=["read", "create"]
)
def test_wrong_base_path(server: HttpServer, client: AirbyteClient, answer: Reply, call: Any) -> None:
    """Whatever isn't Airbyte's public API is called so, and the message shows where that is."""
    server.on("GET", f"{BASE}/workspaces", answer)
    server.on("POST", f"{BASE}/jobs", answer)
    with pytest.raises(errors.WrongBasePath) as caught:
        call(client)
    assert server.url in str(caught.value)
    assert "http(s)://HOST/api/public/v1" in str(caught.value)
    assert "https://api.airbyte.com/v1" in str(caught.value)
    assert "secret=1" not in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(401, errors.BadCredentials), (403, errors.PermissionDenied)])
def test_a_proxy_that_refuses(
    server: HttpServer, client: AirbyteClient, status: int, kind: type[errors.ApiError]
) -> None:
    """A web page with 401 or 403 comes from something in front of Airbyte."""
    server.on("GET", f"{BASE}/workspaces", Reply(status, HTML, {"Content-Type": "text/html"}))
    with pytest.raises(kind, match="proxy"):
        client.workspaces()


def test_gateway_pages_are_server_errors(server: HttpServer, client: AirbyteClient) -> None:
    """A web page with 502 is a gateway's, not a sign of a wrong address."""
    server.on("GET", f"{BASE}/workspaces", Reply(502, HTML, {"Content-Type": "text/html"}))
    with pytest.raises(errors.ServerError) as caught:
        client.workspaces()
    assert "<html>" not in str(caught.value)


def test_wrong_workspace(server: HttpServer, client: AirbyteClient) -> None:
    """A refusal of a call about a workspace names the workspace, since Airbyte answers 403 for unknown ids."""
    server.on("GET", f"{BASE}/sources", problem(403, "forbidden", "Forbidden"))
    with pytest.raises(errors.PermissionDenied, match="Check the workspace id w-9"):
        client.actors("source", "w-9")


def test_missing_permission(server: HttpServer, client: AirbyteClient) -> None:
    """Another 403 is explained by the role of the application's maker."""
    server.on("POST", f"{BASE}/connections", Reply(403, {"message": "Forbidden"}))
    with pytest.raises(errors.PermissionDenied, match="lacks the role"):
        client.create_connection({})


def test_sync_already_running(server: HttpServer, client: AirbyteClient) -> None:
    """409 try-again-later has an error of its own, other conflicts do not."""
    server.on("POST", f"{BASE}/jobs", problem(409, "try-again-later", "A sync is already running for: c-1"))
    with pytest.raises(errors.SyncAlreadyRunning, match="A sync is already running for: c-1"):
        client.create_job("c-1", "sync")


def test_unknown_job(server: HttpServer, client: AirbyteClient) -> None:
    """Airbyte's strange answer for an unknown job is explained."""
    server.on("GET", f"{BASE}/jobs/7", problem(409, "state-conflict", "Job is not currently running"))
    with pytest.raises(errors.Conflict, match="a job id that it doesn't know"):
        client.job(7)


def _everything_about(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    current: BaseException | None = error
    while current is not None:
        text += f"{current!r} {current} {current.args} {vars(current)}"
        current = current.__cause__ or current.__context__
    return text


SECRETS = ["client-s3cret", "the-tok3n", "header-s3cret", "pa55word/with+signs", "line-one-of-key", "nested-s3cret"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 422, 500, 502])
@pytest.mark.parametrize("in_json", [True, False])
def test_no_secret_in_any_error(
    server: HttpServer,
    make_client: MakeClient,
    status: int,
    in_json: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Airbyte's text may quote all it was sent; none of the secrets reaches a message, a repr, a log or a traceback."""
    caplog.set_level(0)
    echo = f"refused: {' '.join(SECRETS)} pa55word%2Fwith%2Bsigns and 35 rows"
    server.on("POST", f"{BASE}/applications/token", token_reply("the-tok3n"))
    server.on("POST", f"{BASE}/sources", problem(status, "title", echo) if in_json else Reply(status, echo))
    client = make_client(
        client_id=f"me-{status}-{in_json}", client_secret="client-s3cret", extra_headers={"X-Access": "header-s3cret"}
    )
    configuration = {
        "sourceType": "faker",
        "password": "pa55word/with+signs",
        "ssl": {"private_key": "-----BEGIN-----\nline-one-of-key\n"},
        "credentials": {"auth_type": "oauth2.0", "values": ["nested-s3cret"]},
        "count": 35,
    }
    with pytest.raises(errors.AirbyteError) as caught:
        client.create_actor("source", workspace_id="w", name="n", configuration=configuration)
    shown = _everything_about(caught.value) + caplog.text + repr(client) + repr(client.settings)
    assert [secret for secret in [*SECRETS, "pa55word%2Fwith"] if secret in shown] == []
    assert "[hidden]" in str(caught.value)
    assert "35 rows" in str(caught.value)


def test_no_secret_from_httpx(time: FakeTime) -> None:
    """Where httpx's own text quotes a secret, it is hidden, and the chain that would show it is cut."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"Illegal header value {request.headers['authorization']!r}")

    settings = ClientSettings(server_url="http://h:1", bearer_token="the-tok3n")
    client = AirbyteClient(settings, transport=httpx.MockTransport(fail), sleep=time.sleep, clock=time.clock)
    with pytest.raises(errors.ServerUnreachable) as caught:
        client.job(1)
    assert "the-tok3n" not in "".join(traceback.format_exception(caught.value))
    assert "[hidden]" in str(caught.value)


def test_answers_that_are_not_what_was_promised(server: HttpServer, client: AirbyteClient) -> None:
    """A success that is not JSON, not a page, or without an id is a clear error."""
    bodies: list[Any] = ["fine", b"\xff\xfe", {"items": []}, [], None, {"data": {"a": 1}}]
    for body in bodies:
        server.on("GET", f"{BASE}/workspaces", Reply(200, body))
        with pytest.raises(errors.UnexpectedAnswer, match="GET /workspaces"):
            client.workspaces()
    for item in ({"name": "n"}, "text", None, 3, {"workspaceId": ""}):
        server.on("GET", f"{BASE}/workspaces", page(item))
        with pytest.raises(errors.UnexpectedAnswer, match="workspace"):
            client.workspaces()


def test_long_reasons_are_cut_after_their_secrets_are_hidden(server: HttpServer, make_client: MakeClient) -> None:
    """A reason of many pages is shortened; a secret at the place of the cut doesn't show its first half."""
    server.on("GET", f"{BASE}/jobs/1", Reply(400, "x" * 1990 + " the-very-s3cret-token " + "y" * 5000))
    with pytest.raises(errors.InvalidRequest) as caught:
        make_client(bearer_token="the-very-s3cret-token").job(1)
    assert "the-very" not in str(caught.value)
    assert len(str(caught.value)) < 2200


def test_a_connection_that_ends_in_the_handshake_is_unreachable(time: FakeTime) -> None:
    """Only what is wrong with certificates or versions is a TLS failure; the rest may pass and is tried again."""
    tried = []

    def fail(request: httpx.Request) -> httpx.Response:
        tried.append(request)
        raise httpx.ConnectError("EOF occurred in violation of protocol") from ssl.SSLEOFError()

    settings = ClientSettings(server_url="https://airbyte.example")
    client = AirbyteClient(settings, transport=httpx.MockTransport(fail), sleep=time.sleep, clock=time.clock)
    with pytest.raises(errors.ServerUnreachable, match="airbyte"):
        client.create_job("c-1", "sync")
    assert len(tried) == 5
