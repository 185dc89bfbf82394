"""Running a client's program, and doing what it asks for meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from airbyte_dagster.local import settings
from airbyte_dagster_tests.local.fakes import PATIENCE, RunningAirbyte
from airbyte_dagster_tests.local.processes import ServerProcess

SCRIPTS = Path(__file__).parent / "scripts"


def variables_of(airbyte: RunningAirbyte | ServerProcess, home: Path) -> dict[str, str]:
    """An environment with the way to the server and little else: no proxy, and no statistics sent to anyone."""
    home.mkdir(exist_ok=True)
    return {
        **settings.environment(airbyte.home, airbyte.url),
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "DO_NOT_TRACK": "1",
        "AIRBYTE_OFFLINE_MODE": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def run_client(
    command: Sequence[str],
    environment: Mapping[str, str],
    asked: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Any]:
    """Run a client's program; it must end well.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        asked: What to do when the program asks for it.

    Returns:
        All that the program reported.
    """
    seen: dict[str, Any] = {}
    errors: list[str] = []
    with subprocess.Popen(
        command,
        env=environment,
        cwd=environment["HOME"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018
        reader = threading.Thread(target=errors.extend, args=(process.stderr,))
        reader.start()
        limit = threading.Timer(PATIENCE, process.kill)
        limit.start()
        try:
            for line in process.stdout:
                message = json.loads(line)
                seen.update(message.get("report", {}))
                if "ask" in message:
                    (asked or {})[message["ask"]]()
                    process.stdin.write("done\n")
                    process.stdin.flush()
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
            limit.cancel()
            reader.join()
    assert code == 0, "".join(errors)[-6000:]
    return seen
