"""Airflow's provider for Airbyte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airbyte_dagster_tests.clients.conftest import Client
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.mark.clients
def test_hook_and_operator(
    client: Client, api: Api, airbyte: RunningAirbyte, connection_id: str, tmp_path: Path
) -> None:
    """Submit, poll, reset; cancel by the hook, by the operator's timeout, and by its end."""
    connection = {
        "conn_type": "airbyte",
        "host": airbyte.server_url,
        "login": airbyte.client_id,
        "password": airbyte.client_secret,
        "schema": "v1/applications/token",
    }
    seen = client(
        "airflow",
        "airflow_provider",
        AIRFLOW_CONN_AIRBYTE_DEFAULT=json.dumps(connection),
        AIRFLOW_HOME=str(tmp_path / "airflow"),
        CONNECTION_ID=connection_id,
    )

    assert seen["tested"] == [True, "Connection successfully tested"]
    assert (seen["submitted"], seen["done"], seen["reset"]) == ("pending", 70, "succeeded")
    assert seen["cancelled"] == "cancelled"
    assert "is not ready after 0.3s" in seen["timeout"]
    assert (seen["timed_out"], seen["killed"]) == ("cancelled", "cancelled")
    jobs = api.ok("GET", "/jobs", params={"connectionId": connection_id})["data"]
    assert [job["status"] for job in jobs] == ["succeeded"] * 3 + ["cancelled"] * 3
    assert [jobs[2]["jobId"], jobs[5]["jobId"]] == [seen["operator"], seen["asynchronous"]]
