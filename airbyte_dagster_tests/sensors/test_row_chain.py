"""The rows after a job, told from what it reports and what was counted."""

from __future__ import annotations

import pytest

from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.sensors.row_chain import needs_before, rows_after

OVERWRITE, APPEND, DEDUPED = "full_refresh_overwrite", "incremental_append", "incremental_deduped_history"


@pytest.mark.parametrize(
    ("mode", "reported", "before", "row_count", "after"),
    [
        (OVERWRITE, 5, None, None, 5),
        (OVERWRITE, 5, None, 4, 4),
        (OVERWRITE, None, None, None, None),
        (APPEND, 5, 10, None, 15),
        (APPEND, 5, 10, 14, 14),
        (APPEND, 5, None, None, None),
        (APPEND, 5, None, 15, 15),
        (APPEND, None, 10, None, None),
        ("full_refresh_append", 5, 10, None, 15),
        (DEDUPED, 5, 10, None, None),
        (DEDUPED, 5, 10, 12, 12),
        (DEDUPED, 0, 10, None, 10),
        (DEDUPED, 0, 0, None, 0),
        ("full_refresh_overwrite_deduped", 0, 10, None, None),
        ("full_refresh_overwrite_deduped", 0, 0, None, 0),
    ],
)
def test_one_stream(
    mode: str, reported: int | None, before: int | None, row_count: int | None, after: int | None
) -> None:
    """What was counted is what counts; else the report tells it, where its mode leaves nothing open."""
    report = ReportedStats("users", mode, reported, before)
    assert rows_after([report], row_count) == ({} if after is None else {(None, "users"): after})


@pytest.mark.parametrize(
    ("row_count", "after"), [(None, {"a": 5, "b": 15}), (20, {"a": 5, "b": 15}), (19, {}), (0, {})]
)
def test_several_streams_of_one_asset(row_count: int | None, after: dict[str, int]) -> None:
    """What was counted is of all together: it can contradict the reports, and then none of them is believed."""
    reports = [ReportedStats("a", OVERWRITE, 5), ReportedStats("b", APPEND, 5, 10)]
    assert rows_after(reports, row_count) == {(None, name): rows for name, rows in after.items()}


def test_several_streams_with_one_unknown() -> None:
    """One that is not known takes nothing from the others."""
    reports = [ReportedStats("a", OVERWRITE, 5), ReportedStats("b", DEDUPED, 5, 10)]
    assert rows_after(reports, 16) == {(None, "a"): 5}


@pytest.mark.parametrize(
    ("mode", "needed"),
    [(OVERWRITE, False), ("full_refresh_overwrite_deduped", False), (APPEND, True), (DEDUPED, True)],
)
def test_modes_that_start_from_nothing_need_no_rows_before(mode: str, needed: bool) -> None:
    """Overwriting does not depend on what was there."""
    assert needs_before(mode) is needed
