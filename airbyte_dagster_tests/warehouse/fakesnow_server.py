"""A Snowflake to speak HTTP with, over DuckDB; run by the Python of an environment of its own, whose DuckDB is newer.

Prints what the connector needs, in one line of JSON, and runs until its standard input ends.
"""

import json
import sys

import fakesnow

with fakesnow.server() as arguments:
    print(json.dumps(arguments), flush=True)  # noqa: T201 - that is its answer
    sys.stdin.read()
