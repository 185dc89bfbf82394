"""OpenTelemetry: a span for each sync, whoever started it; nothing without OpenTelemetry."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from airbyte_dagster.errors import SyncFailed
from airbyte_dagster.sync import tracing
from airbyte_dagster_tests.conftest import resource_of
from airbyte_dagster_tests.dagster_runs import a_job, run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.sensors.own_runs import USERS
from airbyte_dagster_tests.sensors.recording import Recording

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


class Traced:
    """Spans of a provider of the test's own: that of the process can be set only once."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("airbyte_dagster")

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == tracing.SPAN_NAME]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    made = Traced()
    monkeypatch.setattr(tracing, "_tracer", lambda: made.tracer)
    return made


def test_sync_of_a_run(recording: Recording, traced: Traced) -> None:
    """From its request until it is recorded; what it moved; the run; the span that was current is its parent."""
    with traced.tracer.start_as_current_span("mine") as mine:
        result = run_sync(recording.definitions, recording.instance)

    [span] = traced.spans
    job = recording.told()[0]
    attributes = dict(span.attributes or {})
    assert attributes["airbyte.rows"] == job.metadata["airbyte/job_rows"] > 0
    assert attributes.pop("airbyte.bytes") == job.metadata["airbyte/job_bytes"]
    del attributes["airbyte.rows"], attributes["airbyte.connection_id"], attributes["airbyte.workspace_id"]
    assert attributes == {
        "dagster.run_id": result.run_id,
        "airbyte.job_id": 1,
        "airbyte.job_type": "sync",
        "airbyte.job_status": "succeeded",
        "airbyte.job_origin": "new",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is not None
    assert span.parent.span_id == mine.get_span_context().span_id
    assert [event.name for event in span.events] == ["airbyte.job.ended"]
    recorded = recording.instance.get_latest_materialization_event(USERS)
    assert recorded is not None
    assert span.end_time is not None
    assert span.events[0].timestamp < recorded.timestamp * 1e9 < span.end_time


def test_sync_that_fails(recording: Recording, traced: Traced) -> None:
    """Its status is an error, with the kind of it and the connector's reason."""
    recording.server.engine.fail_next("No such host")
    assert not run_sync(recording.definitions, recording.instance).success

    [span] = traced.spans
    assert span.status.status_code is StatusCode.ERROR
    assert "No such host" in str(span.status.description)
    assert dict(span.attributes or {})["error.type"] == "SyncFailed"
    assert dict(span.attributes or {})["airbyte.job_status"] == "failed"


def test_sync_in_an_asset_of_ones_own(airbyte: RunningAirbyte, api: Api, traced: Traced) -> None:
    """One for each call, with or without success."""
    connection = api.connection(api.source(count=7), api.destination(str(airbyte.home.warehouse)), ["users"])
    resource_of(airbyte).sync(connection)
    airbyte.engine.fail_next("No such host")
    with pytest.raises(SyncFailed):
        resource_of(airbyte).sync(connection)

    assert [span.status.status_code for span in traced.spans] == [StatusCode.UNSET, StatusCode.ERROR]


def test_sync_of_others(recording: Recording, connection: str, api: Api, traced: Traced) -> None:
    """The sensor records it, and makes its span: it began when the job did, by Airbyte's clock."""
    api.finish(api.sync(connection))
    recording.tick()

    [span] = traced.spans
    attributes = dict(span.attributes or {})
    assert (attributes["airbyte.job_origin"], attributes["airbyte.connection_id"]) == ("foreign", connection)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.events[0].timestamp <= span.end_time


def test_run_that_is_interrupted(traced: Traced) -> None:
    """What was on its way has a span that says so."""
    spans = tracing.SyncSpans()
    spans.started(a_job(status="running"), "new", 1_700_000_000.5)
    spans.close()

    [span] = traced.spans
    assert span.start_time == 1_700_000_000_500_000_000
    assert dict(span.attributes or {})["error.type"] == "interrupted"


def test_nothing_is_kept_without_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's API is installed and nothing else was done: a sync costs one call of a span that is none."""
    spans = tracing.SyncSpans()
    for number in range(1000):
        spans.started(a_job(number, connection_id=str(number)), "new", None)

    assert not spans._open


@pytest.mark.parametrize("blocked", [True, False])
def test_without_opentelemetry(blocked: bool) -> None:
    """It is no dependency: everything imports, and the calls do nothing."""
    script = f"""
import sys
if {blocked}:
    sys.modules["opentelemetry"] = None
import datetime as dt
import airbyte_dagster.sync.tracing as tracing
from airbyte_dagster.airbyte.records import Job
job = Job(1, "c", "sync", "succeeded", dt.datetime.now(dt.timezone.utc))
spans = tracing.SyncSpans({{"dagster.run_id": "r"}})
spans.started(job, "new", 1.0)
spans.ended(job)
spans.recorded(["c"])
tracing.trace_recorded([job])
spans.close()
assert tracing.HAS_OPENTELEMETRY is not {blocked}
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_set_up_of_the_page(airbyte: RunningAirbyte, api: Api) -> None:
    """In a process of its own: with the provider that the page sets up, a sync's span reaches the exporter."""
    connection = api.connection(api.source(count=7), api.destination(str(airbyte.home.warehouse)), ["users"])
    [example] = re.findall(r"^```python\n(def set_up_tracing.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    script = f"""
import sys, types
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
exporter = types.ModuleType("opentelemetry.exporter.otlp.proto.http.trace_exporter")
exporter.OTLPSpanExporter = ConsoleSpanExporter
sys.modules[exporter.__name__] = exporter
{example}
set_up_tracing()
from airbyte_dagster import AirbyteResource
AirbyteResource.from_env().sync({connection!r})
"""
    environment: dict[str, Any] = {**airbyte.environment}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)

    assert '"name": "airbyte.sync"' in ended.stdout, ended.stderr
    assert f'"airbyte.connection_id": "{connection}"' in ended.stdout
