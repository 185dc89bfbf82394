"""What kind of call a request is: how long it may take, and whether it may be sent again.

Airbyte's own behaviour decides. Starting a job waits until the job has an id (up to 60 s, longer on older servers);
creating a connection and ``/streams`` let the server run the source's discover, which takes minutes; a delete waits for
running jobs to stop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

import httpx

from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.urls import TOKEN_PATH, configuration_api_url

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection: a host that is there answers at once, however slow Airbyte is."""

_CONFIGURATION_READ = re.compile(r"/(get|list|search)[a-z_]*$")
_SLOW = frozenset(
    {("GET", "/streams"), ("POST", "/jobs"), ("POST", "/connections"), ("POST", "/sources"), ("POST", "/destinations")}
)
_ALWAYS_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH"})


class Repeat(Enum):
    """When a call that failed may be sent again."""

    AFTER_ANY_FAILURE = auto()
    """Doing it twice is doing it once."""
    IF_NEVER_SENT = auto()
    """Only if nothing can have happened: no connection was made, or the server refused to look at it (429)."""


@dataclass(frozen=True)
class Call:
    """A request, as far as its treatment depends on it.

    Attributes:
        label: What was asked, for messages: ``"GET /sources"``, with neither query nor body.
        timeout: Seconds to wait for an answer.
    """

    label: str
    repeat: Repeat
    timeout: float


def classify(method: str, url: httpx.URL, settings: ClientSettings) -> Call:
    """Say how a request is to be treated."""
    path, on_configuration_api = _path_below_base(url, settings.server_url)
    label = f"{method} {path}" + (" of the configuration API" if on_configuration_api else "")
    is_slow = (method, path) in _SLOW or method == "DELETE"
    return Call(
        label=label,
        repeat=Repeat.AFTER_ANY_FAILURE
        if _may_repeat(method, path, on_configuration_api=on_configuration_api)
        else Repeat.IF_NEVER_SENT,
        timeout=settings.slow_request_timeout if is_slow else settings.request_timeout,
    )


def _may_repeat(method: str, path: str, *, on_configuration_api: bool) -> bool:
    if method in _ALWAYS_REPEATABLE:
        return True
    if method == "DELETE":
        # Deleting a job cancels whatever runs on its connection *then*; a second one could hit another job.
        return not path.startswith("/jobs/")
    if method == "POST":
        return path == TOKEN_PATH or (on_configuration_api and _CONFIGURATION_READ.search(path) is not None)
    return False


def _path_below_base(url: httpx.URL, server_url: str) -> tuple[str, bool]:
    plain = str(url.copy_with(query=None, fragment=None))
    for base, is_configuration_api in ((server_url, False), (configuration_api_url(server_url), True)):
        if base and plain.startswith(f"{base}/"):
            return plain.removeprefix(base), is_configuration_api
    return url.path, False
