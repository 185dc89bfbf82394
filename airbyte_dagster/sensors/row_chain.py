"""How many rows a job found in the tables, told from the jobs before it. Pure functions.

A run counts the tables before it starts a job. Of a job that somebody else started it is known only afterwards; then
the rows before it are those after the job before it, if that is known, and if nothing lay in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.rules import Claim

_OVERWRITE = "full_refresh_overwrite"
_APPEND = frozenset({"full_refresh_append", "incremental_append"})


def needs_before(sync_mode: str) -> bool:
    """Whether the row count of a sync mode depends on the rows before; overwriting starts from nothing."""
    return not sync_mode.startswith(_OVERWRITE)


def rows_after(claims: Sequence[Claim], row_count: int | None) -> dict[StreamKey, int]:
    """Return the rows of each stream after a job that succeeded, where they are known.

    Args:
        claims: What it claims of the streams of one asset.
        row_count: Rows that were in all of their tables after it; ``None`` if they were not counted.
    """
    if len(claims) == 1 and row_count is not None:
        return {claims[0].key: row_count}
    told = {claim.key: _told(claim) for claim in claims}
    known = {key: rows for key, rows in told.items() if rows is not None}
    is_contradicted = row_count is not None and len(known) == len(claims) and sum(known.values()) != row_count
    return {} if is_contradicted else known


def _told(claim: Claim) -> int | None:
    """Return the rows after a job by its claim alone; ``None`` where it leaves them open."""
    if claim.sync_mode == _OVERWRITE:
        return claim.reported
    if claim.reported is None or claim.before is None:
        return None
    if claim.sync_mode in _APPEND:
        return claim.before + claim.reported
    # Of the other modes only a job that found nothing new tells it.
    return claim.before if claim.reported == 0 and (claim.before == 0 or "incremental" in claim.sync_mode) else None
