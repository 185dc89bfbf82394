"""A client of the configuration API for tests."""

from __future__ import annotations

from typing import Any

import httpx

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


class Config:
    """Calls the configuration API of a running server."""

    def __init__(self, airbyte: RunningAirbyte, api: Api) -> None:
        self.airbyte, self.api, self.root = airbyte, api, f"{airbyte.url}/api/v1"

    def ask(self, path: str, **body: Any) -> httpx.Response:
        return self.api.post(f"{self.root}/{path}", json=body)

    def ok(self, path: str, **body: Any) -> Any:
        answer = self.ask(path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()
