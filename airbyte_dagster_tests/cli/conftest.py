"""The command line in processes that are all gone after a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from airbyte_dagster_tests.command_line import MARK, Commands


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path / "home")
    yield made
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == made.mark:
                process.kill()
        except psutil.Error:
            continue
