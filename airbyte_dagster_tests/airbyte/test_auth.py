"""Signing in."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airbyte_dagster.errors import (
    AirbyteError,
    BadCredentials,
    RateLimited,
    ServerError,
    ServerUnreachable,
    UnexpectedAnswer,
    WrongBasePath,
)
from airbyte_dagster_tests.airbyte.conftest import BASE, TOKEN, FakeTime, MakeClient, job, page, token_reply
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request

WORKSPACES = f"{BASE}/workspaces"
Credentials = dict[str, str]


def _tokens_in_turn() -> Any:
    """Answers token-1, token-2, … ."""
    numbers = iter(range(1, 100))
    return lambda request: token_reply(f"token-{next(numbers)}")


def _used(server: HttpServer, path: str = WORKSPACES) -> list[str]:
    return [request.headers["authorization"] for request in server.sent("GET", path)]


def test_eight_threads_make_one_token_request(
    server: HttpServer, make_client: MakeClient, application: Credentials
) -> None:
    """Threads that start together wait for one token request instead of making their own."""
    arrived = threading.Event()
    server.on("POST", TOKEN, Reply(200, token_reply().body, wait_for=arrived))
    server.on("GET", WORKSPACES, page())
    client = make_client(**application)
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait(300)
        client.workspaces()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(ask) for _ in range(8)]
        arrived.set()
        for future in futures:
            future.result(300)
    assert len(server.sent("POST", TOKEN)) == 1
    assert client.calls == 9


def test_clients_share_a_token(server: HttpServer, make_client: MakeClient, application: Credentials) -> None:
    """Two clients with the same server and application use one token; another application gets its own."""
    server.on("POST", TOKEN, _tokens_in_turn())
    server.on("GET", WORKSPACES, page())
    make_client(**application).workspaces()
    make_client(**application).workspaces()
    assert len(server.sent("POST", TOKEN)) == 1
    make_client(client_id=application["client_id"], client_secret="another").workspaces()
    assert len(server.sent("POST", TOKEN)) == 2


def test_same_credentials_on_another_host_get_their_own_token(
    server: HttpServer, make_client: MakeClient, application: Credentials
) -> None:
    """A token is never carried to another host, as the SDK does."""
    with HttpServer() as other:
        for each in (server, other):
            each.on("POST", TOKEN, token_reply(f"token-of-{each.port}"))
            each.on("GET", WORKSPACES, page())
        make_client(**application).workspaces()
        make_client(server_url=other.url, **application).workspaces()
        assert _used(other) == [f"Bearer token-of-{other.port}"]


@pytest.mark.parametrize(("lifetime", "still_used", "renewed"), [(900, 839, 841), (30, 23, 25), (10, 7, 9)])
def test_renewed_before_it_expires(
    *,
    server: HttpServer,
    make_client: MakeClient,
    application: Credentials,
    time: FakeTime,
    lifetime: int,
    still_used: int,
    renewed: int,
) -> None:
    """A token is renewed a minute before its end, short-lived ones after four fifths; never once per call."""
    numbers = iter(range(1, 9))
    server.on("POST", TOKEN, lambda request: token_reply(f"token-{next(numbers)}", expires_in=lifetime))
    server.on("GET", WORKSPACES, page())
    client = make_client(**application)
    client.workspaces()
    time.now += still_used
    client.workspaces()
    time.now += renewed - still_used
    client.workspaces()
    assert _used(server) == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("expires_in", [None, 0, -5, "soon", float("inf")])
def test_unknown_lifetime(
    server: HttpServer, make_client: MakeClient, application: Credentials, time: FakeTime, expires_in: Any
) -> None:
    """Where the answer has no usable expires_in, and no token_type, the token is kept until it is refused."""
    numbers = iter(range(1, 9))

    def answer(request: Request) -> Reply:
        body: dict[str, Any] = {"access_token": f"token-{next(numbers)}"}
        return Reply(200, body if expires_in is None else {**body, "expires_in": expires_in})

    server.on("POST", TOKEN, answer)
    server.on("GET", WORKSPACES, page(), page(), Reply(401), page())
    client = make_client(**application)
    client.workspaces()
    time.now += 10**6
    client.workspaces()
    client.workspaces()
    assert _used(server) == ["Bearer token-1"] * 3 + ["Bearer token-2"]


def test_expires_in_as_text(
    server: HttpServer, make_client: MakeClient, application: Credentials, time: FakeTime
) -> None:
    """A lifetime written as text is a lifetime."""
    server.on("POST", TOKEN, token_reply(expires_in="100"))
    server.on("GET", WORKSPACES, page())
    client = make_client(**application)
    client.workspaces()
    time.now += 90
    client.workspaces()
    assert len(server.sent("POST", TOKEN)) == 2


def test_401_is_sent_again_once_with_a_fresh_token(
    server: HttpServer, make_client: MakeClient, application: Credentials
) -> None:
    """A refused token is replaced and the call sent again, a create too: a 401 means that nothing was done."""
    server.on("POST", TOKEN, _tokens_in_turn())
    server.on("POST", f"{BASE}/jobs", Reply(401, {"message": "Unauthorized"}), Reply(200, job()))
    assert make_client(**application).create_job("c-1", "sync").id == 42
    assert [request.headers["authorization"] for request in server.sent("POST", f"{BASE}/jobs")] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


def test_401_is_sent_again_only_once(server: HttpServer, make_client: MakeClient, application: Credentials) -> None:
    """A second 401 is the answer."""
    server.on("POST", TOKEN, _tokens_in_turn())
    server.on("GET", WORKSPACES, Reply(401, {"message": "Unauthorized"}))
    with pytest.raises(BadCredentials, match=r"401 to GET /workspaces: Unauthorized.*client_id and client_secret"):
        make_client(**application).workspaces()
    assert len(server.sent("GET", WORKSPACES)) == 2
    assert len(server.sent("POST", TOKEN)) == 2


def test_threads_with_one_refused_token_fetch_one_new_one(
    server: HttpServer, make_client: MakeClient, application: Credentials
) -> None:
    """When a token is refused to many threads at once, one fetches the next and all use it."""
    server.on("POST", TOKEN, _tokens_in_turn())
    gate = threading.Barrier(4)

    def answer(request: Request) -> Reply:
        if request.headers["authorization"] == "Bearer token-1":
            gate.wait(300)
            return Reply(401)
        return page()

    server.on("GET", WORKSPACES, answer)
    client = make_client(**application)
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(client.workspaces) for _ in range(4)]:
            future.result(300)
    assert len(server.sent("POST", TOKEN)) == 2


def _json_only(request: Request) -> Reply:
    if "json" not in request.headers["content-type"]:
        return Reply(415, {"message": "Content Type not allowed"})
    assert set(request.json) == {"client_id", "client_secret"}
    return token_reply()


def _form_only(status: int) -> Any:
    def answer(request: Request) -> Reply:
        if "form" not in request.headers["content-type"]:
            return Reply(status, {"message": "forms only"})
        assert set(request.form) == {"client_id", "client_secret"}
        return token_reply(expires_in=10)

    return answer


def test_json_only(server: HttpServer, make_client: MakeClient, application: Credentials) -> None:
    """An endpoint that takes JSON only costs one request."""
    server.on("POST", TOKEN, _json_only)
    server.on("GET", WORKSPACES, page())
    make_client(**application).workspaces()
    assert len(server.sent("POST", TOKEN)) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 415, 422])
def test_form_only(
    server: HttpServer, make_client: MakeClient, application: Credentials, time: FakeTime, status: int
) -> None:
    """An endpoint that takes forms only is found by its refusal of JSON, and remembered for the renewal."""
    server.on("POST", TOKEN, _form_only(status))
    server.on("GET", WORKSPACES, page())
    client = make_client(**application)
    client.workspaces()
    assert len(server.sent("POST", TOKEN)) == 2
    time.now += 100
    client.workspaces()
    assert len(server.sent("POST", TOKEN)) == 3


def test_older_token_address(
    server: HttpServer, make_client: MakeClient, application: Credentials, time: FakeTime
) -> None:
    """Where the public API has no token endpoint, the one of the configuration API is asked, and remembered."""
    server.on("POST", "/api/v1/applications/token", Reply(200, {"access_token": "t"}))
    server.on("GET", WORKSPACES, page(), Reply(401), page())
    client = make_client(**application)
    client.workspaces()
    client.workspaces()
    assert len(server.sent("POST", TOKEN)) == 1
    assert len(server.sent("POST", "/api/v1/applications/token")) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            Reply(
                400,
                {
                    "message": "Bad Request",
                    "_links": {"self": {"href": "/api/public/v1/applications/token", "templated": False}},
                    "_embedded": {"errors": [{"message": "Invalid client id or token", "_links": {}, "_embedded": {}}]},
                },
            ),
            "Invalid client id or token",
        ),
        (Reply(401, {"errorId": "1234-5678"}), "errorId 1234-5678"),
        (Reply(401, {"error": "invalid_client", "error_description": "No such client"}), "No such client"),
    ],
)
def test_refused_credentials(
    server: HttpServer, make_client: MakeClient, application: Credentials, answer: Reply, reason: str
) -> None:
    """Bad credentials are told in Airbyte's own words, with what to check, and nothing else is sent."""
    server.on("POST", TOKEN, answer)
    with pytest.raises(BadCredentials) as caught:
        make_client(**application).workspaces()
    assert caught.value.status == answer.status
    assert caught.value.reason == reason
    assert reason in str(caught.value)
    assert "Check client_id and client_secret" in str(caught.value)
    assert application["client_secret"] not in str(caught.value)
    assert server.sent("GET", WORKSPACES) == []


def test_the_better_of_two_refusals_is_told(
    server: HttpServer, make_client: MakeClient, application: Credentials
) -> None:
    """Of the answers to JSON and to the form, the one about the credentials is shown."""

    def answer(request: Request) -> Reply:
        if "json" in request.headers["content-type"]:
            return Reply(415, {"message": "Content Type not allowed"})
        return Reply(401, {"message": "Unknown client"})

    server.on("POST", TOKEN, answer)
    with pytest.raises(BadCredentials, match="Unknown client"):
        make_client(**application).workspaces()


def test_a_failing_form_endpoint_is_no_refusal(
    server: HttpServer, make_client: MakeClient, application: Credentials
) -> None:
    """Where JSON is refused and the form fails for another reason, it is that reason which is told."""

    def answer(request: Request) -> Reply:
        return Reply(401) if "json" in request.headers["content-type"] else Reply(503)

    server.on("POST", TOKEN, answer)
    with pytest.raises(ServerError, match="503"):
        make_client(**application).workspaces()


@pytest.mark.parametrize("failure", [Reply(502), Reply(503), Reply(429), Reply(drop="before"), Reply(drop="middle")])
def test_transient_failures_of_the_token_endpoint_are_survived(
    server: HttpServer, make_client: MakeClient, application: Credentials, failure: Reply, time: FakeTime
) -> None:
    """A blip of the token endpoint does not end anything."""
    server.on("POST", TOKEN, failure, failure, token_reply())
    server.on("POST", f"{BASE}/jobs", Reply(200, job()))
    assert make_client(**application).create_job("c-1", "sync").id == 42
    assert len(server.sent("POST", TOKEN)) == 3
    assert len(time.pauses) == 2


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Reply(503), ServerError),
        (Reply(500, {"errorId": "e"}), ServerError),
        (Reply(429), RateLimited),
        (Reply(drop="before"), ServerUnreachable),
        (Reply(200, "<html>login</html>", {"Content-Type": "text/html"}), WrongBasePath),
        (Reply(404, "Object not found."), WrongBasePath),
        (Reply(302, None, {"Location": "https://sso.example.com/login?token=x"}), WrongBasePath),
        (Reply(200, {"token": "x"}), UnexpectedAnswer),
        (Reply(200, "not json"), UnexpectedAnswer),
        (Reply(200, []), UnexpectedAnswer),
    ],
)
def test_no_token(
    server: HttpServer, make_client: MakeClient, application: Credentials, failure: Reply, kind: type[AirbyteError]
) -> None:
    """Without a token nothing was asked, so even a lost answer of the token endpoint is no ambiguous create."""
    server.on("POST", TOKEN, failure)
    server.on("POST", "/api/v1/applications/token", failure)
    with pytest.raises(kind, match="POST /applications/token"):
        make_client(**application).create_job("c-1", "sync")
    assert server.sent("POST", f"{BASE}/jobs") == []
    assert len(server.requests) <= 5


def test_bearer_basic_and_nothing(server: HttpServer, make_client: MakeClient) -> None:
    """A bearer token and basic credentials are sent as they are; nothing is sent if nothing is given."""
    server.on("GET", WORKSPACES, page())
    make_client(bearer_token="abc").workspaces()
    make_client(username="me", password="pä:ss").workspaces()
    make_client().workspaces()
    headers = [request.headers.get("authorization") for request in server.requests]
    assert headers == ["Bearer abc", f"Basic {base64.b64encode('me:pä:ss'.encode()).decode()}", None]
    assert server.sent("POST", TOKEN) == []


def test_401_without_credentials_says_that_there_are_none(server: HttpServer, make_client: MakeClient) -> None:
    """Guidance fits what is set."""
    server.on("GET", WORKSPACES, Reply(401))
    with pytest.raises(BadCredentials, match="No credentials are set"):
        make_client().workspaces()


@pytest.mark.parametrize("kind", ["application", "bearer", "basic"])
def test_credentials_stay_with_their_host(
    server: HttpServer, make_client: MakeClient, application: Credentials, kind: str
) -> None:
    """A request that is sent to another host through the same client carries neither credentials nor extra headers."""
    credentials = {
        "application": application,
        "bearer": {"bearer_token": "abc"},
        "basic": {"username": "me", "password": "pass"},
    }[kind]
    server.on("POST", TOKEN, token_reply())
    with HttpServer() as other:
        other.on("GET", "/", Reply(200, "hello"))
        client = make_client(extra_headers={"X-Access": "s3cret"}, **credentials)
        client.http.get(f"{other.url}/")
        assert "authorization" not in other.requests[0].headers
        assert "x-access" not in other.requests[0].headers
