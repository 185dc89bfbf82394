"""The port of ``dev``'s UI: free, and chosen by no other ``dev`` whose web server does not listen yet."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airbyte_dagster.errors import ConfigurationError

FIRST_PORT = 3000
_PORTS_TO_TRY = 100


@contextmanager
def ui_port(wanted: int | None) -> Iterator[int]:
    """Have a port of 127.0.0.1 for a block; each other ``dev`` of this user takes another one.

    Dagster's web server listens seconds after it was started. A second ``dev`` would choose the same port meanwhile,
    and then show the first one's UI as its own.

    Args:
        wanted: That port and no other; the first free one from 3000 on if ``None``.

    Raises:
        ConfigurationError: The wanted port is in use, or none of the next 100.
    """
    for port in [wanted] if wanted is not None else range(FIRST_PORT, FIRST_PORT + _PORTS_TO_TRY):
        claim = _claim(port)
        if claim is None:
            continue
        try:
            if _is_free(port):
                yield port
                return
        finally:
            os.close(claim)
    if wanted is not None:
        raise ConfigurationError(
            f"Port {wanted} is in use.", guidance="Give another --port, or leave it out to take the next free one."
        )
    raise ConfigurationError(
        f"All ports from {FIRST_PORT} to {FIRST_PORT + _PORTS_TO_TRY - 1} are in use.", guidance="Give a free --port."
    )


def _claim(port: int) -> int | None:
    """Return a descriptor that holds the port for this process while it is open; ``None`` if another one holds it."""
    directory = Path(tempfile.gettempdir()) / f"airbyte-dagster-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory / f"ui-port-{port}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
