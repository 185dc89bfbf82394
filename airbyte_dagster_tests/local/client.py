"""A client for tests: signed in, with the course's calls in a line each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from airbyte_dagster.local import settings
from airbyte_dagster_tests.process_states import states_below

PATIENCE = 300.0
"""Seconds after which a test that waits gives up."""


class Api(httpx.Client):
    """An httpx client for the public API, signed in; paths are relative to it."""

    def __init__(self, url: str, credentials: settings.Credentials) -> None:
        # Connections are kept: closing them is where the pool of a client that threads share goes wrong.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        super().__init__(base_url=url + settings.PUBLIC_API, timeout=PATIENCE, limits=limits)
        self.root = url
        self.workspace_id = credentials.workspace_id
        answer = httpx.post(  # not by this client, which a `with` could not open then
            f"{url}{settings.PUBLIC_API}/applications/token",
            json={"client_id": credentials.client_id, "client_secret": credentials.client_secret},
        )
        self.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    def ok(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request that must succeed; its JSON."""
        answer = self.request(method, path, **arguments)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def source(self, kind: str = "faker", **config: Any) -> str:
        """Make a source; its id."""
        body = {"name": f"{kind} source", "workspaceId": self.workspace_id}
        return str(
            self.ok("POST", "/sources", json={**body, "configuration": {"sourceType": kind, **config}})["sourceId"]
        )

    def destination(self, path: str = "lms.duckdb", **config: Any) -> str:
        """Make a DuckDB destination; its id."""
        body = {"name": "duck", "workspaceId": self.workspace_id}
        config = {"destinationType": "duckdb", "destination_path": path, **config}
        return str(self.ok("POST", "/destinations", json={**body, "configuration": config})["destinationId"])

    def connection(self, source_id: str, destination_id: str, streams: Sequence[Any] = (), **more: Any) -> str:
        """Make a connection of these streams, given by name or as mappings; its id."""
        wanted = [{"name": stream} if isinstance(stream, str) else stream for stream in streams]
        body = {"sourceId": source_id, "destinationId": destination_id, "configurations": {"streams": wanted}, **more}
        return str(self.ok("POST", "/connections", json=body)["connectionId"])

    def sync(self, connection_id: str, job_type: str = "sync") -> int:
        """Start a job; its id."""
        return int(self.ok("POST", "/jobs", json={"connectionId": connection_id, "jobType": job_type})["jobId"])

    def finish(self, job_id: int, timeout: float = PATIENCE) -> dict[str, Any]:
        """Poll a job until it has ended; the job."""
        return self.until(job_id, lambda job: job["status"] not in {"pending", "running"}, timeout)

    def until(
        self, job_id: int, condition: Callable[[dict[str, Any]], bool], timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """Poll a job until the condition holds; the job."""
        deadline = time.monotonic() + timeout
        while True:
            job: dict[str, Any] = self.ok("GET", f"/jobs/{job_id}")
            if condition(job):
                return job
            assert time.monotonic() < deadline, f"still {job}\n{states_below()}"
            threading.Event().wait(0.02)

    def debug(self, job_id: int) -> dict[str, Any]:
        """The job as ``jobs/get_debug_info`` shows it."""
        answer = self.post(f"{self.root}{settings.CONFIG_API}/jobs/get_debug_info", json={"id": job_id})
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def failure(self, job_id: int) -> dict[str, Any]:
        """Why the job failed."""
        found: dict[str, Any] = self.debug(job_id)["attempts"][0]["attempt"]["failureSummary"]["failures"][0]
        return found
