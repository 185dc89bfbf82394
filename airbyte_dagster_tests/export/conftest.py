"""What the tests of exporting share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airbyte_dagster_tests.conftest import RecordingTransport
from airbyte_dagster_tests.dg_project import Project
from airbyte_dagster_tests.export.shop import Shop, shop_at
from airbyte_dagster_tests.local.fakes import RunningAirbyte


@pytest.fixture(autouse=True)
def _environment(bare_environment: None) -> None: ...


@pytest.fixture
def shop(airbyte: RunningAirbyte, transport: RecordingTransport, project: Project) -> Iterator[Shop]:
    yield from shop_at(airbyte, transport, project)


@pytest.fixture
def shop_of_both_shapes(both_shapes: RunningAirbyte, transport: RecordingTransport, project: Project) -> Iterator[Shop]:
    """A shop in each shape of `configuration`."""
    yield from shop_at(both_shapes, transport, project)
