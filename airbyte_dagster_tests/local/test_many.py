"""Many clients, many syncs, many connections."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airbyte_dagster.local import settings
from airbyte_dagster_tests.local.fakes import PATIENCE, RunningAirbyte, ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.local.processes import ServerProcess
from benchmarks.local_airbyte import at_once, fill


def test_two_hundred_requests_at_once_lose_no_update(start_server: Any, tmp_path: Path) -> None:
    """With 200 requests in flight all are answered, and of 100 patches of one source none is lost."""
    server: ServerProcess = start_server(tmp_path)
    with server.api() as api:
        source = api.source("tiny", streams={})
        _, wrong = at_once(api, source)
        config = api.ok("GET", f"/sources/{source}")["configuration"]
    assert wrong == 0
    assert {f"key_{number}" for number in range(100)} <= config.keys()


def test_ten_thousand_connections(start_server: Any, tmp_path: Path) -> None:
    """All pages together have each connection once; how quick they are is for the benchmark to say."""
    fill(settings.resolve_home(tmp_path))
    server: ServerProcess = start_server(tmp_path)
    with server.api() as api:
        ids = set()
        for offset in range(0, 10_000, 100):
            page = api.ok("GET", "/connections", params={"limit": 100, "offset": offset})["data"]
            ids |= {entry["connectionId"] for entry in page}
        assert len(ids) == 10_000


def test_workers_are_the_limit(tmp_path: Path) -> None:
    """As many syncs as there are workers run at once; the rest wait as pending and then run."""
    engine = ScriptedEngine()
    engine.hold()
    with running_local_airbyte(tmp_path, engine, workers=3) as running, running.api() as api:
        jobs = [
            api.sync(api.connection(api.source(count=1), api.destination(f"{number}.duckdb"), ["users"]))
            for number in range(8)
        ]
        engine.wait_for_start(3)
        states = [api.ok("GET", f"/jobs/{job}")["status"] for job in jobs]
        assert states == ["running"] * 3 + ["pending"] * 5
        engine.release()
        assert {api.finish(job)["status"] for job in jobs} == {"succeeded"}


def test_one_of_many_requests_starts_the_sync(airbyte: RunningAirbyte) -> None:
    """Of many requests for one sync at once exactly one job comes, whatever each is answered."""
    airbyte.engine.hold()
    with airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])
        with ThreadPoolExecutor(50) as pool:
            body = {"connectionId": connection, "jobType": "sync"}
            codes = list(pool.map(lambda _: api.post("/jobs", json=body).status_code, range(100)))
        assert set(codes) <= {200, 409}
        assert len(api.ok("GET", "/jobs")["data"]) == 1
        airbyte.engine.release()
        api.finish(1)


def test_streams_that_change_while_they_are_discovered(airbyte: RunningAirbyte) -> None:
    """A client that changes the streams while a sync looks up their schema does not break the connection."""
    with airbyte.api() as api:
        connection = api.connection(
            api.source(count=1), api.destination(), ["users"], nonBreakingSchemaUpdatesBehavior="propagate_columns"
        )
        gate, discover = threading.Event(), airbyte.engine.discover
        discovering = threading.Event()

        def slow(*arguments: Any, refresh: bool = False, **more: Any) -> Any:
            if refresh:
                discovering.set()
                assert gate.wait(PATIENCE)
            return discover(*arguments, refresh=refresh, **more)

        airbyte.engine.discover = slow
        job = api.sync(connection)
        assert discovering.wait(PATIENCE)
        streams = {"streams": [{"name": "users"}, {"name": "products"}]}
        api.ok("PATCH", f"/connections/{connection}", json={"configurations": streams})
        gate.set()
        assert api.finish(job)["status"] == "succeeded"
        assert api.finish(api.sync(connection))["rowsSynced"] == 2
