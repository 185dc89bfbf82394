"""Forms of the pages: what tells that a form came from a page of this server, and what is in it."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import parse_qs

from fastapi import Request

#: Thousands of streams are chosen among in one form.
_MOST_BYTES = 1_000_000
_MOST_FIELDS = 10_000

Fields = dict[str, list[str]]
"""What is in a form: name of a field → its values."""


class NotOurForm(Exception):
    """A form that no page of this server gave out, or one from before it was started again."""


class Forms:
    """Tokens for forms: one for each address, good as long as the server runs.

    Other sites can't read the pages, since no answer allows it and `HostGuard` keeps rebound names away; so they can't
    have a token. There are no cookies that a browser would send along by itself.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def token(self, path: str) -> str:
        """What a form that is sent to this address has to have in its field ``token``."""
        return hmac.digest(self._key, path.encode(), "sha256").hex()

    async def read(self, request: Request) -> Fields:
        """The fields of a form.

        Raises:
            NotOurForm: Its token is missing or another's, or the browser says that another site sent it.
        """
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                raise NotOurForm
        try:
            fields = parse_qs(body.decode("ascii"), max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise NotOurForm from None
        token = "".join(fields.pop("token", ())).encode()
        # Browsers send this header to loopback addresses; anything else has to know the token alone.
        from_here = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        if not from_here or not hmac.compare_digest(token, self.token(request.url.path).encode()):
            raise NotOurForm
        return fields
