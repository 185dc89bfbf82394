"""How many rows a job found in the tables, told from the jobs before it. Pure functions.

A run counts the tables before it starts a job. Of a job that somebody else started it is known only afterwards; then
the rows before it are those after the job before it, if that is known, and if nothing lay in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.rules import ReportedStats

_OVERWRITE = "full_refresh_overwrite"
_APPEND = frozenset({"full_refresh_append", "incremental_append"})


def needs_before(sync_mode: str) -> bool:
    """Whether the row count of a sync mode depends on the rows before; overwriting starts from nothing."""
    return not sync_mode.startswith(_OVERWRITE)


def rows_after(reports: Sequence[ReportedStats], row_count: int | None) -> dict[StreamKey, int]:
    """Return the rows of each stream after a job that succeeded, where they are known.

    Args:
        reports: What it reports of the streams of one asset.
        row_count: Rows that were in all of their tables after it; ``None`` if they were not counted.
    """
    if len(reports) == 1 and row_count is not None:
        return {reports[0].key: row_count}
    told = {report.key: _told(report) for report in reports}
    known = {key: rows for key, rows in told.items() if rows is not None}
    is_contradicted = row_count is not None and len(known) == len(reports) and sum(known.values()) != row_count
    return {} if is_contradicted else known


def _told(report: ReportedStats) -> int | None:
    """Return the rows after a job by its report alone; ``None`` where it leaves them open."""
    if report.doubt is not None:
        return None
    if report.sync_mode == _OVERWRITE:
        return report.reported
    if report.reported is None or report.before is None:
        return None
    if report.sync_mode in _APPEND:
        return report.before + report.reported
    # Of the other modes only a job that found nothing new tells it.
    return report.before if report.reported == 0 and (report.before == 0 or "incremental" in report.sync_mode) else None
