"""OpenTelemetry: a span for each sync, from its request until it is recorded.

As libraries do it: through OpenTelemetry's API, if that is installed, and only where the process has set up a tracer
provider. Otherwise nothing is made. No span holds a secret: errors of this package have none.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from airbyte_dagster.airbyte.records import Job
from airbyte_dagster.errors import AirbyteDagsterError

try:
    from opentelemetry import context, trace
except ImportError:
    HAS_OPENTELEMETRY = False
else:
    HAS_OPENTELEMETRY = True

if TYPE_CHECKING:
    from opentelemetry.trace import Span

SPAN_NAME = "airbyte.sync"
_NANO = 1_000_000_000


def _attributes(job: Job) -> dict[str, Any]:
    """Return what is known of a job; what is unknown is left out."""
    found = {
        "airbyte.connection_id": job.connection_id,
        "airbyte.job_id": job.id,
        "airbyte.job_type": job.job_type,
        "airbyte.job_status": job.status,
        "airbyte.rows": job.rows,
        "airbyte.bytes": job.bytes,
    }
    return {name: value for name, value in found.items() if value is not None}


@functools.cache
def _tracer() -> Any:
    # Without a provider this is a proxy, which takes up the provider as soon as there is one.
    return trace.get_tracer("airbyte_dagster", version("airbyte-dagster"))


class SyncSpans:
    """The spans of one run's syncs, by connection. Whichever span is current when this is made is their parent.

    Args:
        attributes: Of each span, such as ``dagster.run_id``.
    """

    def __init__(self, attributes: dict[str, str] | None = None) -> None:
        self._attributes = attributes or {}
        self._open: dict[str, Span] = {}
        self._context = context.get_current() if HAS_OPENTELEMETRY else None

    def started(self, job: Job, origin: str, requested_at: float | None) -> None:
        """Begin the span of a job that is on its way.

        Args:
            job: The job.
            origin: Where it came from, see `airbyte_dagster.sync.results.JobOrigin`.
            requested_at: When it was requested, in seconds since the epoch; ``None`` for a job that was joined.
        """
        if not HAS_OPENTELEMETRY:
            return
        began = None if requested_at is None else int(requested_at * _NANO)
        span = _tracer().start_span(SPAN_NAME, self._context, start_time=began)
        if span.is_recording():
            span.set_attributes({**self._attributes, **_attributes(job), "airbyte.job_origin": origin})
            self._open[job.connection_id] = span

    def ended(self, job: Job | None) -> None:
        """Note that a job has ended, however it did."""
        if job is not None and (span := self._open.get(job.connection_id)):
            span.set_attributes(_attributes(job))
            span.add_event("airbyte.job.ended")

    def recorded(self, connection_ids: Iterable[str]) -> None:
        """End the spans of syncs that are recorded."""
        for connection_id in connection_ids:
            if span := self._open.pop(connection_id, None):
                span.end()

    def failed(self, connection_id: str, error: AirbyteDagsterError) -> None:
        """End the span of a sync that did not succeed, or could not be recorded."""
        if span := self._open.pop(connection_id, None):
            _fail(span, type(error).__name__, error.message)

    def close(self) -> None:
        """End what is left: the run was interrupted."""
        while self._open:
            _fail(self._open.popitem()[1], "interrupted", "The run ended before the sync was recorded.")


def _fail(span: Span, kind: str, message: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(trace.StatusCode.ERROR, message)
    span.end()


def trace_recorded(jobs: Iterable[Job]) -> None:
    """Make the spans of jobs that no run has watched: from their start, by Airbyte's clock, until now."""
    if not HAS_OPENTELEMETRY:
        return
    for job in jobs:
        span = _tracer().start_span(SPAN_NAME, start_time=_nanoseconds(job.start_time))
        if not span.is_recording():
            return
        span.set_attributes({**_attributes(job), "airbyte.job_origin": "foreign"})
        span.add_event("airbyte.job.ended", timestamp=_nanoseconds(job.changed))
        if job.status != "succeeded":
            span.set_attribute("error.type", job.status)
            span.set_status(trace.StatusCode.ERROR)
        span.end()


def _nanoseconds(time: dt.datetime) -> int:
    return int(time.timestamp()) * _NANO
