"""``--json``: which commands have it, which keys they print, and that nothing else gets into the standard output."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from airbyte_dagster.cli.main import commands as command_line
from airbyte_dagster.local import settings
from airbyte_dagster.local.server import only_server
from airbyte_dagster.output import Facts, FactsCommand
from airbyte_dagster_tests.command_line import PATIENCE, Commands
from airbyte_dagster_tests.dagster_runs import LosingEngine
from airbyte_dagster_tests.local.fakes import Api, running_local_airbyte

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
#: Commands without ``--json``, and why.
EXEMPT = {
    "dev": "runs until it is interrupted; --log-format json is for programs",
    "local serve": "runs until it is interrupted; --log-format json is for programs",
    "webhook serve": "runs until it is interrupted; --log-format json is for programs",
    "local logs": "passes on, as it is and endlessly with --follow, what a connector has printed",
}


def all_commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(all_commands(command_line))


def test_every_command_prints_json() -> None:
    """But those that are exempt for a reason; a new command has to be one or the other."""
    without = {name for name, command in COMMANDS.items() if not isinstance(command, FactsCommand)}

    assert without == set(EXEMPT)
    assert all(
        "--log-format" in COMMANDS[name].make_context(name, ["--help"], resilient_parsing=True).get_help()
        for name, reason in EXEMPT.items()
        if "--log-format" in reason
    )


def documented() -> dict[str, set[str]]:
    """The keys of each command, as the page has them."""
    rows = re.findall(r"^\| `([a-z -]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`([^`]+)`", keys)) for name, keys in rows if name in COMMANDS}


def keys_of(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item, f"{prefix}[]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            path = f"{prefix}.{key}".lstrip(".")
            if not isinstance(item, Mapping) and not (isinstance(item, list) and item and isinstance(item[0], Mapping)):
                yield path
            yield from keys_of(item, path)


class Ended:
    def __init__(self, commands: Commands, *arguments: str, **environment: str) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "airbyte_dagster", *arguments],
            env={**commands.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.status, self.output, self.errors = ended.returncode, ended.stdout, ended.stderr

    @property
    def record(self) -> dict[str, Any]:
        record = json.loads(self.output or "null")
        assert isinstance(record, dict), self.errors
        return record


@pytest.fixture
def home(commands: Commands, tmp_path: Path) -> Iterator[Api]:
    """A home whose server has a connection and a job, and loses a row of each sync."""
    with running_local_airbyte(commands.home, LosingEngine(), allow_paths=[tmp_path]) as running, running.api() as api:
        settings.write_private(running.home.server_file, {"url": running.url, "pid": os.getpid()})
        source = api.source(count=5, api_key="planted-secret")
        api.finish(api.sync(api.connection(source, api.destination(), ["users"], name="shop users")))
        yield api


def assert_keys(name: str, ended: Ended) -> None:
    assert set(keys_of(ended.record)) == documented()[name], name


def test_every_command_is_documented() -> None:
    """With its keys."""
    assert set(documented()) == set(COMMANDS) - set(EXEMPT)


@pytest.mark.parametrize("arguments", [["doctor"], ["export", "*"], ["local", "env"], ["local", "status"]])
def test_keys_are_those_of_the_page(commands: Commands, home: Api, arguments: list[str]) -> None:
    """With something in every list, so that all keys are seen."""
    ended = Ended(commands, *arguments, "--json")

    assert ended.status == 0, ended.errors
    assert_keys(" ".join(word for word in arguments if word != "*"), ended)


def test_run(commands: Commands, home: Api) -> None:
    """With the server that runs already: what arrived, and which checks failed.

    The exit status says so, too, and the steps are on the standard error.
    """
    ended = Ended(commands, "run", "--json")

    assert ended.status == 1
    assert_keys("run", ended)
    [lost, *_] = [check for stream in ended.record["streams"] for check in stream["checks"] if not check["passed"]]
    assert "1 missing" in lost["description"]
    assert "Sync started: job 2" in ended.errors


def test_refresh(commands: Commands, home: Api) -> None:
    """What was added, removed and changed since the last time, by id and name."""
    variables = settings.environment(settings.resolve_home(commands.home), str(home.base_url).partition("/api")[0])
    first = Ended(commands, "refresh", "--json", **variables)
    [connection] = home.ok("GET", "/connections")["data"]
    api = home
    api.ok("PATCH", f"/connections/{connection['connectionId']}", json={"name": "store"})
    gone = api.connection(api.source(count=1), api.destination("other.duckdb"), ["users"], name="gone soon")
    second = Ended(commands, "refresh", "--json", **variables)
    api.ok("DELETE", f"/connections/{gone}")
    third = Ended(commands, "refresh", "--json", **variables)

    [workspace] = first.record["workspaces"]
    assert (workspace["storedBefore"], len(workspace["added"])) == (False, 1), first.errors
    found = {key for ended in (first, second, third) for key in keys_of(ended.record)}
    empty = {f"workspaces[].{name}" for name in ("added", "removed", "changed")}
    assert found - empty == documented()["refresh"]
    assert second.record["workspaces"][0]["changed"] == [
        {
            "id": connection["connectionId"],
            "name": "store",
            "what": "~ 'shop users': is now 'store', key shop_users → store",
        }
    ]
    assert third.record["workspaces"][0]["removed"] == [{"id": gone, "name": "gone soon"}]


def test_commands_that_delete(commands: Commands, home: Api) -> None:
    """What was deleted; a command that is refused says so as JSON."""
    source = home.ok("GET", "/sources")["data"][0]["sourceId"]
    with only_server(settings.resolve_home(commands.home)):
        refused = Ended(commands, "local", "reset-state", "--yes", "--json")
    deleted = Ended(commands, "local", "delete", "--yes", "--json", "source", source)

    assert (refused.status, refused.record["guidance"]) == (1, "")
    assert "already running" in refused.record["error"]
    assert_keys("local delete", deleted)
    assert [item["name"] for item in deleted.record["connections"]] == ["shop users"]


def test_forgetting_all(commands: Commands) -> None:
    """Which home and database it was."""
    assert_keys("local reset-state", Ended(commands, "local", "reset-state", "--yes", "--json"))


def test_connectors(commands: Commands, tmp_path: Path) -> None:
    """What is in the cache, and what is no longer."""
    environments = tmp_path / "cache" / "environments"
    commands.environment[settings.CACHE_VARIABLE] = str(tmp_path / "cache")
    for number in "12":
        (environments / f"source-faker-00000000000{number}").mkdir(parents=True)
    for name, arguments in (
        ("local connectors list", []),
        ("local connectors remove", ["faker"]),
    ):
        ended = Ended(commands, *name.split(), *arguments, "--json")
        assert_keys(name, ended)
        assert len(ended.record["connectors"]) == 2
    (environments / "source-faker-000000000003").mkdir()
    assert_keys("local connectors clean", Ended(commands, "local", "connectors", "clean", "--json"))
    assert not [path for path in environments.iterdir() if path.is_dir()]


@pytest.mark.real
def test_installing(commands: Commands, environments: Path) -> None:
    """The connectors that were named, each with its version."""
    ended = Ended(commands, "local", "connectors", "install", "faker", "--json")

    assert_keys("local connectors install", ended)
    assert [entry["name"] for entry in ended.record["connectors"]] == ["faker"]


@pytest.mark.parametrize(
    ("arguments", "status", "words", "guidance"),
    [
        (["export", "*"], 2, "The environment names no Airbyte", "Set AIRBYTE_CLIENT_ID"),
        (["export"], 2, "Missing argument 'CONNECTION...'", ""),
        (["doctor", "-m", "x", "-f", __file__], 2, "Give a module or a file, not both.", ""),
        (["refresh", "--nonsense"], 2, "--nonsense", ""),
        (["run", "--home", "/proc/none"], 2, "/proc/none", ""),
        (["local", "delete", "connection", "none"], 1, "there is no connection 'none'", ""),
    ],
)
def test_errors_are_json(commands: Commands, arguments: list[str], status: int, words: str, guidance: str) -> None:
    """With the exit status that they have without ``--json``."""
    plain = Ended(commands, *arguments)
    ended = Ended(commands, *arguments, "--json")

    assert (plain.status, plain.output) == (status, "")
    assert ended.status == status
    assert set(ended.record) == {"error", "guidance"}
    assert words in ended.record["error"]
    assert guidance in ended.record["guidance"]


def test_a_home_that_can_not_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """What to do about it is said, too."""

    @click.command(cls=FactsCommand)
    def read() -> Facts:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/home/local")

    read.main(["--json"], standalone_mode=False)

    assert json.loads(capsys.readouterr().out) == {
        "error": "Permission denied: /srv/home/local",
        "guidance": "Give a directory that can be written, by AIRBYTE_DAGSTER_HOME or --home.",
    }
