"""A worker with a home of its own, for each destination."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airbyte_dagster.local.engine import Warehouse
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.local.work.worker import Worker


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Writes a DuckDB file."""
    return Worker(tmp_path)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def postgres_worker(tmp_path: Path, postgres: Postgres) -> Worker:
    """Writes a PostgreSQL database."""
    where = {"host": "127.0.0.1", "port": postgres.port, "database": "postgres", "username": "airbyte"}
    (tmp_path / "postgres").mkdir()
    return Worker(tmp_path / "postgres", Warehouse("postgres", password=PASSWORD, **where))  # type: ignore[arg-type]
