"""Local Airbyte: whether it is installed and runs, and a server of it for as long as a command needs one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.local.options import LocalOptions

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
def local_server(
    home: Path, *, options: LocalOptions, say: Callable[[str], None], meanwhile: Callable[[], object] = lambda: None
) -> Iterator[str]:
    """Run local Airbyte for a block, or use the one of this home that runs already.

    A server that is started here ends with the block, and with this process even if that is killed.

    Args:
        home: Its home directory.
        options: How to start it.
        say: Takes a line for people.
        meanwhile: Called while it starts.

    Yields:
        Its root URL.

    Raises:
        ConfigurationError: The extra ``local`` is not installed; or options were given and it runs already.
        LocalAirbyteFailed: It ended before it accepted requests; the message has the last line of its log.
    """
    _check_installed()
    from airbyte_dagster.local import settings  # noqa: PLC0415 - only where the extra is installed

    where = settings.resolve_home(home)
    running = settings.running_server(where)
    if running:
        _check_options(running, options)
        say(f"Local Airbyte runs already at {running}")
        meanwhile()
        yield running
        return
    where.make()
    log = where.state_dir / "server.log"
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            _command(home, options),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # a Ctrl-C in the terminal is for this process, which then ends the server
        )
    try:
        meanwhile()
        url = _wait_until_ready(process, lambda: settings.running_server(where), _Lines(log, begin), say)
        say(f"Local Airbyte listens at {url}")
        yield url
    finally:
        _stop(process)


def _command(home: Path, options: LocalOptions) -> list[str]:
    command = [sys.executable, "-m", "airbyte_dagster.local", "serve", "--home", str(home), "--exit-with-stdin"]
    context = click.get_current_context(silent=True)
    return [*command, *options.arguments, *(("--started-by", context.command_path) if context else ())]


def _check_options(running: str, options: LocalOptions) -> None:
    """Refuse options that a server which runs already was not started with, as far as is known.

    Raises:
        ConfigurationError: There are some.
    """
    given = [word for word in options.arguments if word.startswith("--")]
    if options.port in (None, 0, urlsplit(running).port):
        given = [word for word in given if word != "--port"]
    if given:
        raise ConfigurationError(
            f"Local Airbyte runs already at {running}; it takes {', '.join(dict.fromkeys(given))} only when it starts.",
            guidance="End it first, or leave that out.",
        )


class _Lines:
    """The lines of a growing file from a position on."""

    def __init__(self, path: Path, position: int) -> None:
        self.path = path
        self._begin = self._position = position

    def new(self) -> list[str]:
        """Whole lines that were written since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            whole, _, _ = file.read().rpartition(b"\n")
        self._position += len(whole) + bool(whole)
        return whole.decode(errors="replace").splitlines()

    def last(self) -> str:
        """The last line that says something."""
        words = self.path.read_bytes()[self._begin :].decode(errors="replace").strip().splitlines()
        return words[-1] if words else "it printed nothing"


def _wait_until_ready(
    process: subprocess.Popen[bytes], running: Callable[[], str | None], lines: _Lines, say: Callable[[str], None]
) -> str:
    """Wait as long as the server makes progress, and pass its progress on."""
    from airbyte_dagster.local.settings import PROGRESS_MARK  # noqa: PLC0415 - only where the extra is installed

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        url = running()
        for line in lines.new():
            if line.startswith(PROGRESS_MARK):
                say(line.removeprefix(PROGRESS_MARK))
                deadline = time.monotonic() + _START_SECONDS
        if url:
            return url
        if process.poll() is not None:
            reason = lines.last().removeprefix("Error: ").rstrip(".")
            break
        time.sleep(0.05)
    else:
        reason = f"no progress in {_START_SECONDS:.0f} s, and it did not answer"
    raise LocalAirbyteFailed(f"Local Airbyte did not start: {reason}.", guidance=f"More is in {lines.path}.")


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
