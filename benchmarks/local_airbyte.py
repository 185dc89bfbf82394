"""Local Airbyte as a process: its start, the cost of a request, long lists, many clients at once, and its memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from airbyte_dagster.local import settings
from airbyte_dagster.local.database import Database
from airbyte_dagster.local.records import Connection
from airbyte_dagster.local.store import Store
from airbyte_dagster_tests.local.client import Api
from airbyte_dagster_tests.local.processes import ServerProcess

_CONNECTIONS = 10_000
_IN_FLIGHT = 200
_REQUESTS = 200


def fill(home: settings.Home, connections: int = _CONNECTIONS) -> None:
    """Put connections of three streams each into a new home's database, faster than by the API."""
    home.make()
    credentials = settings.ensure_credentials(home)
    database = Database(home.database)
    store = Store(database, credentials.workspace_id)
    source, destination = (
        store.add_actor(
            kind,
            workspace_id=credentials.workspace_id,
            name=kind,
            type=type_name,
            definition_id=credentials.workspace_id,
            configuration={},
            secret_paths=[],
        )
        for kind, type_name in (("source", "tiny"), ("destination", "duckdb"))
    )
    names = ("users", "products", "purchases")
    properties = {f"column_{number}": {"type": ["null", "string"]} for number in range(20)}
    schema = {"type": "object", "properties": properties}
    shown = {"syncMode": "full_refresh_overwrite", "cursorField": [], "primaryKey": [], "selectedFields": []}
    more: dict[str, Any] = {
        "workspace_id": credentials.workspace_id,
        "source_id": source.id,
        "destination_id": destination.id,
        "status": "active",
        "schedule": {"scheduleType": "manual"},
        "namespace_definition": "destination",
        "namespace_format": None,
        "prefix": "",
        "schema_updates": "ignore",
        "streams": [{"name": name, "mappers": [], **shown} for name in names],
        "catalog": [{"name": name, "json_schema": schema, "supported_sync_modes": ["full_refresh"]} for name in names],
        "tags": [],
        "created_at": 0,
    }
    with database.write() as session:
        session.add_all(
            Connection(id=f"00000000-0000-4000-8000-{n:012}", name=f"connection {n}", **more)
            for n in range(connections)
        )
    database.close()


def milliseconds(api: Api, path: str, requests: int = _REQUESTS) -> float:
    """The median time of a request, seen by a client that sends one after another."""
    times = []
    for _ in range(20):  # what only the first ones cost
        api.ok("GET", path)
    for _ in range(requests):
        started = time.perf_counter()
        api.ok("GET", path)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def at_once(api: Api, source: str) -> tuple[float, int]:
    """Send patches of a source and reads at once; the seconds that all took, and how many were answered with no 200."""

    def call(number: int) -> int:
        if number % 2:
            return api.get("/connections", params={"limit": 20}).status_code
        changed = {"configuration": {f"key_{number // 2}": number}}
        return api.patch(f"/sources/{source}", json=changed).status_code

    started = time.perf_counter()
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        codes = list(pool.map(call, range(_IN_FLIGHT)))
    return time.perf_counter() - started, sum(code != 200 for code in codes)


def measure() -> Table:
    """Measure and tabulate."""
    table = Table("what", "measured", "wanted", title="Local Airbyte", title_justify="left")
    with tempfile.TemporaryDirectory() as directory:
        home = settings.resolve_home(Path(directory) / "home")
        fill(home)
        started = time.perf_counter()
        with ServerProcess(home.root) as server, server.api() as api:
            api.ok("GET", "/workspaces")
            table.add_row("start to the first answer", f"{time.perf_counter() - started:.2f} s", "2 s")
            source = api.source("tiny", streams={})
            table.add_row("request: a workspace", f"{milliseconds(api, '/workspaces'):.1f} ms", "5 ms")
            table.add_row("request: a source", f"{milliseconds(api, f'/sources/{source}'):.1f} ms", "5 ms")
            for offset, limit in ((0, 20), (0, 100), (_CONNECTIONS - 100, 100)):
                cost = milliseconds(api, f"/connections?limit={limit}&offset={offset}", 50)
                what = f"page of {limit} connections at {offset} of {_CONNECTIONS}"
                table.add_row(what, f"{cost:.1f} ms", "50 ms")
            took, wrong = at_once(api, source)
            kept = sum(name.startswith("key_") for name in api.ok("GET", f"/sources/{source}")["configuration"])
            what = f"{_IN_FLIGHT} requests at once: failed, lost updates, time"
            table.add_row(what, f"{wrong}, {_IN_FLIGHT // 2 - kept}, {took:.2f} s", "0, 0")
            memory = psutil.Process(server.process.pid).memory_info().rss / 2**20
            table.add_row("memory of the server after all that", f"{memory:.0f} MiB", "200 MiB")
    return table


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
