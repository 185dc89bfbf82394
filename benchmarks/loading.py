"""Local Airbyte's worker against the bare connector and PyAirbyte: Faker's users and purchases, many of them.

Each reads the same; in turns, medians of three. The worker's memory is that of its own process, without the connector.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from airbyte_dagster.local.engine import StreamPlan, Warehouse
from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.settings import resolve_home
from airbyte_dagster.local.work.source import configured_catalog
from airbyte_dagster_tests.clients.environments import python_environment
from airbyte_dagster_tests.local.postgresql import PASSWORD, running_postgres

_STREAMS = ("users", "purchases")
_RUNS = 3
_ALONE = "the connector alone"
_SECONDS_BETWEEN_SAMPLES = 0.05

_PYAIRBYTE = """
import json, sys
import airbyte
from airbyte.caches import DuckDBCache

executable, config, database, streams = sys.argv[1:]
source = airbyte.get_source("source-faker", local_executable=executable, config=json.loads(config))
source.select_streams(json.loads(streams))
source.read(cache=DuckDBCache(db_path=database, schema_name="main"), skip_validation=True)
"""


@dataclass
class Faker:
    """The connector, and what it is to read.

    Args:
        executable: The program.
        directory: For files.
        count: Users, and purchases.
    """

    executable: str
    directory: Path
    count: int

    @property
    def config(self) -> dict[str, Any]:
        """The connector's configuration."""
        return {"count": self.count, "parallelism": 4}

    @cached_property
    def plans(self) -> list[StreamPlan]:
        """What the server would hand to a worker; the connector is asked once."""
        file = self._file("config", self.config)
        command = [self.executable, "discover", "--config", file]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        messages = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        streams = next(message["catalog"]["streams"] for message in messages if message["type"] == "CATALOG")
        chosen = [stream for stream in streams if stream["name"] in _STREAMS]
        return [StreamPlan(stream, table=stream["name"], strategy="replace") for stream in chosen]

    def bare(self) -> None:
        """Read, and throw away what comes."""
        catalog = self._file("catalog", configured_catalog(self.plans, 1))
        command = [self.executable, "read", "--config", self._file("config", self.config), "--catalog", catalog]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def into(self, warehouse: Warehouse) -> float:
        """Load with the worker; returns the most memory that it had, in MB."""
        if warehouse.path:
            Path(warehouse.path).unlink(missing_ok=True)
        scratch = tempfile.mkdtemp(dir=self.directory)
        message = {
            "job_id": 1,
            "job_type": "sync",
            "executable": self.executable,
            "arguments": [],
            "config": self.config,
            "warehouse": asdict(warehouse),
            "streams": [asdict(plan) for plan in self.plans],
            "states": [],
            "scratch": scratch,
            "lock_timeout": 60.0,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "airbyte_dagster.local.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        most = [0.0]
        threading.Thread(target=_sample, args=(process, most), daemon=True).start()
        last = json.loads(process.stdout.read().splitlines()[-1])
        process.wait()
        process.stdin.close()
        committed = [entry["records_committed"] for entry in last["streams"]]
        assert committed == [self.count] * len(_STREAMS), last
        return most[0]

    def by_pyairbyte(self, python: Path) -> None:
        """Load with PyAirbyte."""
        database = self.directory / "pyairbyte.duckdb"
        database.unlink(missing_ok=True)
        arguments = [self.executable, json.dumps(self.config), str(database), json.dumps(_STREAMS)]
        environment = {**os.environ, "AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1"}
        command = [str(python), "-c", _PYAIRBYTE, *arguments]
        subprocess.run(command, capture_output=True, check=True, cwd=self.directory, env=environment)

    def _file(self, name: str, content: Any) -> str:
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


def _sample(process: subprocess.Popen[bytes], most: list[float]) -> None:
    pause = threading.Event()
    while process.poll() is None:
        try:
            most[0] = max(most[0], psutil.Process(process.pid).memory_info().rss / 1e6)
        except psutil.Error:
            return
        pause.wait(_SECONDS_BETWEEN_SAMPLES)


def _medians(candidates: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {label: [] for label in candidates}
    for _ in range(_RUNS):
        for label, run in candidates.items():
            began = time.perf_counter()
            run()
            seconds[label].append(time.perf_counter() - began)
    return {label: statistics.median(times) for label, times in seconds.items()}


def measure(count: int = 100_000, *, with_pyairbyte: bool = True) -> Table:
    """Measure and tabulate.

    Args:
        count: Users, and purchases.
        with_pyairbyte: Whether PyAirbyte is measured, too; its environment is made at the first time.
    """
    faker = Environments(resolve_home().environments).ensure("faker", print)
    with tempfile.TemporaryDirectory() as name:
        work = Faker(str(faker.executable("source-faker")), Path(name), count)
        _ = work.plans  # not a part of any
        file = Warehouse("duckdb", path=str(Path(name) / "w.duckdb"))
        memory: list[float] = []
        candidates: dict[str, Callable[[], Any]] = {
            _ALONE: work.bare,
            "into a DuckDB file": lambda: memory.append(work.into(file)),
        }
        if with_pyairbyte:
            python = python_environment("pyairbyte")
            candidates["PyAirbyte into a DuckDB file"] = lambda: work.by_pyairbyte(python)
        medians = [_medians(candidates)]
        # Only now: a server that tidies up what was loaded takes its part of the machine.
        with running_postgres() as postgres:
            where = {"database": "postgres", "host": "127.0.0.1", "port": postgres.port, "username": "airbyte"}
            server = Warehouse("postgres", **where, password=PASSWORD)  # type: ignore[arg-type]
            medians.append(_medians({_ALONE: work.bare, "into PostgreSQL": lambda: memory.append(work.into(server))}))
    title = f"{count:,} users and purchases"
    table = Table("what", "seconds", "of the connector alone", title=title, title_justify="left")
    for turn in medians:
        for label, median in turn.items():
            table.add_row(label, f"{median:.1f}", f"{median / turn[_ALONE]:.2f}")
    table.add_row("the worker's memory, MB", f"{max(memory):.0f}", "")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="users, and purchases (default: %(default)s)")
    parser.add_argument("--without-pyairbyte", action="store_true")
    given = parser.parse_args()
    Console().print(measure(given.count, with_pyairbyte=not given.without_pyairbyte))
