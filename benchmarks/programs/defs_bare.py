"""As many assets as a workspace has, of one op, with nothing behind them: what Dagster itself takes for them.

They have what this package's assets have: key, group, description, kinds and metadata. With ``KEYS_ALONE`` set they
have nothing but a key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg

_CONNECTIONS, _STREAMS = int(os.environ["CONNECTIONS"]), int(os.environ["STREAMS"])


def _more(connection: int, stream: int) -> dict[str, Any]:
    if os.environ.get("KEYS_ALONE"):
        return {}
    return {
        "group_name": f"connection_{connection}",
        "description": f"Stream 'stream_{stream}' of 'source {connection}', brought to 'destination' by Airbyte.",
        "kinds": {"airbyte", "postgres", "duckdb"},
        "metadata": {
            "airbyte/connection_id": str(connection),
            "airbyte/connection_name": f"connection {connection}",
            "airbyte/sync_mode": "full_refresh_overwrite",
            "airbyte/connection": dg.MetadataValue.url(f"https://airbyte.example.com/connections/{connection}"),
            "dagster/table_name": f"main.c{connection}_stream_{stream}",
        },
    }


@dg.multi_asset(
    name="sync",
    can_subset=True,
    specs=[
        dg.AssetSpec([f"connection_{connection}", f"stream_{stream}"], **_more(connection, stream))
        for connection in range(_CONNECTIONS)
        for stream in range(_STREAMS)
    ],
)
def sync() -> Iterator[dg.MaterializeResult[None]]:
    """Do nothing."""
    yield from ()


defs = dg.Definitions(assets=[sync], jobs=[dg.define_asset_job("sync_workspace")])
