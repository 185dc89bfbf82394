"""Deployments for the tests of this directory, which `make test-production` runs and `make test` does not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbyte_dagster_tests.clients.environments import ROOT
from airbyte_dagster_tests.production.build_context import copy_context
from airbyte_dagster_tests.production.deployment import Deployment, Size, deployed
from airbyte_dagster_tests.production.dockerfile import Build, Stage
from airbyte_dagster_tests.production.image import EXAMPLE, REPOSITORY
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


@pytest.fixture(scope="session")
def image(hosts: None) -> Iterator[Stage]:
    """The last stage of the Dockerfile, made of what a builder is sent."""
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the image's user goes through it
        copy_context(REPOSITORY, EXAMPLE / "Dockerfile.dockerignore", directory / "context")
        yield Build(
            EXAMPLE / "Dockerfile", directory / "context", directory / "fs", ROOT / "layers", "--require-hashes", {}
        ).run()
