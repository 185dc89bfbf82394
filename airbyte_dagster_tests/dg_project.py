"""A project of ``dg``, as its own scaffold makes one, and what its commands say of it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster_dg_core.check import check_yaml
from dagster_dg_core.context import DgContext

from airbyte_dagster.errors import SpecError

TYPE = "airbyte_dagster.AirbytePipelineComponent"

_PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
dependencies = ["dagster", "airbyte-dagster"]

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{name}"
"""
_DEFINITIONS = """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


class Project:
    """A project in a directory of its own, with a name of its own, so that it can be loaded into this process, too."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.root = root
        self.name = f"project_{uuid.uuid4().hex}"
        self.package = root / "src" / self.name
        self.defs = self.package / "defs"
        self.defs.mkdir(parents=True)
        (root / "pyproject.toml").write_text(_PYPROJECT.format(name=self.name))
        (self.package / "__init__.py").touch()
        (self.package / "definitions.py").write_text(_DEFINITIONS)
        (self.defs / "__init__.py").touch()
        (root / "dagster").mkdir()
        (root / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        if monkeypatch:
            monkeypatch.syspath_prepend(str(root / "src"))

    def write(self, name: str, text: str) -> Path:
        """Write ``defs/NAME/defs.yaml``."""
        path = self.defs / name / "defs.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def python(self, name: str, text: str) -> None:
        """Write ``defs/NAME.py``."""
        (self.defs / f"{name}.py").write_text(text)

    def load(self) -> dg.Definitions:
        """Build all its definitions, in this process."""
        return dg.ComponentTree.for_project(self.root).build_defs()

    def component(self, name: str) -> dg.Component:
        return dg.ComponentTree.for_project(self.root).load_component(self.defs / name)

    def problems(self) -> list[str]:
        """What loading it says is wrong."""
        try:
            self.load()
        except Exception as error:
            # Dagster wraps ours in its own.
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, SpecError):
                    return list(cause.problems)
                cause = cause.__cause__
            raise
        return []

    def yaml_problems(self, capsys: pytest.CaptureFixture[str]) -> list[str]:
        """What ``dg check yaml`` says is wrong, in this process, without the lines around it."""
        context = DgContext.for_project_environment(self.root, {})
        capsys.readouterr()
        valid = check_yaml(context, [], validate_requirements=False)
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(str(self.root))]
        assert valid == (not lines)
        return lines

    def dg(self, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run ``dg``; its status and all that it says."""
        ours = ("AIRBYTE_", "MOTHERDUCK_", "DAGSTER_")
        result = subprocess.run(
            [str(Path(sys.executable).parent / "dg"), *arguments],
            cwd=self.root,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
                "HOME": str(self.root),
                "PYTHONPATH": str(self.root / "src"),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "DAGSTER_HOME": str(self.root / "dagster"),
                "COLUMNS": "200",
                "NO_COLOR": "1",
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout
