"""A scripted Airbyte, a clock that only moves when told to, and clients of the two."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster_tests.http_server import HttpServer, Reply

BASE = "/api/public/v1"
TOKEN = f"{BASE}/applications/token"


class FakeTime:
    """A clock that moves by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


MakeClient = Callable[..., AirbyteClient]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def make_client(server: HttpServer, time: FakeTime) -> Iterator[MakeClient]:
    """Makes clients of the server; without credentials, unless they are given."""
    made: list[AirbyteClient] = []

    def make(**settings: Any) -> AirbyteClient:
        settings.setdefault("server_url", server.url)
        client = AirbyteClient(ClientSettings(**settings), sleep=time.sleep, clock=time.clock)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> AirbyteClient:
    """A client without credentials."""
    return make_client()


@pytest.fixture
def application() -> dict[str, str]:
    """Credentials that no other test has, for tokens are shared by the whole process."""
    return {"client_id": f"id-{uuid.uuid4()}", "client_secret": f"secret-{uuid.uuid4()}"}


def token_reply(value: str = "token-1", **more: Any) -> Reply:
    return Reply(200, {"access_token": value, "token_type": "Bearer", "expires_in": 900, **more})


def problem(status: int, title: str, message: str | None = None, **data: Any) -> Reply:
    """Airbyte's problem body."""
    inner = {"message": message, **data} if message is not None else (data or None)
    body = {
        "status": status,
        "type": f"https://reference.airbyte.com/reference/errors#{title}",
        "title": title,
        "detail": "The body of the request was not understood",
        "documentationUrl": None,
        "data": inner,
    }
    return Reply(status, body)


def job(job_id: int = 42, status: str = "running", **more: Any) -> dict[str, Any]:
    return {
        "jobId": job_id,
        "status": status,
        "jobType": "sync",
        "startTime": "2026-01-05T10:00:07Z",
        "connectionId": "c-1",
        **more,
    }


def page(*items: Any) -> Reply:
    return Reply(200, {"data": list(items), "next": "http://localhost:8001/elsewhere", "previous": ""})
