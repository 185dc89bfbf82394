"""One server for all that is proved, in front of DuckDB files and of PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import Postgres, running_postgres
from airbyte_dagster_tests.proof.airbyte import Clock, running_airbyte

#: The server's clock is behind by so much at first: what its jobs bring is never of the future.
_BEHIND = 7200.0


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(_BEHIND)


@pytest.fixture(scope="module")
def proof_airbyte(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[RunningAirbyte]:
    home = tmp_path_factory.mktemp("proof") / "home"
    home.mkdir()
    with running_airbyte(home, clock) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_afterwards(proof_airbyte: RunningAirbyte) -> Iterator[None]:
    """What a test has done to the destination ends with it."""
    yield
    vars(proof_airbyte.engine).pop("afterwards", None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="module")
def proof_instance(proof_directory: Path, new_instance: Path) -> Iterator[dg.DagsterInstance]:
    """With its storage on disk: one in memory is locked at times, as threads of a run write to it at once."""
    directory = shutil.copytree(new_instance, proof_directory / "dagster")
    with dg.instance_for_test(temp_dir=str(directory)) as made:
        yield made


@pytest.fixture(scope="module")
def proof_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proof")
