"""What is refused before a request is looked at: other hosts' web pages, and bodies that are too large."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airbyte_dagster.local import problems

MOST_BYTES = 8_000_000
"""Of a request's body; a connection of 20,000 fields, the most that Airbyte Cloud takes, has about a third of that."""
TOO_LARGE = f"The body has more than {MOST_BYTES // 1_000_000} MB"
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


class BodyLimit:
    """Refuses bodies of more than `MOST_BYTES` (413): by their announced size at once, else while they are read.

    Args:
        app: What is guarded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > MOST_BYTES:
            refused = problems.error_id(413, TOO_LARGE)
            await JSONResponse(refused.body, refused.status)(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BYTES:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self._app(scope, limited, send)
