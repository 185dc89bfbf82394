"""How a program says what it found: in a file, since others write to its standard output, too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def say(found: Any) -> None:
    """Write it as JSON to where ``SAID`` says."""
    Path(os.environ["SAID"]).write_text(json.dumps(found))
