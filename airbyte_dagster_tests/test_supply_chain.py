"""What is installed, built and published: pins with hashes, the distributions, the workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from scripts.audit import COULD_NOT_LOOK, VULNERABLE, judge, main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = ["requirements.txt", "requirements-release.txt"]
#: Each minor version that the project says to run on.
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())


def requirements_of(path: Path) -> list[tuple[Requirement, list[str]]]:
    """The requirements of a file, each with its hashes."""
    found = []
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=sha256:", entry.strip())
        found.append((Requirement(requirement), hashes))
    return found


@pytest.mark.parametrize("name", PINS)
def test_pins_are_versions_with_hashes(name: str) -> None:
    """One version and at least one hash each; no addresses, no paths: whoever installs has an index of their own."""
    assert "://" not in (ROOT / name).read_text()
    pinned = requirements_of(ROOT / name)
    assert len(pinned) > 50
    for requirement, hashes in pinned:
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in hashes), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_are_what_the_project_asks_for(python: str) -> None:
    """On every Python there is one version of each package that the project names, and it is within its bounds."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    extras = PROJECT["project"]["optional-dependencies"]
    groups = {
        "requirements.txt": [*PROJECT["project"]["dependencies"], *extras["local"], *extras["dev"]],
        "requirements-release.txt": PROJECT["dependency-groups"]["release"],
    }
    for name, wanted in groups.items():
        versions: dict[str, list[str]] = {}
        for requirement, _ in requirements_of(ROOT / name):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                versions.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier)[2:])
        assert [package for package, found in versions.items() if len(found) > 1] == []
        for text in wanted:
            requirement = Requirement(text)
            if requirement.name != "airbyte-dagster" and (
                requirement.marker is None or requirement.marker.evaluate(environment)
            ):
                (version,) = versions[canonicalize_name(requirement.name)]
                assert version in requirement.specifier, (python, text, version)


@pytest.mark.real
def test_make_installs_nothing_of_another_hash(tmp_path: Path) -> None:
    """Not even uv itself: the environment is not made, and the message names the package."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "environment", tmp_path / "scripts")
    pins = (ROOT / "requirements.txt").read_text()
    (block,) = re.findall(r"^uv==.*?[^\\]$", pins, re.MULTILINE | re.DOTALL)
    (tmp_path / "requirements.txt").write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", block) + "\n")
    without = {name: value for name, value in os.environ.items() if not name.startswith("AIRBYTE_")}

    made = subprocess.run(
        [str(tmp_path / "scripts" / "environment"), ".venv"],
        env={**without, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode != 0
    assert "DO NOT MATCH THE HASHES" in made.stderr
    assert "uv==" in made.stderr
    assert not (tmp_path / ".venv" / "ready").exists()
    assert not (tmp_path / ".venv" / "bin" / "uv").exists()


def build(directory: Path) -> tuple[Path, Path]:
    """Build the wheel and the sdist by the pinned setuptools, which is installed."""
    command = [find_uv_bin(), "build", "--quiet", "--no-build-isolation", "--python", sys.executable]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
    subprocess.run([*command, "--out-dir", str(directory), str(ROOT)], env=environment, check=True)
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return wheel, sdist


def test_distributions_have_the_package_and_nothing_else(tmp_path: Path) -> None:
    """All modules and data, and no tests, which need a clone; the same commit gives the same wheel."""
    wheel, sdist = build(tmp_path / "first")

    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "airbyte_dagster").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = archive.read(metadata).decode()
    info = metadata.rpartition("/")[0]
    described_by = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
    assert names == package | {f"{info}/{name}" for name in described_by}
    assert "Description-Content-Type: text/markdown" in described
    assert "License-Expression: Apache-2.0" in described
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
        owners = {(member.uname, member.gname) for member in archive}
    egg = {name for name in files if name.startswith("airbyte_dagster.egg-info/")}
    assert files - egg == package | {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert len(owners) == 1
    again, _ = build(tmp_path / "second")
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(
    ("dependencies", "code", "words"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "No known vulnerability in 1 packages"),
        ([{"name": "a", "skip_reason": "not found"}], COULD_NOT_LOOK, r"no answer for 1 of 1 packages \(a\)"),
        ([], COULD_NOT_LOOK, "no answer for 0 of 0"),
        (
            [
                {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]},
                {"name": "b", "skip_reason": "not found"},
            ],
            VULNERABLE,
            r"(?s)a 1: PYSEC-1, fixed in 2.*no answer for 1 of 2",
        ),
    ],
)
def test_an_audit_that_could_not_look_is_no_pass(dependencies: list[dict[str, Any]], code: int, words: str) -> None:
    """pip-audit ends with 0 where no service knows a package."""
    found, lines = judge(dependencies)

    assert found == code
    assert re.search(words, "\n".join(lines))


def test_an_audit_without_a_report_is_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As where the service can't be reached, or is down for one of the files; the other one's report is read."""
    report = json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]})
    program = f"import sys\nif 'bad.txt' in sys.argv: sys.exit('ERROR: no route')\nprint('''{report}''')\n"
    (tmp_path / "pip_audit.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert main(["good.txt"]) == 0
    assert main(["good.txt", "bad.txt"]) == COULD_NOT_LOOK
    assert "Could not look: pip-audit gave no report: ERROR: no route" in capfd.readouterr().out


def jobs_of(path: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return jobs


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_the_least_that_they_need(path: Path) -> None:
    """Other people's actions by full commit hash, with the version beside it; no right but a job's own; no secrets."""
    text = path.read_text()
    used = re.findall(r"uses: *(.*)", text)
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []
    assert yaml.safe_load(text)["permissions"] == {}
    assert "secrets." not in text
    assert "pull_request_target" not in text
    # In a shell's text, what a tag or branch is called would be run.
    assert re.findall(r"run:.*\$\{\{", text) == []
    for job in jobs_of(path).values():
        assert job["timeout-minutes"] <= 90
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_release_is_tested_before_it_is_published() -> None:
    """On every Python, as it was built; the one job that may sign in at the index runs nothing of this repository."""
    jobs = jobs_of(ROOT / ".github" / "workflows" / "release.yaml")

    assert jobs["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert (jobs["test"]["needs"], jobs["publish"]["needs"], jobs["release-notes"]["needs"]) == (
        "build",
        "test",
        "publish",
    )
    rights = {name: job["permissions"] for name, job in jobs.items()}
    assert rights == {
        "build": {"contents": "read"},
        "test": {"contents": "read"},
        "publish": {"id-token": "write", "attestations": "write"},
        "release-notes": {"contents": "write"},
    }
    assert [step for step in jobs["publish"]["steps"] if "run" in step] == []
    assert jobs["publish"]["environment"] == "release"


def test_workflows_call_what_there_is() -> None:
    """Targets of make, and scripts that can be run."""
    targets = set(re.findall(r"^([\w.$()/-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [
        step["run"] for path in WORKFLOWS for job in jobs_of(path).values() for step in job["steps"] if "run" in step
    ]
    called = re.findall(r"^make (\S+)", "\n".join(commands), re.MULTILINE)
    assert {name.replace(".venv", "$(VENV)") for name in called} <= targets
    scripts = re.findall(r"^(?:\.ci|scripts)/\w+", "\n".join(commands), re.MULTILINE)
    assert set(scripts) == {".ci/run", "scripts/release"}
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)
