"""Which Airbyte a command works with: the one of the environment, or local Airbyte, started for it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.paths import HOME_VARIABLE

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
#: Modules of the extra ``local``, by which its absence is noticed before anything is started.
_NEEDED_LOCALLY = ("fastapi", "filelock", "psutil", "sqlalchemy", "uv", "uvicorn")


def missing_locally() -> list[str]:
    """Return the modules of the extra ``local`` that are not installed."""
    return [name for name in _NEEDED_LOCALLY if importlib.util.find_spec(name) is None]


def running_local_environment(home: Path) -> dict[str, str] | None:
    """Return the variables that point a client at the local Airbyte of a home, if one runs; none is started.

    The extra ``local`` must be installed.
    """
    from airbyte_dagster.local import settings  # noqa: PLC0415 - only where the extra is installed

    where = settings.resolve_home(home)
    running = settings.running_server(where)
    return settings.environment(where, running) if running else None


class LocalAirbyteFailed(AirbyteDagsterError):
    """Local Airbyte could not be started."""


def remote_is_configured(environment: Mapping[str, str]) -> bool:
    """Say whether the environment names an Airbyte; without one, local Airbyte is used.

    Raises:
        ConfigurationError: It is named by halves, or there is no warehouse that such an Airbyte can reach.
    """
    server = environment.get("AIRBYTE_SERVER_URL")
    client_id, secret = environment.get("AIRBYTE_CLIENT_ID"), environment.get("AIRBYTE_CLIENT_SECRET")
    if bool(client_id) != bool(secret):
        given, missing = ("ID", "SECRET") if client_id else ("SECRET", "ID")
        raise ConfigurationError(
            f"AIRBYTE_CLIENT_{given} is set, but AIRBYTE_CLIENT_{missing} is not.",
            guidance="Set both to use your Airbyte, or neither to use local Airbyte.",
        )
    if not server and not client_id:
        return False
    on_this_machine = (urlsplit(server or "").hostname or "") in ("127.0.0.1", "localhost", "::1")
    if not environment.get("MOTHERDUCK_APIKEY") and not on_this_machine:
        raise ConfigurationError(
            "MOTHERDUCK_APIKEY is not set, and an Airbyte that runs elsewhere can't write into a file here.",
            guidance="Set it to a MotherDuck access token, or unset AIRBYTE_* to use local Airbyte.",
        )
    return True


@contextmanager
def local_airbyte(home: Path, *, port: int | None, say: Callable[[str], None]) -> Iterator[str]:
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
        LocalAirbyteFailed: It ended before it accepted requests; the message has its last words.
    """
    missing = missing_locally()
    if missing:
        raise ConfigurationError(
            f"Local Airbyte needs {', '.join(missing)}, which is not installed.",
            guidance="Run: pip install 'airbyte-dagster[local]'. Or set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET.",
        )
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
        f"Local Airbyte did not start: {words[-1] if words else 'it said nothing'}.", guidance=f"More is in {log}."
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


@contextmanager
def airbyte_environment(home: Path, *, port: int | None, say: Callable[[str], None]) -> Iterator[None]:
    """Set the environment so that the package's definitions find their Airbyte, for a block.

    With local Airbyte, its engine and the Faker connector are installed first, so that the time this takes at the
    first start is spent where its progress is seen, not within a request.

    Raises:
        ConfigurationError: See `remote_is_configured` and `local_airbyte`.
        LocalAirbyteFailed: See `local_airbyte`.
    """
    os.environ[HOME_VARIABLE] = str(home)
    if remote_is_configured(os.environ):
        say(f"Airbyte: {os.environ.get('AIRBYTE_SERVER_URL') or 'Airbyte Cloud'}")
        yield
        return
    with local_airbyte(home, port=port, say=say) as url:
        from airbyte_dagster.local import environments, settings  # noqa: PLC0415 - only where the extra is installed

        where = settings.resolve_home(home)
        environments.prepare(where.environments, ["faker"], say)
        os.environ.update(settings.environment(where, url))
        yield


def prepare_dagster_home(home: Path) -> Path:
    """Return ``DAGSTER_HOME``, by default a directory in `home` that is made here, and set it for child processes."""
    chosen = os.environ.get("DAGSTER_HOME")
    directory = Path(chosen) if chosen else home / "dagster"
    directory.mkdir(parents=True, exist_ok=True)
    settings = directory / "dagster.yaml"
    if not chosen and not settings.exists():
        settings.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    os.environ["DAGSTER_HOME"] = str(directory)
    return directory
