"""Quartz expressions: what each part means."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airbyte_dagster.local.quartz import BadCron, Cron


def after(expression: str, moment: str, times: int = 1) -> list[str]:
    """The next times, in UTC."""
    at: float | None = datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp()
    found = []
    cron = Cron(expression)
    for _ in range(times):
        assert at is not None
        at = cron.after(at)
        found.append("never" if at is None else datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        # 2026-11-24 is a Tuesday
        ("0 0 6 * * ?", "2026-11-24 05:59:59", ["2026-11-24 06:00:00", "2026-11-25 06:00:00"]),
        ("0 0 6 * * ?", "2026-11-24 06:00:00", ["2026-11-25 06:00:00"]),
        ("0 0/20 8-9 ? * MON-FRI", "2026-11-27 09:30:00", ["2026-11-27 09:40:00", "2026-11-30 08:00:00"]),
        ("0 0 12 ? * 1", "2026-11-24 00:00:00", ["2026-11-29 12:00:00"]),  # 1 is Sunday
        ("0 0 0 ? * FRI-MON", "2026-11-24 00:00:00", ["2026-11-27 00:00:00", "2026-11-28 00:00:00"]),
        (
            "0 0 22-1 * * ?",
            "2026-11-24 22:30:00",
            ["2026-11-24 23:00:00", "2026-11-25 00:00:00", "2026-11-25 01:00:00"],
        ),
        ("0 0 0 L * ?", "2028-02-01 00:00:00", ["2028-02-29 00:00:00", "2028-03-31 00:00:00"]),
        ("0 0 0 L-3 * ?", "2026-11-24 00:00:00", ["2026-11-27 00:00:00"]),
        ("0 0 0 LW * ?", "2026-10-01 00:00:00", ["2026-10-30 00:00:00"]),  # the 31st is a Saturday
        ("0 0 0 15W * ?", "2026-11-01 00:00:00", ["2026-11-16 00:00:00"]),  # the 15th is a Sunday
        ("0 0 0 1W * ?", "2026-07-31 00:00:00", ["2026-08-03 00:00:00"]),  # a Saturday; not into July
        ("0 0 0 31 * ?", "2026-11-24 00:00:00", ["2026-12-31 00:00:00", "2027-01-31 00:00:00", "2027-03-31 00:00:00"]),
        ("0 0 0 ? * 6L", "2026-11-24 00:00:00", ["2026-11-27 00:00:00", "2026-12-25 00:00:00"]),
        ("0 0 0 ? * TUE#5", "2026-11-24 00:00:00", ["2026-12-29 00:00:00"]),
        ("0 0 0 ? JAN,jul SAT#1", "2026-11-24 00:00:00", ["2027-01-02 00:00:00", "2027-07-03 00:00:00"]),
        ("30 5/25 */12 1/10 * ?", "2026-11-24 00:00:00", ["2026-12-01 00:05:30", "2026-12-01 00:30:30"]),
        ("0 0 0 29 2 ? *", "2026-11-24 00:00:00", ["2028-02-29 00:00:00"]),
        ("0 0 0 1 1 ? 2028-2030/2", "2026-11-24 00:00:00", ["2028-01-01 00:00:00", "2030-01-01 00:00:00", "never"]),
        ("0 0 0 30 2 ?", "2026-11-24 00:00:00", ["never"]),
    ],
)
def test_next_times(expression: str, moment: str, expected: list[str]) -> None:
    """Ranges, also over the end, steps, names, L, W, # and years; the next time is later than the given one."""
    assert after(expression, moment, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 6 * * *", "6 or 7 fields, not 5"),
        ("0 60 6 * * ?", "'60' is no minutes"),
        ("0 0 6 * * 8", "'8' is no day of week"),
        ("0 0 6 1 * MON", "has to be ?"),
        ("0 0 6 0W * ?", "'0' is no day of month"),
        ("0 0 6 * FOO ?", "'FOO' is no month"),
        ("0 0/0 6 * * ?", "steps"),
        ("0 0/x 6 * * ?", "steps"),
        ("0 1- 6 * * ?", "'' is no minutes"),
        ("0 , 6 * * ?", "'' is no minutes"),
        ("0 0 6 ? * MON#6", "is no day of week"),
        ("\u0663 0 6 * * ?", "is no seconds"),
        ("", "not 0"),
    ],
)
def test_what_is_none(expression: str, words: str) -> None:
    """What can't be understood is refused with the reason."""
    with pytest.raises(BadCron, match=words.replace("?", r"\?")):
        Cron(expression)
