"""Dagster's own integration, ``dagster-airbyte``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster_tests.clients.conftest import Client
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.mark.clients
def test_load_materialize_and_cancel(
    client: Client,
    api: Api,
    airbyte: RunningAirbyte,
    connection_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    monkeypatch.setenv("AIRBYTE_DAGSTER_HOME", str(tmp_path / "home"))
    assert keys_after_moving_over(airbyte, monkeypatch) == seen["specs"].keys()
    assert (seen["success"], seen["materialized"]) == (True, ["products", "second_users", "users"])
    assert seen["stopped"] == [False, True]
    for connection in (connection_id, second):
        jobs = api.ok("GET", "/jobs", params={"connectionId": connection})["data"]
        assert [job["status"] for job in jobs] == ["succeeded", "cancelled"]


def keys_after_moving_over(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keys that this package gives the same workspace, where people do what the README says."""
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (example,) = re.findall(r"^```python\n((?:(?!```).)*class OldKeys.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}

    exec(compile(example.replace("shop_*", "*"), "README.md", "exec"), names)  # noqa: S102 - our own page

    return {spec.key.to_user_string() for spec in names["defs"].resolve_all_asset_specs()}
