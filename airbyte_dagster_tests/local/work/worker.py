"""The worker as a process of its own, as the server starts it, and a connector that writes what a test says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from airbyte_dagster.local.engine import StreamPlan, Warehouse
from airbyte_dagster_tests.local.client import PATIENCE

#: Writes the lines of the file that its configuration names, then its stderr, and ends with its exit code.
CONNECTOR = """
import json, sys
from pathlib import Path
config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
if "--state" in sys.argv:
    Path(config["file"] + ".state").write_text(Path(sys.argv[sys.argv.index("--state") + 1]).read_text())
sys.stdout.buffer.write(Path(config["file"]).read_bytes())
sys.stdout.flush()
sys.stderr.write(config["stderr"])
sys.exit(config["exit_code"])
"""


def record(stream: str, data: dict[str, Any], namespace: str | None = None, emitted_at: int = 1) -> dict[str, Any]:
    """A RECORD; the namespace comes after the data, as nothing in the protocol says where it has to be."""
    content = {"stream": stream, "data": data, "emitted_at": emitted_at}
    return {"type": "RECORD", "record": {**content, **({"namespace": namespace} if namespace else {})}}


def state(stream: str, cursor: Any) -> dict[str, Any]:
    """A STATE of one stream."""
    content = {"stream_descriptor": {"name": stream}, "stream_state": {"cursor": cursor}}
    return {"type": "STATE", "state": {"type": "STREAM", "stream": content}}


def status(stream: str, value: str) -> dict[str, Any]:
    """What a source says of a stream: STARTED, COMPLETE, INCOMPLETE."""
    content = {"stream_descriptor": {"name": stream}, "status": value}
    return {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "stream_status": content}}


def plan(name: str, properties: dict[str, Any], **more: Any) -> StreamPlan:
    """A stream, in the table of its name unless something else is said."""
    stream = {"name": name, "json_schema": {"type": "object", "properties": properties}}
    if namespace := more.pop("namespace", None):
        stream["namespace"] = namespace
    return StreamPlan(stream, **{"table": name, **more})


@dataclass
class Result:
    """How a job went.

    Attributes:
        streams: The counts of each stream.
        states: All states that the server was given, in order.
        failure: The reason, or None.
        log: What was written to stderr.
    """

    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    log: str = ""


@dataclass
class Worker:
    """Runs jobs into one warehouse.

    Args:
        home: A directory of its own.
        warehouse: Where to; a DuckDB file in the home by default.
    """

    home: Path
    warehouse: Warehouse | None = None
    jobs: int = 0

    @property
    def file(self) -> Path:
        """The DuckDB file."""
        return self.home / "w.duckdb"

    def start(self, streams: Sequence[StreamPlan], **more: Any) -> subprocess.Popen[bytes]:
        """Start a job; the arguments are those of `run`."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "airbyte_dagster.local.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.home / "log").open("wb"),
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.message(streams, **more)).encode() + b"\n")
        process.stdin.flush()
        return process

    def message(
        self,
        streams: Sequence[StreamPlan],
        lines: Sequence[Any] = (),
        *,
        states: Sequence[dict[str, Any]] = (),
        exit_code: int = 0,
        stderr: str = "",
        job_type: str = "sync",
        connector: str = CONNECTOR,
    ) -> dict[str, Any]:
        """What the server sends to the worker."""
        self.jobs += 1
        scratch = self.home / f"job-{self.jobs}"
        scratch.mkdir()
        file = self.home / "lines"
        file.write_bytes(b"".join(_line(line) + b"\n" for line in lines))
        (self.home / "connector.py").write_text(connector)
        return {
            "job_id": self.jobs,
            "job_type": job_type,
            "executable": sys.executable,
            "arguments": [str(self.home / "connector.py")],
            "config": {"file": str(file), "exit_code": exit_code, "stderr": stderr},
            "warehouse": asdict(self.warehouse or Warehouse("duckdb", path=str(self.file))),
            "streams": [asdict(stream) for stream in streams],
            "states": list(states),
            "scratch": str(scratch),
            "lock_timeout": 60.0,
        }

    def run(self, streams: Sequence[StreamPlan], lines: Sequence[Any] = (), **more: Any) -> Result:
        """Run a job to its end.

        Args:
            streams: What is read.
            lines: What the connector writes: messages, or lines as bytes.
            more: ``states``, ``exit_code`` and ``stderr`` of the connector, ``job_type``, and another connector's code.
        """
        process = self.start(streams, lines=lines, **more)
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            # Not `communicate`, which closes stdin: the worker ends with its server.
            output = process.stdout.read()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            process.stdin.close()
            process.stdout.close()
        result = Result(log=(self.home / "log").read_text())
        for message in map(json.loads, output.splitlines()):
            result.streams = {entry["name"]: entry for entry in message["streams"]}
            result.states += message.get("states", [])
            result.failure = message.get("failure")
        return result

    def query(self, sql: str) -> list[Any]:
        """Rows of the DuckDB file."""
        with self.open() as connection:
            return connection.execute(sql).fetchall()

    @contextlib.contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The DuckDB file, to read or to change by hand."""
        with contextlib.closing(duckdb.connect(str(self.file))) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _line(line: Any) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line).encode()
