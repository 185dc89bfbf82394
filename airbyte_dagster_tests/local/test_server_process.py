"""The server as a process: one per home, ready when it says so, and nothing left behind however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from filelock import FileLock

from airbyte_dagster.local import settings
from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.local.client import PATIENCE, Api
from airbyte_dagster_tests.local.processes import ServerProcess, command, environment

Start = Callable[..., ServerProcess]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False
    )


def test_serves_says_where_and_ends_with_zero(start_server: Start, tmp_path: Path) -> None:
    """It names its URL, its docs page and the file with the credentials, not the secret; SIGTERM ends it with 0."""
    server = start_server(tmp_path)
    credentials = settings.read_credentials(server.home)
    assert credentials is not None
    assert httpx.get(f"{server.url}/docs").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 0
    server._reader.join(PATIENCE)
    output = "".join(server.output)
    assert f"{server.url}/api/public/v1" in output
    assert f"{server.url}/docs" in output
    assert str(server.home.credentials_file) in output
    assert credentials.client_secret not in output
    assert not server.home.server_file.exists()
    assert settings.running_server(server.home) is None


def test_ctrl_c_ends_with_zero(start_server: Start, tmp_path: Path) -> None:
    """SIGINT is a normal end, without a stack trace."""
    server = start_server(tmp_path)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0
    server._reader.join(PATIENCE)
    assert "Traceback" not in "".join(server.output)


@pytest.mark.parametrize("errors_too", [False, True], ids=["stdout", "stdout and stderr"])
def test_nobody_has_to_read_what_it_says(errors_too: bool, tmp_path: Path) -> None:
    """`serve | head -1`: the server goes on when nobody reads its output any more, and ends with 0."""
    home = settings.resolve_home(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    arguments = command("serve", "--home", str(tmp_path), "--port", "0")
    errors = writer if errors_too else subprocess.DEVNULL
    with subprocess.Popen(arguments, stdout=writer, stderr=errors, env=environment()) as process:
        os.close(writer)
        try:
            wait_for(lambda: settings.running_server(home) or process.poll() is not None, lambda: "it never was ready")
            with Api(str(settings.running_server(home)), settings.ensure_credentials(home)) as api:
                assert api.ok("GET", "/workspaces")["data"]
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_second_server_of_a_home_is_refused(start_server: Start, tmp_path: Path) -> None:
    """The second says where the first runs, in one sentence, and ends with an error."""
    server = start_server(tmp_path)
    second = run("serve", "--home", str(tmp_path), "--port", "0")
    assert second.returncode != 0
    assert second.stderr.strip() == f"Error: already running at {server.url} (pid {server.process.pid})"


def test_exit_with_stdin_ends_with_the_parent(start_server: Start, tmp_path: Path) -> None:
    """With --exit-with-stdin the end of stdin, as when a parent dies, ends the server cleanly."""
    server = start_server(tmp_path, "--exit-with-stdin")
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(PATIENCE) == 0
    assert not server.home.server_file.exists()


def test_a_home_that_another_server_just_starts_in(tmp_path: Path) -> None:
    """Where that one will answer is not known yet; the home is."""
    home = settings.resolve_home(tmp_path)
    home.make()
    with FileLock(home.lock_file):
        second = run("serve", "--home", str(tmp_path), "--port", "0")
    assert second.stderr.strip() == f"Error: already running in {tmp_path} (it starts or ends just now)"


def test_private_files_are_private(start_server: Start, tmp_path: Path) -> None:
    """Credentials and database are for the user only."""
    server = start_server(tmp_path)
    for path in (server.home.credentials_file, server.home.database, server.home.server_file):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(server.home.state_dir.stat().st_mode) == 0o700


def test_env_gives_working_variables(start_server: Start, tmp_path: Path) -> None:
    """The five variables of `local env`, as shell lines or JSON, sign in to the running server."""
    server = start_server(tmp_path)
    printed = run("env", "--home", str(tmp_path))
    assert printed.stderr == ""
    lines = dict(shlex.split(line)[1].split("=", 1) for line in printed.stdout.splitlines())
    as_json = json.loads(run("env", "--home", str(tmp_path), "--json").stdout)
    assert lines == as_json == settings.environment(server.home, server.url)
    with server.api() as api:
        workspace = api.ok("GET", "/workspaces")["data"][0]
    assert workspace == {
        "workspaceId": lines["AIRBYTE_WORKSPACE_ID"],
        "name": "Default Workspace",
        "dataResidency": "auto",
        "notifications": {},
    }


def test_env_without_a_server(tmp_path: Path) -> None:
    """Without a server `local env` gives the default port's URL and says on stderr that nothing runs."""
    printed = run("env", "--home", str(tmp_path / "new home"), "--json")
    assert json.loads(printed.stdout)["AIRBYTE_SERVER_URL"] == "http://127.0.0.1:8006/api/public/v1"
    assert "isn't running" in printed.stderr


def test_leftover_record_is_not_a_running_server(tmp_path: Path) -> None:
    """server.json of a killed server is not taken for a running one."""
    home = settings.resolve_home(tmp_path)
    home.make()
    settings.write_private(home.server_file, {"url": "http://127.0.0.1:9", "pid": 1})
    assert settings.running_server(home) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--connector", "tiny"], "is not NAME=/path/to/executable"),
        (["--connector", "Bad Name=/bin/true"], "is not NAME=/path/to/executable"),
        (["--connector", "x=/no/such/file"], "not an executable file"),
        (["--host", "192.0.2.1"], "can't listen on 192.0.2.1"),
    ],
)
def test_wrong_options_get_one_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    """A wrong option is answered with one line, not a stack trace."""
    refused = run("serve", "--home", str(tmp_path), "--port", "0", *arguments)
    assert refused.returncode != 0
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_restart_keeps_everything(start_server: Start, tmp_path: Path) -> None:
    """Workspace, destination and credentials are the same after a restart."""
    first = start_server(tmp_path)
    with first.api() as api:
        destination = api.destination()
    first.process.terminate()
    assert first.process.wait(PATIENCE) == 0
    second = start_server(tmp_path)
    with second.api() as api:
        assert api.ok("GET", f"/destinations/{destination}")["workspaceId"] == api.workspace_id


def test_ends_at_once_while_a_connector_is_asked(start_server: Start, tmp_path: Path) -> None:
    """A connector that does not answer holds the end of the server up for seconds only, and is gone with it."""
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nsleep 600\n")
    slow.chmod(0o755)
    server = start_server(tmp_path / "home", "--connector", f"slow={slow}")
    with server.api() as api:
        asking = threading.Thread(target=_ask, args=(api,))
        asking.start()
        wait_for((tmp_path / "asked").exists, lambda: "the connector was never asked")
        processes = server.descendants()
        assert processes
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
        asking.join(PATIENCE)


def test_killed_server_leaves_no_connector_and_no_installation(start_server: Start, tmp_path: Path) -> None:
    """After SIGKILL of the server neither a connector that was being asked nor an installation goes on."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho >> {tmp_path}/asked\nsleep 600\n")
    slow.chmod(0o755)
    server = start_server(tmp_path / "home", "--connector", f"slow={slow}")
    with server.api() as api, contextlib.ExitStack() as stack:
        for kind in ("slow", "never-installs"):
            asking = threading.Thread(target=_ask, args=(api, kind))
            asking.start()
            stack.callback(asking.join, PATIENCE)
        both = (tmp_path / "asked", server.home.environments / "source-never-installs-latest.lock")
        wait_for(lambda: all(path.exists() for path in both), lambda: f"not yet: {both}")
        processes = server.descendants()
        assert any("slow" in " ".join(process.cmdline()) for process in processes)
        os.kill(server.process.pid, signal.SIGKILL)
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


def _ask(api: Api, kind: str = "slow") -> None:
    with contextlib.suppress(httpx.HTTPError, AssertionError):
        api.source(kind)


def test_unknown_connector_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """`local connectors install` of something that is no name says so."""
    refused = run("connectors", "install", "--home", str(tmp_path), "No Name")
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr


def _hanging_sync(server: ServerProcess) -> tuple[int, list[psutil.Process]]:
    with server.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}]}, hang=True, api_key="planted-secret-5678")
        job = api.sync(api.connection(source, api.destination(), ["items"]))
        api.until(job, lambda job: job.get("rowsSynced", 0) > 0)
    return job, server.descendants()


@pytest.mark.real
def test_killed_server_leaves_no_process_and_fails_its_job(start_server: Start, real_home: Path) -> None:
    """After SIGKILL of the server its workers end by themselves; the restart fails the job and goes on counting."""
    server = start_server(real_home)
    job, processes = _hanging_sync(server)
    assert len(processes) >= 2
    for process in processes:
        assert "planted-secret-5678" not in " ".join(process.cmdline())
        assert "planted-secret-5678" not in str(process.environ())
    os.kill(server.process.pid, signal.SIGKILL)
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    again = start_server(real_home)
    with again.api() as api:
        assert api.ok("GET", f"/jobs/{job}")["status"] == "failed"
        assert api.failure(job)["externalMessage"] == "The server ended while the job was active"
        connection = api.ok("GET", f"/jobs/{job}")["connectionId"]
        assert api.sync(connection) == job + 1
    assert list((real_home / "local" / "tmp").glob(f"job-{job}*")) == []


@pytest.mark.real
def test_stopped_server_ends_its_jobs(start_server: Start, real_home: Path) -> None:
    """SIGTERM ends the workers too, and their jobs are failed with that reason."""
    server = start_server(real_home)
    job, processes = _hanging_sync(server)
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    with start_server(real_home).api() as api:
        assert api.failure(job)["externalMessage"] == "The server was stopped while the job was active"
