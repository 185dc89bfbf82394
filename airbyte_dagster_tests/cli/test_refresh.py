"""``airbyte-dagster refresh``: the workspaces of definitions are read again, and what changed is printed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from airbyte_dagster import AirbyteResource
from airbyte_dagster.cli.refresh import refresh
from airbyte_dagster.errors import BadCredentials, ConfigurationError
from airbyte_dagster.workspaces.snapshot import WorkspaceSnapshot
from airbyte_dagster.workspaces.state import snapshot_of
from airbyte_dagster_tests.command_line import Commands
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

DEFINITIONS = """\
import dagster as dg
from airbyte_dagster import AirbyteResource, build_workspace_defs

defs = build_workspace_defs(
    AirbyteResource(
        server_url={url!r},
        client_id=dg.EnvVar("REFRESH_ID"),
        client_secret=dg.EnvVar("REFRESH_SECRET"),
        workspace_id={workspace!r},
        max_attempts=1,
    ),
    name={name!r},
    state_path={path!r},
)
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's, and nothing that `refresh` sets stays."""
    for name in ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET", "WORKSPACE_ID", "DAGSTER_HOME"):
        monkeypatch.setenv(f"AIRBYTE_{name}", "")
        monkeypatch.delenv(f"AIRBYTE_{name}")
    monkeypatch.setenv("AIRBYTE_DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")


@pytest.fixture
def shop(airbyte: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a connection, and the variables of the definitions."""
    monkeypatch.setenv("REFRESH_ID", airbyte.client_id)
    monkeypatch.setenv("REFRESH_SECRET", airbyte.client_secret)
    return api.connection(api.source(count=5), api.destination(), ["users"], name="shop")


def definitions(airbyte: RunningAirbyte, directory: Path, name: str = "lake") -> Path:
    text = DEFINITIONS.format(
        url=airbyte.server_url, workspace=airbyte.workspace_id, name=name, path=str(directory / f"{name}.json")
    )
    (directory / f"defs_{name}.py").write_text(text)
    return directory / f"defs_{name}.py"


def refreshed(home: Path, **what: object) -> str:
    for name in [name for name in sys.modules if name.startswith("defs_")]:
        del sys.modules[name]  # Dagster takes a file that this process has loaded from there
    output = io.StringIO()
    given = {"module": None, "file": None, **what}
    refresh(home, console=Console(file=output, width=100), **given)  # type: ignore[arg-type]
    return output.getvalue()


def test_what_changed_is_said(airbyte: RunningAirbyte, api: Api, shop: str, tmp_path: Path) -> None:
    """At first that nothing was there; then each connection, with what it cost and where it is."""
    file = definitions(airbyte, tmp_path)

    first = refreshed(tmp_path, file=file)
    source, destination = api.source(count=1), api.destination("other.duckdb")
    api.connection(source, destination, ["users", "products"], name="new one")
    api.ok("PATCH", f"/connections/{shop}", json={"name": "store"})
    second = refreshed(tmp_path, file=file)
    third = refreshed(tmp_path, file=file)

    assert f"Workspace 'lake' ({airbyte.workspace_id} at {airbyte.server_url}): 1 connection, 1 stream" in first
    assert "nothing was stored before" in first
    assert f"stored in {tmp_path / 'lake.json'}" in first
    assert "1 connection added, 1 connection changed (1 renamed)" in second
    assert "+ 'new one': 2 streams" in second
    assert "~ 'shop': is now 'store'" in second
    assert "3 calls, " in second
    assert "nothing changed" in third


def test_columns_are_asked_for_too(airbyte: RunningAirbyte, api: Api, shop: str, tmp_path: Path) -> None:
    """Where the definitions want them; those of a source that got new ones are changes."""
    file = definitions(airbyte, tmp_path)
    refreshed(tmp_path, file=file)
    file.write_text(file.read_text().replace("    name=", "    column_schemas=True,\n    name="))

    output = refreshed(tmp_path, file=file)

    assert "~ 'shop': 1 stream changed (users)" in output
    assert "4 calls, " in output
    stored = WorkspaceSnapshot.from_json((tmp_path / "lake.json").read_text())
    assert [(one.id, one.streams[0].columns) for one in stored.connections] == [(shop, ("id", "name", "updated_at"))]
    assert api is not None


def test_long_lists_are_cut(airbyte: RunningAirbyte, api: Api, shop: str, tmp_path: Path) -> None:
    """Twenty lines, and how many more."""
    file = definitions(airbyte, tmp_path)
    refreshed(tmp_path, file=file)
    source, destination = api.source(count=1), api.destination("other.duckdb")
    for number in range(23):
        api.connection(source, destination, ["users"], name=f"c {number:02}")

    output = refreshed(tmp_path, file=file)

    assert output.count("+ 'c ") == 20
    assert "… and 3 more" in output
    assert shop


@pytest.mark.usefixtures("shop")
def test_a_module_is_looked_at_too(airbyte: RunningAirbyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each workspace of its definitions."""
    definitions(airbyte, tmp_path, "one_of_two")
    definitions(airbyte, tmp_path, "two_of_two")
    (tmp_path / "refresh_both.py").write_text(
        "import dagster as dg, defs_one_of_two as one, defs_two_of_two as two\n"
        "defs = dg.Definitions(metadata={**one.defs.metadata, **two.defs.metadata})\n"
    )
    monkeypatch.chdir(tmp_path)

    output = refreshed(tmp_path, module="refresh_both")

    assert [line.split("'")[1] for line in output.splitlines() if line.startswith("Workspace ")] == [
        "one_of_two",
        "two_of_two",
    ]
    for name in ("refresh_both", "defs_one_of_two", "defs_two_of_two"):
        sys.modules.pop(name)


@pytest.mark.usefixtures("shop")
def test_the_workspace_of_the_environment(
    airbyte: RunningAirbyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored where definitions that are made of the environment look for it."""
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRBYTE_DAGSTER_HOME", "/elsewhere")

    refreshed(tmp_path / "home")

    monkeypatch.setenv("AIRBYTE_CLIENT_SECRET", "not the secret")
    loaded = snapshot_of(AirbyteResource.from_env(), None, refresh=False)
    assert [one.name for one in loaded.connections] == ["shop"]


def test_no_airbyte_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"names no Airbyte.*AIRBYTE_SERVER_URL.*-m or -f"):
        refreshed(tmp_path)


def test_definitions_without_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")

    with pytest.raises(ConfigurationError, match=r"none\.py have no workspace.*dg utils refresh-defs-state"):
        refreshed(tmp_path, file=tmp_path / "none.py")


def test_airbyte_refuses(airbyte: RunningAirbyte, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored stays, and no secret is told."""
    file = definitions(airbyte, tmp_path)
    refreshed(tmp_path, file=file)
    before = (tmp_path / "lake.json").read_text()
    monkeypatch.setenv("REFRESH_SECRET", "PLANTED")

    with pytest.raises(BadCredentials) as caught:
        refreshed(tmp_path, file=file)

    assert "PLANTED" not in str(caught.value)
    assert (tmp_path / "lake.json").read_text() == before
    assert shop


def test_the_command(airbyte: RunningAirbyte, shop: str, tmp_path: Path) -> None:
    """Its status is 0, or 2 with one message."""
    commands = Commands(tmp_path / "home")
    file = str(definitions(airbyte, tmp_path))
    signed_in = {"REFRESH_ID": airbyte.client_id, "REFRESH_SECRET": airbyte.client_secret}

    done = commands.run("refresh", "-f", file, **signed_in)
    refused = commands.run("refresh", "-f", file, **{**signed_in, "REFRESH_SECRET": "PLANTED"})
    both = commands.run("refresh", "-f", file, "-m", "x")

    assert done[0] == 0, done[1]
    assert "1 connection, 1 stream" in done[1]
    assert refused[0] == 2
    assert [line.startswith("Error: ") for line in refused[1].strip().splitlines()[-1:]] == [True]
    assert "Traceback" not in refused[1]
    assert "PLANTED" not in refused[1]
    assert (both[0], "not both" in both[1]) == (2, True)
    assert shop
