"""What was recorded of the jobs of assets before, as checks need it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.checks.table_rules import RecordedColumns


@dataclass(frozen=True)
class RecordedJob:
    """The last sync or reset of an asset.

    Attributes:
        reports: What it reports of each stream.
        total: Rows that the whole job reports.
        row_count: Rows that were in the tables then; ``None`` if they were not counted.
        is_reset: Whether it was a reset, which left the tables empty.
        job_id: Airbyte's id of it; ``None`` if it was not recorded.
        ended: When it had ended; ``None`` if that was not recorded.
    """

    reports: tuple[ReportedStats, ...]
    total: int | None
    row_count: int | None
    is_reset: bool
    job_id: int | None = None
    ended: dt.datetime | None = None


class History(Protocol):
    """What was recorded of the jobs of assets before."""

    def last_job(self, key: dg.AssetKey) -> RecordedJob | None:
        """Return the last sync that succeeded, or reset, of an asset."""

    def columns(self, key: dg.AssetKey) -> list[RecordedColumns]:
        """Return the columns of the last two materializations that have them, newest first."""
