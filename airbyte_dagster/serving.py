"""HTTP servers of this package: a socket that listens before anything is said of it, and uvicorn on it.

uvicorn is of an extra, and is imported when a server is made.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn import Server

#: How long answers that are under way may take when the server ends.
_SECONDS_TO_END = 3


def listen(host: str, port: int, waiting: int) -> socket.socket:
    """Bind a socket, and listen: two that are merely bound may share a port, and only one of them gets what comes.

    Args:
        host: The address.
        port: The port; 0 takes a free one.
        waiting: Most connections that wait to be accepted.

    Raises:
        OSError: The port can't be had.
        OverflowError: There is no such port.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(waiting)
    except BaseException:
        bound.close()
        raise
    return bound


def url_of(bound: socket.socket) -> str:
    """The root URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: Any, on_ready: Callable[[], None], **settings: Any) -> Server:
    """Return a uvicorn server for a socket that is bound already. It logs no requests: a path may be a secret.

    Args:
        app: The application.
        on_ready: Called once requests are accepted.
        settings: Of ``uvicorn.Config``, besides.

    Raises:
        ImportError: uvicorn is not installed.
    """
    import uvicorn  # noqa: PLC0415 - of an extra

    class ReadyServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit:
                on_ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn raises the signal again after its shutdown, so the process would not end with 0.
            yield

    common: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "lifespan": "on",
        "ws": "none",
        "timeout_graceful_shutdown": _SECONDS_TO_END,
    }
    return ReadyServer(uvicorn.Config(app, **common, **settings))
