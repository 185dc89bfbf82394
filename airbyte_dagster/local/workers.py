"""The engine: connectors in environments of their own, and a worker process for each job."""

from __future__ import annotations

import codecs
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from airbyte_dagster.local import joblogs
from airbyte_dagster.local.children import signal_group
from airbyte_dagster.local.connectors import Connector, Connectors
from airbyte_dagster.local.engine import (
    ConnectorFailed,
    Failure,
    JobRequest,
    Json,
    OnProgress,
    Outcome,
    Progress,
    Run,
    StreamStats,
    UnknownConnector,
)
from airbyte_dagster.local.environments import EnvironmentFailed, Environments
from airbyte_dagster.local.isolation import connector_environment
from airbyte_dagster.local.joblogs import JobLog
from airbyte_dagster.local.redaction import Redactor

_MODULE = "airbyte_dagster.local.work"


class ConnectorEngine:
    """Runs connectors for real.

    Args:
        environments: Where the connectors are installed.
        scratch: A private directory for files that hold configurations while they are needed.
        connectors: Executables that the user configured, by short name.
        on_progress: Told of installations, one line at a time.
        lock_timeout: Seconds to wait for another process that holds the warehouse file.
        grace: Seconds between asking a worker to end and killing it.
    """

    def __init__(
        self,
        environments: Environments,
        scratch: Path,
        connectors: Mapping[str, Path] | None = None,
        on_progress: Progress | None = None,
        *,
        lock_timeout: float = 300.0,
        grace: float = 3.0,
    ) -> None:
        self._environments = environments
        self._connectors = Connectors(environments, scratch, connectors, on_progress)
        self._lock_timeout = lock_timeout
        self._grace = grace

    def spec(self, source_type: str) -> Json:
        """See `Engine.spec`."""
        return self._connectors.spec(source_type)

    def check(self, source_type: str, config: Mapping[str, Any]) -> str | None:
        """See `Engine.check`."""
        return self._connectors.check(source_type, config)

    def discover(
        self,
        source_type: str,
        config: Mapping[str, Any],
        *,
        refresh: bool = False,
        on_progress: Progress | None = None,
    ) -> list[Json]:
        """See `Engine.discover`."""
        return self._connectors.discover(source_type, config, refresh=refresh, on_progress=on_progress)

    def start(self, request: JobRequest) -> Run:
        """See `Engine.start`."""
        return _WorkerRun(request, self._resolve, self._lock_timeout, self._grace)

    def close(self) -> None:
        """See `Engine.close`."""
        self._connectors.close()
        self._environments.close()

    def _resolve(self, request: JobRequest) -> Connector:
        """The job's connector; the steps of an installation are in the job's log."""
        with contextlib.closing(JobLog(request.log)) as log:
            return self._connectors.resolve(request.source_type, log.write)


class _WorkerRun:
    """One worker process. It is started by `wait`, since installing the connector can take minutes."""

    def __init__(
        self, request: JobRequest, resolve: Callable[[JobRequest], Connector], lock_timeout: float, grace: float
    ) -> None:
        self._request = request
        self._resolve = resolve
        self._lock_timeout = lock_timeout
        self._grace = grace
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def wait(self, on_progress: OnProgress) -> Outcome:
        try:
            connector = self._resolve(self._request)
        except UnknownConnector:
            return Outcome(failure=Failure(f"There is no connector {self._request.source_type}", kind="config_error"))
        except (ConnectorFailed, EnvironmentFailed) as error:
            return Outcome(failure=Failure(str(error)))
        try:
            self._request.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._run(connector, on_progress)
        except OSError as error:
            return Outcome(failure=Failure(f"The worker can't be run: {error.strerror or error}", repr(error)))
        finally:
            shutil.rmtree(self._request.scratch, ignore_errors=True)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            process = self._process
        if process is None:
            return
        signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=self._grace)
        # The connector, too, must be gone, even one that ignores SIGTERM.
        signal_group(process, signal.SIGKILL)
        process.wait()

    def _run(self, connector: Connector, on_progress: OnProgress) -> Outcome:
        scratch = str(self._request.scratch)
        with self._lock:
            if self._cancelled:
                return Outcome(failure=_CANCELLED)
            self._process = process = subprocess.Popen(
                [sys.executable, "-I", "-u", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=scratch,
                env=connector_environment(scratch),
                start_new_session=True,
            )
        log = threading.Thread(target=self._keep_log, args=(process.stderr,), daemon=True)
        log.start()
        try:
            final, streams = self._listen(process, connector, on_progress)
            code = process.wait()
        finally:
            signal_group(process, signal.SIGKILL)
            process.wait()
            log.join(timeout=self._grace)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        return self._outcome(final, streams, code)

    def _listen(
        self, process: subprocess.Popen[bytes], connector: Connector, on_progress: OnProgress
    ) -> tuple[Json | None, tuple[StreamStats, ...]]:
        """Hand over the request and read the answers, up to the final one or to the end of the worker."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        with contextlib.suppress(BrokenPipeError):  # the worker's exit code says more
            process.stdin.write(json.dumps(self._message(connector)).encode() + b"\n")
            process.stdin.flush()
        streams: tuple[StreamStats, ...] = ()
        final: Json | None = None
        for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            streams = tuple(StreamStats(**entry) for entry in message["streams"])
            if message["type"] == "progress":
                on_progress(streams)
            elif message["type"] == "state":
                self._request.keep_states(message["states"])
            else:
                final = message
        return final, streams

    def _outcome(self, final: Json | None, streams: tuple[StreamStats, ...], code: int) -> Outcome:
        if self._cancelled:
            return Outcome(streams, _CANCELLED)
        if final is None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return Outcome(streams, Failure(f"The worker process {how} before the job was done", self._log_tail()))
        if final["type"] == "done":
            return Outcome(streams)
        failure = final["failure"]
        stream = tuple(failure["stream"]) if failure["stream"] else None
        shown = {key: self._redact(failure[key]) for key in ("message", "internal")}
        return Outcome(streams, Failure(**{**failure, **shown, "stream": stream}))

    def _message(self, connector: Connector) -> Json:
        request = self._request
        return {
            "job_id": request.job_id,
            "job_type": request.job_type,
            "executable": str(connector.executable),
            "arguments": [],
            "config": request.source_config,
            "warehouse": asdict(request.warehouse),
            "streams": [asdict(plan) for plan in request.streams],
            "states": list(request.states),
            "scratch": str(request.scratch),
            "lock_timeout": self._lock_timeout,
        }

    def _keep_log(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.closing(JobLog(self._request.log)) as log:
            lines = Redactor(self._request.secrets).stream(lambda line: log.write(line.rstrip()))
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            # To its end, even if nothing can be kept any more, or the worker would hang.
            while block := pipe.read1(65536):  # type: ignore[attr-defined]
                lines.write(decoder.decode(block))
            lines.close()

    def _log_tail(self, lines: int = 20) -> str:
        return "\n".join(joblogs.read(self._request.log).splitlines()[-lines:])

    def _redact(self, text: str) -> str:
        return Redactor(self._request.secrets).text(text)


_CANCELLED = Failure("The job was cancelled", kind="manual_cancellation")
