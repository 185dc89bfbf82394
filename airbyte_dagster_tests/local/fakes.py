"""A scripted engine in place of connectors, and the real server around it in a thread of this process.

engine = ScriptedEngine()
with running_local_airbyte(tmp_path, engine) as airbyte:
    AirbyteResource(server_url=airbyte.server_url, client_id=airbyte.client_id, ...)
"""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
from fastapi import FastAPI

from airbyte_dagster.local import settings
from airbyte_dagster.local.app import create_app
from airbyte_dagster.local.deps import Context
from airbyte_dagster.local.engine import (
    ConnectorFailed,
    Failure,
    JobRequest,
    OnProgress,
    Outcome,
    StreamPlan,
    StreamStats,
    UnknownConnector,
)
from airbyte_dagster.local.server import Options, listen, make_context, make_uvicorn
from airbyte_dagster.serving import url_of
from airbyte_dagster_tests.local.client import PATIENCE, Api

__all__ = ["PATIENCE", "Api", "RunningAirbyte", "ScriptedEngine", "ScriptedSource", "running_local_airbyte"]

Row = dict[str, Any]


def faker_rows(config: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Rows like Faker's, as many per stream as the configuration's ``count`` (products never more than 100)."""
    count = int(config.get("count", 1000))
    return {
        "products": [{"id": i, "make": "Mazda", "updated_at": "2026-01-01"} for i in range(1, min(count, 100) + 1)],
        "users": [{"id": i, "name": f"User {i}", "updated_at": "2026-01-01"} for i in range(1, count + 1)],
        "purchases": [{"id": i, "user_id": i, "updated_at": "2026-01-01"} for i in range(1, count + 1)],
    }


@dataclass
class ScriptedSource:
    """What one source type does.

    Args:
        streams: Rows per stream, or a function of the configuration that gives them.
        spec: The JSON schema of its configuration.
        primary_key: The primary key's field, for all streams that have it.
        cursor: The cursor's field, for all streams that have it; such a stream can be read incrementally.
        suggested: Streams that discovery marks as suggested.
        namespaces: Namespace per stream.
    """

    streams: Mapping[str, list[Row]] | Callable[[Mapping[str, Any]], Mapping[str, list[Row]]]
    spec: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    primary_key: str | None = "id"
    cursor: str | None = "updated_at"
    suggested: Sequence[str] = ()
    namespaces: Mapping[str, str] = field(default_factory=dict)

    def rows(self, config: Mapping[str, Any]) -> Mapping[str, list[Row]]:
        return self.streams(config) if callable(self.streams) else self.streams


FAKER_SPEC = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1},
        "seed": {"type": "integer"},
        "api_key": {"type": "string", "airbyte_secret": True},
    },
}


class ScriptedEngine:
    """An engine whose syncs are instant, and fail or wait when told to. It knows ``faker`` and what `add` is given.

    Attributes:
        requests: Every job that was started, in order, with its configuration as the engine got it.
        discoveries: How often streams were asked for.
        specs: How often a spec was asked for.
        slow_discovery: Set to an event, discovery waits for it.
        refused: Set to a reason, it is what every check of a configuration ends with.
        unreachable: Set to a reason, it is what every discovery fails with.
    """

    def __init__(self) -> None:
        self.sources: dict[str, ScriptedSource] = {"faker": ScriptedSource(faker_rows, FAKER_SPEC)}
        self.requests: list[JobRequest] = []
        self.discoveries = 0
        self.specs = 0
        self.slow_discovery: threading.Event | None = None
        self.refused: str | None = None
        self.unreachable: str | None = None
        self._failures: list[tuple[Failure, int, Sequence[str]]] = []
        self._gate: threading.Event | None = None
        self._changed = threading.Condition()

    # What tests say

    def add(self, name: str, streams: Any, **settings_: Any) -> ScriptedSource:
        """Add or replace a source type; the arguments are those of `ScriptedSource`."""
        self.sources[name] = ScriptedSource(streams, **settings_)
        return self.sources[name]

    def fail_next(
        self,
        message: str = "The source broke",
        internal: str = "",
        *,
        origin: str = "source",
        kind: str = "system_error",
        after_rows: int = 0,
        stream: tuple[str | None, str] | None = None,
        complete: Sequence[str] = (),
    ) -> None:
        """Make the next sync fail after having read some rows of its first stream, none of which reach the warehouse.

        The streams that are ``complete`` are read and written before that; ``stream`` is the one to blame.
        """
        self._failures.append((Failure(message, internal, origin, kind, stream), after_rows, complete))

    def hold(self) -> None:
        """Make syncs that start from now on wait, as running, until `release` or until they are cancelled."""
        self._gate = threading.Event()

    def release(self) -> None:
        """Let held syncs go on."""
        if self._gate is not None:
            self._gate.set()
        self._gate = None

    def wait_for_start(self, jobs: int = 1, timeout: float = PATIENCE) -> None:
        """Block until this many jobs in total have been started."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= jobs, timeout), f"{len(self.requests)} started"

    # What the server asks

    def _source(self, name: str) -> ScriptedSource:
        if name not in self.sources:
            raise UnknownConnector(name)
        return self.sources[name]

    def spec(self, source_type: str) -> dict[str, Any]:
        self.specs += 1
        return self._source(source_type).spec

    def check(self, source_type: str, config: Mapping[str, Any]) -> str | None:
        self._source(source_type)
        return self.refused

    def discover(
        self, source_type: str, config: Mapping[str, Any], *, refresh: bool = False, on_progress: Any = None
    ) -> list[dict[str, Any]]:
        source = self._source(source_type)
        self.discoveries += 1
        if self.slow_discovery is not None:
            assert self.slow_discovery.wait(PATIENCE)
        if self.unreachable is not None:
            raise ConnectorFailed(self.unreachable)
        return [_discovered(source, name, rows) for name, rows in source.rows(config).items()]

    def start(self, request: JobRequest) -> ScriptedRun:
        failure = self._failures.pop(0) if self._failures and request.job_type == "sync" else None
        run = ScriptedRun(self, request, failure, self._gate)
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return run

    def close(self) -> None:
        self.release()


class ScriptedRun:
    """A job of the scripted engine."""

    def __init__(
        self,
        engine: ScriptedEngine,
        request: JobRequest,
        failure: tuple[Failure, int, Sequence[str]] | None,
        gate: threading.Event | None,
    ) -> None:
        self._engine = engine
        self._request = request
        self._failure = failure
        self._go = gate or threading.Event()
        if gate is None:
            self._go.set()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def wait(self, on_progress: OnProgress) -> Outcome:
        on_progress([StreamStats(plan.name, plan.namespace) for plan in self._request.streams])
        while not self._go.wait(0.01):
            if self._cancelled.is_set():
                break
        if self._cancelled.is_set():
            return Outcome(failure=Failure("The job was cancelled", kind="manual_cancellation"))
        if self._failure is not None:
            failure, rows, complete = self._failure
            first = self._request.streams[0]
            with warehouse(self._request.warehouse.path) as connection:
                done = [self._write(connection, plan) for plan in self._request.streams if plan.name in complete]
            return Outcome((*done, StreamStats(first.name, first.namespace, rows, rows * 100)), failure)
        with warehouse(self._request.warehouse.path) as connection:
            stats = [self._write(connection, plan) for plan in self._request.streams]
        on_progress(stats)
        return Outcome(tuple(stats))

    def _write(self, connection: duckdb.DuckDBPyConnection, plan: StreamPlan) -> StreamStats:
        table = f'"{plan.schema}"."{plan.table}"'
        if self._request.job_type == "reset":
            with contextlib.suppress(duckdb.CatalogException):
                connection.execute(f"DELETE FROM {table}")
            return StreamStats(plan.name, plan.namespace)
        rows = list(self._engine._source(self._request.source_type).rows(self._request.source_config)[plan.name])
        if plan.incremental and plan.cursor_field:
            cursor = plan.cursor_field[0]
            since = _cursor_of(self._request.states, plan)
            rows = [row for row in rows if since is None or row[cursor] > since]
            if rows:
                self._request.keep_states([_state(plan, {cursor: max(row[cursor] for row in rows)})])
        _load(connection, plan, table, rows)
        size = sum(len(json.dumps(row)) for row in rows)
        return StreamStats(plan.name, plan.namespace, len(rows), size, len(rows), size, "COMPLETE")


def _state(plan: StreamPlan, value: dict[str, Any]) -> dict[str, Any]:
    descriptor = {"name": plan.name, "namespace": plan.namespace}
    return {"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": value}}


def _cursor_of(states: Sequence[dict[str, Any]], plan: StreamPlan) -> Any:
    """Where the last read of a stream stopped, by the state that the server hands back; None for the first one."""
    for state in states:
        if state["stream"]["stream_descriptor"]["name"] == plan.name:
            return state["stream"]["stream_state"].get(plan.cursor_field[0])
    return None


_TYPES: dict[type, tuple[str, str]] = {
    bool: ("boolean", "BOOLEAN"),
    int: ("integer", "BIGINT"),
    float: ("number", "DOUBLE"),
    str: ("string", "VARCHAR"),
}


def _discovered(source: ScriptedSource, name: str, rows: Sequence[Row]) -> dict[str, Any]:
    fields = {key: value for row in reversed(rows) for key, value in row.items()}
    properties = {key: {"type": ["null", _TYPES[type(value)][0]]} for key, value in fields.items()}
    stream: dict[str, Any] = {
        "name": name,
        "json_schema": {"type": "object", "properties": properties},
        "supported_sync_modes": ["full_refresh"],
    }
    if name in source.namespaces:
        stream["namespace"] = source.namespaces[name]
    if name in source.suggested:
        stream["suggested"] = True
    if source.primary_key in fields:
        stream["source_defined_primary_key"] = [[source.primary_key]]
    if source.cursor in fields:
        stream["supported_sync_modes"].append("incremental")
        stream["source_defined_cursor"] = True
        stream["default_cursor_field"] = [source.cursor]
    return stream


def _load(connection: duckdb.DuckDBPyConnection, plan: StreamPlan, table: str, rows: Sequence[Row]) -> None:
    selected = {path[0] for path in plan.selected_fields}
    properties = [key for key in plan.stream["json_schema"]["properties"] if not selected or key in selected]
    duckdb_types = dict(_TYPES.values())
    columns = [
        f'"{key}" {duckdb_types[plan.stream["json_schema"]["properties"][key]["type"][1]]}' for key in properties
    ]
    columns += ["_airbyte_raw_id VARCHAR", "_airbyte_extracted_at TIMESTAMP", "_airbyte_meta JSON"]
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{plan.schema}"')
    if plan.strategy == "replace":
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
    keys = [path[0] for path in plan.primary_key] if plan.dedupe else []
    kept = list({tuple(row[key] for key in keys): row for row in rows}.values()) if keys else list(rows)
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    if plan.strategy == "merge" and keys:
        condition = " AND ".join(f'"{key}" = ?' for key in keys)
        for row in kept:
            connection.execute(f"DELETE FROM {table} WHERE {condition}", [row[key] for key in keys])
    if kept:
        # One statement, as DuckDB takes a millisecond for each.
        values = [[*(row.get(key) for key in properties), uuid.uuid4().hex, now, "{}"] for row in kept]
        rows_of = ", ".join([f"({', '.join('?' * len(columns))})"] * len(values))
        connection.execute(f"INSERT INTO {table} VALUES {rows_of}", [value for row in values for value in row])


@contextlib.contextmanager
def warehouse(path: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for writing, waiting for whoever reads it; nothing for MotherDuck is ever stored."""
    if not path:
        with duckdb.connect(":memory:") as connection:
            yield connection
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            opened = duckdb.connect(path)
            break
        except (duckdb.IOException, duckdb.ConnectionException):
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.01)
    with opened:
        yield opened


@dataclass
class RunningAirbyte:
    """A server that runs in this process.

    Attributes:
        url: Its root, such as ``http://127.0.0.1:43210``.
        home: Its directories.
        credentials: Client id, secret and default workspace.
        context: Its parts: ``store``, ``jobs``, ``runner``, ``tokens``.
        engine: The engine it was given.
    """

    url: str
    home: settings.Home
    credentials: settings.Credentials
    context: Context
    engine: Any

    @property
    def server_url(self) -> str:
        """The public API's URL, for ``AIRBYTE_SERVER_URL``."""
        return self.url + settings.PUBLIC_API

    @property
    def client_id(self) -> str:
        return self.credentials.client_id

    @property
    def client_secret(self) -> str:
        return self.credentials.client_secret

    @property
    def workspace_id(self) -> str:
        return self.credentials.workspace_id

    @property
    def store(self) -> Any:
        return self.context.store

    @property
    def jobs(self) -> Any:
        return self.context.jobs

    @property
    def environment(self) -> dict[str, str]:
        """The five variables of `settings.environment`."""
        return settings.environment(self.home, self.url)

    def api(self) -> Api:
        """A signed-in client."""
        return Api(self.url, self.credentials)


class _ClosedByItsServer:
    """Stands for the context that an application closes at its end: `running_local_airbyte` closes each one itself."""

    @staticmethod
    def close() -> None: ...


#: Applications that no server uses just now. Making one costs half of a server's start, and holds nothing but routes.
_APPS: list[FastAPI] = []


@contextlib.contextmanager
def running_local_airbyte(
    home: Path | str, engine: Any = None, *, clock: Callable[[], float] = time.time, **options: Any
) -> Iterator[RunningAirbyte]:
    """Run the real application on a free port in a thread, with the given engine (a new `ScriptedEngine` if None).

    Args:
        home: The home directory; what is in it from before is taken up.
        engine: The engine.
        clock: Epoch seconds, for all that is stored.
        options: Of `Options`: ``workers``, ``strict``, ``allow_paths``, ….
    """
    where = settings.resolve_home(home)
    chosen = engine if engine is not None else ScriptedEngine()
    context = make_context(where, Options(port=0, **options), chosen, clock=clock)
    bound = listen(settings.DEFAULT_HOST, 0)
    ready = threading.Event()
    app = _APPS.pop() if _APPS else create_app(_ClosedByItsServer)  # type: ignore[arg-type]
    app.state.context = context
    server = make_uvicorn(app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="local-airbyte", daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE), "the server did not start"
        url = url_of(bound)
        credentials = settings.ensure_credentials(where)
        yield RunningAirbyte(url, where, credentials, context, chosen)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        context.close()
        context.store.database.close()
        bound.close()
        if not thread.is_alive():
            _APPS.append(app)
