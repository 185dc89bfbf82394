"""Starts the HTTP server as a process, ends it, and asks it for what lies behind the API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.simulated_airbyte.calls import CLIENT_ID, CLIENT_SECRET
from benchmarks.simulated_airbyte.core import CallRecord
from benchmarks.simulated_airbyte.inventory import WORKSPACE_ID

_ROOT = Path(__file__).parents[2]
_END_SECONDS = 10.0


class RunningSimulation:
    """A server that runs.

    Attributes:
        server_url: Base of its public API.
        configuration_url: Base of its configuration API.
        environment: The way to it, in the variables that ``AirbyteResource.from_env`` takes.
    """

    def __init__(self, port: int) -> None:
        host = f"http://127.0.0.1:{port}"
        self.server_url = f"{host}/api/public/v1"
        self.configuration_url = f"{host}/api/v1"
        self.environment = {
            "AIRBYTE_SERVER_URL": self.server_url,
            "AIRBYTE_CLIENT_ID": CLIENT_ID,
            "AIRBYTE_CLIENT_SECRET": CLIENT_SECRET,
            "AIRBYTE_WORKSPACE_ID": WORKSPACE_ID,
        }
        self._behind = httpx.Client(base_url=f"{host}/simulation", timeout=60, trust_env=False)

    def truth(self) -> list[dict[str, Any]]:
        """Return all jobs ever made; see `JobRow.truth`."""
        return list(self._ask("GET", "/truth").json())

    def records(self) -> list[CallRecord]:
        """Return all calls that were answered since the start, or since they were forgotten."""
        return [CallRecord(**record) for record in self._ask("GET", "/records").json()]

    def calls(self) -> Counter[str]:
        """Return how many calls of each route were answered."""
        return Counter(record.route for record in self.records())

    def forget_records(self) -> None:
        """Count from zero."""
        self._ask("DELETE", "/records")

    def alter(self, connection_id: str, **fields: Any) -> None:
        """Set fields of a connection; see `ConnectionRow`."""
        self._ask("PATCH", f"/connections/{connection_id}", json=fields)

    def delete(self, connection_id: str) -> None:
        """Delete a connection."""
        self._ask("DELETE", f"/connections/{connection_id}")

    def close(self) -> None:
        """Ask no more."""
        self._behind.close()

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._behind.request(method, path, **options).raise_for_status()


@contextmanager
def running_simulation(
    connections: int, streams: int, *, job_seconds: float = 5.0, latency: float = 0.05, token_seconds: float = 900.0
) -> Iterator[RunningSimulation]:
    """Run a server in a process of its own, for the time of a block.

    Args:
        connections: How many there are.
        streams: How many each has.
        job_seconds: From the making of a job to its end.
        latency: Seconds for each request.
        token_seconds: How long a token lives.
    """
    options = {
        "connections": connections,
        "streams": streams,
        "job_seconds": job_seconds,
        "latency": latency,
        "token_seconds": token_seconds,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.simulated_airbyte.server", json.dumps(options)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018
        try:
            simulation = RunningSimulation(int(process.stdout.readline()))
            try:
                yield simulation
            finally:
                simulation.close()
            process.stdin.close()
            process.wait(_END_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
