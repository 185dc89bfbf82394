"""The receiver as an ASGI application: it answers at once, and has the work done in the background.

It is written on ASGI itself: one path, one method, limits on everything that a client decides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from airbyte_dagster.webhook.notice import Notice, parse_notice
from airbyte_dagster.webhook.secret import is_same

Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

#: Path before the secret.
NOTICES = "/notices/"
#: Query parameter with the address that had the notices before.
FORWARD = "forward"
HEALTH = "/health"
#: A notice about nothing: it is taken, and nothing comes of it.
PROBE = b"{}"


@dataclass(frozen=True)
class Limits:
    """What a client may cost.

    Attributes:
        body_bytes: Airbyte's notices have a few kB; an error message can be longer.
        body_seconds: Until a body is read.
        requests: Bodies that are read at once.
    """

    body_bytes: int = 256 * 1024
    body_seconds: float = 10.0
    requests: int = 64


class _Refused(Exception):
    """A request is answered with a status, and nothing else comes of it."""

    def __init__(self, status: int) -> None:
        self.status = status


class WebhookApp:
    """Takes notices at ``/notices/SECRET``, and tells how it is at ``/health``.

    Answers: 202 for a notice that is taken, or is about no job; 400 for what is none; 404 for any other path, a wrong
    secret among them; 405, 408, 413 where a method, a slow or a large body is to blame; 503 if there is no room.

    It may be mounted in another application. Then call `close` when that ends.

    Args:
        secret: The path's.
        take: Takes a notice; returns whether there was room.
        forward: Takes the body of a request and the address that it is to be posted to as well.
        has_room: Whether a notice would be taken.
        on_close: Ends what is under way.
        limits: What a client may cost.
    """

    def __init__(
        self,
        secret: str,
        *,
        take: Callable[[Notice], bool],
        forward: Callable[[bytes, str], None],
        has_room: Callable[[], bool],
        on_close: Callable[[], None],
        limits: Limits | None = None,
    ) -> None:
        self._secret = secret
        self._take = take
        self._forward = forward
        self._has_room = has_room
        self._on_close = on_close
        self._limits = limits or Limits()
        self._reading = 0

    def close(self) -> None:
        """End what is under way: it takes some seconds at most. What waits is left to the sensor."""
        self._on_close()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"the receiver of notices has no {scope['type']}")
        try:
            status, content = await self._answer(scope, receive)
        except _Refused as refused:
            status, content = refused.status, {}
        except ConnectionResetError:
            return  # nobody is left to answer
        body = json.dumps(content).encode() if content else b""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # a notice is alone; and after an error there may be a body left unread
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(self.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> tuple[int, Mapping[str, Any]]:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == HEALTH:
            _check_method(scope, "GET", "HEAD")
            return (200, {"status": "ok"}) if self._has_room() else (503, {"status": "no room for further notices"})
        if not path.startswith(NOTICES) or not is_same(path.removeprefix(NOTICES), self._secret):
            raise _Refused(404)
        _check_method(scope, "POST")
        body = await self._body(scope, receive)
        try:
            notice = parse_notice(body)
        except ValueError:
            raise _Refused(400) from None
        if notice is not None and not self._take(notice):
            raise _Refused(503)
        # What was not taken is not handed on: Airbyte is told, and so are the people who look after it.
        query = parse_qs(scope.get("query_string", b"").decode("ascii", "replace"))
        if FORWARD in query and body != PROBE:
            self._forward(body, query[FORWARD][0])
        return 202, {}

    async def _body(self, scope: Mapping[str, Any], receive: Receive) -> bytes:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._limits.body_bytes:
            raise _Refused(413)
        if self._reading >= self._limits.requests:
            raise _Refused(503)
        self._reading += 1
        try:
            return await asyncio.wait_for(self._read(receive), self._limits.body_seconds)
        except asyncio.TimeoutError:
            raise _Refused(408) from None
        finally:
            self._reading -= 1

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            body += message.get("body", b"")
            if len(body) > self._limits.body_bytes:
                raise _Refused(413)
            if not message.get("more_body"):
                return bytes(body)


def _check_method(scope: Mapping[str, Any], *allowed: str) -> None:
    if scope["method"] not in allowed:
        raise _Refused(405)
