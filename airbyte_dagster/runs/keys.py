"""Names of Airbyte as names that Dagster takes."""

from __future__ import annotations

import re


def dagster_name(name: str) -> str:
    """Turn a stream's name into one that Dagster takes; ``_`` for what it does not."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
