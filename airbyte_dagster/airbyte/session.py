"""A session with one Airbyte: the layers put together in one `httpx.Client`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from airbyte_dagster.airbyte.auth import ApplicationAuth, BearerAuth, TokenSource, TrustedOnly
from airbyte_dagster.airbyte.calls import Caller
from airbyte_dagster.airbyte.network import NetworkTransport
from airbyte_dagster.airbyte.policy import CONNECT_TIMEOUT
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.transport import RetryingTransport
from airbyte_dagster.airbyte.urls import trusted_origins

if TYPE_CHECKING:
    import airbyte_api
    from typing_extensions import Self


class Session:
    """An authenticated, retrying `httpx.Client` and the SDK on top of it; safe to use from several threads.

    Attributes:
        settings: What it was made from.
        http: Signs in, retries and times out for everything that is sent through it.

    Args:
        settings: Where Airbyte is and how to sign in.
        transport: In place of the network, for tests.
        sleep: Waits between attempts; seconds.
        clock: Monotonic time; seconds.
    """

    http: httpx.Client

    def __init__(
        self,
        settings: ClientSettings,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        default_timeout = httpx.Timeout(
            settings.request_timeout, connect=min(CONNECT_TIMEOUT, settings.request_timeout)
        )
        self._transport = RetryingTransport(
            transport or NetworkTransport(settings),
            settings,
            default_timeout=default_timeout,
            sleep=sleep,
            clock=clock,
        )
        self._tokens: TokenSource | None = None
        if settings.client_id:
            self._tokens = TokenSource(settings, send=self._transport.handle_request, clock=clock)
        self.http = httpx.Client(
            transport=self._transport,
            auth=self._auth(),
            timeout=default_timeout,
            headers={"User-Agent": "airbyte-dagster"},
            follow_redirects=False,
            trust_env=False,
        )
        self._caller = Caller(
            self.http, settings, known_secrets=lambda: self._tokens.known() if self._tokens is not None else ()
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(server_url={self.settings.server_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, requests for tokens and repeated ones included."""
        return self._transport.calls

    def sdk(self) -> airbyte_api.AirbyteAPI:
        """Return Airbyte's SDK, working through this client: its sign-in, its retries, its timeouts.

        Statuses of 400 and more come as the SDK's own ``SDKError``, failed connections as httpx's exceptions; a refused
        sign-in is `BadCredentials`, as everywhere. The ``…_async`` methods raise `NotImplementedError`: nothing would
        sign them in.
        """
        # Importing it takes most of a second, and only those who call the SDK by hand need it.
        from airbyte_api import AirbyteAPI  # noqa: PLC0415

        # No `security`: the SDK's own token handling asks at the wrong address and never sends a 401 again.
        return AirbyteAPI(
            server_url=self.settings.server_url,
            client=self.http,
            async_client=httpx.AsyncClient(transport=_NoAsync(), trust_env=False),
        )

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def _auth(self) -> httpx.Auth | None:
        settings = self.settings
        inner: httpx.Auth
        if self._tokens is not None:
            inner = ApplicationAuth(self._tokens)
        elif settings.bearer_token:
            inner = BearerAuth(settings.bearer_token)
        elif settings.username:
            inner = httpx.BasicAuth(settings.username, settings.password or "")
        else:
            return None
        return TrustedOnly(inner, trusted_origins(settings.server_url))


class _NoAsync(httpx.AsyncBaseTransport):
    """Refuses to send anything, in place of sending it without sign-in and retries."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise NotImplementedError("The SDK's asynchronous methods are not signed in here; use the synchronous ones.")
