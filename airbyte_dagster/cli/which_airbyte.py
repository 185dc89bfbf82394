"""Which Airbyte a command asks that is given none: the one that the environment names, or the local one that runs."""

from __future__ import annotations

import os
from pathlib import Path

from airbyte_dagster.cli.local_airbyte import missing_locally, running_local_environment
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources import AirbyteResource

_NAMES_AN_AIRBYTE = ("AIRBYTE_SERVER_URL", "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET")


def airbyte_at_hand(home: Path, *, instead: str) -> AirbyteResource:
    """Return the Airbyte of the environment; if it names none, the local one that runs for a home.

    Args:
        home: Of local Airbyte.
        instead: What else can be done about it if there is neither.

    Raises:
        ConfigurationError: There is neither.
    """
    if any(os.environ.get(name) for name in _NAMES_AN_AIRBYTE):
        return AirbyteResource.from_env()
    local = None if missing_locally() else running_local_environment(home)
    if local is None:
        raise ConfigurationError(
            f"The environment names no Airbyte, and no local Airbyte runs for {home}.",
            guidance="Set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET, and AIRBYTE_SERVER_URL for a self-managed one; "
            f"or {instead}.",
        )
    return AirbyteResource(
        server_url=local["AIRBYTE_SERVER_URL"],
        client_id=local["AIRBYTE_CLIENT_ID"],
        client_secret=local["AIRBYTE_CLIENT_SECRET"],
        workspace_id=local["AIRBYTE_WORKSPACE_ID"],
    )
