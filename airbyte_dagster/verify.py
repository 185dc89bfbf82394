"""The row-count rule of each sync mode: what a job claims against what the warehouse holds. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airbyte_dagster.warehouse import Table

_OVERWRITE = "full_refresh_overwrite"
_APPEND = frozenset({"full_refresh_append", "incremental_append"})


class Verdict(Enum):
    """What a check found. What can't be verified is no pass."""

    PASSED = "passed"
    FAILED = "failed"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Claim:
    """What a job says about one stream.

    Attributes:
        namespace: The stream's own; ``None`` if the declaration gives none.
        primary_key: Columns; empty if there is none, or if a part of it lies within a column.
        reported: Records committed; ``None`` where the server gives none per stream.
        before: Rows in the table before the sync; ``None`` if they were not counted.
    """

    stream: str
    sync_mode: str
    reported: int | None
    before: int | None = None
    namespace: str | None = None
    primary_key: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str | None, str]:
        """Namespace and name: what a stream is known by within its connection."""
        return (self.namespace, self.stream)


@dataclass(frozen=True)
class Finding:
    """The outcome for one stream.

    Attributes:
        text: One sentence with the rule and the numbers.
    """

    verdict: Verdict
    text: str


def judge(claim: Claim, table: Table | None) -> Finding:
    """Hold one stream's claim against its table.

    Overwrite: the rows are the reported records. Append: rows before plus records. Deduped modes: each key once, no
    fewer rows than before, and no more than before plus records.
    """
    if table is None:
        return Finding(Verdict.FAILED, f"The table of {claim.stream} is missing from the warehouse.")
    if claim.reported is None:
        return _unverified(claim, table, "Airbyte reports no rows of the single stream")
    if claim.sync_mode == _OVERWRITE:
        return _equal(
            table.rows, claim.reported, f"{table.name} has {table.rows} rows, Airbyte reports {claim.reported}"
        )
    if claim.sync_mode in _APPEND:
        if claim.before is None:
            return _unverified(claim, table, "the rows before the sync were not counted")
        text = f"{table.name} had {claim.before} rows and has {table.rows}, Airbyte reports {claim.reported} more"
        return _equal(table.rows, claim.before + claim.reported, text)
    return _judge_deduped(claim, table, claim.reported)


def _judge_deduped(claim: Claim, table: Table, reported: int) -> Finding:
    if table.distinct_keys is not None and table.distinct_keys != table.rows:
        return Finding(
            Verdict.FAILED, f"{table.name} has {table.rows} rows but only {table.distinct_keys} distinct primary keys."
        )
    # An overwrite starts from nothing, whatever was there before.
    before = 0 if claim.sync_mode.startswith("full_refresh") else claim.before
    text = (
        f"{table.name} has {table.rows} rows (before: {'?' if before is None else before}), Airbyte reports {reported}"
    )
    if reported and not table.rows:
        return Finding(Verdict.FAILED, f"{text}: nothing arrived.")
    if before is None:
        return _unverified(claim, table, "the rows before the sync were not counted")
    if not before <= table.rows <= before + reported:
        return Finding(Verdict.FAILED, f"{text}: expected {before} to {before + reported}.")
    keys = "each key once" if table.distinct_keys is not None else "keys not checked: none is declared"
    return Finding(Verdict.PASSED, f"{text}; {keys}.")


def judge_by_total(claims: list[Claim], tables: list[Table | None], total: int | None) -> Finding | None:
    """Judge overwritten streams together by the job's total, where the server has no numbers of single streams.

    Returns:
        One finding for all, or ``None`` where the total can't decide.
    """
    if total is None or any(claim.sync_mode != _OVERWRITE for claim in claims):
        return None
    present = [table for table in tables if table is not None]
    if len(present) < len(claims):
        return None
    rows = sum(table.rows for table in present)
    return _equal(rows, total, f"The {len(claims)} tables have {rows} rows together, Airbyte reports {total}")


def _equal(rows: int, expected: int, text: str) -> Finding:
    if rows == expected:
        return Finding(Verdict.PASSED, f"{text}.")
    return Finding(Verdict.FAILED, f"{text}: {abs(rows - expected)} {'missing' if rows < expected else 'too many'}.")


def _unverified(claim: Claim, table: Table, why: str) -> Finding:
    return Finding(
        Verdict.UNVERIFIED, f"Unverified: {table.name} has {table.rows} rows ({claim.sync_mode}), but {why}."
    )
