"""``airbyte-dagster dev``: local Airbyte and Dagster's UI and daemon, together until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from airbyte_dagster.cli.dev_lock import only_dev
from airbyte_dagster.cli.environment import airbyte_environment, prepare_dagster_home
from airbyte_dagster.cli.terminal import AnyProgress
from airbyte_dagster.cli.ui_port import FIRST_PORT, ui_port
from airbyte_dagster.local.children import Children
from airbyte_dagster.local.options import LocalOptions

_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.3


def dev(
    home: Path, *, port: int | None, options: LocalOptions, code_location: Sequence[str], progress: AnyProgress
) -> int:
    """Run until interrupted. If this process is killed, what it started ends by itself.

    Args:
        home: Where local Airbyte, the Dagster instance and the default warehouse live.
        port: Port of the UI; the first free one from 3000 on if ``None``.
        options: Of local Airbyte.
        code_location: What Dagster loads, as arguments of ``dagster dev``: ``-m MODULE`` or ``-f FILE``.
        progress: Shows what happens; a `LoggedProgress` has what Dagster says as JSON, too.

    Returns:
        Exit status: 0 after an interrupt, else that of ``dagster dev``.

    Raises:
        DevRunsAlready: Another one runs for the same Dagster instance.
        ConfigurationError: See `ui_port`.
        AirbyteDagsterError: Local Airbyte could not be started.
    """
    dagster_home = prepare_dagster_home(home)
    with progress, only_dev(dagster_home, progress.step) as lock, ui_port(port) as chosen:
        _prepare_storage(dagster_home)
        with airbyte_environment(home, options=options, say=progress.step):
            if port is None and chosen != FIRST_PORT:
                progress.step(f"Port {FIRST_PORT} is in use; taking {chosen}.")
            url = f"http://127.0.0.1:{chosen}"
            lock.announce(url)
            progress.waiting("Starting Dagster …")
            with (
                contextlib.closing(Children(grace=_STOP_SECONDS, keep_open=[lock.descriptor])) as children,
                # A group of its own: Ctrl-C reaches this process alone, which then ends Dagster with all its children.
                children.start(
                    _command(chosen, code_location, progress.log_format),
                    env=dict(os.environ),
                    stdout=progress.takes,
                    stderr=subprocess.STDOUT if progress.takes else None,
                ) as process,
                progress.passing_on(process),
            ):
                try:
                    return _watch(process, url, progress)
                except KeyboardInterrupt:
                    progress.step("Stopping …")
                    return 0
                finally:
                    _stop_group(process)


def _command(port: int, code_location: Sequence[str], log_format: str) -> list[str]:
    return [
        *(sys.executable, "-W", "ignore:Function `dev_command`"),  # `dg dev` needs a package of its own
        *("-m", "dagster", "dev", *code_location, "-h", "127.0.0.1", "-p", str(port), "--log-format", log_format),
    ]


def _prepare_storage(dagster_home: Path) -> None:
    """Make Dagster's database, if there is none: its web server and daemon would both, at the same time.

    Each would record the version of the tables that it makes, and with two records none can be opened again.
    """
    if (dagster_home / "schedules").exists():
        return
    from dagster import DagsterInstance  # noqa: PLC0415 - heavy, and needed only at the first start

    with DagsterInstance.get() as instance:
        _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage


def _watch(process: subprocess.Popen[bytes], url: str, progress: AnyProgress) -> int:
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
