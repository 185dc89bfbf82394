"""The course by hand: the collection beside the page ``docs/course.md``, with Postman's newman."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from airbyte_dagster_tests.clients.environments import newman
from airbyte_dagster_tests.clients.running import variables_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

DOCS = Path(__file__).parents[2] / "docs"
STREAMS = ["users", "products", "purchases"]


def assert_made(api: Api, airbyte: RunningAirbyte) -> None:
    """What the course makes is there, and was run."""
    (source,) = api.ok("GET", "/sources")["data"]
    (destination,) = api.ok("GET", "/destinations")["data"]
    (connection,) = api.ok("GET", "/connections")["data"]
    assert (source["name"], source["configuration"]["count"]) == ("my_source_faker_using_api", 35)
    assert (destination["name"], destination["destinationType"]) == ("my_duck_using_api", "duckdb")
    assert [stream["name"] for stream in connection["configurations"]["streams"]] == STREAMS
    for job in api.ok("GET", "/jobs")["data"]:
        api.finish(job["jobId"])
    jobs = api.ok("GET", "/jobs")["data"]
    assert [(job["jobType"], job["status"]) for job in jobs] == [("sync", "succeeded"), ("reset", "succeeded")]
    assert jobs[0]["rowsSynced"] == 3 * 35


@pytest.mark.clients
def test_the_collection_with_newman(api: Api, airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """Every request of it is sent, in order, and every assertion of it holds."""
    collection = DOCS / "airbyte-course.postman_collection.json"
    report = tmp_path / "report.json"
    command = [str(newman()), "run", str(collection), "--reporters", "cli,json", "--reporter-json-export", str(report)]
    for name, value in (
        ("base_url", airbyte.server_url),
        ("client_id", airbyte.client_id),
        ("client_secret", airbyte.client_secret),
    ):
        command += ["--env-var", f"{name}={value}"]

    result = subprocess.run(
        command, env=variables_of(airbyte, tmp_path / "client"), capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    run = json.loads(report.read_text())["run"]
    sent = list(dict.fromkeys(execution["item"]["name"] for execution in run["executions"]))
    assert sent == [item["name"] for item in json.loads(collection.read_text())["item"]]
    assert run["failures"] == []
    assert_made(api, airbyte)
