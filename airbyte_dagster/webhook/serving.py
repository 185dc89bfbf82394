"""Serve the receiver by itself, with uvicorn, until SIGINT or SIGTERM."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.serving import listen, make_server, url_of
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
        server = make_receiver(app, lambda: say(f"Listens for Airbyte's notices at {url_of(bound)}"))

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        server.run(sockets=[bound])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port, _MOST_CONNECTIONS)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} can't be listened on: {error.strerror or error}.",
            guidance="Give an address of this machine with --host, or a free port with --port.",
        ) from None


def make_receiver(app: Any, on_ready: Callable[[], None]) -> Server:
    """Return a server for a socket that is bound already.

    Args:
        app: The receiver.
        on_ready: Called once requests are accepted.

    Raises:
        ConfigurationError: uvicorn is not installed.
    """
    try:
        return make_server(
            app,
            on_ready,
            # Its warnings have no path, which is a secret.
            log_level="warning",
            http=_impatient_protocol(),
            limit_concurrency=_MOST_CONNECTIONS,
            server_header=False,
        )
    except ImportError:
        raise ConfigurationError(
            "uvicorn is not installed.", guidance="Run: pip install 'airbyte-dagster[webhook]'."
        ) from None


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
