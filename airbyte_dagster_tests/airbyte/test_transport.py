"""What is sent again, when, and for how long."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.errors import (
    AirbyteError,
    Conflict,
    InvalidConfiguration,
    RateLimited,
    RequestTimedOut,
    ServerError,
    ServerUnreachable,
)
from airbyte_dagster_tests.airbyte.conftest import BASE, FakeTime, MakeClient, job, page, problem
from airbyte_dagster_tests.http_server import HttpServer, Reply

ACTOR = {"sourceId": "s-1", "name": "n", "workspaceId": "w", "sourceType": "faker", "configuration": {}}
CONNECTION = {"connectionId": "c-1", "name": "n"}
TRANSIENT = [Reply(429), Reply(502), Reply(503), Reply(504), Reply(drop="before"), Reply(drop="middle")]

Call = Callable[[AirbyteClient], object]
REPEATABLE: list[tuple[str, str, Any, Call]] = [
    ("GET", f"{BASE}/jobs/42", job(), lambda client: client.job(42)),
    ("PATCH", f"{BASE}/sources/s-1", ACTOR, lambda client: client.patch_actor("source", "s-1", name="n")),
    ("PUT", f"{BASE}/sources/s-1", ACTOR, lambda c: c.replace_actor("source", "s-1", name="n", configuration={})),
    ("DELETE", f"{BASE}/sources/s-1", None, lambda client: client.delete_actor("source", "s-1")),
    ("DELETE", f"{BASE}/connections/c-1", None, lambda client: client.delete_connection("c-1")),
    ("PATCH", f"{BASE}/connections/c-1", CONNECTION, lambda client: client.patch_connection("c-1", {"name": "n"})),
    ("POST", "/api/v1/jobs/get_without_logs", {"job": {}}, lambda client: client.job_stream_stats(42)),
    ("POST", "/api/v1/jobs/get_debug_info", {"job": {}}, lambda client: client.job_failure(42)),
]
ONCE_ONLY: list[tuple[str, str, Any, Call]] = [
    ("POST", f"{BASE}/jobs", job(), lambda client: client.create_job("c-1", "sync")),
    (
        "POST",
        f"{BASE}/sources",
        ACTOR,
        lambda client: client.create_actor("source", workspace_id="w", name="n", configuration={}),
    ),
    ("POST", f"{BASE}/connections", CONNECTION, lambda client: client.create_connection({})),
    ("DELETE", f"{BASE}/jobs/42", job(), lambda client: client.cancel_job(42)),
]


def _names(calls: list[tuple[str, str, Any, Call]]) -> list[str]:
    return [f"{method} {path}" for method, path, _, _ in calls]


def _failure(reply: Reply) -> str:
    return reply.drop or str(reply.status)


@pytest.mark.parametrize("failure", TRANSIENT, ids=_failure)
@pytest.mark.parametrize(("method", "path", "answer", "call"), REPEATABLE, ids=_names(REPEATABLE))
def test_repeatable_calls_survive(
    *, server: HttpServer, client: AirbyteClient, method: str, path: str, answer: Any, call: Call, failure: Reply
) -> None:
    """Reads, changes and deletes get over four transient failures in a row."""
    server.on(method, path, failure, failure, failure, failure, Reply(200, answer))
    call(client)
    assert len(server.requests) == 5
    assert client.calls == 5


@pytest.mark.parametrize(
    "failure", [Reply(502), Reply(503), Reply(504), Reply(drop="before"), Reply(drop="middle")], ids=_failure
)
@pytest.mark.parametrize(("method", "path", "answer", "call"), ONCE_ONLY, ids=_names(ONCE_ONLY))
def test_creates_and_cancels_are_never_sent_twice(
    *, server: HttpServer, client: AirbyteClient, method: str, path: str, answer: Any, call: Call, failure: Reply
) -> None:
    """After a lost answer or a gateway's error they are not sent again; the error says that it may have happened."""
    server.on(method, path, failure, Reply(200, answer))
    with pytest.raises(RequestTimedOut, match="may have"):
        call(client)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("method", "path", "answer", "call"), ONCE_ONLY, ids=_names(ONCE_ONLY))
def test_creates_and_cancels_are_repeated_after_429(
    *, server: HttpServer, client: AirbyteClient, time: FakeTime, method: str, path: str, answer: Any, call: Call
) -> None:
    """A rate limit means that Airbyte did not look at it; its Retry-After is obeyed."""
    server.on(method, path, Reply(429, None, {"Retry-After": "7"}), Reply(200, answer))
    call(client)
    assert len(server.requests) == 2
    assert time.pauses == [7.0]


class _Failing(httpx.BaseTransport):
    """Raises the given exceptions in turn, then answers with a job."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.timeouts: list[dict[str, float]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.timeouts.append(request.extensions["timeout"])
        if self.failures:
            raise self.failures.pop(0)
        return httpx.Response(200, json=job())


def _client(transport: httpx.BaseTransport, time: FakeTime, **settings: Any) -> AirbyteClient:
    settings = {"server_url": "http://airbyte.example:8000", **settings}
    return AirbyteClient(ClientSettings(**settings), transport=transport, sleep=time.sleep, clock=time.clock)


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("busy"), httpx.ProxyError("no")],
)
def test_creates_are_repeated_when_they_never_left(time: FakeTime, failure: Exception) -> None:
    """A create whose connection could not be made is sent again."""
    transport = _Failing(failure, failure)
    assert _client(transport, time).create_job("c-1", "sync").id == 42
    assert len(transport.timeouts) == 3


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("t"),
        httpx.WriteTimeout("t"),
        httpx.ReadError("r"),
        httpx.WriteError("w"),
        httpx.CloseError("c"),
    ],
)
def test_creates_are_not_repeated_when_they_may_have_left(time: FakeTime, failure: Exception) -> None:
    """Anything that went wrong after the connection stood is ambiguous for a create, and repeated for a read."""
    transport = _Failing(failure)
    with pytest.raises(RequestTimedOut, match=r"POST /jobs .*may have happened"):
        _client(transport, time).create_job("c-1", "sync")
    assert len(transport.timeouts) == 1
    transport = _Failing(failure)
    assert _client(transport, time).job(42).id == 42
    assert len(transport.timeouts) == 2


def test_refused_connection(time: FakeTime) -> None:
    """A server that isn't there is tried a few times, then reported as such, with its address."""
    with HttpServer() as gone:
        url = gone.url
    client = AirbyteClient(ClientSettings(server_url=url), sleep=time.sleep, clock=time.clock)
    with client, pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:\d+ can't be reached for POST /jobs"):
        client.create_job("c-1", "sync")
    assert client.calls == 5


def test_lost_answer_to_a_slow_server(server: HttpServer, make_client: MakeClient) -> None:
    """A create that gets no answer in its time is given up, and not sent again."""
    server.on("POST", f"{BASE}/jobs", Reply(200, job(), wait_for=threading.Event()))
    client = make_client(slow_request_timeout=0.05)
    with pytest.raises(RequestTimedOut, match=r"POST /jobs got no answer within 0\.05 s"):
        client.create_job("c-1", "sync")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 501])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answers_are_not_repeated(server: HttpServer, client: AirbyteClient, method: str, status: int) -> None:
    """What Airbyte answers is an answer: repeating it would only hide it. That goes for 500, too."""
    server.on(method, f"{BASE}/jobs", problem(status, "title", "the reason"))
    with pytest.raises(AirbyteError, match="the reason"):
        client.jobs("c-1") if method == "GET" else client.create_job("c-1", "sync")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "kind"), [(503, ServerError), (429, RateLimited)])
def test_attempts_are_bounded(
    server: HttpServer, make_client: MakeClient, time: FakeTime, status: int, kind: type[AirbyteError]
) -> None:
    """After `max_attempts` the last answer is the result; the pauses are random, below a bound that doubles."""
    server.on("GET", f"{BASE}/jobs/42", problem(status, "service-unavailable"))
    with pytest.raises(kind):
        make_client(max_attempts=7).job(42)
    assert len(server.requests) == 7
    assert len(time.pauses) == 6
    assert all(pause <= bound for pause, bound in zip(time.pauses, [0.5, 1, 2, 4, 8, 16], strict=True))


def test_time_is_bounded(server: HttpServer, make_client: MakeClient, time: FakeTime) -> None:
    """No attempt begins later than `max_retry_seconds` after the first, whatever Retry-After asks."""
    server.on("GET", f"{BASE}/jobs/42", Reply(503, None, {"Retry-After": "40"}))
    with pytest.raises(ServerError):
        make_client(max_attempts=100, max_retry_seconds=100).job(42)
    assert time.pauses == [40, 40, 20]
    assert len(server.requests) == 4


def test_no_time_no_retry(server: HttpServer, make_client: MakeClient, time: FakeTime) -> None:
    """With no time for it nothing is sent again."""
    server.on("GET", f"{BASE}/jobs/42", Reply(503))
    with pytest.raises(ServerError):
        make_client(max_retry_seconds=0).job(42)
    assert len(server.requests) == 1
    assert time.pauses == []


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0.0),
    ],
)
def test_retry_after(
    server: HttpServer, client: AirbyteClient, time: FakeTime, headers: dict[str, str], pause: float
) -> None:
    """Retry-After is obeyed, in seconds or as a date, which is compared with the server's own clock."""
    server.on(
        "GET", f"{BASE}/jobs/42", Reply(429, {"message": "You are being rate limited."}, headers), Reply(200, job())
    )
    client.job(42)
    assert time.pauses == [pause]


@pytest.mark.parametrize("value", ["soon", "-3", "1.5e", "²"])
def test_senseless_retry_after(time: FakeTime, value: str) -> None:
    """A Retry-After that can't be read is as good as none."""
    answers = iter([httpx.Response(503, headers={b"Retry-After": value.encode()}), httpx.Response(200, json=job())])
    _client(httpx.MockTransport(lambda request: next(answers)), time).job(42)
    assert time.pauses[0] <= 0.5


@pytest.mark.parametrize(
    ("call", "is_slow"),
    [
        (lambda client: client.job(42), False),
        (lambda client: client.create_job("c", "sync"), True),
        (lambda client: client.cancel_job(42), True),
        (lambda client: client.http.get("http://airbyte.example:8000/api/public/v1/streams?sourceId=x"), True),
        (lambda client: client.http.post("http://airbyte.example:8000/api/public/v1/connections"), True),
        (lambda client: client.http.post("http://airbyte.example:8000/api/public/v1/destinations"), True),
        (lambda client: client.http.get("http://airbyte.example:8000/api/public/v1/sources"), False),
    ],
)
def test_timeouts_fit_the_call(time: FakeTime, call: Call, is_slow: bool) -> None:
    """Where Airbyte starts jobs or runs connectors a call may take minutes; connecting may never."""
    transport = _Failing()
    call(_client(transport, time, request_timeout=31, slow_request_timeout=301))
    expected = 301 if is_slow else 31
    assert transport.timeouts == [{"connect": 10, "read": expected, "write": expected, "pool": expected}]


def test_a_timeout_of_the_caller_is_kept(time: FakeTime) -> None:
    """Who sets a timeout for one request, as the SDK's timeout_ms does, gets it."""
    transport = _Failing()
    _client(transport, time).http.post("http://airbyte.example:8000/api/public/v1/jobs", timeout=3)
    assert transport.timeouts[0]["read"] == 3


def test_retries_are_logged_without_secrets(
    server: HttpServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Each repetition leaves a line with the call and the reason, without its query."""
    caplog.set_level(logging.INFO, "airbyte_dagster")
    server.on("GET", f"{BASE}/workspaces", Reply(503), Reply(drop="before"), page())
    make_client(bearer_token="s3cret-token").workspaces()
    lines = [record.getMessage() for record in caplog.records if record.name == "airbyte_dagster"]
    assert len(lines) == 2
    assert lines[0].startswith("GET /workspaces failed (503); attempt 2 of 5 follows in ")
    assert "RemoteProtocolError" in lines[1]
    assert "s3cret" not in caplog.text


def test_compressed_answers(time: FakeTime) -> None:
    """Answers are decoded once, though they pass through a layer that reads them."""
    body = gzip.compress(json.dumps(job()).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(body)))
    assert _client(transport, time).job(42).id == 42


def test_conflict_and_422_reach_the_caller(server: HttpServer, client: AirbyteClient) -> None:
    """Statuses become the errors of the tree, with the number and the reason as fields."""
    server.on("POST", f"{BASE}/jobs", problem(409, "state-conflict", "Could not fulfill request"))
    with pytest.raises(Conflict) as conflict:
        client.create_job("c-1", "sync")
    assert (conflict.value.status, conflict.value.reason) == (409, "Could not fulfill request")
    server.on("POST", f"{BASE}/sources", problem(422, "unprocessable-entity", "$.port: integer found, string expected"))
    with pytest.raises(InvalidConfiguration, match=r"422 to POST /sources: \$\.port: integer found, string expected"):
        client.create_actor("source", workspace_id="w", name="n", configuration={"sourceType": "x", "port": 1})
