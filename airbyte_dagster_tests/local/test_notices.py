"""Notices of syncs: what a workspace's webhooks get, by a receiver on the loopback interface."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airbyte_dagster.local import notices
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte


class Receiver:
    """Takes notices; answers with ``status``.

    Attributes:
        status: What it answers.
        seen: Path, content type and body of each request.
    """

    def __init__(self) -> None:
        self.status = 200
        self.seen: queue.Queue[tuple[str, str | None, Any]] = queue.Queue()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seen.put((self.path, self.headers["content-type"], json.loads(body)))
                self.send_response(outer.status)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{path}"

    def next(self) -> tuple[str, str | None, Any]:
        return self.seen.get(timeout=PATIENCE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def connection(api: Api, receiver: Receiver) -> str:
    """A connection of a workspace that wants both kinds of notices."""
    webhooks = {event: {"webhook": {"enabled": True, "url": receiver.url(event)}} for event in ("success", "failure")}
    api.ok("PATCH", f"/workspaces/{api.workspace_id}", json={"notifications": webhooks})
    return api.connection(api.source(count=3), api.destination(), ["users", "products"], name="a <b> & c")


def test_a_success(airbyte: RunningAirbyte, api: Api, receiver: Receiver, connection: str) -> None:
    """Text for people, blocks for Slack, data for programs: whose sync it was, how long it took, how much it moved."""
    job = api.finish(api.sync(connection))
    path, kind, body = receiver.next()
    assert (path, kind) == ("/success", "application/json")
    assert set(body) == {"text", "blocks", "data"}
    data = body["data"]
    assert set(data) == {
        *("workspace", "connection", "source", "destination", "jobId", "startedAt", "finishedAt", "success"),
        *("bytesEmitted", "bytesCommitted", "recordsEmitted", "recordsCommitted", "recordsFilteredOut"),
        *("bytesFilteredOut", "errorMessage", "errorType", "errorOrigin", "durationInSeconds"),
    }
    assert (data["jobId"], data["success"], data["recordsCommitted"]) == (job["jobId"], True, 6)
    assert (data["errorMessage"], data["errorType"], data["errorOrigin"]) == (None, None, None)
    assert data["startedAt"].endswith("Z")
    assert data["connection"]["id"] == connection
    assert data["connection"]["url"].endswith(f"/workspaces/{api.workspace_id}/connections/{connection}")
    assert data["workspace"]["id"] == api.workspace_id
    assert (data["source"]["name"], data["destination"]["name"]) == ("faker source", "duck")
    assert body["text"].startswith("Your connection a <b> & c from faker source to duck succeeded\n")
    assert "|a &lt;b&gt; &amp; c>" in body["blocks"][0]["text"]["text"]
    assert "6 record(s) extracted / 6 record(s) loaded" in body["blocks"][-1]["text"]["text"]


def test_a_failure(airbyte: RunningAirbyte, api: Api, receiver: Receiver, connection: str) -> None:
    """Says why."""
    airbyte.engine.fail_next("The source broke", kind="config_error", after_rows=2)
    api.finish(api.sync(connection))
    path, _, body = receiver.next()
    data = body["data"]
    assert (path, data["success"]) == ("/failure", False)
    assert (data["errorMessage"], data["errorType"], data["errorOrigin"]) == (
        "The source broke",
        "config_error",
        "source",
    )
    assert (data["recordsEmitted"], data["recordsCommitted"]) == (2, 0)
    assert "[config_error] The source broke" in body["blocks"][-2]["text"]["text"]
    assert "This happened with The source broke" in body["text"]


def test_who_gets_none(airbyte: RunningAirbyte, api: Api, receiver: Receiver, connection: str) -> None:
    """Resets, cancelled syncs and workspaces that turned it off: the next notice is that of the next sync."""
    api.finish(api.sync(connection, "reset"))
    airbyte.engine.hold()
    cancelled = api.sync(connection)
    airbyte.engine.wait_for_start(2)
    api.ok("DELETE", f"/jobs/{cancelled}")
    airbyte.engine.release()
    other = api.ok("POST", "/workspaces", json={"name": "quiet"})["workspaceId"]
    off = {"success": {"webhook": {"enabled": False, "url": receiver.url("quiet")}}}
    api.ok("PATCH", f"/workspaces/{other}", json={"notifications": off})
    assert notices.webhook(airbyte.store.workspace(other).notifications, "success") is None
    job = api.finish(api.sync(connection))
    assert receiver.next()[2]["data"]["jobId"] == job["jobId"]
    assert receiver.seen.empty()


def test_the_other_event_stays(airbyte: RunningAirbyte, api: Api, receiver: Receiver, connection: str) -> None:
    """A change of one event's webhook leaves the others'. (§15, WorkspacesHandler.patchNotifications)"""
    elsewhere = {"success": {"webhook": {"enabled": True, "url": receiver.url("elsewhere")}}}
    shown = api.ok("PATCH", f"/workspaces/{api.workspace_id}", json={"notifications": elsewhere})["notifications"]
    assert shown["success"] == elsewhere["success"]
    assert shown["failure"]["webhook"]["url"] == receiver.url("failure")
    api.finish(api.sync(connection))
    assert receiver.next()[0] == "/elsewhere"


@pytest.mark.parametrize("status", [302, 500])
def test_it_is_sent_once(status: int, api: Api, receiver: Receiver, connection: str) -> None:
    """Whatever the answer, there is no second try, no redirect is followed, and the job is what it is."""
    receiver.status = status
    jobs = [api.finish(api.sync(connection))["jobId"] for _ in range(2)]
    assert sorted(receiver.next()[2]["data"]["jobId"] for _ in jobs) == jobs
    assert receiver.seen.empty()


def test_nobody_listens(airbyte: RunningAirbyte, api: Api, receiver: Receiver, connection: str) -> None:
    """The job succeeds all the same, and at once; so it does with a URL that is none."""
    receiver.server.shutdown()
    receiver.server.server_close()
    assert api.finish(api.sync(connection))["status"] == "succeeded"
    for url in ("http://[", "file:///etc/passwd", "http://"):
        webhooks = {"success": {"webhook": {"enabled": True, "url": url}}}
        airbyte.store.change_workspace(api.workspace_id, notifications=webhooks)
        assert api.finish(api.sync(connection))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("notifications", "expected"),
    [
        ({}, None),
        ({"success": None}, None),
        ({"success": {"email": {"enabled": True}}}, None),
        ({"success": {"webhook": {"url": "https://x"}}}, None),
        ({"success": {"webhook": {"enabled": True}}}, None),
        ({"success": {"webhook": {"enabled": True, "url": "ftp://x"}}}, None),
        ({"success": {"webhook": {"enabled": True, "url": "https://x"}}}, "https://x"),
    ],
)
def test_which_url(notifications: Any, expected: str | None) -> None:
    """That of the event, if it is on."""
    assert notices.webhook(notifications, "success") == expected


def test_times_and_sizes() -> None:
    """As Airbyte writes them."""
    assert [notices._duration(seconds) for seconds in (5, 65, 3665)] == ["5 sec", "1 min 5 sec", "1 hours 1 min"]
    assert [notices._size(count) for count in (5, 2048, 3 << 20, 5 << 50)] == ["5 B", "2 kB", "3 MB", "5120 TB"]
