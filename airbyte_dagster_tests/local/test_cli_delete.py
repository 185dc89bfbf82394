"""`local delete`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airbyte_dagster.local import settings
from airbyte_dagster.local.cli import local
from airbyte_dagster.local.server import only_server
from airbyte_dagster_tests.local.fakes import RunningAirbyte, ScriptedEngine, running_local_airbyte


def delete(home: Path, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(local, ["delete", "--home", str(home), *arguments], input=stdin)


@pytest.fixture
def announced(tmp_path: Path) -> Iterator[RunningAirbyte]:
    """A server that is found by its home, as one in a process of its own is."""
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte:
        settings.write_private(airbyte.home.server_file, {"url": airbyte.url, "pid": os.getpid()})
        yield airbyte


def test_of_a_running_server(announced: RunningAirbyte) -> None:
    """The server deletes it, so that what it syncs is cancelled."""
    with announced.api() as api:
        connection = api.connection(api.source(count=3), api.destination(), ["users"], name="shop")
        announced.engine.hold()
        job = api.sync(connection)
        done = delete(announced.home.root, "connection", connection, "--yes")
        assert (done.exit_code, done.output.splitlines()[-1]) == (
            0,
            "Deleted connection shop. Its tables are still there.",
        )
        assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
        assert api.ok("GET", f"/jobs/{job}")["status"] == "cancelled"


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_without_a_server(kind: str, tmp_path: Path) -> None:
    """It is deleted all the same, by its name, and with the connections that were listed before."""
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        connection = api.connection(api.source(count=3), api.destination(), ["users"], name="shop")
    name = {"source": "faker source", "destination": "duck"}[kind]
    done = delete(tmp_path, kind, name, stdin="y\n")
    assert done.exit_code == 0, done.output
    assert f"  with its connection shop ({connection})" in done.output
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        assert api.ok("GET", f"/{kind}s")["data"] == []
        assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
        others = {"source": "destinations", "destination": "sources"}[kind]
        assert len(api.ok("GET", f"/{others}")["data"]) == 1


def test_not_without_consent(tmp_path: Path) -> None:
    """A no is a no."""
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        api.source(count=3)
    assert delete(tmp_path, "source", "faker source", stdin="n\n").exit_code == 1
    assert delete(tmp_path, "source", "faker source", stdin="y\n").exit_code == 0
    gone = delete(tmp_path, "source", "faker source", stdin="y\n")
    assert gone.output == f"Error: there is no source 'faker source' in {tmp_path}. There is none.\n"


def test_which_one(tmp_path: Path) -> None:
    """A name that two have is refused with both ids, and one that none has with what there is; an id always works."""
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        ids = [api.source(count=3), api.source(count=4)]
    refused = delete(tmp_path, "source", "faker source", "--yes")
    assert refused.exit_code == 1
    assert all(one in refused.output for one in ids)
    unknown = delete(tmp_path, "source", "Faker", "--yes")
    assert unknown.output.startswith("Error: there is no source 'Faker'")
    assert all(one in unknown.output for one in ids)
    assert delete(tmp_path, "source", ids[0].upper(), "--yes").exit_code == 0
    assert delete(tmp_path, "source", "faker source", "--yes").exit_code == 0


def test_of_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """Its database is not touched."""
    with running_local_airbyte(tmp_path, ScriptedEngine()) as airbyte, airbyte.api() as api:
        api.source(count=3)
    with only_server(settings.resolve_home(tmp_path)):
        refused = delete(tmp_path, "source", "faker source", "--yes")
    assert refused.exit_code == 1
    assert refused.output.splitlines()[-1] == (
        f"Error: already running in {tmp_path} (it starts or ends just now), and does not answer"
    )
    assert delete(tmp_path, "source", "faker source", "--yes").exit_code == 0
