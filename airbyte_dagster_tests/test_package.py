"""What is shipped: the wheel, the public names, lazy imports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_origin

import pytest
from uv import find_uv_bin

import airbyte_dagster
from airbyte_dagster import errors
from airbyte_dagster.local.settings import CACHE_VARIABLE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "airbyte_dagster"


def test_public_names() -> None:
    """Others build on these; each can be had, and is of this package."""
    assert set(airbyte_dagster.__all__) == {
        "AirbytePipeline",
        "AirbytePipelineComponent",
        "AirbyteResource",
        "AirbyteStreamProps",
        "AirbyteTranslator",
        "AirbyteWorkspaceComponent",
        "Checks",
        "Connection",
        "CompletedSync",
        "ConnectionSelector",
        "Destination",
        "MotherDuckResource",
        "OnRunning",
        "OpSettings",
        "PostgresWarehouseResource",
        "Reconcile",
        "Schedule",
        "Source",
        "SqlWarehouseResource",
        "Stream",
        "SyncMode",
        "WarehouseResource",
        "airbyte_assets",
        "build_airbyte_sync_sensor",
        "build_file_sensor",
        "build_pipeline_defs",
        "build_watermark_sensor",
        "build_webhook_app",
        "build_workspace_defs",
        "load_airbyte_asset_specs",
    }
    for name in airbyte_dagster.__all__:
        found = getattr(airbyte_dagster, name)
        assert get_origin(found) is Literal or found.__module__.startswith("airbyte_dagster.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        airbyte_dagster.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("airbyte_dagster", {"dagster", "airbyte_api", "httpx", "pydantic", "duckdb"}),
        ("airbyte_dagster.airbyte", {"dagster", "airbyte_api"}),
        ("airbyte_dagster.cli.main", {"dagster", "airbyte_api", "fastapi", "sqlalchemy", "rich"}),
        ("airbyte_dagster.definitions", {"airbyte_api", "duckdb", "fastapi"}),
    ],
)
def test_imports_are_lazy(module: str, absent: set[str]) -> None:
    """What a module does not need at once, it does not load."""
    code = f"import {module}, sys; print(*sorted({absent!r} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert loaded == []


def all_errors(base: type[BaseException] = errors.AirbyteDagsterError) -> set[type[BaseException]]:
    return {base}.union(*(all_errors(kind) for kind in base.__subclasses__()))


def test_errors_are_a_drawn_tree() -> None:
    """The docstring of the module draws every error at its place; each says in its own what it means."""
    drawn = errors.__doc__ or ""
    for kind in all_errors():
        if kind.__module__ == "airbyte_dagster.errors":
            assert re.search(rf"\b{kind.__name__}\b", drawn), kind
        assert kind.__doc__, kind


def test_message_and_guidance_are_one_line_each() -> None:
    """White space that others put into a message is folded."""
    error = errors.AirbyteDagsterError("a\n  b", guidance="do\nthis.")

    assert (error.message, error.guidance, str(error)) == ("a b", "do this.", "a b. do this.")


def test_pins_of_connectors_are_names_and_versions_only() -> None:
    """No addresses, no paths, no hashes: whoever installs has an index of their own."""
    for path in (PACKAGE / "local" / "pins").glob("*.txt"):
        for line in path.read_text().splitlines():
            assert re.fullmatch(r"(#.*|[A-Za-z0-9_.\-]+(\[[\w,-]+\])?==[\w.+!-]+( ; .*)?)", line), (path.name, line)
            assert "://" not in line


def uv(directory: Path, *arguments: str | Path) -> None:
    result = subprocess.run([find_uv_bin(), *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


class Installed:
    """The project's wheel in an environment that has nothing but what it asks for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        uv(directory, "build", "--quiet", "--wheel", "--out-dir", directory / "dist", ROOT)
        (self._wheel,) = (directory / "dist").glob("*.whl")
        uv(directory, "venv", "--quiet", "--python", sys.executable, directory / "environment")
        self.add()

    def add(self, extras: str = "") -> None:
        """Install the wheel with these extras."""
        python = self.directory / "environment" / "bin" / "python"
        install = ("pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "requirements.txt")
        uv(self.directory, *install, f"airbyte-dagster{extras} @ {self._wheel.as_uri()}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRBYTE_", "PYTHON", "MOTHERDUCK_", "DAGSTER_"))
        }
        program, *arguments = command
        return subprocess.run(
            [str(self.directory / "environment" / "bin" / program), *arguments],
            cwd=self.directory,
            env={
                **kept,
                "AIRBYTE_DAGSTER_HOME": str(self.directory / "home"),
                CACHE_VARIABLE: os.environ[CACHE_VARIABLE],
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.real
def test_wheel_says_what_it_lacks_and_does_the_main_job_with_it(tmp_path: Path, environments: Path) -> None:
    """Definitions, types and commands are there; local Airbyte is an extra, and its absence is one sentence.

    With the extra, the pins, the worker and all else that local Airbyte needs are there, too.
    """
    installed = Installed(tmp_path)
    code = (
        "import airbyte_dagster.definitions as d; from airbyte_dagster.cli import run, dev;"
        "from importlib.resources import files;"
        "skill = files('airbyte_dagster').joinpath('.agents/skills/airbyte-dagster/SKILL.md');"
        "print(files('airbyte_dagster').joinpath('py.typed').is_file(), skill.is_file(), d.pipeline.name)"
    )
    loaded = installed.run("python", "-c", code)
    assert loaded.stdout == "True True faker_to_duckdb\n", loaded.stderr

    assert "Usage: airbyte-dagster" in installed.run("airbyte-dagster", "--help").stdout
    for arguments in (["run"], ["local", "serve", "--port", "0"]):
        lacking = installed.run("airbyte-dagster", *arguments)
        assert lacking.returncode == 2
        assert "pip install 'airbyte-dagster[local]'" in lacking.stderr

    installed.add("[local]")
    (tmp_path / "home").mkdir(exist_ok=True)

    done = installed.run("airbyte-dagster", "run")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "What arrived" in done.stdout


@pytest.mark.real
def test_environment_of_make_is_made_with_progress_and_without_a_home_directory(tmp_path: Path) -> None:
    """`make` shows what takes its time, not the list of all packages; uv's downloads have a place in any case."""
    project = tmp_path / "project"
    (project / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "environment", project / "scripts")
    pins = (ROOT / "requirements.txt").read_text()
    blocks = [
        re.findall(rf"^{name}==.*?[^\\\\]\n", pins, re.MULTILINE | re.DOTALL)
        for name in ("iniconfig", "setuptools", "uv")
    ]
    (project / "requirements.txt").write_text("".join(block for (block,) in blocks))
    (project / "pyproject.toml").write_text('[project]\nname = "nothing"\nversion = "0"\n')
    (project / "nothing.py").touch()
    without = {name: value for name, value in os.environ.items() if not name.startswith(("AIRBYTE_", "XDG_", "UV_C"))}

    made = subprocess.run(
        [str(project / "scripts" / "environment"), ".venv"],
        env={**without, "HOME": "/dev/null/home", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode == 0, made.stdout + made.stderr
    shown = made.stdout[made.stdout.index("Installing the pinned packages\n") :]
    assert re.search(r"^  Resolved 3 packages in ", shown, re.MULTILINE), shown
    assert re.search(r"^  Installed 2 packages in ", shown, re.MULTILINE), shown
    assert "iniconfig" not in shown
    assert (project / ".airbyte-dagster" / "cache" / "uv").is_dir()
    assert (project / ".venv" / "ready").is_file()


@pytest.mark.xdist_group("probe")
def test_tests_of_one_group_share_a_worker(request: pytest.FixtureRequest) -> None:
    """Those that share a daemon rely on it. pytest-xdist knows a group by the end of a test's id."""
    assert request.node.nodeid.endswith("@probe") is bool(request.config.getoption("loadgroup", default=False))
