"""What a rule finds: a verdict, one sentence with the numbers, and the numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from airbyte_dagster.warehouse import Sample


class Verdict(Enum):
    """What a check found. ``WARNED``: odd, but nothing is wrong. ``UNVERIFIED``: it can't be known."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Finding:
    """The outcome for one stream.

    Attributes:
        text: One sentence with the rule and the numbers.
        numbers: The numbers alone, by name; `None` where one is not known.
        query: Finds the rows that are wrong, to be copied; ``None`` if there are none.
        sample: Some of these rows.
    """

    verdict: Verdict
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    query: str | None = None
    sample: Sample | None = None


def missing_table(stream: str) -> Finding:
    """There is nothing to check: every check fails."""
    return Finding(Verdict.FAILED, f"The table of {stream} is missing from the warehouse.")


def unverified(why: str, numbers: Mapping[str, Any] | None = None) -> Finding:
    """It can't be known, and why."""
    return Finding(Verdict.UNVERIFIED, f"Unverified: {why}", numbers or {})


def excused(finding: Finding, why: str | None) -> Finding:
    """Return a failure as what it is where healthy data may look the same: unverified; any other finding as it is.

    Args:
        finding: Of a rule.
        why: What else may have made the data look so; ``None``: nothing.
    """
    if finding.verdict is not Verdict.FAILED or why is None:
        return finding
    return replace(
        finding, verdict=Verdict.UNVERIFIED, text=f"Unverified: {finding.text.rstrip('.')}; but {why}.", query=None
    )
