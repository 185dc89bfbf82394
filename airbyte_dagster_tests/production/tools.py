"""Other people's programs that judge the example's files: from PyPI, or built of Go modules, each pinned."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from airbyte_dagster_tests.clients.environments import ROOT, python_environment

_PINS = Path(__file__).parent / "pins"


def python_tool(name: str) -> Path:
    """A program of ``clients/pins/validators.txt``, such as ``hadolint`` and ``kubernetes-validate``."""
    return python_environment("validators").with_name(name)


def docker_compose() -> Path:
    """Docker's own `compose`."""
    return _go_tool("compose", "github.com/docker/compose/v2/cmd")


def helm() -> Path:
    """Kubernetes' package manager."""
    return _go_tool("helm", "helm.sh/helm/v3/cmd/helm")


def _go_tool(name: str, package: str) -> Path:
    """Build a program from the versions and digests of ``pins/NAME``; a minute or two, the first time."""
    pins = _PINS / name
    digest = hashlib.sha256((pins / "go.sum").read_bytes() + (pins / "go.mod").read_bytes()).hexdigest()[:12]
    path = ROOT / f"{name}-{digest}"
    ROOT.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            go = python_environment("go").with_name("go")
            draft = path.with_suffix(".new")
            # Of this compiler's, not of another one that the machine may have.
            variables = {name: value for name, value in os.environ.items() if name != "GOROOT"}
            done = subprocess.run(
                [str(go), "build", "-o", str(draft), package],
                cwd=pins,
                env={**variables, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            draft.rename(path)
    return path


def judge(command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> str:
    """Run a program that has to be content, and return what it prints."""
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{shutil.which(command[0])}: {done.stdout}{done.stderr}"
    return done.stdout
