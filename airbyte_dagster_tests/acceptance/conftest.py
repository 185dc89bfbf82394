"""One stack for all tests here: they share a worker, and each looks at connections of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airbyte_dagster_tests.acceptance.airbyte import Airbyte, forward
from airbyte_dagster_tests.acceptance.stack import DagsterStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterStack]:
    with running_stack(tmp_path_factory.mktemp("acceptance")) as made:
        yield made


@pytest.fixture
def airbyte(stack: DagsterStack) -> Iterator[Airbyte]:
    yield stack.airbyte
    stack.airbyte.ingress.before = forward
