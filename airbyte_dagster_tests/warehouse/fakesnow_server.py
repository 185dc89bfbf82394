"""A Snowflake to speak HTTP with, over DuckDB; run by the Python of an environment of its own, whose DuckDB is newer.

Prints what the connector needs, in one line of JSON, and runs until its standard input ends.
"""

import json
import os
import sys
from typing import Any

from fakesnow import server as serve  # before the module of its name takes its place

import fakesnow.server  # isort: skip
from starlette.responses import JSONResponse


class Answer(JSONResponse):
    """An answer as Snowflake's connector 5 wants it: a login has a master token, and how long each is valid."""

    def render(self, content: Any) -> bytes:
        data = content.get("data") if isinstance(content, dict) else None
        if isinstance(data, dict) and "token" in data:
            data |= {"masterToken": data["token"], "sessionId": 1, "validityInSeconds": 3600}
            data |= {"masterValidityInSeconds": 14400, "idToken": None, "displayUserName": "fake"}
        return super().render(content)


fakesnow.server.JSONResponse = Answer
with serve() as arguments:
    print(json.dumps(arguments), flush=True)  # noqa: T201 - that is its answer
    # Nobody reads on, and the server logs each request there: it would stand still when the pipe is full.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdin.read()
