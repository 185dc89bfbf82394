"""One sync in an op or asset of one's own."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.errors import DagsterInvalidPropertyError

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Job, JobType, StreamKey, StreamStats
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs.checkpoints import RunCheckpoints
from airbyte_dagster.runs.reported import progress_line, reported_streams
from airbyte_dagster.sync.checkpoints import CheckpointStore, InMemoryCheckpoints
from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster.sync.results import JobOrigin
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster.sync.tracing import SyncSpans

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: How often each attempt of a step has asked for a job of a connection.
_CALLS: Counter[tuple[str, str, int, str, str]] = Counter()
_CALLS_LOCK = threading.Lock()


@dataclass(frozen=True)
class CompletedSync:
    """A job that succeeded.

    Attributes:
        job: With its id, times and totals.
        origin: ``new``; ``attached``: somebody else had started it; ``resumed``: this run had, or the one it resumes.
        streams: What the job reports of each stream; empty where the configuration API is out of reach.
    """

    job: Job
    origin: JobOrigin
    streams: Mapping[StreamKey, StreamStats]


def run_job(
    client: AirbyteClient,
    workspace_id: str,
    connection_id: str,
    settings: SyncSettings,
    *,
    job_type: JobType = "sync",
    context: dg.OpExecutionContext | dg.AssetExecutionContext | None = None,
) -> CompletedSync:
    """Run a job on a connection, and wait for its end.

    Args:
        client: Of the Airbyte.
        workspace_id: Where the connection is.
        connection_id: The connection.
        settings: Of the sync.
        job_type: ``sync``, or ``reset``.
        context: Of a Dagster run: it has the log, and keeps the job, so that a step that is tried again, or a run that
            resumes this one, goes on with it instead of starting another. Each further call in a step, and each call
            in another step, is a request of its own.

    Raises:
        ConfigurationError: There is no such id, or the context is of no run.
        AirbyteDagsterError: The job did not succeed, or could not be started; see `SyncEngine.run`.
    """
    checkpoints = _checkpoints(context, connection_id, job_type)
    _check_id(client, workspace_id, connection_id)
    log: Callable[[str], None] = context.log.info if context else lambda _line: None
    spans = SyncSpans({"dagster.run_id": context.run_id} if context else {})
    engine = SyncEngine(
        client,
        workspace_id,
        settings,
        checkpoints,
        describe=lambda job: reported_streams(client, job) if job_type == "sync" else {},
        log=log,
        warn=context.log.warning if context else lambda _line: None,
        on_job=lambda job: log(progress_line(job)),
        spans=spans,
    )
    try:
        [result] = engine.run([connection_id], job_type)
        if result.error is not None:
            spans.failed(connection_id, result.error)
            raise result.error
        spans.recorded([connection_id])
    finally:
        spans.close()
    assert result.job is not None  # noqa: S101 - a result without an error has one
    assert result.origin is not None  # noqa: S101
    return CompletedSync(result.job, result.origin, result.details or {})


def _checkpoints(
    context: dg.OpExecutionContext | dg.AssetExecutionContext | None, connection_id: str, job_type: JobType
) -> CheckpointStore:
    if context is None:
        return InMemoryCheckpoints()
    try:
        return RunCheckpoints(context.instance, context.run, _request(context, connection_id, job_type))
    except DagsterInvalidPropertyError as error:
        raise ConfigurationError(
            "The context is of no run, such as that of build_asset_context().",
            guidance="Leave context out, or run the asset with dg.materialize().",
        ) from error


def _check_id(client: AirbyteClient, workspace_id: str, connection_id: str) -> None:
    """Refuse what is no id of a connection; Airbyte says no more than that it is no UUID."""
    if _UUID.fullmatch(connection_id):
        return
    found = client.connections(workspace_id)
    if any(connection.id == connection_id for connection in found):
        return
    named = [connection.id for connection in found if connection.name == connection_id]
    raise ConfigurationError(
        f"{connection_id!r} is no id of a connection.",
        guidance=f"It is the name of {' and of '.join(named)}: give the id." if named else "Give the connection's id.",
    )


def _request(context: dg.OpExecutionContext | dg.AssetExecutionContext, connection_id: str, job_type: JobType) -> str:
    """Name a call by its step and its place in there: when the step is tried again, its calls have the same names."""
    step = context.get_step_execution_context().step.key
    attempt = (context.run.run_id, step, context.retry_number, connection_id, job_type)
    with _CALLS_LOCK:
        number = _CALLS[attempt]
        _CALLS[attempt] += 1
    return f"{step} {job_type} {number}"
