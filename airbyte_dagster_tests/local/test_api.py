"""The server over HTTP, with a scripted engine: its page, many clients at once, restarts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte, ScriptedEngine, running_local_airbyte


def test_docs_page_has_examples_and_a_place_for_the_token(airbyte: RunningAirbyte) -> None:
    """/docs works, and its description of the API has the course's examples and the bearer scheme."""
    assert "swagger" in httpx.get(f"{airbyte.url}/docs").text
    described = httpx.get(f"{airbyte.url}/openapi.json").json()
    assert described["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    create = described["paths"]["/api/public/v1/sources"]["post"]
    assert create["security"] == [{"token": []}]
    example = create["requestBody"]["content"]["application/json"]["examples"]["Faker: 35 rows"]["value"]
    assert example["configuration"] == {"sourceType": "faker", "count": 35}


def test_slow_discovery_holds_nobody_up(airbyte: RunningAirbyte, api: Api) -> None:
    """While discoveries take their time, other requests are answered."""
    source, destination = api.source(count=1), api.destination()
    airbyte.engine.slow_discovery = threading.Event()
    with ThreadPoolExecutor(60) as pool:
        slow = [pool.submit(api.get, f"/streams?sourceId={source}") for _ in range(60)]
        try:
            api.ok("GET", f"/destinations/{destination}")
            assert not any(answer.done() for answer in slow)
        finally:
            airbyte.engine.slow_discovery.set()
        assert [answer.result().status_code for answer in slow] == [200] * 60


def test_many_clients_at_once(airbyte: RunningAirbyte) -> None:
    """Fifty clients in flight, reading and writing: no lock error, no lost update."""
    with airbyte.api() as api:
        connection = api.connection(api.source(count=1), api.destination(), ["users"])

        def work(number: int) -> None:
            # A client each: they are many clients, and httpx's pool is not made for 50 threads.
            with httpx.Client(base_url=api.base_url, headers=api.headers, timeout=PATIENCE, verify=False) as own:  # noqa: S501
                config = {"destinationType": "duckdb", "destination_path": f"{number}.duckdb"}
                body = {"name": "new", "workspaceId": api.workspace_id, "configuration": config}
                made = own.post("/destinations", json=body).raise_for_status().json()["destinationId"]
                own.patch(f"/destinations/{made}", json={"name": f"d{number}"}).raise_for_status()
                own.patch(f"/connections/{connection}", json={"prefix": f"p{number}_"}).raise_for_status()
                own.get("/destinations?limit=100").raise_for_status()

        with ThreadPoolExecutor(50) as pool:
            list(pool.map(work, range(50)))
        names = [found["name"] for found in api.ok("GET", "/destinations?limit=100")["data"]]
    assert sorted(names) == sorted(["duck", *(f"d{number}" for number in range(50))])


def test_restart_keeps_ids(tmp_path: Path) -> None:
    """Everything is there after a restart, with the same ids, and job ids go on."""
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        source, destination = api.source(count=1), api.destination()
        connection = api.connection(source, destination, ["users"])
        before = [api.finish(api.sync(connection)), api.ok("GET", f"/connections/{connection}")]
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        assert [api.ok("GET", "/jobs/1"), api.ok("GET", f"/connections/{connection}")] == before
        assert api.sync(connection) == 2
