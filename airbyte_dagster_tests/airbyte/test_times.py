"""Times and durations as Airbyte writes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.airbyte.times import parse_duration, parse_time

UTC = dt.timezone.utc


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023-03-25T01:30Z", dt.datetime(2023, 3, 25, 1, 30, tzinfo=UTC)),
        ("2023-03-25T01:30:05Z", dt.datetime(2023, 3, 25, 1, 30, 5, tzinfo=UTC)),
        ("2023-03-25T01:30:05.25Z", dt.datetime(2023, 3, 25, 1, 30, 5, 250000, tzinfo=UTC)),
        ("2023-03-25T01:30:05.123456789Z", dt.datetime(2023, 3, 25, 1, 30, 5, 123456, tzinfo=UTC)),
        ("2023-03-25T01:30:05+02:00", dt.datetime(2023, 3, 24, 23, 30, 5, tzinfo=UTC)),
        ("2023-03-25T01:30:05-0130", dt.datetime(2023, 3, 25, 3, 0, 5, tzinfo=UTC)),
        ("2023-03-25 01:30:05", dt.datetime(2023, 3, 25, 1, 30, 5, tzinfo=UTC)),
        ("2023-03-25T01:30Z[UTC]", dt.datetime(2023, 3, 25, 1, 30, tzinfo=UTC)),
        (0, dt.datetime(1970, 1, 1, tzinfo=UTC)),
        (1679707800, dt.datetime(2023, 3, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_time(written: Any, meant: dt.datetime) -> None:
    """Seconds may be missing, digits of the fraction vary, no zone means UTC, numbers are epoch seconds."""
    assert parse_time(written) == meant
    assert parse_time(written).tzinfo is UTC  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "written", [None, "", "soon", True, [], "2023-02-30T00:00Z", "0001-01-01T00:00+23:59", float("nan"), 10**20, -1]
)
def test_not_a_time(written: Any) -> None:
    """Anything else is no time, and no exception."""
    assert parse_time(written) is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("PT0S", 0),
        ("PT1H1M1S", 3661),
        ("PT25H", 90000),
        ("PT12S", 12),
        ("PT0.5S", 0.5),
        ("P1DT1S", 86401),
        ("PT1M", 60),
        ("PT-3S", -3),
        ("-PT3S", -3),
        ("pt1m", 60),
    ],
)
def test_duration(written: str, seconds: float) -> None:
    """Hours are not limited to a day; all parts are optional."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", [None, "", "P", "PT", "12", 12, "1 hour", "PT1X", "P1Y"])
def test_not_a_duration(written: Any) -> None:
    """Anything else is no duration, and no exception."""
    assert parse_duration(written) is None


@given(
    st.datetimes(min_value=dt.datetime(1900, 1, 1), max_value=dt.datetime(2200, 1, 1)),  # noqa: DTZ001
    st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(-dt.timedelta(hours=8))]),
)
def test_times_round_trip(time: dt.datetime, zone: dt.timezone) -> None:
    """Whatever isoformat writes is read back as the same moment."""
    aware = time.replace(tzinfo=zone)
    assert parse_time(aware.isoformat()) == aware


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_durations_round_trip(hours: int, minutes: int, seconds: int) -> None:
    """Java's form, with empty parts left out, is read back as the same number of seconds."""
    parts = "".join(f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if value)
    assert parse_duration(f"PT{parts or '0S'}") == hours * 3600 + minutes * 60 + seconds


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.none()))
def test_any_value(value: Any) -> None:
    """No value whatever makes the readers raise."""
    parse_time(value)
    parse_duration(value)
