"""What the tests of workspaces share."""

from __future__ import annotations

import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.workspaces.running import Workspace


@pytest.fixture
def workspace(airbyte: RunningAirbyte, api: Api) -> Workspace:
    return Workspace(airbyte, api)
