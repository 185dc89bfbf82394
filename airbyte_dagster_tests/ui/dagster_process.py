"""Dagster's webserver in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from airbyte_dagster.cli.dev import group_lives
from airbyte_dagster_tests.command_line import wait_for

#: Runs start where they are launched: no daemon is needed to take them from a queue. Nothing is sent anywhere.
_SETTINGS = """
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: DefaultRunCoordinator
"""


def make_home(home: Path) -> None:
    """Make a ``DAGSTER_HOME``."""
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(_SETTINGS)


@contextlib.contextmanager
def running_webserver(home: Path, location: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run the webserver on a free port of 127.0.0.1; its root URL.

    Args:
        home: From `make_home`; the server's output goes there, too.
        location: Python file with the definitions.
        environment: Variables for the server and its runs.
    """
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", home / "webserver.log"
    command = [sys.executable, "-m", "dagster_webserver", "-f", str(location), "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, "DAGSTER_HOME": str(home)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_up(process, url, log)
        yield url
    finally:
        _end_group(process)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until Dagster's UI answers; it has loaded its code locations by then."""
    wait_for(lambda: process.poll() is not None or _answers(url), log.read_text)
    assert process.poll() is None, log.read_text()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info").is_success
    except httpx.TransportError:
        return False


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its group, and everything that it started."""
    try:
        if group_lives(process):
            os.killpg(process.pid, signal.SIGINT)
            wait_for(lambda: not group_lives(process), lambda: f"the webserver {process.pid} does not end")
    finally:
        if group_lives(process):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
