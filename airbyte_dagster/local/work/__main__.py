"""Reads one job from stdin, runs it, and answers with lines of JSON on stdout; stderr is the job's log."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from airbyte_dagster.local.engine import StreamPlan, Warehouse
from airbyte_dagster.local.isolation import forbid_core_files
from airbyte_dagster.local.work.reporting import Failed, Reporter, explain
from airbyte_dagster.local.work.sync import Job, run_reset, run_sync


def main() -> None:
    """Run the job to its end; the last line is ``done`` or ``failed``."""
    forbid_core_files()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed belongs into the log
    reporter = Reporter(channel)
    try:
        job = _job(json.loads(sys.stdin.buffer.readline()))
        threading.Thread(target=_end_with_server, args=(job.scratch,), daemon=True).start()
        (run_reset if job.type == "reset" else run_sync)(job, reporter)
    except Exception as error:  # noqa: BLE001 - every failure is the job's
        reporter.fail(error if isinstance(error, Failed) else explain(error))
    else:
        reporter.say(type="done")
    with contextlib.suppress(OSError):
        channel.close()
    os._exit(0)  # the reporting thread has nothing left to do


def _end_with_server(scratch: Path) -> None:
    """Wait for the end of stdin, which is the server's, then end this process and all it started."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    shutil.rmtree(scratch, ignore_errors=True)  # it has the connector's configuration
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _job(message: dict[str, Any]) -> Job:
    return Job(
        id=message["job_id"],
        type=message["job_type"],
        executable=Path(message["executable"]),
        arguments=tuple(message["arguments"]),
        config=message["config"],
        warehouse=Warehouse(**message["warehouse"]),
        streams=tuple(_stream(entry) for entry in message["streams"]),
        states=message["states"],
        scratch=Path(message["scratch"]),
        lock_timeout=message["lock_timeout"],
    )


def _stream(entry: dict[str, Any]) -> StreamPlan:
    paths = {key: tuple(map(tuple, entry[key])) for key in ("primary_key", "selected_fields")}
    return StreamPlan(**{**entry, **paths, "cursor_field": tuple(entry["cursor_field"])})


if __name__ == "__main__":
    main()
