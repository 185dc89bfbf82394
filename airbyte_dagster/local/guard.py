"""Keeps other hosts' web pages from driving a server that listens on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class HostGuard:
    """Refuses requests whose ``Host`` or ``Origin`` names another machine (403).

    A page of another site may send requests to 127.0.0.1, by its own name made to point there or across origins;
    the browser then says so in these headers.

    Args:
        app: What is guarded.
        hosts: Names accepted besides those of the loopback interface.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and not self._acceptable(scope):
            body = json.dumps({"message": "Forbidden: this server answers to local names only"}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, send)

    def _acceptable(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"host" and self._name(f"//{value.decode('latin-1')}") not in self._hosts:
                return False
            if name == b"origin" and self._name(value.decode("latin-1")) not in self._hosts:
                return False
        return True

    @staticmethod
    def _name(url: str) -> str | None:
        try:
            return urlsplit(url).hostname
        except ValueError:
            return None
