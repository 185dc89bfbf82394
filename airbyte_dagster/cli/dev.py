"""``airbyte-dagster dev``: local Airbyte and Dagster's UI and daemon, together until Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from airbyte_dagster.cli.environment import airbyte_environment, prepare_dagster_home
from airbyte_dagster.cli.terminal import Progress

_FIRST_PORT = 3000
_PORTS_TO_TRY = 100
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.3


def dev(
    home: Path, *, port: int | None, airbyte_port: int | None, code_location: Sequence[str], console: Console
) -> int:
    """Run until interrupted.

    Args:
        home: Where local Airbyte, the Dagster instance and the default warehouse live.
        port: Port of the UI; the next free one is taken if it is in use. From 3000 on if ``None``.
        airbyte_port: Port of local Airbyte, in the same way.
        code_location: What Dagster loads, as arguments of ``dagster dev``: ``-m MODULE`` or ``-f FILE``.

    Returns:
        Exit status: 0 after an interrupt, else that of ``dagster dev``.

    Raises:
        AirbyteDagsterError: Local Airbyte could not be started.
    """
    _prepare_storage(prepare_dagster_home(home))
    with Progress(console) as progress, airbyte_environment(home, port=airbyte_port, say=progress.step):
        chosen = free_port(port or _FIRST_PORT)
        if port and chosen != port:
            progress.step(f"Port {port} is in use; taking {chosen}.")
        progress.waiting("Starting Dagster …")
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore:Function `dev_command`"),  # `dg dev` needs a package of its own
                *("-m", "dagster", "dev", *code_location, "-h", "127.0.0.1", "-p", str(chosen)),
            ],
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends Dagster with all its children
        )
        try:
            return _watch(process, f"http://127.0.0.1:{chosen}", progress)
        except KeyboardInterrupt:
            progress.step("Stopping …")
            return 0
        finally:
            _stop_group(process)


def _prepare_storage(dagster_home: Path) -> None:
    """Make Dagster's database, if there is none: its web server and daemon would both, at the same time.

    Each would record the version of the tables that it makes, and with two records none can be opened again.
    """
    if (dagster_home / "schedules").exists():
        return
    from dagster import DagsterInstance  # noqa: PLC0415 - heavy, and needed only at the first start

    with DagsterInstance.get() as instance:
        _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage


def free_port(first: int) -> int:
    """Return the first port from `first` on that can be listened on at 127.0.0.1.

    Raises:
        OSError: None of the next 100 is free.
    """
    for port in range(first, first + _PORTS_TO_TRY):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"No port from {first} to {first + _PORTS_TO_TRY - 1} is free.")


def _watch(process: subprocess.Popen[bytes], url: str, progress: Progress) -> int:
    announced = False
    while process.poll() is None:
        if not announced and _answers(url):
            announced = True
            progress.step(f"Dagster UI at {url} · Ctrl-C ends it all")
            progress.stop()
        time.sleep(_POLL_SECONDS)
    return process.returncode


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=1):  # noqa: S310 - our own address
            return True
    except OSError:
        return False


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """End ``dagster dev`` and everything it started: politely first, so that running syncs are cancelled."""
    for sign, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if not group_lives(process):
            break
        os.killpg(process.pid, sign)
        deadline = time.monotonic() + seconds
        while group_lives(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()


def group_lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process that leads a group lives, or another of its group."""
    process.poll()  # reaps the leader, which would count as alive otherwise
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
