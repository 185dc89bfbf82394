"""The program that the engine's Python runs, one process per job: reads a connector into a warehouse with PyAirbyte.

It is started by path in an environment that has PyAirbyte and not this package, so it imports the standard library,
``airbyte`` and `airbyte_dagster.local.work` only. The request, secrets included, comes as one line of JSON on stdin;
stdin then stays open, and its end means that the server is gone, upon which the worker ends its whole process group.
Answers are lines of JSON on stdout; everything that PyAirbyte or the connector prints goes to stderr, which the server
keeps as the job's log.
"""

# What is imported late is found only after `find_package`, and a request must be read before PyAirbyte's slow import.
# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import types
from pathlib import Path
from typing import Any


def find_package() -> None:
    """Make `airbyte_dagster.local.work` importable, without running the packages above it.

    These need what this environment lacks, and putting their directory on the path would bring along everything
    else that is installed beside them.
    """
    here = Path(__file__).parent
    for name, directory in (("airbyte_dagster", here.parent), ("airbyte_dagster.local", here)):
        package = types.ModuleType(name)
        package.__path__ = [str(directory)]
        sys.modules[name] = package


def end_with_server(scratch: str) -> None:
    """Wait for the end of stdin, then end this process and all it started."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    shutil.rmtree(scratch, ignore_errors=True)  # it has the connector's configuration
    os.killpg(os.getpgrp(), signal.SIGKILL)


def read_request() -> dict[str, Any]:
    """Read the one line of the request, byte by byte-block, leaving stdin open."""
    received = b""
    while not received.endswith(b"\n"):
        block = os.read(0, 65536)
        if not block:
            raise SystemExit("no request")
        received += block
    request: dict[str, Any] = json.loads(received)
    return request


def main() -> None:
    """Run the job of the request and report how it went."""
    find_package()
    from airbyte_dagster.local.work.groups import run_reset, run_sync
    from airbyte_dagster.local.work.reporting import Reporter, explain

    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever is printed from here on belongs to the log
    request = read_request()
    threading.Thread(target=end_with_server, args=(request["scratch"],), daemon=True).start()
    reporter = Reporter(channel)
    try:
        (run_reset if request["jobType"] == "reset" else run_sync)(request, reporter)
    except Exception as error:  # noqa: BLE001 - whatever it is becomes the job's reason
        reporter.fail(explain(error))
    else:
        reporter.say(type="done")
    channel.flush()
    os._exit(0)  # PyAirbyte's threads and exit hooks have nothing left to do


if __name__ == "__main__":
    main()
