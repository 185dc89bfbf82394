"""Keeping secrets out of texts that others wrote: Airbyte's messages quote what they were sent."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"

_SECRET_KEY = re.compile(
    r"pass|pwd|secret|token|key|credential|auth|private|cert|signature|cookie|jwt|sas_|dsn|connection_?string|service_?account",
    re.IGNORECASE,
)
# `auth_type: oauth2.0` says which form the credentials have; messages need it.
_NOT_SECRET_KEY = re.compile(r"(type|method|mode)$", re.IGNORECASE)
_SHORTEST_IN_CONFIGURATION = 6
_SHORTEST_ANYWHERE = 6


def secrets_of(configuration: Any) -> tuple[str, ...]:
    """Return the strings of at least six characters that stand at, or below, a key that looks like a secret's."""
    return tuple(_walk(configuration, inside=False))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in a text, in each spelling that it may have there, by ``[hidden]``."""
    for spelling in sorted({form for secret in secrets for form in _spellings(secret)}, key=len, reverse=True):
        if len(spelling) >= _SHORTEST_ANYWHERE:
            text = text.replace(spelling, HIDDEN)
        else:
            # A one-letter password must not blank out every word that has the letter.
            text = re.sub(rf"(?<!\w){re.escape(spelling)}(?!\w)", HIDDEN, text)
    return text


def _walk(value: Any, *, inside: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key)
            looks_secret = inside or _SECRET_KEY.search(name) is not None
            yield from _walk(item, inside=looks_secret and _NOT_SECRET_KEY.search(name) is None)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, inside=inside)
    elif inside and isinstance(value, str) and len(value) >= _SHORTEST_IN_CONFIGURATION:
        yield value


def _spellings(secret: str) -> Iterator[str]:
    """A secret may come back escaped, with its white space folded, or, like a PEM key, line by line."""
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret else []
    for form in (
        secret,
        secret.strip(),
        " ".join(secret.split()),
        *(line for line in lines if len(line) > _SHORTEST_ANYWHERE),
    ):
        escaped = json.dumps(form)[1:-1]
        for spelling in (
            form,
            escaped,
            escaped.replace("/", "\\/"),
            quote(form, safe=""),
            quote_plus(form),
            html.escape(form),
        ):
            if spelling:
                yield spelling
