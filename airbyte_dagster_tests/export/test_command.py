"""``airbyte-dagster export``, against local Airbyte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result

from airbyte_dagster.cli.main import commands
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.export import export, read_contents
from airbyte_dagster.pipelines.asset_specs import stream_assets
from airbyte_dagster.workspaces.catalog import build_catalog
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster_tests.conftest import client_of
from airbyte_dagster_tests.dg_project import TYPE, Project
from airbyte_dagster_tests.export.records import loaded
from airbyte_dagster_tests.local.fakes import RunningAirbyte

SECRET = "PLANTED-secret"


@pytest.fixture
def environment(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> RunningAirbyte:
    """Local Airbyte with two connections, and the environment that leads to it."""
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    with airbyte.api() as api:
        source, destination = api.source(api_key=SECRET), api.destination(str(airbyte.home.warehouse))
        api.connection(source, destination, ["users"], name="shop users")
        api.connection(source, destination, ["products"], name="shop products")
    return airbyte


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, ["export", *map(str, arguments)])


def test_files_are_yaml_on_the_standard_output(environment: RunningAirbyte, project: Project) -> None:
    """All else goes to stderr; several are one file of several documents, which Dagster reads."""
    result = run("shop *")

    assert result.exit_code == 0, result.output
    assert [document["attributes"]["name"] for document in yaml.safe_load_all(result.stdout)] == [
        "shop_products",
        "shop_users",
    ]
    assert "Reading the workspace 'Default Workspace'" in result.stderr
    assert "2 of 2 connections exported." in result.stderr
    assert "  FAKER_SOURCE_API_KEY: api_key of the source 'faker source'\n" in result.stderr
    assert result.stderr.count("FAKER_SOURCE_API_KEY") == 1
    assert SECRET not in result.output
    project.write("shop", result.stdout)
    assert {"sync_shop_users", "sync_shop_products"} <= set(project.load().get_repository_def().job_names)


def test_files_are_written_and_never_lost(
    environment: RunningAirbyte, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory each, as a project of ``dg`` has them; existing files are replaced only with --force, all or none."""
    nothing = run("shop users", "shop product", "--output", project.defs)
    assert "Did you mean 'shop products'" in str(nothing.exception)
    assert list(project.defs.glob("shop*")) == []

    result = run("*", "--output", project.defs)
    assert result.exit_code == 0, result.output
    users, products = (project.defs / f"shop_{name}" / "defs.yaml" for name in ("users", "products"))
    assert result.stdout == ""
    assert f"Wrote {users}\n" in result.stderr
    assert f"Wrote {products}\n" in result.stderr
    assert project.yaml_problems(capsys) == []
    dg.Definitions.validate_loadable(project.load())

    users.write_text("mine")
    products.unlink()
    refused = run("*", "--output", project.defs)
    assert isinstance(refused.exception, ConfigurationError)
    assert str(refused.exception) == f"Existing files: {users}. --force replaces them. Nothing was written."
    assert users.read_text() == "mine"
    assert not products.exists()

    monkeypatch.setenv("FAKER_SOURCE_API_KEY", SECRET)
    forced = run("*", "--output", project.defs, "--force")
    assert f"Replaced {users}\n" in forced.stderr
    assert f"Wrote {products}\n" in forced.stderr
    assert "'faker source' (set here: its value will be sent)\n" in forced.stderr
    assert users.read_text().endswith("- users\n")
    assert SECRET not in forced.output + users.read_text()


def test_another_workspace_is_kept_in_the_file(
    environment: RunningAirbyte, project: Project, instance: dg.DagsterInstance
) -> None:
    """By id or by name; applying the file works there, and writes nothing."""
    with environment.api() as api:
        workspace = api.ok("POST", "/workspaces", json={"name": "second"})["workspaceId"]
        api.workspace_id = workspace
        api.connection(api.source(), api.destination(), ["users"], name="second users")

    by_name, by_id = run("*", "--workspace", "second"), run("*", "--workspace", workspace)

    assert by_name.stdout == by_id.stdout
    assert yaml.safe_load(by_name.stdout)["attributes"]["airbyte"] == {"workspace_id": workspace}
    project.write("second", by_name.stdout)
    result = project.load().resolve_job_def("provision_second_users").execute_in_process(instance=instance)
    assert result.success
    with environment.api() as api:
        assert len(api.ok("GET", "/sources", params={"workspaceIds": workspace})["data"]) == 1


def test_the_job_of_an_exported_file_changes_nothing(
    environment: RunningAirbyte, project: Project, instance: dg.DagsterInstance
) -> None:
    """The whole way, in a real run: the same ids, nothing updated, and its rows are checked."""
    with environment.api() as api:
        before = [api.ok("GET", path) for path in ("/sources", "/destinations", "/connections")]
        assert run("shop users", "-o", project.defs).exit_code == 0

        result = project.load().resolve_job_def("sync_shop_users").execute_in_process(instance=instance)

        assert result.success
        assert all(check.passed for check in result.get_asset_check_evaluations())
        assert [api.ok("GET", path) for path in ("/sources", "/destinations", "/connections")] == before


def test_assets_keep_their_keys(airbyte: RunningAirbyte) -> None:
    """And with them their history: they are those that the connections have in `build_workspace_defs`."""
    with airbyte.api() as api:
        source, destination = api.source(), api.destination()
        for name in ("Café → duck", "a b", "a-b"):
            api.connection(source, destination, ["users"], name=name)
    with client_of(airbyte) as client:
        before = {asset.key for asset in build_catalog(take_snapshot(client, airbyte.workspace_id)).assets}
        contents = read_contents(client, client.find_workspace())

    pipelines = [loaded(one.text).pipeline for one in export(contents, contents.connections)]

    assert {asset.key for pipeline in pipelines for asset in stream_assets(pipeline)} == before


def test_local_airbyte_is_found_by_its_home(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """Where the environment names none; without one, what to do is said."""
    with airbyte.api() as api:
        api.connection(api.source(), api.destination(), ["users"], name="users")
    missing = run("*", "--home", tmp_path / "nowhere")
    assert "no local Airbyte runs for" in str(missing.exception)
    assert "airbyte-dagster local serve" in str(missing.exception)

    record_server(airbyte)
    found = run("*", "--home", airbyte.home.root)

    assert found.exit_code == 0, found.exception
    assert f" at {airbyte.server_url} …" in found.stderr
    assert yaml.safe_load(found.stdout)["type"] == TYPE


def record_server(airbyte: RunningAirbyte) -> None:
    (airbyte.home.state_dir / "server.json").write_text(json.dumps({"url": airbyte.url, "pid": os.getpid()}))


def test_it_ends_as_the_other_commands_do(environment: RunningAirbyte) -> None:
    """In a process of its own: 0 with YAML alone on the standard output, 2 with one sentence."""

    def process(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "airbyte_dagster", "export", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done, failed, helped = process("shop users"), process("nothing like it"), process("--help")

    assert (done.returncode, yaml.safe_load(done.stdout)["attributes"]["name"]) == (0, "shop_users"), done.stderr
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.splitlines()[-1].startswith("Error: The workspace 'Default Workspace' has no connection")
    assert "Traceback" not in failed.stderr
    assert helped.returncode == 0
    for words in ("CONNECTION...", "glob", "--output", "--force", "--workspace", "--home"):
        assert words in helped.stdout
    assert process().returncode == 2
