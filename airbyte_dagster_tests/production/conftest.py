"""Deployments for the tests of this directory, which `make test-production` runs and `make test` does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbyte_dagster_tests.production.deployment import Deployment, Size, deployed
from airbyte_dagster_tests.production.network import missing

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.production)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def hosts() -> None:
    """Hosts can be made here; where they can't, nothing passes."""
    reason = missing()
    if reason is not None:
        pytest.fail(f"These tests need hosts of their own, and there can be none. {reason}", pytrace=False)


@pytest.fixture(scope="module")
def deployment(
    hosts: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The deployment that the module describes as ``SIZE``."""
    size: Size = request.module.SIZE
    failed_before = request.session.testsfailed
    with deployed(tmp_path_factory.mktemp("hosts"), size) as running:
        yield running
        if request.session.testsfailed > failed_before:
            print(running.logs())


def number(variable: str, default: int) -> int:
    """A number that the environment may set."""
    return int(os.environ.get(variable, default))
