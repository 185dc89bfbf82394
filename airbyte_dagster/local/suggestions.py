"""Which streams a connection gets that names none.

Airbyte takes those that the connector's ``metadata.yaml`` suggests. Packages don't carry that file, so what it says of
well-known connectors is in ``suggested_streams.json`` beside this module. A connector of one's own marks the streams
in its catalog with ``"suggested": true``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

from airbyte_dagster.local.engine import Json

_TABLE = Path(__file__).with_name("suggested_streams.json")


@functools.cache
def _table() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(_TABLE.read_text(encoding="utf-8"))["streams"]
    return found


def suggested(source_type: str, discovered: Sequence[Json]) -> list[Json]:
    """Of a source's streams those that a connection gets by default, in the order in which they are suggested.

    Args:
        source_type: The connector's short name.
        discovered: The streams that the source has.

    Returns:
        The streams that are suggested; the only one if there is no other; else none, as in Airbyte.
    """
    marked = [stream for stream in discovered if stream.get("suggested")]
    names = _table().get(source_type, [])
    ranked = [stream for name in names for stream in discovered if stream["name"] == name]
    return marked or ranked or (list(discovered) if len(discovered) == 1 else [])
