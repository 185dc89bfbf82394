"""Celery beside the environment of this project: installed at first use, as only these tests need it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from airbyte_dagster.local.environments import _uv_program
from airbyte_dagster_tests.clients.environments import ROOT

_PINS = Path(__file__).parent / "pins" / "celery.txt"


def celery_packages() -> Path:
    """A directory with what ``pins/celery.txt`` names, for ``PYTHONPATH``; made now if need be."""
    pinned = next(line for line in _PINS.read_text().splitlines() if line.startswith("dagster-celery=="))
    assert pinned == f"dagster-celery=={version('dagster-postgres')}", f"{_PINS} is for another Dagster: {pinned}"
    path = ROOT / f"celery-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:12]}"
    ROOT.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not (path / ".complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            install = [_uv_program(), "pip", "install", "--quiet", "--no-deps", "--compile-bytecode"]
            command = [*install, "--python", sys.executable, "--target", str(path), "-r", str(_PINS)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (path / ".complete").touch()
    return path
