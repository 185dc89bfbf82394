"""Where this package keeps what it keeps. Light: imported by every command."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "AIRBYTE_DAGSTER_HOME"


def home_directory() -> Path:
    """Return ``AIRBYTE_DAGSTER_HOME``, by default ``~/.airbyte-dagster``; it need not exist."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".airbyte-dagster").expanduser().absolute()
