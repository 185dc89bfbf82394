"""What a MotherDuck access token says of itself. Nothing is asked, and no signature is checked."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from typing import Any

from airbyte_dagster.cli.diagnosis.findings import Status

_PARTS = 3
_SOON = dt.timedelta(days=7)
_NEW_ONE = "Make a new one in MotherDuck's settings, under Access Tokens, and set it in place of this."


def judge_token(token: str, now: dt.datetime) -> tuple[Status, str, str]:
    """Judge the shape and the expiry of a token.

    Args:
        now: The time, with its zone.

    Returns:
        Status, what was found, what to do.
    """
    claims = _claims(token)
    if claims is None:
        return (
            Status.WARNING,
            "there is one, but it is not shaped as MotherDuck's are: three parts with dots between (a JWT)",
            "Copy the whole token again, without quotes and line breaks.",
        )
    expiry = _time(claims.get("exp"))
    if expiry is None:
        return Status.OK, "there is one, with no date of expiry in it (read without checking its signature)", ""
    date = f"{expiry:%Y-%m-%d %H:%M} UTC"
    if expiry <= now:
        return Status.FAILED, f"it expired on {date} (read without checking its signature)", _NEW_ONE
    if expiry - now < _SOON:
        return Status.WARNING, f"it expires soon, on {date} (read without checking its signature)", _NEW_ONE
    return Status.OK, f"there is one that expires on {date} (read without checking its signature)", ""


def _claims(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != _PARTS or not all(parts):
        return None
    header, claims = (_object(part) for part in parts[:2])
    return claims if header is not None else None


def _object(part: str) -> dict[str, Any] | None:
    try:
        value = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return None
    return value if isinstance(value, dict) else None


def _time(value: Any) -> dt.datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return dt.datetime.fromtimestamp(value, dt.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None
