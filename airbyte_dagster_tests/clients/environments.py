"""The clients' environments: made once from lists of pinned versions, and shared by all runs and workers."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from airbyte_dagster.local.environments import _choose_python, _python_range, _uv_program

ROOT = Path(__file__).parents[2] / ".airbyte-dagster" / "client-environments"
PINS = Path(__file__).parent / "pins"


def python_environment(name: str) -> Path:
    """The Python of the environment that ``pins/NAME.txt`` describes, made now if need be."""
    pins = PINS / f"{name}.txt"
    path = _place(name, pins)
    python = path / "bin" / "python"
    with FileLock(f"{path}.lock"):
        if not (path / ".complete").exists():
            shutil.rmtree(path, ignore_errors=True)  # a build that was interrupted
            _run([_uv_program(), "venv", "--quiet", "--python", _choose_python(_python_range(pins)), str(path)])
            # The list is complete, so resolving again could only fail or drift.
            install = [_uv_program(), "pip", "install", "--quiet", "--compile-bytecode", "--no-deps"]
            _run([*install, "--python", str(python), "-r", str(pins)])
            (path / ".complete").touch()
    return python


def newman() -> Path:
    """Postman's command line from npm, at the version that ``pins/newman.json`` names."""
    pins = PINS / "newman.json"
    path = _place("newman", pins)
    with FileLock(f"{path}.lock"):
        if not (path / ".complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            shutil.copyfile(pins, path / "package.json")
            _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(path)])
            (path / ".complete").touch()
    return path / "node_modules" / ".bin" / "newman"


def java_classpath() -> str:
    """The Java SDK and what it needs from Maven Central, at the version that ``pins/java.xml`` names."""
    pins = PINS / "java.xml"
    path = _place("java", pins)
    with FileLock(f"{path}.lock"):
        if not (path / ".complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            _run(["mvn", "-q", "-B", "-f", str(pins), "dependency:copy-dependencies", f"-DoutputDirectory={path}"])
            (path / ".complete").touch()
    return f"{path}/*"


def _place(name: str, pins: Path) -> Path:
    ROOT.mkdir(parents=True, exist_ok=True)
    return ROOT / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, env={**os.environ, "VIRTUAL_ENV": ""}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
