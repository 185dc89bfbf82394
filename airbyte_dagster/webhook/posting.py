"""POST to an address that is a secret itself: it is in no log and in no error."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

import httpx

from airbyte_dagster.errors import AirbyteDagsterError

_SECONDS = 10.0
_IS_QUIET: ContextVar[bool] = ContextVar("is_quiet", default=False)


class NotPosted(AirbyteDagsterError):
    """An address can't be posted to."""


def post(url: str, body: bytes) -> int:
    """Post JSON, once, following no redirect; return the status of the answer.

    Raises:
        NotPosted: There was no answer; the text says why, without the address.
    """
    with _no_addresses_in_logs():
        try:
            headers = {"content-type": "application/json"}
            return httpx.post(url, content=body, headers=headers, timeout=_SECONDS).status_code
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise NotPosted(f"There was no answer: {type(error).__name__}.") from None  # its text may quote the address


@contextlib.contextmanager
def _no_addresses_in_logs() -> Iterator[None]:
    """Keep httpx from logging the address of each request, in this thread."""
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        if _is_loud not in logger.filters:
            logger.addFilter(_is_loud)
    token = _IS_QUIET.set(True)
    try:
        yield
    finally:
        _IS_QUIET.reset(token)


def _is_loud(_record: logging.LogRecord) -> bool:
    return not _IS_QUIET.get()
