"""What the receiver answers, over real HTTP, to clients of any kind; nothing of it costs more than is allowed."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.webhook import serving
from airbyte_dagster.webhook.app import Limits, WebhookApp
from airbyte_dagster.webhook.background import BackgroundQueue
from airbyte_dagster.webhook.notice import Notice, parse_notice
from airbyte_dagster.webhook.secret import find_secret
from airbyte_dagster_tests.local.fakes import PATIENCE
from airbyte_dagster_tests.webhook.receiving import SECRET, served

NOTICE = {"text": "", "data": {"jobId": 7, "workspace": {"id": "w"}}}


class Taking:
    """A receiver whose work is to remember what it was given, while there is room."""

    def __init__(self, room: int = 100, **limits: Any) -> None:
        self.room = room
        self.taken: list[Notice] = []
        self.forwarded: list[tuple[bytes, str]] = []
        self.closed = 0
        self.app = WebhookApp(
            SECRET,
            take=self.take,
            forward=lambda body, url: self.forwarded.append((body, url)),
            has_room=lambda: self.room > 0,
            on_close=self.close,
            limits=Limits(**limits),
        )

    def take(self, notice: Notice) -> bool:
        self.room -= 1
        if self.room >= 0:
            self.taken.append(notice)
        return self.room >= 0

    def close(self) -> None:
        self.closed += 1


@contextmanager
def taking(room: int = 100, **limits: Any) -> Iterator[tuple[Taking, httpx.Client]]:
    made = Taking(room, **limits)
    with served(made.app) as at, httpx.Client(base_url=at, timeout=PATIENCE) as client:
        yield made, client
    assert made.closed == 1


def test_what_is_taken() -> None:
    """A notice about a job; one that is about none is taken, too, and nothing comes of it."""
    with taking() as (receiver, client):
        assert client.post(f"/notices/{SECRET}", json=NOTICE).status_code == 202
        for content in (
            {},
            {"data": None},
            {"data": {"jobId": "7"}},
            {"data": {"jobId": True}},
            {"data": {"jobId": 0}},
        ):
            assert client.post(f"/notices/{SECRET}", json=content).status_code == 202
        assert receiver.taken == [Notice(7, "w")]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_notice(body: bytes) -> None:
    """It is a bad request, whatever it is."""
    with taking() as (receiver, client):
        assert client.post(f"/notices/{SECRET}", content=body).status_code == 400
        assert receiver.taken == []


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/notices", "/notices/", f"/notices/{SECRET}/", f"/notices/{SECRET[:-1]}", f"/{SECRET}"),
        *(f"/notices/{SECRET.upper()}", f"/notices/x/{SECRET}", "/notices/%ff%00", "/notices/" + "x" * 5000),
    ],
)
def test_a_wrong_path(path: str) -> None:
    """It is as if nothing were there: a wrong secret has the answer of any other path."""
    with taking() as (receiver, client):
        answer = client.post(path, json=NOTICE)
        assert (answer.status_code, answer.content) == (404, b"")
        assert client.get(path).status_code == 404
        assert receiver.taken == []


def test_other_methods() -> None:
    """A notice is posted, health is looked at."""
    with taking() as (_, client):
        assert client.get(f"/notices/{SECRET}").status_code == 405
        assert client.post("/health").status_code == 405
        assert (client.get("/health").json(), client.head("/health").status_code) == ({"status": "ok"}, 200)


def test_large_bodies() -> None:
    """They are refused by what they say of themselves, or once they are too long; what fits is taken."""
    with taking(body_bytes=1000) as (receiver, client):
        fitting = json.dumps(NOTICE).encode().ljust(1000)
        assert client.post(f"/notices/{SECRET}", content=fitting).status_code == 202
        assert client.post(f"/notices/{SECRET}", content=fitting + b" ").status_code == 413
        for length in (b"99999999999999999999", b"-1", b"x"):
            assert raw(client, b"content-length: " + length).startswith(b"HTTP/1.1 4")
        assert client.post(f"/notices/{SECRET}", content=iter([b" " * 600, b" " * 600])).status_code == 413
        assert len(receiver.taken) == 1


def raw(client: httpx.Client, header: bytes) -> bytes:
    """Send the head of a request alone; the first line of the answer."""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /notices/" + SECRET.encode() + b" HTTP/1.1\r\nhost: x\r\n" + header + b"\r\n\r\n")
        return connection.recv(100)


def test_a_slow_body() -> None:
    """A client that does not send what it has announced gets an answer, and holds up nobody else."""
    with taking(body_seconds=0.5) as (receiver, client):
        slow = threading.Thread(target=raw, args=(client, b"content-length: 100"))
        slow.start()
        assert client.post(f"/notices/{SECRET}", json=NOTICE).status_code == 202
        slow.join()
        assert raw(client, b"content-length: 100").startswith(b"HTTP/1.1 408 ")
        assert len(receiver.taken) == 1


def test_a_client_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is dropped."""
    monkeypatch.setattr(serving, "_HEADER_SECONDS", 0.2)
    with taking() as (_, client):
        for sent in (b"", b"POST /noti"):
            with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=PATIENCE) as connection:
                connection.sendall(sent)
                assert connection.recv(100) == b""


def test_too_many_at_once() -> None:
    """Bodies beyond those that are read at once are answered with 503; later there is room again."""
    with taking(requests=1, body_seconds=PATIENCE) as (_, client):
        first = socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=PATIENCE)
        with first:
            head = f"POST /notices/{SECRET} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
            first.sendall(head.encode() + b"{")
            while client.post(f"/notices/{SECRET}", json=NOTICE).status_code != 503:
                pass  # the first one is not read yet
            first.sendall(b"}")
            assert first.recv(100).startswith(b"HTTP/1.1 202 ")
        assert client.post(f"/notices/{SECRET}", json=NOTICE).status_code == 202


def test_a_full_queue() -> None:
    """It is answered with 503, and so is health: whoever looks after the receiver sees it."""
    with taking(room=1) as (receiver, client):
        url = f"/notices/{SECRET}?forward=http%3A%2F%2Ffirst.example"
        assert client.post(url, json=NOTICE).status_code == 202
        assert client.post(url, json=NOTICE).status_code == 503
        assert client.get("/health").status_code == 503
        assert len(receiver.taken) == len(receiver.forwarded) == 1


def test_forwarding_is_requested_by_the_address() -> None:
    """With the body as it came; the trial of `register` is not handed on."""
    with taking() as (receiver, client):
        assert client.post(f"/notices/{SECRET}?forward=https%3A%2F%2Fa%2Fb%3Fc%3Dd", json=NOTICE).status_code == 202
        assert client.post(f"/notices/{SECRET}?forward=x", content=b"{}").status_code == 202
        [(body, url)] = receiver.forwarded
        assert (json.loads(body), url) == (NOTICE, "https://a/b?c=d")


def test_mounted_in_another_application() -> None:
    """Below a path of one's own."""
    receiver = Taking()
    outer = Starlette(routes=[Mount("/hooks", cast("Any", receiver.app))])
    with served(outer) as at, httpx.Client(base_url=at, timeout=PATIENCE) as client:
        assert client.post(f"/hooks/notices/{SECRET}", json=NOTICE).status_code == 202
        assert client.get("/hooks/health").status_code == 200
        assert client.post(f"/notices/{SECRET}", json=NOTICE).status_code == 404
    receiver.app.close()
    assert (receiver.taken, receiver.closed) == ([Notice(7, "w")], 1)


def test_the_secret_is_in_no_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Of the server, at any level, whatever the request is answered with."""
    caplog.set_level(logging.DEBUG)
    with taking(room=1) as (_, client):
        for content in (b"{}", json.dumps(NOTICE).encode(), json.dumps(NOTICE).encode(), b"{"):
            raw_post(client, content)
    captured = capfd.readouterr()
    assert SECRET not in caplog.text + captured.out + captured.err


def raw_post(client: httpx.Client, content: bytes) -> None:
    """Post without httpx, which logs addresses."""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=PATIENCE) as connection:
        head = f"POST /notices/{SECRET} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        assert connection.recv(100).startswith(b"HTTP/1.1 ")


def test_background_work() -> None:
    """Each item once while it waits; what fails is not the end; what waits at the end is dropped and counted."""
    begun, go_on, done = threading.Event(), threading.Event(), list[int]()

    def handle(item: int) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        if item == 2:
            raise RuntimeError("planted")
        done.append(item)

    queue = BackgroundQueue[int](handle, name="test", size=2, threads=1)
    assert queue.put(1)
    assert begun.wait(PATIENCE)
    assert [queue.put(item) for item in (2, 2, 3, 4)] == [True, True, True, False]
    assert (len(queue), queue.has_room) == (2, False)
    go_on.set()
    while len(queue):
        pass
    assert queue.pause(0)
    begun.clear()
    go_on.clear()
    assert queue.put(5)
    assert begun.wait(PATIENCE)
    assert queue.put(6)
    closing = threading.Thread(target=lambda: done.append(-queue.close(PATIENCE)))
    closing.start()
    while queue.put(7):
        pass
    assert not queue.pause(PATIENCE)
    go_on.set()
    closing.join()

    assert done == [1, 3, 5, -1]


def test_notices_of_any_shape() -> None:
    """Only a whole number is a job."""
    wrong: list[Any] = [1.0, -1, 2**63, "1", None, [], {}]
    for job in wrong:
        assert parse_notice(json.dumps({"data": {"jobId": job}}).encode()) is None
    assert parse_notice(b'{"data": {"jobId": 9, "workspace": "x"}}') == Notice(9, "")


def test_where_the_secret_comes_from(tmp_path: Any) -> None:
    """A file that is named, one that the environment names, the environment; it is in no message."""
    file, other = tmp_path / "one", tmp_path / "two"
    file.write_text(f"{SECRET}1\n")
    other.write_text(f"{SECRET}2")
    environment = {"AIRBYTE_WEBHOOK_SECRET": f"{SECRET}3", "AIRBYTE_WEBHOOK_SECRET_FILE": str(other)}
    assert find_secret(file, environment) == f"{SECRET}1"
    assert find_secret(None, environment) == f"{SECRET}2"
    del environment["AIRBYTE_WEBHOOK_SECRET_FILE"]
    assert find_secret(None, environment) == f"{SECRET}3"
    for bad in ("short", "planted with spaces in it", "planted/with/slashes/in/it"):
        with pytest.raises(ConfigurationError, match="not valid") as caught:
            find_secret(None, {"AIRBYTE_WEBHOOK_SECRET": bad})
        assert bad not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"AIRBYTE_WEBHOOK_SECRET is not set.*token_urlsafe"):
        find_secret(None, {})
    with pytest.raises(ConfigurationError, match=r"can't be read from .*: No such file"):
        find_secret(tmp_path / "none", {})


def test_an_address_that_this_machine_has_not() -> None:
    """The message names what was given, and both options."""
    with pytest.raises(ConfigurationError, match=r"nonesuch\.invalid:0 can't be .*--host, or a free port with --port"):
        serving.serve(Taking().app, "nonesuch.invalid", 0, say=print)
