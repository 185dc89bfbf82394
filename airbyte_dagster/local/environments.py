"""Python environments for connectors, made by uv at first need in a cache that all homes of a user share.

Connectors pin packages that clash with one another and with Dagster, so each lives in an environment of its own. A
known one is installed from a file in ``pins/`` that names every package; any other ``airbyte-source-*`` gets the newest
version that fits its Python.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from airbyte_dagster.local.children import Children
from airbyte_dagster.local.engine import Progress
from airbyte_dagster.local.isolation import uv_environment
from airbyte_dagster.local.settings import CONNECTOR_NAME

"""Called with one line of text: what is being done, and for how many seconds."""

MANIFESTS = "declarative-manifest"
"""The environment of the program that runs declarative manifests, which comes with Airbyte's development kit."""
_DEVELOPMENT_KIT = "airbyte-cdk"
COMPLETE = ".complete"
"""A file in each environment that is whole; its content has the version."""
USED = ".used"
"""A file in an environment whose time is that of its last use."""
DEFAULT_PYTHON = ">=3.10,<3.13"
PREFERRED_PYTHONS = ("3.11", "3.10", "3.12")
NAME = CONNECTOR_NAME
_SECONDS_BETWEEN_LINES = 5
PINS = Path(__file__).parent / "pins"
_NO_SUCH_PACKAGE = re.compile(r"was not found in the (package registry|cache|provided)|no versions of", re.IGNORECASE)


class EnvironmentFailed(Exception):
    """An environment could not be made.

    Args:
        message: One sentence: what failed, uv's own last line, and where the full output is.
    """


class NoSuchPackage(EnvironmentFailed):
    """The package index has no package of that name."""


@dataclass(frozen=True)
class Environment:
    """A finished environment.

    Args:
        path: Its directory.
        version: The version of the package it was made for, such as ``7.2.1``.
    """

    path: Path
    version: str

    def executable(self, name: str) -> Path:
        """The path of a program in it, which may not exist."""
        return self.path / "bin" / name


class Environments:
    """The environments below one directory.

    Args:
        root: The directory; made when missing. Several homes and processes may share it.
        clock: Monotonic seconds, for progress.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._children = Children()

    def close(self) -> None:
        """End installations; none can be started any more."""
        self._children.close()

    def path(self, name: str) -> Path:
        """The directory of an environment of this name, which need not exist."""
        pins = PINS / f"{name}.txt"
        suffix = hashlib.sha256(pins.read_bytes()).hexdigest()[:12] if pins.is_file() else "latest"
        return self._root / f"source-{name}-{suffix}"

    def find(self, name: str) -> Environment | None:
        """The environment of this name if it is complete, without making it.

        Args:
            name: `MANIFESTS`, or a connector's short name such as ``faker``.
        """
        path = self.path(name)
        version, python = complete_version(path), path / "bin" / "python"
        if version is None or (python.is_symlink() and not python.exists()):  # the machine's Python was removed
            return None
        return Environment(path, version)

    def ensure(self, name: str, on_progress: Progress | None = None) -> Environment:
        """The environment of this name, made now if need be. Processes that ask at once wait for one of them.

        Args:
            name: `MANIFESTS`, or a connector's short name such as ``faker``.
            on_progress: Told what is going on while it is made; not called when it exists.

        Raises:
            NoSuchPackage: The index has no ``airbyte-source-NAME``.
            EnvironmentFailed: uv could not make or fill it.
        """
        if not NAME.fullmatch(name):
            raise NoSuchPackage(f"{name!r} is not a connector's name: lower-case letters, digits and dashes")
        say = on_progress or (lambda _: None)
        found = self.find(name)
        if found is None:
            path = self.path(name)
            self._root.mkdir(parents=True, exist_ok=True)
            with locked(path, lambda: say(f"waiting for another process that installs {_what(name)}")):
                found = self.find(name) or self._make(name, path, say)
        with contextlib.suppress(OSError):  # a cache that can only be read
            (found.path / USED).touch()
        return found

    def _make(self, name: str, path: Path, on_progress: Progress) -> Environment:
        pins = PINS / f"{name}.txt"
        package, what = _package(name), _what(name)
        log = Path(f"{path}.log")
        log.unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)  # a build that was interrupted has no marker
        on_progress(f"installing {what}")
        self._uv(["venv", "--python", _choose_python(_python_range(pins)), str(path)], what, log, on_progress)
        install = ["pip", "install", "--python", str(path / "bin" / "python")]
        # A pinned list is complete, so resolving again could only fail or drift.
        wanted = ["--no-deps", "-r", str(pins)] if pins.is_file() else [package]
        self._uv([*install, *wanted], what, log, on_progress)
        environment = Environment(path, _installed_version(path, package))
        if not environment.executable(f"source-{name}").is_file():
            raise EnvironmentFailed(f"{package} brought no program source-{name}, so it can't be run")
        (path / COMPLETE).write_text(json.dumps({"version": environment.version}), encoding="utf-8")
        on_progress(f"{what} is ready")
        return environment

    def _uv(self, arguments: list[str], what: str, log: Path, on_progress: Progress) -> None:
        started = self._clock()
        environment = {**uv_environment(), "NO_COLOR": "1"}
        if not os.access(os.environ.get("HOME") or "/nonexistent", os.W_OK):
            environment.setdefault("UV_CACHE_DIR", str(self._root.parent / "uv"))
        with (
            log.open("ab") as output,
            self._children.start(
                [_uv_program(), *arguments, "--no-progress"], env=environment, stdout=output, stderr=output
            ) as process,
        ):
            code = None
            while code is None:
                try:
                    code = process.wait(timeout=_SECONDS_BETWEEN_LINES)
                except subprocess.TimeoutExpired:
                    on_progress(f"installing {what}: {self._clock() - started:.0f} s")
        if code != 0:
            text = log.read_text(encoding="utf-8", errors="replace")
            last = next((line.strip(" │╰─▶×") for line in reversed(text.splitlines()) if line.strip()), "no output")
            kind = NoSuchPackage if _NO_SUCH_PACKAGE.search(text) else EnvironmentFailed
            raise kind(f"Installing {what} failed: {last} (full output: {log})")


def pinned() -> list[str]:
    """The connectors with a list of pinned versions, by short name."""
    return sorted(path.stem for path in PINS.glob("*.txt") if path.stem != MANIFESTS)


def complete_version(path: Path) -> str | None:
    """The version of what an environment was made for; ``None`` if it is not there, or not whole."""
    try:
        marker = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(marker["version"])


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of an environment for a block: one process makes or deletes it.

    Args:
        path: The environment's directory.
        waiting: Called every 5 s until the lock can be had.
    """
    lock = FileLock(f"{path}.lock")
    while True:
        try:
            lock.acquire(timeout=_SECONDS_BETWEEN_LINES)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


def _package(name: str) -> str:
    return _DEVELOPMENT_KIT if name == MANIFESTS else f"airbyte-source-{name}"


def _what(name: str) -> str:
    return f"{'' if name == MANIFESTS else 'the connector '}{_package(name)}"


def _uv_program() -> str:
    from uv import find_uv_bin  # noqa: PLC0415 - only needed when something is installed

    return str(find_uv_bin())


def _python_range(pins: Path) -> str:
    if pins.is_file():
        first = pins.read_text(encoding="utf-8").splitlines()[0]
        if first.startswith("# python:"):
            return first.removeprefix("# python:").strip()
    return DEFAULT_PYTHON


def _choose_python(version_range: str) -> str:
    """A Python of the machine that is in the range, tried in order of preference; else the range, for uv to fetch."""
    below = version_range.rsplit("<", 1)[-1]
    for version in PREFERRED_PYTHONS:
        if tuple(map(int, version.split("."))) >= tuple(map(int, below.split("."))):
            continue
        command = [_uv_program(), "python", "find", "--no-project", "--no-python-downloads", version]
        found = subprocess.run(command, capture_output=True, text=True, check=False, env=uv_environment())
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    return version_range


def _installed_version(path: Path, package: str) -> str:
    prefix = package.replace("-", "_")
    for entry in path.glob(f"lib/python3*/site-packages/{prefix}-*.dist-info"):
        return entry.name.removeprefix(f"{prefix}-").removesuffix(".dist-info")
    return "unknown"


def prepare(root: Path, names: Iterable[str], on_progress: Progress | None = None) -> None:
    """Make the environments of these connectors; what exists is left alone.

    Args:
        root: The directory of environments, a home's ``environments``.
        names: Short names, such as ``faker``.
        on_progress: Told what is going on, one line at a time.

    Raises:
        EnvironmentFailed: One of them could not be made.
    """
    environments = Environments(root)
    for name in dict.fromkeys(names):
        environments.ensure(name, on_progress)
