"""What runs connectors: the protocol that the server needs, and the words both sides use.

The real one is `airbyte_dagster.local.workers.ConnectorEngine`; tests bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]


class UnknownConnector(Exception):
    """There is no connector of that name: neither configured by the user nor an ``airbyte-source-*`` package."""


class ConnectorFailed(Exception):
    """A connector could not be installed or run, or it answered with an error.

    Args:
        message: One sentence for the user; the connector's own where it gave one.
    """


@dataclass(frozen=True)
class Warehouse:
    """Where a sync writes.

    Args:
        kind: ``duckdb``, ``motherduck`` or ``postgres``.
        path: The resolved file of a DuckDB destination, else empty.
        database: The database of a MotherDuck or PostgreSQL destination, else empty.
        schema: The destination's own schema.
        api_key: MotherDuck's token; left out of ``repr``.
        host: PostgreSQL's host, or the directory of its socket.
        port: PostgreSQL's port.
        username: PostgreSQL's user.
        password: That user's password; left out of ``repr``.
        ssl_mode: PostgreSQL's ``sslmode``, empty for the driver's own.
    """

    kind: str
    path: str = ""
    database: str = ""
    schema: str = "main"
    api_key: str = field(default="", repr=False)
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    ssl_mode: str = ""

    @property
    def key(self) -> str:
        """Two jobs with the same key must not run at the same time: a DuckDB file has one writer."""
        return f"file:{self.path}" if self.kind == "duckdb" else ""


@dataclass(frozen=True)
class StreamPlan:
    """One stream of a job.

    Args:
        stream: The ``AirbyteStream`` that discovery gave: ``name``, ``namespace``, ``json_schema``, ….
        schema: The schema of its table.
        table: The table's name.
        strategy: What happens to the rows that are there: ``replace``, ``append`` or ``merge``.
        incremental: Whether the connector goes on where it stopped.
        dedupe: Whether only the last row of each primary key is kept.
        cursor_field: Path of the cursor, empty for none.
        primary_key: Paths of the key's fields, empty for none.
        selected_fields: Paths of the fields to keep, empty for all.
        generation_id: How often the stream was refreshed.
    """

    stream: Json
    schema: str = "main"
    table: str = ""
    strategy: str = "append"
    incremental: bool = False
    dedupe: bool = False
    cursor_field: tuple[str, ...] = ()
    primary_key: tuple[tuple[str, ...], ...] = ()
    selected_fields: tuple[tuple[str, ...], ...] = ()
    generation_id: int = 0

    @property
    def name(self) -> str:
        """The stream's name."""
        return str(self.stream["name"])

    @property
    def namespace(self) -> str | None:
        """The stream's own namespace, or None."""
        return self.stream.get("namespace")


KeepStates = Callable[[Sequence[Json]], None]
"""Called, once the rows that they speak of are in the warehouse for good, with the states that the next read goes on
from."""


@dataclass(frozen=True)
class JobRequest:
    """All that a job needs; it is kept nowhere but in memory, as it holds secrets.

    Args:
        job_id: The job.
        job_type: ``sync`` or ``reset``.
        connection_id: The connection, which incremental state belongs to.
        source_type: The connector's short name.
        source_config: The connector's configuration; left out of ``repr``.
        warehouse: Where to write.
        streams: What to read, all of it at once.
        log: The file to write the log to.
        scratch: A directory for the job's temporary files, removed after it.
        states: Where the last read stopped, as the connector wrote it; empty to read everything.
        secrets: Values that must not reach the log or a failure's text; left out of ``repr``.
        keep_states: Where the states of incremental reads go.
    """

    job_id: int
    job_type: str
    connection_id: str
    source_type: str
    source_config: Json = field(repr=False)
    warehouse: Warehouse
    streams: tuple[StreamPlan, ...]
    log: Path
    scratch: Path
    states: tuple[Json, ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    keep_states: KeepStates = field(default=lambda _states: None, repr=False)


@dataclass(frozen=True)
class StreamStats:
    """What happened to one stream so far: rows and bytes read (emitted), and in the warehouse for good (committed).

    ``status`` is the last that the connector said of it: ``STARTED``, ``RUNNING``, ``COMPLETE`` or ``INCOMPLETE``.
    """

    name: str
    namespace: str | None = None
    records_emitted: int = 0
    bytes_emitted: int = 0
    records_committed: int = 0
    bytes_committed: int = 0
    status: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in the words of Airbyte's ``failureSummary``.

    Args:
        message: One sentence for the user.
        internal: Details, several lines perhaps.
        origin: ``source``, ``destination`` or ``airbyte_platform``.
        kind: ``config_error``, ``system_error``, ``transient_error`` or ``manual_cancellation``.
        stream: The stream that it is about, as ``(namespace, name)``; None if it is about no single one.
    """

    message: str
    internal: str = ""
    origin: str = "airbyte_platform"
    kind: str = "system_error"
    stream: tuple[str | None, str] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        streams: The counts per stream at its end.
        failure: None when all of it succeeded.
    """

    streams: tuple[StreamStats, ...] = ()
    failure: Failure | None = None


Progress = Callable[[str], None]
"""Told what is going on, one line at a time."""
OnProgress = Callable[[Sequence[StreamStats]], None]


class Run(Protocol):
    """A job that is running."""

    def wait(self, on_progress: OnProgress) -> Outcome:
        """Block until it ended; tells the counts so far now and then. Raises nothing that a job can cause."""

    def cancel(self) -> None:
        """End it, and everything it started. Returns when nothing of it runs any more; `wait` then returns too."""


class Engine(Protocol):
    """Runs connectors. Every method may be called from several threads at once and may take minutes."""

    def spec(self, source_type: str) -> Json:
        """The JSON schema of the connector's configuration. Installs the connector at first need.

        Raises:
            UnknownConnector: There is no such connector.
            ConnectorFailed: It could not be installed or run.
        """

    def check(self, source_type: str, config: Mapping[str, Any]) -> str | None:
        """Try the configuration; None when it works, else the connector's reason.

        Raises:
            UnknownConnector: There is no such connector.
            ConnectorFailed: It could not be installed or run.
        """

    def discover(
        self,
        source_type: str,
        config: Mapping[str, Any],
        *,
        refresh: bool = False,
        on_progress: Progress | None = None,
    ) -> list[Json]:
        """The streams that this configuration offers, as ``AirbyteStream`` objects.

        Args:
            source_type: The connector's short name.
            config: Its configuration.
            refresh: Ask the connector even if it was asked before.
            on_progress: Called with a line of text for each step of an installation.

        Raises:
            UnknownConnector: There is no such connector.
            ConnectorFailed: It could not be installed or run, or refused the configuration.
        """

    def start(self, request: JobRequest) -> Run:
        """Start a job. What goes wrong from here on is in the run's outcome, not raised."""

    def close(self) -> None:
        """End what is being asked or installed; for the end of the server, after all runs were cancelled."""
