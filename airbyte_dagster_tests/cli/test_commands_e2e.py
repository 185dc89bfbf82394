"""The command line as people use it: real processes, a real Dagster instance, the real Faker connector."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from airbyte_dagster_tests.command_line import PATIENCE, Commands
from airbyte_dagster_tests.conftest import client_of
from airbyte_dagster_tests.dagster_runs import LosingEngine
from airbyte_dagster_tests.local.fakes import RunningAirbyte, running_local_airbyte


def variables_of(server: RunningAirbyte) -> dict[str, str]:
    """What makes a command use a server that runs already."""
    return {
        "AIRBYTE_SERVER_URL": server.server_url,
        "AIRBYTE_CLIENT_ID": server.client_id,
        "AIRBYTE_CLIENT_SECRET": server.client_secret,
    }


def ids_in(output: str) -> dict[str, str]:
    return dict(re.findall(r"(Source|Destination|Connection) .*? \(([0-9a-f-]{36})\)", output))


@pytest.mark.real
def test_run_shows_what_arrived_and_reuses_it(real_home: Path) -> None:
    """The main job, twice: step by step, with a table; the second time nothing is made anew."""
    commands = Commands(real_home)

    code, first = commands.run("run")
    assert code == 0, first
    for words in ("Local Airbyte listens at http://127.0.0.1:", "Workspace 'Default Workspace'", "created",
                  "Sync started: job 1", "Job 1 succeeded · 105 rows", "rows reported", "rows in warehouse",
                  "A look into lms.main.users", f"Database: {real_home / 'lms.duckdb'}"):  # fmt: skip
        assert words in first
    for stream in ("users", "products", "purchases"):
        assert re.search(rf"{stream} +│ +35 │ +35 │ 7 passed │ +\d+\.\d", first), first
    assert commands.left_over() == []
    # What it says to look at it with is a command of this shell, for this home.
    (words,) = re.findall(r"^Dagster's UI, with this run: (.*)$", first, re.MULTILINE)
    assert shlex.split(words) == [sys.executable, "-m", "airbyte_dagster", "dev", "--home", str(real_home)]

    code, second = commands.run("run", MAKELEVEL="1")
    assert code == 0, second
    assert "Dagster's UI, with this run: make dev\n" in second
    assert second.count("unchanged") == 3
    assert "' created (" not in second
    assert ids_in(second) == ids_in(first)
    with duckdb.connect(str(real_home / "lms.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (35,)


def test_run_fails_if_a_check_does(tmp_path: Path, commands: Commands) -> None:
    """Exit status 1, and the table says what is wrong, though Airbyte reports success."""
    with running_local_airbyte(tmp_path / "airbyte", LosingEngine(), allow_paths=[tmp_path]) as server:
        code, output = commands.run("run", **variables_of(server))

    assert code == 1
    assert "users has 34 rows, Airbyte reports 35: 1 missing." in output


def test_run_tells_why_a_sync_failed(tmp_path: Path, commands: Commands) -> None:
    """The connector's reason, in one line, without a traceback."""
    with running_local_airbyte(tmp_path / "airbyte", allow_paths=[tmp_path]) as server:
        server.engine.fail_next("The API key is expired")
        code, output = commands.run("run", **variables_of(server))

    assert code == 1
    assert re.search(r"✗ Job 1 of connection .* failed after 1 attempt\(s\): The API key is expired", output)
    assert "Traceback" not in output


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_nothing(tmp_path: Path, commands: Commands, sign: signal.Signals) -> None:
    """The job is cancelled in Airbyte, the process ends by itself, no other is left; exit status is not 0."""
    with running_local_airbyte(tmp_path / "airbyte", allow_paths=[tmp_path]) as server:
        server.engine.hold()
        process = commands.start("run", **variables_of(server))
        server.engine.wait_for_start(timeout=PATIENCE)
        process.send_signal(sign)
        output, _ = process.communicate(timeout=PATIENCE)
        with client_of(server) as client:
            job = client.job(1)

    assert job.status == "cancelled", output
    assert process.returncode == 130
    assert output.endswith("Interrupted.\n")
    assert "DagsterExecutionInterruptedError" not in output
    assert commands.left_over() == []


_INTERRUPTED_WHILE_COLLECTING = """
import os, signal, threading, weakref
from airbyte_dagster.cli import main

class Thing: ...

def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(1000))

def work(**_):
    thing = Thing()
    watched = weakref.ref(thing, interrupt)
    del thing
    print("collected", flush=True)
    threading.Event().wait(300)

main.commands.main = work
main.main()
"""


def test_interrupt_that_python_throws_away_comes_again() -> None:
    """An exception in the callback of a weak reference is ignored, and Ctrl-C may come just then; it counts still."""
    command = [sys.executable, "-c", _INTERRUPTED_WHILE_COLLECTING]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "collected\n", "Interrupted.\n")


def test_run_after_a_killed_one_joins_its_job(tmp_path: Path, commands: Commands) -> None:
    """SIGKILL leaves no chance to cancel; the next run watches the job that is still active, and starts no second."""
    with running_local_airbyte(tmp_path / "airbyte", allow_paths=[tmp_path]) as server:
        server.engine.hold()
        process = commands.start("run", **variables_of(server))
        server.engine.wait_for_start(timeout=PATIENCE)
        process.kill()
        process.communicate()
        again = commands.start("run", **variables_of(server))
        lines: list[str] = []
        assert again.stdout is not None
        for line in again.stdout:
            lines.append(line)
            if "Job 1 is running already; watching it" in line:
                server.engine.release()
        again.stdout.close()
        code = again.wait(PATIENCE)

    assert code == 0, "".join(lines)
    assert len(server.engine.requests) == 1


@pytest.mark.real
def test_interrupt_at_any_moment_leaves_nothing_half(real_home: Path) -> None:
    """Ctrl-C while the server starts, while things are created, while data moves: no process stays, a rerun works.

    Each is the rerun of the one before, and comes further.
    """
    commands = Commands(real_home)
    for moment in ("Local Airbyte listens", "Workspace", "Sync started", "running"):
        process = commands.start("run")
        assert process.stdout is not None
        before: list[str] = []
        for line in process.stdout:
            before.append(line)
            if moment in line:
                process.send_signal(signal.SIGINT)
                break
        output, _ = process.communicate(timeout=PATIENCE)

        assert moment in before[-1], "".join(before)
        assert process.returncode not in (0, None), output
        assert "Traceback" not in output
        commands.wait_until_none_is_left()
    code, output = commands.run("run")
    assert code == 0, output
    assert set(ids_in(output)) == {"Source", "Destination", "Connection"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"AIRBYTE_CLIENT_ID": "x"}, "AIRBYTE_CLIENT_ID is set, but AIRBYTE_CLIENT_SECRET is not."),
        ({"AIRBYTE_CLIENT_SECRET": "x"}, "AIRBYTE_CLIENT_SECRET is set, but AIRBYTE_CLIENT_ID is not."),
        ({"AIRBYTE_CLIENT_ID": "x", "AIRBYTE_CLIENT_SECRET": "y"}, "MOTHERDUCK_APIKEY is not set"),
        ({"AIRBYTE_SERVER_URL": "https://airbyte.example/api/public/v1"}, "MOTHERDUCK_APIKEY is not set"),
    ],
)
def test_half_an_environment_is_refused(commands: Commands, environment: dict[str, str], words: str) -> None:
    """One sentence that says what is missing and what to do; exit status 2."""
    code, output = commands.run("run", **environment)

    assert code == 2
    assert output.startswith(f"Error: {words}")
    assert "Traceback" not in output


def test_home_that_can_not_be_made_is_one_sentence(commands: Commands, tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "file").touch()

    code, output = commands.run("run", "--home", str(tmp_path / "file" / "home"))

    assert code == 2
    assert output.startswith("Error: Not a directory")
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--connector", "mine=/no/such/file"], {}, "/no/such/file (connector mine) is not an executable file"),
        (["--workers", "0"], {}, "0 is not in the range 1<=x<=64"),
        (
            ["--allow-path", "/"],
            {"AIRBYTE_SERVER_URL": "http://127.0.0.1:1/api/public/v1"},
            "--workers, --connector and --allow-path are for local Airbyte, but the environment names http://127.0.0.1:1",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "dev"])
def test_options_of_local_airbyte(
    commands: Commands, command: str, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    """`run` and `dev` take those of `local serve`; what can't be done with them is one sentence."""
    code, output = commands.run(command, *arguments, **environment)

    assert code == 2
    assert words in output
    assert "Traceback" not in output


def test_port_of_local_airbyte_that_was_asked_for_and_is_taken(commands: Commands) -> None:
    """It is an error that names the port; no other port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = commands.run("run", "--airbyte-port", str(port))

    assert code == 2
    assert (
        f"Error: Local Airbyte did not start: can't listen on 127.0.0.1 port {port}: Address already in use." in output
    )
    assert commands.left_over() == []


def test_unreachable_airbyte_is_one_sentence(commands: Commands) -> None:
    """Nothing listens there: host and port are in the message."""
    code, output = commands.run("run", AIRBYTE_SERVER_URL="http://127.0.0.1:1/api/public/v1")

    assert code == 1
    assert re.search(r"✗ .*127\.0\.0\.1:1", output)
    assert "Check server_url" in output
    assert "Dependencies for step" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize("arguments", [(), ("run",), ("dev",), ("local",), ("local", "serve"), ("local", "env")])
def test_help_explains(commands: Commands, arguments: tuple[str, ...]) -> None:
    """Every command has a help text with a sentence of its own."""
    code, output = commands.run(*arguments, "--help")

    assert code == 0
    assert "Usage: airbyte-dagster" in output
    assert len(output.splitlines()) > 5
