"""Serve the receiver by itself, with uvicorn, until SIGINT or SIGTERM."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.webhook.app import WebhookApp

if TYPE_CHECKING:
    from uvicorn import Server

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8010
#: Connections beyond these are answered with 503.
_MOST_CONNECTIONS = 200
#: How long a client may take to say what it wants.
_HEADER_SECONDS = 10.0


def serve(app: WebhookApp, host: str, port: int, *, say: Callable[[str], None]) -> None:
    """Serve an application until a signal ends it; then what is being recorded is finished.

    Args:
        app: The receiver.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        say: Takes a line for people.

    Raises:
        ConfigurationError: uvicorn is not installed, or the port is taken.
    """
    bound = _listen(host, port)
    with bound:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}"
        server = make_server(app, lambda: say(f"Listens for Airbyte's notices at {address}"))

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        server.run(sockets=[bound])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(_MOST_CONNECTIONS)
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"{host}:{port} can't be listened on: {error.strerror or error}.", guidance="Give another with --port."
        ) from None
    return bound


def make_server(app: Any, on_ready: Callable[[], None]) -> Server:
    """Return a server for a socket that is bound already.

    Args:
        app: The receiver.
        on_ready: Called once requests are accepted.

    Raises:
        ConfigurationError: uvicorn is not installed.
    """
    try:
        import uvicorn  # noqa: PLC0415 - of an extra
    except ImportError:
        raise ConfigurationError(
            "uvicorn is not installed.", guidance="Run: pip install 'airbyte-dagster[webhook]'."
        ) from None

    class ReceiverServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit:
                on_ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn raises the signal again after its shutdown, so the process would not end with 0.
            yield

    config = uvicorn.Config(
        app,
        # No access log: the path is a secret. Other lines of uvicorn have no path.
        access_log=False,
        log_level="warning",
        log_config=None,
        lifespan="on",
        http=_impatient_protocol(),
        ws="none",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    return ReceiverServer(config)


def _impatient_protocol() -> Any:
    """Return uvicorn's HTTP protocol, which drops a client that connects and does not say what it wants."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

    class ImpatientProtocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(_HEADER_SECONDS, self._close_if_silent)

        def _close_if_silent(self) -> None:
            has_begun: Any = self.scope  # None until there is a request, whatever its annotation says
            if has_begun is None and not self.transport.is_closing():
                self.transport.close()

    return ImpatientProtocol


def log_to_terminal() -> None:
    """Print what the receiver does, one line a notice."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("airbyte_dagster.webhook")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("uvicorn.error").addHandler(handler)
