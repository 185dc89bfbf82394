"""The `local` commands besides `serve`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airbyte_dagster.local import settings
from airbyte_dagster.local.cli import local
from airbyte_dagster.local.joblogs import JobLog
from airbyte_dagster.local.server import only_server
from airbyte_dagster_tests.local.fakes import RunningAirbyte, ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.local.processes import ServerProcess


def run(home: Path, *arguments: str, stdin: str | None = None) -> Result:
    name, *rest = arguments
    words = [name, rest.pop(0)] if name == "connectors" else [name]
    return CliRunner().invoke(local, [*words, "--home", str(home), *rest], input=stdin)


@pytest.fixture
def used_home(tmp_path: Path) -> Path:
    """A home where one job succeeded and another was cancelled, and nothing runs any more."""
    engine = ScriptedEngine()
    with running_local_airbyte(tmp_path, engine) as airbyte, airbyte.api() as api:
        connection = api.connection(api.source(count=3), api.destination(), ["users"])
        api.finish(api.sync(connection))
        engine.hold()
        api.ok("DELETE", f"/jobs/{api.sync(connection)}")
        _log(airbyte, 1, "hello")
    return tmp_path


def _log(airbyte: RunningAirbyte, job: int, line: str) -> None:
    log = JobLog(airbyte.home.job_log(job))
    log.write(line)
    log.close()


def commands() -> list[list[str]]:
    return [
        [],
        *([name] for name in local.commands),
        *(["connectors", name] for name in ("install", "list", "remove", "clean")),
    ]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_says_what_it_does(command: list[str]) -> None:
    """Each command has a sentence, and each of its options too."""
    shown = CliRunner().invoke(local, [*command, "--help"])
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()[2].strip()) > 20
    for line in shown.output.splitlines():
        if line.strip().startswith("--"):
            assert len(line.split("  ")) > 1 or line.strip().count(" ") == 1, line


def test_status_of_a_home_without_a_server(used_home: Path) -> None:
    """It says that nothing runs, counts what there is, and shows the last jobs, newest first."""
    found = json.loads(run(used_home, "status", "--json").output)
    jobs = found.pop("lastJobs")
    assert found.pop("version")
    assert found == {
        "running": False,
        "url": None,
        "pid": None,
        "home": str(used_home),
        "workspaces": 1,
        "connections": 1,
        "activeJobs": 0,
    }
    assert [(job["jobId"], job["status"]) for job in jobs] == [(2, "cancelled"), (1, "succeeded")]
    text = run(used_home, "status").output
    assert "not running" in text
    assert "job 1  sync  succeeded" in text


def test_status_of_a_new_home(tmp_path: Path) -> None:
    """A home that isn't there is nothing to fail on, and is not made."""
    found = json.loads(run(tmp_path / "new", "status", "--json").output)
    assert (found["running"], found["workspaces"], found["lastJobs"]) == (False, 0, [])
    assert not (tmp_path / "new").exists()


def test_status_of_a_running_server(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """It tells the URL and the process of the server; what is in a home whose name needs care is found too."""
    server = start_server(tmp_path / "a home?#%")
    found = json.loads(run(server.home.root, "status", "--json").output)
    assert (found["running"], found["url"], found["pid"]) == (True, server.url, server.process.pid)
    assert found["workspaces"] == 1


def test_log_of_a_job(used_home: Path) -> None:
    """`logs` prints a job's log; a job without one, and no job, are told apart."""
    assert run(used_home, "logs", "1").output.endswith("Z hello\n")
    assert run(used_home, "logs", "1", "--follow").output.endswith("Z hello\n")
    assert "has no log" in run(used_home, "logs", "2").output
    missing = run(used_home, "logs", "7")
    assert (missing.exit_code, missing.output) == (1, f"Error: there is no job 7 in {used_home}\n")


def test_reset_state_asks(used_home: Path) -> None:
    """Without consent nothing is deleted; with it only credentials, connectors and warehouse are left."""
    home = settings.resolve_home(used_home)
    credentials = settings.read_credentials(home)
    assert run(used_home, "reset-state", stdin="n\n").exit_code == 1
    assert home.database.exists()
    done = run(used_home, "reset-state", "--yes")
    assert done.exit_code == 0, done.output
    assert not list(home.state_dir.glob("state.sqlite*"))
    assert not list(home.logs.iterdir())
    assert home.warehouse.exists()
    assert settings.read_credentials(home) == credentials
    with running_local_airbyte(used_home) as airbyte, airbyte.api() as api:
        assert api.ok("GET", "/connections")["data"] == []
        assert [entry["workspaceId"] for entry in api.ok("GET", "/workspaces")["data"]] == [airbyte.workspace_id]


def test_reset_state_is_refused_while_running(used_home: Path) -> None:
    """A running server's database is not touched."""
    with only_server(settings.resolve_home(used_home)):
        refused = run(used_home, "reset-state", "--yes")
    where = f"in {used_home} (it starts or ends just now)"
    assert (refused.exit_code, refused.output) == (1, f"Error: already running {where}: end it first\n")
    assert settings.resolve_home(used_home).database.exists()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environments of a cache of its own: one in use, one unused for long, one left over, one unfinished."""
    monkeypatch.setenv(settings.CACHE_VARIABLE, str(tmp_path / "cache"))
    root = tmp_path / "cache" / "environments"
    for name, version in (
        ("source-thing-latest", "1.2.3"),
        ("source-seldom-latest", "4.5"),
        ("source-faker-0123456789ab", "1.0.0"),
        ("source-half-of-a-name-that-is-long-latest", None),
    ):
        (root / name).mkdir(parents=True)
        if version:
            (root / name / ".complete").write_text(json.dumps({"version": version}))
            (root / name / ".used").touch()
    os.utime(root / "source-seldom-latest" / ".used", (0, 40 * 86_400))
    (root / "source-thing-latest" / "file").write_bytes(bytes(5_000_000))
    (root / "source-thing-latest.lock").touch()
    return root


def test_connectors_are_listed(own_cache: Path, tmp_path: Path) -> None:
    """`connectors list` shows what is in the cache, whichever home is meant: version, size and last use."""
    text = run(tmp_path / "home", "connectors", "list").output
    assert re.search(r"^thing +1\.2\.3 +5 MB  20..-..-..T..:..:..Z$", text, re.MULTILINE), text
    assert re.search(r"^seldom +4\.5 +0 MB  1970-02-10T00:00:00Z$", text, re.MULTILINE), text
    assert re.search(r"^faker +1\.0\.0 .*  of another version of airbyte-dagster$", text, re.MULTILINE), text
    assert re.search(r"^half-of-a-name-that-is-long unfinished +0 MB", text, re.MULTILINE), text
    assert text.endswith(f"4 in {own_cache}, 5 MB\n")
    found = json.loads(run(tmp_path / "other", "connectors", "list", "--json").output)
    assert found["directory"] == str(own_cache)
    thing = found["connectors"][-1]
    assert (thing["name"], thing["version"], thing["current"]) == ("thing", "1.2.3", True)
    assert thing["bytes"] >= 5_000_000


def test_cache_is_cleaned(own_cache: Path, tmp_path: Path) -> None:
    """`connectors clean` deletes what nothing uses any more; with --unused-for also what nobody used for long."""

    def left() -> list[str]:
        return sorted(path.name for path in own_cache.iterdir() if path.is_dir())

    done = run(tmp_path, "connectors", "clean").output
    assert done == "Removed faker 1.0.0, 0 MB.\nRemoved half-of-a-name-that-is-long (unfinished), 0 MB.\n"
    assert left() == ["source-seldom-latest", "source-thing-latest"]
    assert run(tmp_path, "connectors", "clean").output == "There is nothing to remove.\n"
    run(tmp_path, "connectors", "clean", "--unused-for", "30")
    assert left() == ["source-thing-latest"]
    run(tmp_path, "connectors", "clean", "--unused-for", "0")
    assert left() == []


def test_connectors_can_be_removed(own_cache: Path, tmp_path: Path) -> None:
    """`connectors remove` deletes an environment, and says so when there is none."""
    assert run(tmp_path, "connectors", "remove", "thing").output == "Removed thing.\n"
    assert not (own_cache / "source-thing-latest").exists()
    for name in ("thing", "../environments", "-x"):
        refused = CliRunner().invoke(local, ["connectors", "remove", "--home", str(tmp_path), "--", name])
        assert (refused.exit_code, refused.output) == (1, f"Error: {name} is not installed\n")
