"""``airbyte-dagster dev``: one per Dagster instance, and nothing of it is left however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console
from typing_extensions import Self

from airbyte_dagster.cli import dev as dev_command
from airbyte_dagster.cli import ui_port as ui_port_module
from airbyte_dagster.cli.dev_lock import DevRunsAlready, only_dev
from airbyte_dagster.cli.terminal import Progress
from airbyte_dagster.cli.ui_port import ui_port
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.local.children import Children
from airbyte_dagster.local.options import LocalOptions
from airbyte_dagster_tests.command_line import PATIENCE, Commands, wait_for


class Dev:
    """``airbyte-dagster dev`` in a process of its own, interrupted at the end of the block if it still runs."""

    def __init__(self, commands: Commands, *arguments: str) -> None:
        self.process = commands.start("dev", "--airbyte-port", "0", *arguments)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    def _read(self, output: Any) -> None:
        for line in output:
            self.lines.append(line)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def url(self) -> str:
        """The address of its UI, once it is there."""
        wait_for(lambda: self.process.poll() is not None or "Dagster UI at" in self.output, lambda: self.output)
        found = re.findall(r"Dagster UI at (http://127\.0\.0\.1:\d+)", self.output)
        assert found, self.output
        return str(found[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield int(listening.getsockname()[1])


def graphql(url: str, query: str, **variables: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return json.loads(answer.read())["data"]


LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUNS = "query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { status } } } }"
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
COURSE_JOB = {
    "selector": {
        "repositoryLocationName": "airbyte_dagster.definitions",
        "repositoryName": "__repository__",
        "jobName": "sync_faker_to_duckdb",
    }
}


@pytest.mark.real
def test_dev_serves_runs_and_ends(real_home: Path, commands: Commands) -> None:
    """It shows the run that `run` has made; a job launched in the UI succeeds; Ctrl-C ends everything."""
    code, output = commands.run("run")
    assert code == 0, output
    with Dev(commands) as dev:
        url = dev.url()
        # What the page of the job lists.
        location = {"key": ".dagster/repository", "value": "__repository__@airbyte_dagster.definitions"}
        runs = graphql(url, RUNS, filter={"pipelineName": "sync_faker_to_duckdb", "tags": [location]})
        assert [run["status"] for run in runs["runsOrError"]["results"]] == ["SUCCESS"]
        launched = graphql(url, LAUNCH, params=COURSE_JOB)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        ended: list[str] = []

        def has_ended() -> bool:
            ended[:] = [graphql(url, STATUS, id=run_id)["runOrError"]["status"]]
            return ended[0] in ("SUCCESS", "FAILURE", "CANCELED")

        wait_for(has_ended, lambda: dev.output)
        assert ended == ["SUCCESS"], dev.output
    assert dev.process.returncode == 0
    commands.wait_until_none_is_left()
    with duckdb.connect(str(real_home / "lms.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (35,)


@pytest.mark.real
def test_second_dev_says_where_the_first_is_and_a_killed_one_leaves_nothing(
    real_home: Path, commands: Commands
) -> None:
    """A second one on the same home ends with the address of the first's UI. After SIGKILL no process is left."""
    with Dev(commands) as dev:
        url = dev.url()

        code, output = commands.run("dev")

        assert code == 2
        assert f"(process {dev.process.pid}): its UI is at {url}." in output
        graphql(url, "{ version }")  # the first was not disturbed
        assert len(commands.left_over()) > 3  # web server, daemon, code server, local Airbyte

        dev.process.kill()
        commands.wait_until_none_is_left()


def test_dev_of_another_instance_is_none_of_its_business(tmp_path: Path) -> None:
    """Two Dagster instances can each have a ``dev``; one can have no second, and has one again after the first."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with only_dev(tmp_path / "one", pytest.fail) as lock, only_dev(tmp_path / "other", pytest.fail):
        with pytest.raises(DevRunsAlready, match="its UI is about to start"), only_dev(tmp_path / "one", pytest.fail):
            pass
        lock.announce("http://127.0.0.1:3000")
        with pytest.raises(DevRunsAlready, match=r"its UI is at http://127\.0\.0\.1:3000"):
            only_dev(tmp_path / "one", pytest.fail).__enter__()
    with only_dev(tmp_path / "one", pytest.fail):
        pass


def test_what_a_killed_dev_left_is_waited_for(tmp_path: Path) -> None:
    """The lock is held by what ends the killed one's processes; the next ``dev`` goes on when that has let go."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    file = tmp_path / "airbyte-dagster-dev.json"
    file.write_text(json.dumps({"pid": int(ended.stdout), "url": "http://127.0.0.1:3000"}))
    holder = os.open(file, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        os.close(holder)

    with only_dev(tmp_path, say):
        assert json.loads(file.read_text())["pid"] == os.getpid()

    assert said == ["Waiting for the end of what a killed `airbyte-dagster dev` left …"]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that ``dev`` in this process starts; each is interrupted at once."""
    found: list[list[str]] = []

    def start(_children: Children, command: list[str], **_options: object) -> None:
        found.append([*command, *sorted(path.name for path in (tmp_path / "dagster").rglob("*.db"))])
        raise KeyboardInterrupt

    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setattr(Children, "start", start)
    monkeypatch.setattr(dev_command, "airbyte_environment", lambda *_arguments, **_options: contextlib.nullcontext())
    return found


def run_dev(home: Path, *, port: int | None = None, console: Console | None = None) -> None:
    quiet = Console(quiet=True)
    dev_command.dev(home, port=port, options=LocalOptions(), code_location=[], progress=Progress(console or quiet))


def test_dev_makes_the_storage_before_those_that_share_it_start(tmp_path: Path, started: list[list[str]]) -> None:
    """Web server and daemon find it: if both made it at once, its version would be noted twice."""
    with pytest.raises(KeyboardInterrupt):
        run_dev(tmp_path)

    assert started[0][-3:] == ["index.db", "runs.db", "schedules.db"]


def test_default_port_that_is_taken(
    tmp_path: Path, started: list[list[str]], taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next free one is taken, and it is said."""
    monkeypatch.setattr(ui_port_module, "FIRST_PORT", taken)
    monkeypatch.setattr(dev_command, "FIRST_PORT", taken)
    console = Console(record=True, width=200)

    with pytest.raises(KeyboardInterrupt):
        run_dev(tmp_path, console=console)

    port = int(started[0][started[0].index("-p") + 1])
    assert port > taken
    assert f"Port {taken} is in use; taking {port}." in console.export_text()


def test_port_that_was_asked_for_and_is_taken(tmp_path: Path, started: list[list[str]], taken: int) -> None:
    """It is an error, before anything is started: whoever asks for a port looks there."""
    with pytest.raises(ConfigurationError, match=rf"Port {taken} is in use\. Give another --port"):
        run_dev(tmp_path, port=taken)

    assert started == []


def test_port_of_a_dev_whose_server_does_not_listen_yet(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """Another ``dev`` takes the next one, or refuses the same one; afterwards it is free again."""
    monkeypatch.setattr(ui_port_module, "FIRST_PORT", taken + 1)
    with ui_port(None) as first, ui_port(None) as second:
        assert first != second
        with pytest.raises(ConfigurationError, match=rf"Port {first} is in use"):
            ui_port(first).__enter__()
    with ui_port(first) as again:
        assert again == first
