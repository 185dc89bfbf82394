"""Times and durations as Airbyte writes them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

# Seconds are left out when they are zero (``2023-03-25T01:30Z``); digits of a fraction vary; no zone means UTC.
_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?"
    r"\s*([Zz]|[+-]\d{2}(?::?\d{2})?)?(?:\[[^\]]*\])?",
    re.ASCII,
)
# Java's Duration: hours are not turned into days (``PT25H``), and each part may have a sign.
_DURATION = re.compile(
    r"([+-])?P(?:([+-]?\d+)D)?(?:T(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?\d+(?:[.,]\d*)?)S)?)?", re.IGNORECASE
)
_LARGEST_EPOCH = 253_402_300_799  # the end of the year 9999


def parse_time(value: Any) -> dt.datetime | None:
    """Read an ISO 8601 time or epoch seconds; ``None`` if it is neither. The result is in UTC."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return dt.datetime.fromtimestamp(value, dt.timezone.utc) if 0 <= value <= _LARGEST_EPOCH else None
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        time = dt.datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "")[:6].ljust(6, "0")),
            tzinfo=_zone(zone),
        )
        return time.astimezone(dt.timezone.utc)
    except (ValueError, OverflowError):
        return None


def parse_duration(value: Any) -> float | None:
    """Read an ISO 8601 duration of days and less, such as ``PT1H1M1S``; seconds, or ``None`` if it is not one."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not any(match.groups()[1:]):
        return None
    sign, days, hours, minutes, seconds = match.groups()
    whole = int(days or 0) * 86400 + int(hours or 0) * 3600 + int(minutes or 0) * 60
    total = whole + float((seconds or "0").replace(",", "."))
    return -total if sign == "-" else total


def time_text(time: dt.datetime) -> str:
    """Write a time as Airbyte takes it in queries: ISO 8601 in UTC."""
    return time.astimezone(dt.timezone.utc).isoformat().replace("+00:00", "Z")


def _zone(text: str | None) -> dt.timezone:
    if text is None or text in "Zz":
        return dt.timezone.utc
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "").ljust(4, "0")
    return dt.timezone(sign * dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
