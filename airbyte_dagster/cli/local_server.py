"""Local Airbyte: whether it is installed and runs, and a server of it for as long as a command needs one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
#: Modules of the extra ``local``, looked for before anything is started.
_NEEDED_LOCALLY = ("fastapi", "filelock", "psutil", "sqlalchemy", "uv", "uvicorn")


def running_local_environment(home: Path) -> dict[str, str] | None:
    """Return the variables that point a client at the local Airbyte of a home, if one runs; none is started.

    Raises:
        ConfigurationError: The extra ``local`` is not installed.
    """
    _check_installed()
    from airbyte_dagster.local import settings  # noqa: PLC0415 - only where the extra is installed

    where = settings.resolve_home(home)
    running = settings.running_server(where)
    return settings.environment(where, running) if running else None


def _check_installed() -> None:
    missing = [name for name in _NEEDED_LOCALLY if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"Local Airbyte needs {', '.join(missing)}, which is not installed.",
            guidance="Run: pip install 'airbyte-dagster[local]'. Or set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET.",
        )


class LocalAirbyteFailed(AirbyteDagsterError):
    """Local Airbyte could not be started."""


@contextmanager
def local_server(home: Path, *, port: int | None, say: Callable[[str], None]) -> Iterator[str]:
    """Run local Airbyte for a block, or use the one of this home that runs already.

    A server that is started here ends with the block, and with this process even if that is killed.

    Args:
        home: Its home directory.
        port: Port to listen on; its default one, or the next that is free, if ``None``.
        say: Takes a line for people.

    Yields:
        Base of its public API.

    Raises:
        ConfigurationError: The extra ``local`` is not installed.
        LocalAirbyteFailed: It ended before it accepted requests; the message has the last line of its log.
    """
    _check_installed()
    from airbyte_dagster.local import settings  # noqa: PLC0415 - only where the extra is installed

    where = settings.resolve_home(home)
    running = settings.running_server(where)
    if running:
        say(f"Local Airbyte runs already at {running}")
        yield running
        return
    where.make()
    log = where.state_dir / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "airbyte_dagster.local", "serve", "--home", str(home), "--exit-with-stdin"),
                *(() if port is None else ("--port", str(port))),
                *(
                    ("--started-by", context.command_path)
                    if (context := click.get_current_context(silent=True))
                    else ()
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C in the terminal is for this process, which then ends the server
        )
    try:
        url = _wait_until_ready(process, lambda: settings.running_server(where), log)
        say(f"Local Airbyte listens at {url}")
        yield url
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], running: Callable[[], str | None], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        url = running()
        if url:
            return url
        if process.poll() is not None:
            break
        time.sleep(0.05)
    words = log.read_text(errors="replace").strip().splitlines()
    raise LocalAirbyteFailed(
        f"Local Airbyte did not start: {words[-1] if words else 'it printed nothing'}.", guidance=f"More is in {log}."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
