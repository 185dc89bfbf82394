"""Fixtures: servers, with a scripted engine and real ones, and what a client's program needs to reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from airbyte_dagster_tests.clients.environments import python_environment
from airbyte_dagster_tests.clients.running import SCRIPTS, run_client, variables_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.processes import ServerProcess


class Client(Protocol):
    """Runs a client's program and gives what it reported."""

    def __call__(self, environment: str, script: str, **variables: str) -> dict[str, Any]:
        """Run ``scripts/SCRIPT.py`` in the environment of this name."""


@pytest.fixture
def connection_id(api: Api) -> str:
    """A connection from Faker, 35 rows, to a DuckDB file."""
    return api.connection(api.source(count=35), api.destination(), ["users", "products"], name="faker to duck")


@pytest.fixture
def real_server(real_home: Path) -> Iterator[ServerProcess]:
    """A server in a process of its own, with real connectors."""
    with ServerProcess(real_home) as running:
        yield running


@pytest.fixture
def client(airbyte: RunningAirbyte, tmp_path: Path) -> Client:
    """Runs a client's program; it may ask to ``hold`` and ``release`` syncs."""
    asked: dict[str, Callable[[], object]] = {"hold": airbyte.engine.hold, "release": airbyte.engine.release}

    def run(environment: str, script: str, **variables: str) -> dict[str, Any]:
        command = [str(python_environment(environment)), str(SCRIPTS / f"{script}.py")]
        return run_client(command, {**variables_of(airbyte, tmp_path / "client"), **variables}, asked)

    return run
