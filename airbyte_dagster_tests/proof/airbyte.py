"""Local Airbyte for the proof: the real server over HTTP, whose worker runs in a thread of this process.

A process for each job would take half a second of the processor for Python and DuckDB alone. The thread runs the very
code of the worker, on the very message that the process would get.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from airbyte_dagster.local.connectors import Connector
from airbyte_dagster.local.engine import JobRequest, OnProgress, Outcome, Run
from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.settings import resolve_home
from airbyte_dagster.local.work.__main__ import _job
from airbyte_dagster.local.work.reporting import Failed, Reporter, explain
from airbyte_dagster.local.work.sync import run_reset, run_sync
from airbyte_dagster.local.workers import ConnectorEngine, _WorkerRun
from airbyte_dagster_tests.local.fakes import RunningAirbyte, running_local_airbyte

SOURCE = Path(__file__).with_name("scripted_source.py")
_LOCK_TIMEOUT = 30.0


class Clock:
    """The server's clock and the source's: this machine's, moved.

    Args:
        ago: Seconds that it is behind at first.
    """

    def __init__(self, ago: float) -> None:
        self._offset = -ago

    def __call__(self) -> float:
        """Epoch seconds."""
        return time.time() + self._offset

    def pass_by(self, seconds: float) -> None:
        """Let time go by."""
        self._offset += seconds


class _Channel(io.TextIOBase):
    """What the worker says goes to a pipe; nothing any more after its end, when its thread that reports goes on."""

    def __init__(self, pipe: io.TextIOBase) -> None:
        self._pipe = pipe

    def write(self, text: str) -> int:
        return len(text) if self._pipe.closed else self._pipe.write(text)

    def flush(self) -> None:
        if not self._pipe.closed:
            self._pipe.flush()

    def end(self) -> None:
        self._pipe.close()


class _ThreadRun(_WorkerRun):
    """A job whose worker is a thread."""

    def _run(self, connector: Connector, on_progress: OnProgress) -> Outcome:
        reading, writing = os.pipe()
        message = json.dumps(self._message(connector))
        with os.fdopen(reading, "rb") as answers:
            channel = _Channel(cast("io.TextIOBase", os.fdopen(writing, "w", encoding="utf-8")))
            worker = threading.Thread(target=_work, args=(message, channel), name="worker")
            worker.start()
            process: Any = SimpleNamespace(stdin=io.BytesIO(), stdout=answers)
            final, streams = self._listen(process, connector, on_progress)
            worker.join()
        return self._outcome(final, streams, 0)


def _work(message: str, channel: _Channel) -> None:
    """As the worker's process does."""
    reporter = Reporter(cast("Any", channel))
    try:
        job = _job(json.loads(message))
        (run_reset if job.type == "reset" else run_sync)(job, reporter)
    except Exception as error:  # noqa: BLE001 - every failure is the job's
        reporter.fail(error if isinstance(error, Failed) else explain(error))
    else:
        reporter.say(type="done")
    channel.end()


class ThreadEngine(ConnectorEngine):
    """Runs connectors for real, and workers in threads.

    Attributes:
        afterwards: Called when a job has written what it had to write, before it ends.
    """

    afterwards: Callable[[JobRequest], None] = staticmethod(lambda _request: None)

    def start(self, request: JobRequest) -> Run:
        """See `Engine.start`."""
        return _Afterwards(_ThreadRun(request, self._resolve, _LOCK_TIMEOUT, 1.0), lambda: self.afterwards(request))


class _Afterwards:
    def __init__(self, run: _ThreadRun, then: Callable[[], None]) -> None:
        self._run = run
        self._then = then

    def wait(self, on_progress: OnProgress) -> Outcome:
        outcome = self._run.wait(on_progress)
        self._then()
        return outcome

    def cancel(self) -> None:
        self._run.cancel()


@contextmanager
def running_airbyte(home: Path, clock: Clock) -> Iterator[RunningAirbyte]:
    """A server that has the scripted source."""
    where = resolve_home(home)
    engine = ThreadEngine(Environments(where.environments), home / "asking", {"scripted": SOURCE})
    with running_local_airbyte(home, engine, clock=clock) as running:
        yield running
