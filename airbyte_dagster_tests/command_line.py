"""``airbyte-dagster`` in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from airbyte_dagster.local.settings import CACHE_VARIABLE

PATIENCE = 300.0
MARK = "AIRBYTE_DAGSTER_TEST_MARK"


class Commands:
    """Runs ``airbyte-dagster`` in processes that can be told from all others by a mark in their environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.mark = uuid.uuid4().hex
        ours = ("AIRBYTE_", "MOTHERDUCK_", "DAGSTER_", "MAKE")  # also make's: words differ below it
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        own = {MARK: self.mark, "COLUMNS": "200", "AIRBYTE_DAGSTER_HOME": str(home)}
        self.environment = {**kept, **own, CACHE_VARIABLE: os.environ[CACHE_VARIABLE]}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "airbyte_dagster", *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def left_over(self) -> list[str]:
        """Command lines of all processes that still have the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found

    def wait_until_none_is_left(self) -> None:
        wait_for(lambda: not self.left_over(), lambda: f"left over: {self.left_over()}")


def wait_for(condition: Any, otherwise: Any, *, every: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        threading.Event().wait(every)
