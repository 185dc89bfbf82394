"""Programs as processes of their own, and what they used: seconds, CPU, memory, with all the processes they made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "programs"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Used:
    """What a program used.

    Attributes:
        seconds: From its start to its end.
        cpu: Seconds, in user and in system mode, of all its processes.
        peak_mb: The most memory (resident) that one of its processes had.
        said: What it said, see `programs.saying`.
    """

    seconds: float
    cpu: float
    peak_mb: float
    said: Any


def run_program(python: Path, program: str, arguments: Sequence[str], variables: Mapping[str, str]) -> Used:
    """Run a program of ``programs``; it gets a fresh home for Dagster, unless one is given.

    Args:
        python: Runs it.
        program: Its name.
        arguments: Its arguments.
        variables: Set in its environment beside those that are there.

    Raises:
        RuntimeError: It failed; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as directory:
        used, said, printed = (Path(directory) / name for name in ("used.json", "said.json", "printed"))
        home = Path(directory) / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRBYTE_", "DAGSTER_"))}
        environment = {**kept, "DAGSTER_HOME": str(home), "PYTHONPATH": str(_ROOT), "SAID": str(said), **variables}
        command = [sys.executable, str(PROGRAMS / "used_by.py"), str(used), str(python), f"{program}.py", *arguments]
        with printed.open("w") as output:
            result = subprocess.run(command, cwd=PROGRAMS, env=environment, stdout=output, stderr=output, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{printed.read_text()[-6000:]}")
        return Used(**json.loads(used.read_text()), said=json.loads(said.read_text()))
