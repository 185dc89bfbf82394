"""Fixtures: homes that share one set of environments, and real servers in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.processes import ServerProcess, real_server


@pytest.fixture
def real_airbyte(real_home: Path) -> Iterator[RunningAirbyte]:
    """A server in this process with the real engine, the tiny connector included."""
    with real_server(real_home) as running:
        yield running


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers as processes, by home and further arguments; all are gone after the test."""
    with ExitStack() as stack:

        def start(home: Path, *arguments: str) -> ServerProcess:
            return stack.enter_context(ServerProcess(home, *arguments))

        yield start
