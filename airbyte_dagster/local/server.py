"""The server process: one per home, ready when it says so, gone without a trace when it is told to end."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from airbyte_dagster import serving
from airbyte_dagster.local import settings
from airbyte_dagster.local.isolation import forbid_core_files
from airbyte_dagster.local.settings import DEFAULT_HOST, DEFAULT_PORT, Home

DEFAULT_WORKERS = 4
_PORTS_TO_TRY = 100
_WAITING_CONNECTIONS = 2048  # uvicorn's default
_SECONDS_BETWEEN_LOOKS = 0.05


class CannotServe(Exception):
    """The server can't start; the message is one sentence."""


@dataclass(frozen=True)
class Options:
    """How to serve.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free one, None for 8006 or the next free one after it.
        workers: How many syncs may run at once.
        strict: Leave the type key out of configurations, as the real server does.
        connectors: Executables and manifests of connectors by short name.
        allow_paths: Directories besides the home that warehouse files may be in.
        prepare: Connectors that are installed, and asked for what is kept of their answers, before requests are
            accepted: clients wait 5 s at most.
        command: What the user started the server with, for messages that name one of its options.
    """

    host: str = DEFAULT_HOST
    port: int | None = None
    workers: int = DEFAULT_WORKERS
    strict: bool = False
    connectors: Mapping[str, Path] = field(default_factory=dict)
    allow_paths: Sequence[Path] = ()
    prepare: Sequence[str] = ()
    command: str = "airbyte-dagster local serve"


def make_context(
    home: Home,
    options: Options,
    engine: Any = None,
    *,
    on_progress: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.time,
) -> Any:
    """Put the parts of a server together. Jobs that a dead server left active are failed.

    Args:
        home: Where everything is kept.
        options: How to serve.
        engine: What runs connectors; the real one by default.
        on_progress: Told of installations.
        clock: Epoch seconds, for all that is stored.

    Returns:
        The `Context`.

    Raises:
        CannotServe: A newer version of this package has been here.
    """
    from airbyte_dagster.local.database import Database, NewerDatabase  # noqa: PLC0415 - the command line loads without them
    from airbyte_dagster.local.declarative import OwnConnectors  # noqa: PLC0415
    from airbyte_dagster.local.deps import Context, Tokens  # noqa: PLC0415
    from airbyte_dagster.local.destinations import Places  # noqa: PLC0415
    from airbyte_dagster.local.environments import Environments  # noqa: PLC0415
    from airbyte_dagster.local.jobs import INTERRUPTED, JobRunner  # noqa: PLC0415
    from airbyte_dagster.local.jobstore import JobStore  # noqa: PLC0415
    from airbyte_dagster.local.schedules import Scheduler  # noqa: PLC0415
    from airbyte_dagster.local.statestore import StateStore  # noqa: PLC0415
    from airbyte_dagster.local.store import Store  # noqa: PLC0415
    from airbyte_dagster.local.workers import ConnectorEngine  # noqa: PLC0415

    home.make()
    shutil.rmtree(home.scratch, ignore_errors=True)  # what a killed server left has configurations in it
    home.make()
    credentials = settings.ensure_credentials(home)
    try:
        database = Database(home.database)
    except NewerDatabase as error:
        raise CannotServe(str(error)) from None
    store, jobs = Store(database, credentials.workspace_id, clock), JobStore(database, clock)
    jobs.fail_interrupted(INTERRUPTED)
    own = OwnConnectors(home.definitions, options.connectors)
    if engine is None:
        environments = Environments(home.environments)
        engine = ConnectorEngine(environments, home.scratch, own, on_progress)
    states = StateStore(database)
    places = Places(home, tuple(options.allow_paths), options.command)
    runner = JobRunner(store, jobs, states, engine, places, workers=options.workers)
    schedules = Scheduler(store, runner, clock)
    return Context(
        home=home,
        store=store,
        jobs=jobs,
        states=states,
        runner=runner,
        schedules=schedules,
        engine=engine,
        tokens=Tokens(credentials),
        places=places,
        strict=options.strict,
        connectors=own,
    )


@contextlib.contextmanager
def only_server(home: Home) -> Iterator[None]:
    """Be the one server of this home.

    Raises:
        CannotServe: There is one.
    """
    home.make()
    lock = FileLock(home.lock_file, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        record = settings.server_record(home)
        where = (
            f"at {record['url']} (pid {record['pid']})" if record else f"in {home.root} (it starts or ends just now)"
        )
        raise CannotServe(f"already running {where}") from None
    try:
        yield
    finally:
        lock.release()


def listen(host: str, port: int | None) -> socket.socket:
    """Listen on a port.

    Args:
        host: The address.
        port: As in `Options`.

    Raises:
        CannotServe: The port, or with None all of the ports tried, can't be had.
    """
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TO_TRY) if port is None else [port]
    reason = ""
    for candidate in ports:
        try:
            return serving.listen(host, candidate, _WAITING_CONNECTIONS)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    raise CannotServe(f"can't listen on {host} port {ports[0]}: {reason}")


def make_uvicorn(app: Any, on_ready: Callable[[], None]) -> Any:
    """Return the uvicorn server of local Airbyte; see `serving.make_server`."""
    # Java's HTTP client offers HTTP/2 with each request. httptools drops the body of such a request, h11 does not;
    # that it is not taken up is no warning.
    return serving.make_server(app, on_ready, log_level="error", http="h11")


def serve(home: Home, options: Options, say: Callable[[str], None], *, exit_with_stdin: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or, if asked, until stdin ends.

    Args:
        home: Where everything is kept.
        options: How to serve.
        say: Told what the user should know, one line at a time.
        exit_with_stdin: End when stdin reaches its end, so that a parent that dies takes the server along.

    Raises:
        CannotServe: Another server runs there, or the port can't be had.
    """
    from airbyte_dagster.local.app import create_app  # noqa: PLC0415 - the command line loads without it

    forbid_core_files()
    say = _whoever_listens(say)
    with only_server(home), contextlib.closing(listen(options.host, options.port)) as bound:
        url = serving.url_of(bound)

        def tell(line: str) -> None:
            say(f"{settings.PROGRESS_MARK}{line}")

        if options.port is None and bound.getsockname()[1] != DEFAULT_PORT:
            tell(f"Port {DEFAULT_PORT} is in use; taking {bound.getsockname()[1]}.")
        context = make_context(home, options, on_progress=tell)

        def ready() -> None:
            settings.write_private(home.server_file, {"url": url, "pid": os.getpid()})
            say(f"Local Airbyte is ready at {url}{settings.PUBLIC_API}")
            say(f"Try it in the browser: {url}/docs")
            say(f"Client id and secret are in {home.credentials_file}; `airbyte-dagster local env` shows them.")

        server = make_uvicorn(create_app(context, hosts=[options.host]), ready)

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if exit_with_stdin:
            threading.Thread(target=_stop_at_end_of_stdin, args=(stop,), daemon=True).start()
        try:
            preparing = threading.Thread(target=_prepare, args=(context.engine, options.prepare, tell), daemon=True)
            preparing.start()
            while preparing.is_alive() and not server.should_exit:  # a signal ends it within a moment
                preparing.join(_SECONDS_BETWEEN_LOOKS)
            if not server.should_exit:
                context.schedules.start()
                server.run(sockets=[bound])
        finally:
            home.server_file.unlink(missing_ok=True)
            context.close()
            context.store.database.close()
    say("Local Airbyte has ended.")


def _prepare(engine: Any, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Have connectors ready. Without a network the server starts all the same."""
    from airbyte_dagster.local.answers import SAME_STREAMS  # noqa: PLC0415 - the command line loads without it
    from airbyte_dagster.local.engine import ConnectorFailed, UnknownConnector  # noqa: PLC0415

    for name in names:
        try:
            engine.spec(name)
            if name in SAME_STREAMS:
                engine.discover(name, {})
        except (UnknownConnector, ConnectorFailed) as error:
            say(f"the connector {name} is not ready, its first use will try again: {error}")


def _whoever_listens(say: Callable[[str], None]) -> Callable[[str], None]:
    """Say it as long as somebody reads it: `serve | head -1` is no reason to end."""

    def say_it(line: str) -> None:
        try:
            say(line)
        except BrokenPipeError:
            _drop_what_nobody_reads()

    return say_it


def _drop_what_nobody_reads() -> None:
    """Let go of stdout and stderr where their reader has gone, so that nothing fails of writing to them."""
    with Path(os.devnull).open("wb") as nowhere:
        for number in (1, 2):
            watch = select.poll()
            watch.register(number, 0)
            if any(event & select.POLLERR for _, event in watch.poll(0)):
                os.dup2(nowhere.fileno(), number)


def _stop_at_end_of_stdin(stop: Callable[[int, FrameType | None], None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while sys.stdin.buffer.read(4096):
            pass
    stop(signal.SIGTERM, None)
