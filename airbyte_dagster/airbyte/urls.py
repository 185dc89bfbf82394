"""Where Airbyte's APIs are: base addresses tidied, and those that follow from them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

import httpx

from airbyte_dagster.errors import ConfigurationError

CLOUD_SERVER_URL = "https://api.airbyte.com/v1"
"""Airbyte Cloud's public API."""

TOKEN_PATH = "/applications/token"  # noqa: S105 - a path

_CLOUD_CONFIGURATION_API = "https://cloud.airbyte.com/api/v1"
_CLOUD_HOSTS = ("api.airbyte.com", "cloud.airbyte.com")
_PUBLIC_PATH = "/api/public/v1"
_CONFIGURATION_PATH = "/api/v1"
_SHORTENED_PATHS = frozenset({"", "/api", "/api/public", _CONFIGURATION_PATH, _PUBLIC_PATH})
_DEFAULT_PORTS = {"http": 80, "https": 443}

WHERE_THE_API_IS = (
    f"Airbyte's public API is at {CLOUD_SERVER_URL} (Cloud) or http(s)://HOST{_PUBLIC_PATH} (self-managed and local)."
)

#: Scheme, host and port: what a browser calls an origin.
Origin = tuple[str, str, int | None]


def normalise_server_url(url: str) -> str:
    """Return the base address of the public API that a user means.

    Users copy addresses from the browser, from the token endpoint and from the configuration API's documentation, so
    each of these is understood: a trailing slash or ``/applications/token`` is dropped, any address on Cloud's hosts
    becomes `CLOUD_SERVER_URL`, and ``http://HOST``, ``/api``, ``/api/public`` and ``/api/v1`` become
    ``/api/public/v1``. Any other path is kept: a proxy may have put it there.

    Raises:
        ConfigurationError: It has no scheme, no host, or has a user name, query or fragment; the message says what
            to write.
    """
    text = url.strip()
    bare = text.split("/", 1)[0].lower()
    if bare in _CLOUD_HOSTS:
        text = f"https://{text}"
    parts = _split(text)
    path = _tidy_path(parts.path)
    if parts.hostname in _CLOUD_HOSTS and parts.port in {None, 80, 443}:
        return CLOUD_SERVER_URL
    if path in _SHORTENED_PATHS:
        path = _PUBLIC_PATH
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def configuration_api_url(server_url: str) -> str | None:
    """Return the base of the configuration API that belongs to a public one; ``None`` if its place is not known."""
    if server_url == CLOUD_SERVER_URL:
        return _CLOUD_CONFIGURATION_API
    if server_url.endswith(_PUBLIC_PATH):
        return server_url.removesuffix(_PUBLIC_PATH) + _CONFIGURATION_PATH
    return None


def token_urls(server_url: str) -> tuple[str, ...]:
    """Return where to ask for a token, the likeliest first: older self-managed servers have it in ``/api/v1`` only."""
    here = server_url + TOKEN_PATH
    if server_url.endswith(_PUBLIC_PATH):
        return here, server_url.removesuffix(_PUBLIC_PATH) + _CONFIGURATION_PATH + TOKEN_PATH
    return (here,)


def origin(url: str | httpx.URL) -> Origin:
    """Return the origin of an address, with the port that its scheme implies."""
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port or _DEFAULT_PORTS.get(parsed.scheme)


def trusted_origins(server_url: str) -> frozenset[Origin]:
    """Return the origins that may see the credentials: those of the public and of the configuration API."""
    return frozenset(origin(url) for url in (server_url, configuration_api_url(server_url)) if url)


def is_https_upgrade(before: httpx.URL, after: httpx.URL) -> bool:
    """Whether a redirect only adds TLS: same host, both ports the usual ones."""
    return origin(before) == ("http", after.host, 80) and origin(after) == ("https", before.host, 443)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port != 0
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        port_is_valid = False
        parts = SplitResult("", "", "", "", "")
    if "@" in text.split("?", 1)[0]:
        raise ConfigurationError(
            "server_url holds a user name or password.",
            guidance="Write it without them, and give them as `username` and `password`.",
        )
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname or not port_is_valid or " " in text:
        raise ConfigurationError(
            f"server_url {text.split('?', 1)[0]!r} is not an http(s) address.",
            guidance=f"Write it in full: {WHERE_THE_API_IS}",
        )
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ConfigurationError(
            f"server_url {text.split('?', 1)[0].split('#', 1)[0]!r} goes on with a query or a fragment.",
            guidance="Write it without what follows the `?` or `#`.",
        )
    return parts


def _tidy_path(path: str) -> str:
    before = None
    while path != before:
        before, path = path, path.rstrip("/").removesuffix(TOKEN_PATH)
    return path
