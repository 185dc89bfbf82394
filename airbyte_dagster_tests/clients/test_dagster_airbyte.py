"""Dagster's own integration, ``dagster-airbyte``."""

from __future__ import annotations

import pytest

from airbyte_dagster_tests.clients.conftest import Client
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.mark.clients
def test_load_materialize_and_cancel(client: Client, api: Api, airbyte: RunningAirbyte, connection_id: str) -> None:
    """Its assets are the connection's streams; a sync ends well; one that takes too long is cancelled.

    It takes one item a page, so it finds the second connection by what `next` says only.
    """
    second = api.connection(api.source(count=1), api.destination(), ["users"], name="second", prefix="second_")
    seen = client("dagster-airbyte", "dagster_airbyte_workspace")

    assert seen["specs"] == {
        "users": [["airbyte", "duckdb"], ["id", "name", "updated_at"], "faker to duck"],
        "products": [["airbyte", "duckdb"], ["id", "make", "updated_at"], "faker to duck"],
        "second_users": [["airbyte", "duckdb"], ["id", "name", "updated_at"], "second"],
    }
    assert (seen["success"], seen["materialized"]) == (True, ["products", "second_users", "users"])
    assert seen["stopped"] == [False, True]
    for connection in (connection_id, second):
        jobs = api.ok("GET", "/jobs", params={"connectionId": connection})["data"]
        assert [job["status"] for job in jobs] == ["succeeded", "cancelled"]
