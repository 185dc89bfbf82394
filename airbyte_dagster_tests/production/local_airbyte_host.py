"""The program of the host ``local-airbyte`` in a soak: local Airbyte, and a client that has it sync again and again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from airbyte_dagster_tests.local.fakes import ScriptedEngine, running_local_airbyte

_PAUSE_SECONDS = 2.0


def main() -> None:
    """Sync until this is ended; the argument is a directory."""
    engine = ScriptedEngine()
    with running_local_airbyte(Path(sys.argv[1]), engine) as server:
        with server.api() as api:
            destination = api.destination(str(server.home.warehouse))
            connection = api.connection(api.source(count=100), destination, ["users", "products"], name="shop")
        while True:
            # Signed in anew each time: a token is valid for a quarter of an hour.
            with server.api() as api:
                api.until(api.sync(connection), lambda job: job["status"] == "succeeded")
                api.ok("GET", "/jobs", params={"limit": 100})
            # It remembers all requests, for tests to look at.
            engine.requests.clear()
            time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
