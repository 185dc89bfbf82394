"""Receivers of notices that run in this process, with uvicorn, and what Airbyte or anybody else posts to them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from airbyte_dagster.webhook import build_webhook_app, serving
from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.local.fakes import PATIENCE, Api
from airbyte_dagster_tests.sensors.recording import Recording

SECRET = "planted-secret-0123456789"


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on a free port, for the time of a block; its root."""
    ready = threading.Event()
    server = serving.make_receiver(app, ready.set)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(100)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def receiving(recording: Recording, **settings: Any) -> Iterator[str]:
    """Serve the receiver of a code location; the address with the secret."""
    with served(build_webhook_app(recording.definitions, secret=SECRET, instance=recording.instance, **settings)) as at:
        yield f"{at}/notices/{SECRET}"


def notify(api: Api, url: str | None) -> None:
    """Have Airbyte post the notices of the workspace to an address, or to none."""
    webhook = {"webhook": {"enabled": url is not None, "url": url or ""}}
    api.ok("PATCH", f"/workspaces/{api.workspace_id}", json={"notifications": {"success": webhook, "failure": webhook}})


def notice_of(api: Api, job_id: int, **data: Any) -> dict[str, Any]:
    """What Airbyte posts of a job, as far as a receiver reads it."""
    return {"text": "", "blocks": [], "data": {"workspace": {"id": api.workspace_id}, "jobId": job_id, **data}}


def post(url: str, content: Any) -> int:
    """Post a notice; the status."""
    return httpx.post(url, json=content, timeout=PATIENCE).status_code


def until(condition: Callable[[], Any], recording: Recording) -> None:
    """Wait for something to be recorded."""
    wait_for(condition, lambda: f"{recording.told()} {recording.logged}", every=0.02)
