"""The rules that hold a table against what a job reports of its stream. Pure functions.

Each returns a `Finding` with one sentence that has the numbers. What can't be known is no pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.findings import Finding, Verdict, excused, unverified
from airbyte_dagster.destinations.sync_modes import CDC_DELETED_AT, SYNC_MODES
from airbyte_dagster.warehouse import Table


@dataclass(frozen=True)
class ReportedStats:
    """What a job reports of one stream.

    Attributes:
        namespace: The stream's own; ``None`` if the declaration gives none.
        reported: Records committed; ``None`` where the server gives none per stream.
        before: Rows in the table before the sync; ``None`` if they were not counted.
        primary_key: Columns; empty if there is none, or if a part of it lies within a column.
        rejected: Records that the destination did not take; ``None`` where the server does not give it.
        attempts: How many the job made; ``None`` if that was not asked for, or is not known.
        generation: The largest ``_airbyte_generation_id`` of the table that was recorded with the job; ``None`` if
            there is none, or before that.
        doubt: Why the rows may differ from what is reported though nothing was lost; ``None`` if they may not.
    """

    stream: str
    sync_mode: str
    reported: int | None
    before: int | None = None
    namespace: str | None = None
    primary_key: tuple[str, ...] = ()
    rejected: int | None = None
    attempts: int | None = None
    generation: int | None = None
    doubt: str | None = None

    @property
    def key(self) -> StreamKey:
        """Namespace and name: what a stream is known by within its connection."""
        return StreamKey(self.namespace, self.stream)


# row_count


def row_count(report: ReportedStats, table: Table, counted: int | None = None, *, deletes: bool = False) -> Finding:
    """Compare the rows of a table with what the job reports of its stream.

    Overwrite: the rows are the reported records. Append: rows before plus records. Deduped modes: each key once, no
    fewer rows than before, and no more than before plus records; also no fewer rows than right after the job. A source
    that deletes rows may take one with each record. Where the report says what else may have changed the rows, nothing
    fails.

    Args:
        report: What the job reports.
        table: As it is now.
        counted: Rows right after the job, if they were counted.
        deletes: Whether the source is known to delete rows; else the table's columns decide.
    """
    numbers = {
        "rows_in_warehouse": table.rows,
        "rows_reported": report.reported,
        "rows_rejected": report.rejected or None,
        "rows_before": report.before,
        "sync_mode": report.sync_mode,
    }
    found = _rejected(report, _row_count(report, table, counted, numbers, deletes=deletes))
    return excused(found, report.doubt or _refreshed(report, table))


def _row_count(
    report: ReportedStats, table: Table, counted: int | None, numbers: dict[str, Any], *, deletes: bool
) -> Finding:
    effect = SYNC_MODES.get(report.sync_mode)
    if effect is None:
        return _uncounted(report, table, "what this sync mode does to rows is not known", numbers)
    if report.reported is None:
        return _uncounted(report, table, "Airbyte reports no rows of the single stream", numbers)
    if effect.dedupes:
        deletes = deletes or table.column(CDC_DELETED_AT) is not None
        lost = _lost_since(table, counted, numbers, deletes=deletes)
        return lost or _row_count_deduped(report, table, report.reported, numbers, deletes=deletes)
    if not effect.keeps:
        text = f"{table.name} has {table.rows:,} rows, Airbyte reports {report.reported:,}"
        return _equal(table.rows, report.reported, text, numbers)
    if report.before is None:
        return _uncounted(report, table, "the rows before the sync were not counted", numbers)
    return _row_count_appended(report, table, report.reported, report.before, numbers)


def _row_count_appended(
    report: ReportedStats, table: Table, reported: int, before: int, numbers: dict[str, Any]
) -> Finding:
    text = f"{table.name} had {before:,} rows and has {table.rows:,}, Airbyte reports {reported:,} more"
    if table.rows <= before + reported or report.attempts == 1:
        return _equal(table.rows, before + reported, text, numbers)
    extra = f"{table.rows - before - reported:,} too many"
    if report.attempts is None:
        return unverified(f"{text}: {extra}, which several attempts may append; how many is not known.", numbers)
    text = f"{text}: {extra}, which its {report.attempts} attempts may have appended."
    return Finding(Verdict.WARNED, text, {**numbers, "attempts": report.attempts})


def _rejected(report: ReportedStats, found: Finding) -> Finding:
    """Warn where rows fit but for records that the destination did not take."""
    rejected = report.rejected
    if not rejected or found.verdict is Verdict.UNVERIFIED:
        return found
    text = f"the destination rejected {rejected:,} more records."
    before = report.before if SYNC_MODES[report.sync_mode].keeps else 0
    # Whether they are among the committed ones depends on the destination.
    fits = found.verdict is Verdict.PASSED or (
        report.reported is not None
        and before is not None
        and found.numbers["rows_in_warehouse"] == before + report.reported - rejected
    )
    if not fits:
        return replace(found, text=f"{found.text.rstrip('.')}; {text}")
    return replace(found, verdict=Verdict.WARNED, text=f"{found.text.rstrip('.')}; {text}")


def _refreshed(report: ReportedStats, table: Table) -> str | None:
    """Return what to say of a table whose rows are all of a later generation than was recorded."""
    if report.generation is None or table.generations is None or table.generations[0] <= report.generation:
        return None
    return f"the stream was refreshed since (generation {table.generations[0]}), which removes the rows before"


def _lost_since(table: Table, counted: int | None, numbers: dict[str, Any], *, deletes: bool) -> Finding | None:
    if counted is None or table.rows >= counted:
        return None
    lost = counted - table.rows
    text = f"{table.name} has {table.rows:,} rows, but had {counted:,} right after the sync: {lost:,} missing."
    found = Finding(Verdict.FAILED, text, {**numbers, "rows_after_the_sync": counted})
    # Of a deletion nothing is left in the table that would show a later sync.
    return excused(found, "the source deletes rows, with a sync that is not recorded perhaps" if deletes else None)


def _row_count_deduped(
    report: ReportedStats, table: Table, reported: int, numbers: dict[str, Any], *, deletes: bool
) -> Finding:
    counted = table.keys.get(report.primary_key)
    if counted is not None:
        numbers["distinct_keys"] = counted.distinct
        # A row with a null in its key is a row of its own: destinations merge it with no other.
        if counted.distinct != counted.complete:
            text = f"{table.name} has {counted.complete:,} rows but only {counted.distinct:,} distinct primary keys."
            return Finding(Verdict.FAILED, text, numbers)
    # An overwrite starts from nothing, whatever was there before.
    before = report.before if SYNC_MODES[report.sync_mode].keeps else 0
    known = "?" if before is None else f"{before:,}"
    text = f"{table.name} has {table.rows:,} rows (before: {known}), Airbyte reports {reported:,}"
    if reported and not table.rows and not deletes:
        return Finding(Verdict.FAILED, f"{text}: nothing arrived.", numbers)
    if before is None:
        return _uncounted(report, table, "the rows before the sync were not counted", numbers)
    # A record of a deletion takes at most one row with it.
    least = max(0, before - reported) if deletes else before
    if not least <= table.rows <= before + reported:
        return Finding(Verdict.FAILED, f"{text}: expected {least:,} to {before + reported:,}.", numbers)
    keys = "each key once" if counted is not None else "keys not checked: none is declared"
    deleted = f"; the source deletes rows ({CDC_DELETED_AT})" if table.rows < before else ""
    return Finding(Verdict.PASSED, f"{text}; {keys}{deleted}.", numbers)


def row_count_by_total(
    reports: Sequence[ReportedStats], tables: Sequence[Table | None], total: int | None
) -> Finding | None:
    """Compare overwritten streams together with the job's total, where the server has no numbers of single streams.

    Returns:
        One finding for all, or ``None`` where the total can't decide: 0 is also what a server gives that knows nothing.
    """
    if not total or any(SYNC_MODES.get(report.sync_mode) != (False, False) for report in reports):
        return None
    present = [table for table in tables if table is not None]
    if len(present) < len(reports):
        return None
    rows = sum(table.rows for table in present)
    text = f"The {len(reports)} tables have {rows:,} rows together, Airbyte reports {total:,}"
    found = _equal(rows, total, text, {"rows_in_all_tables": rows, "job_rows": total})
    return excused(found, next((report.doubt for report in reports if report.doubt), None))


def _equal(rows: int, expected: int, text: str, numbers: Mapping[str, Any]) -> Finding:
    if rows == expected:
        return Finding(Verdict.PASSED, f"{text}.", numbers)
    odd = "missing" if rows < expected else "too many"
    return Finding(Verdict.FAILED, f"{text}: {abs(rows - expected):,} {odd}.", numbers)


def _uncounted(report: ReportedStats, table: Table, why: str, numbers: Mapping[str, Any]) -> Finding:
    return unverified(f"{table.name} has {table.rows:,} rows ({report.sync_mode}), but {why}.", numbers)


# moved_something


def moved_something(
    report: ReportedStats, total: int | None, min_rows_synced: int, *, is_reset: bool = False
) -> Finding:
    """Whether the last sync brought at least `min_rows_synced` records.

    Args:
        report: Of one stream.
        total: Records of the whole job, to be shown.
        min_rows_synced: 0: that it is known how many it brought is enough.
        is_reset: Whether the job was no sync.
    """
    if is_reset:
        return unverified("the last job was a reset; there was no sync since.")
    numbers = {"rows_reported": report.reported, "job_rows": total, "min_rows_synced": min_rows_synced}
    brought = report.reported
    if brought is None:
        return unverified(f"Airbyte does not report how many records of {report.stream} it brought.", numbers)
    text = f"The last sync brought {brought:,} records of {report.stream}"
    if brought < min_rows_synced:
        return Finding(Verdict.FAILED, f"{text}; at least {min_rows_synced:,} are expected.", numbers)
    return Finding(Verdict.PASSED, f"{text}.", numbers)
