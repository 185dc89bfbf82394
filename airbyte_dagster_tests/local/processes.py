"""A real server in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from typing_extensions import Self

from airbyte_dagster.local import settings
from airbyte_dagster.local.declarative import OwnConnectors
from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.workers import ConnectorEngine
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte, running_local_airbyte

TINY = Path(__file__).with_name("tiny_connector.py")
MANIFEST = Path(__file__).with_name("shop_manifest.yaml")
#: Streams of any name and value, from a file.
ODD = Path(__file__).parents[1] / "cases" / "odd_source.py"
_REPOSITORY = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    """The command line of a ``local`` command."""
    return [sys.executable, "-m", "airbyte_dagster.local", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment to run it in."""
    return {**os.environ, "PYTHONPATH": str(_REPOSITORY), "PYTHONUNBUFFERED": "1", **more}


def real_server(home: Path, **options: Any) -> contextlib.AbstractContextManager[RunningAirbyte]:
    """A server in this process with the real engine and two small connectors; options as in `Options`."""
    where = settings.resolve_home(home)
    own = OwnConnectors(where.definitions, {"tiny": TINY, "odd": ODD, **options.get("connectors", {})})
    engine = ConnectorEngine(Environments(where.environments), home / "asking", own)
    return running_local_airbyte(home, engine, **options)


class ServerProcess:
    """``local serve`` on a free port, with the tiny connector.

    Args:
        home: Its home.
        arguments: More arguments. Without ``--prepare`` no connector is made ready.
    """

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = settings.resolve_home(home)
        given = ["serve", "--home", str(home), "--port", "0", "--connector", f"tiny={TINY}", *arguments]
        given += [] if "--prepare" in arguments else ["--no-prepare"]
        self.process = subprocess.Popen(
            command(*given),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
            start_new_session=True,
        )
        self.output: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE), self.output
        url = settings.running_server(self.home)
        assert url is not None, self.output
        self.url = url

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if "/docs" in line:
                self._ready.set()
        self._ready.set()

    def api(self) -> Api:
        """A signed-in client."""
        credentials = settings.read_credentials(self.home)
        assert credentials is not None
        return Api(self.url, credentials)

    def descendants(self) -> list[psutil.Process]:
        """All processes that the server started, and those that they started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
