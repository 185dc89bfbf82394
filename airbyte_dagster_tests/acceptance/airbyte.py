"""Local Airbyte with scripted jobs, behind a proxy that records requests and can fail or hold them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from airbyte_dagster.local.engine import Failure, JobRequest, OnProgress, Outcome
from airbyte_dagster_tests.http_server import HttpServer, Reply, Request
from airbyte_dagster_tests.local.fakes import (
    Api,
    RunningAirbyte,
    ScriptedEngine,
    ScriptedRun,
    running_local_airbyte,
    warehouse,
)

ROWS = 35
_JOBS = "/api/public/v1/jobs"
_FORWARDED = ("authorization", "content-type")
#: More than any test has on its way at once, so that no job waits for another.
_WORKERS = 100

TWINS: Mapping[str, list[dict[str, Any]]] = {
    "north": [{"id": number, "code": "same"} for number in range(3)],
    "south": [{"id": 0, "code": f"code {number}"} for number in range(8)],
}
"""Rows of the stream ``account`` by namespace; the key of ``north`` is ``id``, that of ``south`` is ``code``."""
_TWIN_KEYS = {"north": "id", "south": "code"}


class ObservedEngine(ScriptedEngine):
    """An engine that keeps when jobs started and ended, and can hold a connection's jobs or do odd things at their end.

    Jobs write to the file of their destination's name in the home, whatever its directory: destinations of different
    directories are different for local Airbyte, which runs one job of each at once, and the same for Dagster.

    Args:
        home: That directory.

    Attributes:
        failing: Connections whose jobs fail.
        afterwards: SQL for the warehouse when a job of the connection has written its rows.
    """

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.writing = threading.Lock()
        self._home = home
        self.failing: set[str] = set()
        self.afterwards: dict[str, str] = {}
        self._held: dict[str, list[threading.Event]] = {}
        self._history: list[tuple[str, int]] = []
        self._recording = threading.Lock()
        rows = [{"id": number, "name": f"name {number}"} for number in range(ROWS)]
        self.add("shop", {"users": rows, "products": rows[:10]}, cursor=None)
        self.add("twins", {"account": TWINS["north"]}, cursor=None)
        for namespace, account in TWINS.items():
            self.add(f"twins in {namespace}", {"account": account}, cursor=None)

    def discover(self, source_type: str, config: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
        found = super().discover(source_type, config, **options)
        if source_type != "twins":
            return found
        return [
            {**found[0], "namespace": namespace, "source_defined_primary_key": [[key]]}
            for namespace, key in _TWIN_KEYS.items()
        ]

    def hold_connection(self, connection_id: str) -> None:
        """Make jobs of a connection that start from now on run until `release_connection`."""
        with self._recording:
            self._held[connection_id] = []

    def release_connection(self, connection_id: str) -> None:
        """Let its jobs go on, and those that come."""
        with self._recording:
            waiting = self._held.pop(connection_id)
        for end in waiting:
            end.set()

    def start(self, request: JobRequest) -> Any:
        path = self._home / Path(request.warehouse.path).name
        request = replace(request, warehouse=replace(request.warehouse, path=str(path)))
        run = _ObservedRun(self, request, super().start(request))
        with self._recording:
            if request.connection_id in self._held:
                self._held[request.connection_id].append(run.may_go_on)
            else:
                run.may_go_on.set()
        self.record(request.connection_id, 1)
        return run

    def close(self) -> None:
        for connection_id in list(self._held):
            self.release_connection(connection_id)

    def record(self, connection_id: str, change: int) -> None:
        """Record the start (1) or end (-1) of a job."""
        with self._recording:
            self._history.append((connection_id, change))

    def running(self, connections: Collection[str]) -> set[str]:
        """Those of some connections that have a job now."""
        with self._recording:
            started = [connection for connection, _ in self._history if connection in connections]
            return {one for one in started if sum(change for of, change in self._history if of == one)}

    def peak(self, connections: Collection[str]) -> int:
        """How many jobs some connections had at once, at most."""
        now = most = 0
        with self._recording:
            for connection, change in self._history:
                now += change if connection in connections else 0
                most = max(most, now)
        return most


class _ObservedRun:
    """A job; what it writes comes from the scripted run, but for the twins, whose rows depend on the namespace."""

    def __init__(self, engine: ObservedEngine, request: JobRequest, run: ScriptedRun) -> None:
        self._engine = engine
        self._request = request
        self._run = run
        self.may_go_on = threading.Event()
        if request.source_type == "twins":
            write = run._write
            run._write = lambda connection, plan: self._write_twin(write, connection, plan)  # type: ignore[method-assign]

    def cancel(self) -> None:
        self._run.cancel()
        self.may_go_on.set()

    def wait(self, on_progress: OnProgress) -> Outcome:
        connection_id = self._request.connection_id
        try:
            self.may_go_on.wait()
            if connection_id in self._engine.failing:
                return Outcome(failure=Failure("The source broke", origin="source"))
            with self._engine.writing:
                return self._write(on_progress)
        finally:
            self._engine.record(connection_id, -1)

    def _write(self, on_progress: OnProgress) -> Outcome:
        outcome = self._run.wait(on_progress)
        sql = self._engine.afterwards.get(self._request.connection_id)
        if outcome.failure is None and sql:
            with warehouse(self._request.warehouse.path) as connection:
                connection.execute(sql)
        return outcome

    def _write_twin(self, write: Callable[..., Any], connection: Any, plan: Any) -> Any:
        self._run._request = replace(self._request, source_type=f"twins in {plan.namespace}")
        return write(connection, plan)


class Ingress(HttpServer):
    """A proxy in front of Airbyte.

    Args:
        target: Root of Airbyte.

    Attributes:
        before: Called with each request before it is forwarded, in a thread of its own; what it returns is the answer
            in Airbyte's place.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self.before: Callable[[Request], Reply | None] = forward
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.Client(base_url=target, timeout=300, limits=limits)

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        return self.before(request) or self.forwarded(request)

    def forwarded(self, request: Request) -> Reply:
        """What Airbyte answers."""
        answer = self._client.request(
            request.method,
            request.path,
            params=dict(request.query),
            content=request.body,
            headers={name: request.headers[name] for name in _FORWARDED if name in request.headers},
        )
        return Reply(answer.status_code, answer.content, {"Content-Type": answer.headers.get("content-type", "")})

    def questions_about_jobs(self) -> int:
        """How many requests there were for a job, for jobs, or for a new one."""
        return sum(request.method in ("GET", "POST") and is_about_jobs(request) for request in list(self.requests))


def forward(_request: Request) -> None:
    """Leave the answer to Airbyte."""


def is_about_jobs(request: Request) -> bool:
    """Whether a request goes to the public API's jobs."""
    return request.path.startswith(_JOBS)


@dataclass
class Airbyte:
    """Local Airbyte, and what lies before and behind it.

    Attributes:
        ids: Of connections, by name.
        api: A way to it that is not through the ingress.
    """

    server: RunningAirbyte
    engine: ObservedEngine
    ingress: Ingress
    api: Api
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The way to it, through the ingress."""
        return {**self.server.environment, "AIRBYTE_SERVER_URL": f"{self.ingress.url}/api/public/v1"}

    def id_of(self, name: str) -> str:
        """The id of a connection, by its name."""
        offset = 0
        while name not in self.ids:
            found = self.api.ok("GET", "/connections", params={"limit": 100, "offset": offset})["data"]
            assert found, f"no connection {name}"
            self.ids |= {row["name"]: row["connectionId"] for row in found}
            offset += len(found)
        return self.ids[name]

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """The jobs of a connection, oldest first."""
        found = self.api.ok("GET", "/jobs", params={"connectionId": self.id_of(name), "limit": 100})["data"]
        return sorted(found, key=lambda job: int(job["jobId"]))

    def statuses(self, name: str) -> list[str]:
        """The status of each job of a connection, oldest first."""
        return [job["status"] for job in self.jobs(name)]

    def start_held(self, name: str) -> int:
        """Start a job that nobody in Dagster asked for, and that runs until it is released; its id."""
        self.engine.hold_connection(self.id_of(name))
        job = self.api.sync(self.id_of(name))
        self.api.until(job, lambda found: bool(found["status"] == "running"))
        return job

    def hold(self, *names: str) -> None:
        """Make jobs of connections run until they are released."""
        for name in names:
            self.engine.hold_connection(self.id_of(name))

    def release(self, *names: str) -> None:
        """Let held jobs of connections end, and those that come."""
        for name in names:
            self.engine.release_connection(self.id_of(name))


@contextmanager
def running_airbyte(home: Path) -> Iterator[Airbyte]:
    """Run it in threads of this process, for the time of a block."""
    engine = ObservedEngine(home)
    with (
        running_local_airbyte(home, engine, workers=_WORKERS) as server,
        Ingress(server.url) as ingress,
        server.api() as api,
    ):
        yield Airbyte(server, engine, ingress, api)
