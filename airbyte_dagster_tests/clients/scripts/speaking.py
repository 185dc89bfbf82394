"""How a client's program talks with the test that started it: lines of JSON on its first stdout, answers on stdin."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# Clients print whatever they like to stdout; from here on that is stderr, and only this module has the real one.
_channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

SERVER_URL = os.environ.get("AIRBYTE_SERVER_URL", "")
CLIENT_ID = os.environ.get("AIRBYTE_CLIENT_ID", "")
CLIENT_SECRET = os.environ.get("AIRBYTE_CLIENT_SECRET", "")
WORKSPACE_ID = os.environ.get("AIRBYTE_WORKSPACE_ID", "")
CONNECTION_ID = os.environ.get("CONNECTION_ID", "")


def _say(message: dict[str, Any]) -> None:
    _channel.write(json.dumps(message, default=str) + "\n")
    _channel.flush()


def report(**values: Any) -> None:
    """Tell the test what was seen."""
    _say({"report": values})


def ask(what: str) -> None:
    """Have the test do something with the server, such as ``hold``; returns when it is done."""
    _say({"ask": what})
    if not sys.stdin.readline():
        raise SystemExit("the test is gone")
