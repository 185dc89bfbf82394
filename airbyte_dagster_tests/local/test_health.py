"""``GET /health`` of local Airbyte: 200 while it can work; 503 says what is wrong."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from typing import Any

import httpx
import pytest

from airbyte_dagster.local import health
from airbyte_dagster_tests.local.fakes import RunningAirbyte


def look(airbyte: RunningAirbyte) -> tuple[int, Any]:
    answer = httpx.get(f"{airbyte.url}/health")
    return answer.status_code, answer.json()


def test_all_is_well(airbyte: RunningAirbyte) -> None:
    """Without a token."""
    assert look(airbyte) == (200, {"status": "ok", "problems": []})
    assert list(airbyte.home.state_dir.glob("tmp*")) == [airbyte.home.scratch]


def test_full_disk(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the system's words; and well again when there is room."""
    with monkeypatch.context() as patch:
        # A file that is full as soon as anything is written to it.
        patch.setattr(tempfile, "TemporaryFile", lambda **_options: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
        assert look(airbyte) == (503, {"status": "failing", "problems": ["disk: No space left on device"]})

    assert look(airbyte)[0] == 200


def test_database_that_another_process_holds(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that forgot to let go, say."""
    monkeypatch.setattr(health, "_LOCK_SECONDS", 0.0)
    with contextlib.closing(sqlite3.connect(airbyte.home.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert look(airbyte) == (503, {"status": "failing", "problems": ["database: database is locked"]})


def test_database_that_is_gone(airbyte: RunningAirbyte) -> None:
    """It is not made again by looking."""
    moved = airbyte.home.database.with_suffix(".moved")
    airbyte.home.database.rename(moved)
    assert look(airbyte) == (503, {"status": "failing", "problems": ["database: unable to open database file"]})
    assert not airbyte.home.database.exists()

    moved.rename(airbyte.home.database)
    assert look(airbyte)[0] == 200
