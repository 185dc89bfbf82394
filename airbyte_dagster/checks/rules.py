"""The rules of the checks: what a job reports, and what is expected, against what the warehouse holds. Pure functions.

Each returns a `Finding` with one sentence that has the numbers. What can't be known is no pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.destinations.sync_modes import CDC_DELETED_AT, SYNC_MODES
from airbyte_dagster.warehouse import Table


class Verdict(Enum):
    """What a check found. ``WARNED``: odd, but nothing is wrong. ``UNVERIFIED``: it can't be known."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class ReportedStats:
    """What a job reports of one stream.

    Attributes:
        namespace: The stream's own; ``None`` if the declaration gives none.
        reported: Records committed; ``None`` where the server gives none per stream.
        before: Rows in the table before the sync; ``None`` if they were not counted.
        primary_key: Columns; empty if there is none, or if a part of it lies within a column.
    """

    stream: str
    sync_mode: str
    reported: int | None
    before: int | None = None
    namespace: str | None = None
    primary_key: tuple[str, ...] = ()

    @property
    def key(self) -> StreamKey:
        """Namespace and name: what a stream is known by within its connection."""
        return StreamKey(self.namespace, self.stream)


@dataclass(frozen=True)
class Finding:
    """The outcome for one stream.

    Attributes:
        text: One sentence with the rule and the numbers.
        numbers: The numbers alone, by name; `None` where one is not known.
    """

    verdict: Verdict
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def missing_table(stream: str) -> Finding:
    """There is nothing to check: every check fails."""
    return Finding(Verdict.FAILED, f"The table of {stream} is missing from the warehouse.")


def unverified(why: str, numbers: Mapping[str, Any] | None = None) -> Finding:
    """It can't be known, and why."""
    return Finding(Verdict.UNVERIFIED, f"Unverified: {why}", numbers or {})


# row_count


def row_count(report: ReportedStats, table: Table, counted: int | None = None) -> Finding:
    """Compare the rows of a table with what the job reports of its stream.

    Overwrite: the rows are the reported records. Append: rows before plus records. Deduped modes: each key once, no
    fewer rows than before, and no more than before plus records; also no fewer rows than right after the job.

    Args:
        report: What the job reports.
        table: As it is now.
        counted: Rows right after the job, if they were counted.
    """
    numbers = {
        "rows_in_warehouse": table.rows,
        "rows_reported": report.reported,
        "rows_before": report.before,
        "sync_mode": report.sync_mode,
    }
    effect = SYNC_MODES.get(report.sync_mode)
    if effect is None:
        return _uncounted(report, table, "what this sync mode does to rows is not known", numbers)
    if report.reported is None:
        return _uncounted(report, table, "Airbyte reports no rows of the single stream", numbers)
    if effect.dedupes:
        return _lost_since(table, counted, numbers) or _row_count_deduped(report, table, report.reported, numbers)
    if not effect.keeps:
        text = f"{table.name} has {table.rows} rows, Airbyte reports {report.reported}"
        return _equal(table.rows, report.reported, text, numbers)
    if report.before is None:
        return _uncounted(report, table, "the rows before the sync were not counted", numbers)
    text = f"{table.name} had {report.before} rows and has {table.rows}, Airbyte reports {report.reported} more"
    return _equal(table.rows, report.before + report.reported, text, numbers)


def _lost_since(table: Table, counted: int | None, numbers: dict[str, Any]) -> Finding | None:
    if counted is None or table.rows >= counted:
        return None
    lost = counted - table.rows
    text = f"{table.name} has {table.rows} rows, but had {counted} right after the sync: {lost} missing."
    return Finding(Verdict.FAILED, text, {**numbers, "rows_after_the_sync": counted})


def _row_count_deduped(report: ReportedStats, table: Table, reported: int, numbers: dict[str, Any]) -> Finding:
    counted = table.keys.get(report.primary_key)
    if counted is not None:
        numbers["distinct_keys"] = counted.distinct
        # A row with a null in its key is a row of its own: destinations merge it with no other.
        if counted.distinct != counted.complete:
            text = f"{table.name} has {counted.complete} rows but only {counted.distinct} distinct primary keys."
            return Finding(Verdict.FAILED, text, numbers)
    # An overwrite starts from nothing, whatever was there before.
    before = report.before if SYNC_MODES[report.sync_mode].keeps else 0
    text = (
        f"{table.name} has {table.rows} rows (before: {'?' if before is None else before}), Airbyte reports {reported}"
    )
    deletes = table.column(CDC_DELETED_AT) is not None
    if reported and not table.rows and not deletes:
        return Finding(Verdict.FAILED, f"{text}: nothing arrived.", numbers)
    if before is None:
        return _uncounted(report, table, "the rows before the sync were not counted", numbers)
    if table.rows < before and deletes:
        return _uncounted(report, table, f"the source deletes rows ({CDC_DELETED_AT}): {before} were there", numbers)
    if not before <= table.rows <= before + reported:
        return Finding(Verdict.FAILED, f"{text}: expected {before} to {before + reported}.", numbers)
    keys = "each key once" if counted is not None else "keys not checked: none is declared"
    return Finding(Verdict.PASSED, f"{text}; {keys}.", numbers)


def row_count_by_total(
    reports: Sequence[ReportedStats], tables: Sequence[Table | None], total: int | None
) -> Finding | None:
    """Compare overwritten streams together with the job's total, where the server has no numbers of single streams.

    Returns:
        One finding for all, or ``None`` where the total can't decide.
    """
    if total is None or any(SYNC_MODES.get(report.sync_mode) != (False, False) for report in reports):
        return None
    present = [table for table in tables if table is not None]
    if len(present) < len(reports):
        return None
    rows = sum(table.rows for table in present)
    text = f"The {len(reports)} tables have {rows} rows together, Airbyte reports {total}"
    return _equal(rows, total, text, {"rows_in_all_tables": rows, "job_rows": total})


def _equal(rows: int, expected: int, text: str, numbers: Mapping[str, Any]) -> Finding:
    if rows == expected:
        return Finding(Verdict.PASSED, f"{text}.", numbers)
    odd = "missing" if rows < expected else "too many"
    return Finding(Verdict.FAILED, f"{text}: {abs(rows - expected)} {odd}.", numbers)


def _uncounted(report: ReportedStats, table: Table, why: str, numbers: Mapping[str, Any]) -> Finding:
    return unverified(f"{table.name} has {table.rows} rows ({report.sync_mode}), but {why}.", numbers)


# moved_something


def moved_something(report: ReportedStats, total: int | None, min_rows: int, *, is_reset: bool = False) -> Finding:
    """Whether the last sync brought at least `min_rows` records.

    Args:
        report: Of one stream.
        total: Records of the whole job, for servers that have no numbers of single streams.
        is_reset: Whether the job was no sync.
    """
    if is_reset:
        return unverified("the last job was a reset; there was no sync since.")
    numbers = {"rows_reported": report.reported, "job_rows": total, "min_rows": min_rows}
    brought = report.reported
    if brought is None and total == 0:
        brought = 0
    if brought is None:
        return unverified(f"Airbyte does not report how many records of {report.stream} it brought.", numbers)
    if brought < min_rows:
        text = f"The last sync brought {brought} records of {report.stream}; at least {min_rows} are expected."
        return Finding(Verdict.FAILED, text, numbers)
    return Finding(Verdict.PASSED, f"The last sync brought {brought} records of {report.stream}.", numbers)


# unique_key, not_null


def unique_key(table: Table, key: tuple[str, ...]) -> Finding:
    """Whether no two rows have the same key; rows with a null in it are not compared."""
    if not key:
        return unverified(f"no primary key of {table.name} is known; declare it, or the check's columns.")
    counted = table.keys.get(key)
    if counted is None:
        return _missing_columns(table, key)
    twice = counted.complete - counted.distinct
    names = ", ".join(key)
    numbers = {"rows_in_warehouse": table.rows, "distinct_keys": counted.distinct, "duplicate_rows": twice}
    if twice:
        text = f"{table.name} has {twice} rows too many for {counted.distinct} distinct keys ({names})."
        return Finding(Verdict.FAILED, text, numbers)
    return Finding(Verdict.PASSED, f"Each of the {counted.distinct} keys ({names}) is in {table.name} once.", numbers)


def not_null(table: Table, columns: Sequence[str]) -> Finding:
    """Whether no row has a null in one of the columns."""
    if not columns:
        return unverified(f"no primary key of {table.name} is known; declare it, or the check's columns.")
    if any(name not in table.nulls for name in columns):
        return _missing_columns(table, columns)
    nulls = {name: table.nulls[name] for name in columns}
    numbers = {"rows_in_warehouse": table.rows, **{f"nulls_in_{name}": count for name, count in nulls.items()}}
    if any(nulls.values()):
        found = ", ".join(f"{count} in {name}" for name, count in nulls.items() if count)
        return Finding(Verdict.FAILED, f"{table.name} has nulls: {found}, of {table.rows} rows.", numbers)
    return Finding(Verdict.PASSED, f"{table.name} has no nulls in {', '.join(columns)}.", numbers)


def _missing_columns(table: Table, columns: Sequence[str]) -> Finding:
    missing = ", ".join(name for name in columns if not table.has(name))
    return Finding(Verdict.FAILED, f"{table.name} has no column {missing}.")


# fresh


def fresh(table: Table, column: str, within: dt.timedelta, now: dt.datetime) -> Finding:
    """Whether the newest value of a column is no older than a window.

    Args:
        now: With a time zone.
    """
    found = table.column(column)
    if found is None:
        return _missing_columns(table, [column])
    if table.rows == 0:
        return Finding(Verdict.FAILED, f"{table.name} has no rows.", {"rows_in_warehouse": 0})
    if table.newest is None and table.newest_text:
        text = f"the newest {column} of {table.name} is {table.newest_text}, whose age can't be told."
        return unverified(text, {"newest": table.newest_text})
    if table.newest is None:
        return unverified(f"{column} of {table.name} is {found[1]}, with no date or timestamp in it.")
    age = now - table.newest
    numbers = {
        "newest": table.newest.isoformat(),
        "age_seconds": round(age.total_seconds(), 1),
        "within_seconds": within.total_seconds(),
    }
    text = f"The newest {column} of {table.name} is {_length(age)} old; {_length(within)} are allowed."
    return Finding(Verdict.PASSED if age <= within else Verdict.FAILED, text, numbers)


def _length(time: dt.timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    parts = ((seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(said[:2]) or "0 s"


# schema


def schema(table: Table, recorded: Sequence[Mapping[str, str]]) -> Finding:
    """Whether the columns are those of the last materialization.

    Args:
        recorded: Columns, name → type, of the last two materializations, newest first. The newest may be of the very
            state that is checked; then it is held against the one before.
    """
    now = dict(table.columns)
    baseline = next((columns for columns in recorded if dict(columns) != now), None)
    if not recorded:
        return unverified(f"no materialization has recorded the columns of {table.name} yet.")
    if baseline is None:
        return Finding(Verdict.PASSED, f"{table.name} has the {len(now)} columns it had.", {"columns": len(now)})
    added = sorted(set(now) - set(baseline))
    removed = sorted(set(baseline) - set(now))
    retyped = {
        name: f"{baseline[name]} → {now[name]}" for name in sorted(now) if baseline.get(name, now[name]) != now[name]
    }
    numbers = {"columns": len(now), "added": added, "removed": removed, "retyped": retyped}
    changes = [
        *(f"{name} is gone" for name in removed),
        *(f"{name} was {change.replace(' → ', ' and is ')}" for name, change in retyped.items()),
        *(f"{name} is new" for name in added),
    ]
    if not changes:
        return Finding(Verdict.PASSED, f"{table.name} has the {len(now)} columns it had, in another order.", numbers)
    breaking = bool(removed or retyped)
    return Finding(Verdict.FAILED if breaking else Verdict.WARNED, f"{table.name}: {'; '.join(changes)}.", numbers)


# expected_range, sql


def expected_range(table: Table, least: int | None, most: int | None) -> Finding:
    """Whether the number of rows lies within bounds, both included."""
    bounds = f"{'…' if least is None else least} to {'…' if most is None else most}"
    numbers = {"rows_in_warehouse": table.rows, "min": least, "max": most}
    fits = (least is None or table.rows >= least) and (most is None or table.rows <= most)
    text = f"{table.name} has {table.rows} rows; {bounds} are expected."
    return Finding(Verdict.PASSED if fits else Verdict.FAILED, text, numbers)


def no_rows(table: Table, found: int) -> Finding:
    """Whether a user's query returned no rows."""
    if found:
        text = f"The query returns {found} rows, of {table.rows} in {table.name}; none are expected."
        return Finding(Verdict.FAILED, text, {"violations": found})
    return Finding(Verdict.PASSED, "The query returns no rows.", {"violations": 0})
