"""What the tests of components share."""

from __future__ import annotations

import pytest

from airbyte_dagster_tests.local.fakes import RunningAirbyte


@pytest.fixture(autouse=True)
def _environment(bare_environment: None) -> None: ...


@pytest.fixture
def environment(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> RunningAirbyte:
    """Local Airbyte, and the environment that leads to it."""
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    return airbyte
