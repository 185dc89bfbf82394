"""The lowest layer: connections, the machine's proxies, TLS."""

from __future__ import annotations

import ssl
import threading
import urllib.request
from functools import cached_property

import httpx

from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.errors import ConfigurationError

# Servers close idle connections (uvicorn after 5 s). One that closes just as a request is sent leaves it unclear
# whether the request arrived, which for the start of a job is costly; so idle connections are given up earlier.
_LIMITS = httpx.Limits(max_connections=300, max_keepalive_connections=20, keepalive_expiry=3.0)


class NetworkTransport(httpx.BaseTransport):
    """Sends each request directly or through the proxy that the environment names for it.

    httpx reads the proxies of the environment only for a client that was given no transport of its own, so they are
    read here, with the rules of the standard library (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``).
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        if settings.ca_bundle is not None:
            _ = self._tls_context  # What is wrong with it is to be known at once.
        self._lock = threading.Lock()
        self._transports: dict[tuple[str | None, bool], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request once."""
        transport = self._transport(proxy_for(request.url), is_encrypted=request.url.scheme == "https")
        return transport.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            transports = list(self._transports.values())
            self._transports.clear()
        for transport in transports:
            transport.close()

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        return _tls_context(self._settings)

    def _transport(self, proxy: str | None, *, is_encrypted: bool) -> httpx.HTTPTransport:
        key = (proxy, is_encrypted)
        with self._lock:
            if key not in self._transports:
                # Without TLS it is spared to read the machine's certificates; this context trusts none.
                context = self._tls_context if is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                self._transports[key] = self._make(proxy, context)
            return self._transports[key]

    def _make(self, proxy: str | None, context: ssl.SSLContext) -> httpx.HTTPTransport:
        try:
            return httpx.HTTPTransport(verify=context, proxy=proxy, limits=_LIMITS)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            # The proxy's address may hold a password, so neither it nor the cause is shown.
            raise ConfigurationError(
                "The proxy of the environment can't be used: its address is not valid, or needs socks support.",
                guidance="Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY; for socks install httpx[socks].",
            ) from (error if isinstance(error, ImportError) else None)


def proxy_for(url: httpx.URL) -> str | None:
    """Return the address of the proxy that the environment names for a URL, or ``None``."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _tls_context(settings: ClientSettings) -> ssl.SSLContext:
    if settings.ca_bundle is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=settings.ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"ca_bundle {settings.ca_bundle!r} can't be read as certificates: {error}.",
            guidance="It must be a PEM file: text that begins with -----BEGIN CERTIFICATE-----.",
        ) from error
