"""The scripts of the example, beside what they call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from airbyte_dagster_tests.production.image import EXAMPLE
from airbyte_dagster_tests.production.network import eventually
from airbyte_dagster_tests.ui.dagster_process import free_port

_LOADS = "import dagster as dg\ndefs = dg.Definitions()\n"
_DOES_NOT = _LOADS.replace(
    "Definitions()", "Definitions(schedules=[dg.ScheduleDefinition(job_name='x', cron_schedule='@daily')])"
)


@pytest.mark.parametrize(("code", "status"), [(_LOADS, 0), (_DOES_NOT, 1)])
def test_refresh_fails_if_a_code_location_does_not_load(code: str, status: int, tmp_path: Path) -> None:
    """By the answer of a real web server."""
    (tmp_path / "definitions.py").write_text(code)
    url = f"http://127.0.0.1:{free_port()}"
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_WEBSERVER_URL": url,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    serve = [sys.executable, "-m", "dagster_webserver", "-f", "definitions.py", "-p", url.rpartition(":")[2]]
    with (tmp_path / "web.log").open("wb") as log:
        server = subprocess.Popen(serve, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(url), "the web server", 180.0)
        done = subprocess.run([EXAMPLE / "refresh.sh"], env=environment, capture_output=True, text=True, check=False)
    finally:
        server.terminate()
        server.wait()

    assert done.returncode == status, done
    assert "locationEntries" in done.stdout


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info").is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("dump", "kept"), [("printf new", "new"), ("printf half; exit 1", "last")])
def test_a_backup_replaces_the_last_one_when_it_is_complete(dump: str, kept: str, tmp_path: Path) -> None:
    """It is for nobody else to read."""
    backup, docker = tmp_path / "dagster.dump", tmp_path / "docker"
    backup.write_text("last")
    docker.write_text(f"#!/bin/sh\n{dump}\n")
    docker.chmod(0o755)

    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([EXAMPLE / "backup.sh", backup], env=environment, check=False)

    assert backup.read_text() == kept
    assert (done.returncode == 0) == (kept == "new")
    if kept == "new":
        assert backup.stat().st_mode & 0o777 == 0o600
