"""Carry out a Dockerfile without Docker: each instruction as it stands, in a file system of its own.

A base image is this machine's system, read-only, with its Python as ``python``. What instructions write is in
directories of their own; layers up to a chosen instruction are kept for the next time, as Docker keeps them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64")
_OWN = ("etc", "opt", "home", "root", "tmp", "var/lib", "var/tmp", "shim/bin", "proc", "dev")
_PATH = "/shim/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: How this machine's programs reach the package registry.
_PASSED_ON = re.compile(r"PIP_(?!NO_CACHE_DIR|FIND_LINKS).*|SSL_CERT_.*|REQUESTS_CA_BUNDLE|https?_proxy", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile's, in one line."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """A list in JSON, or words."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """What the instructions of a stage have made.

    Attributes:
        root: Its file system.
        variables: Of ``ENV`` and ``ARG``.
        user: Of ``USER``, in numbers.
        directory: Of ``WORKDIR``.
        command: Of ``CMD``.
        health: The command of ``HEALTHCHECK``.
    """

    root: Path
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    user: str = "0:0"
    directory: str = "/"
    command: Sequence[str] = ()
    health: Sequence[str] = ()

    def start(self, *command: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command as the image's user, in its file system."""
        passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
        environment = {"HOME": "/tmp", "LANG": "C.UTF-8", **passed_on, **self.variables, **(variables or {})}
        inside = f"cd {shlex.quote(self.directory)} && exec env {shlex.join(command)}"
        assigned = [f"{name}={value}" for name, value in environment.items()]
        change = ["chroot", f"--userspec={self.user}", str(self.root), "env", "-i", *assigned, "sh", "-c", inside]
        return subprocess.Popen(
            [*_NAMESPACE, "sh", "-e", "-c", f"{self._mounts()}\nexec {shlex.join(change)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, variables: Mapping[str, str] | None = None, given: str | None = None) -> str:
        """Run a command, which has to succeed, and return what it prints."""
        process = self.start(*command, variables=variables)
        printed, _ = process.communicate(given)
        assert process.returncode == 0, f"{shlex.join(command)}: {printed}"
        return printed

    def _mounts(self) -> str:
        """The commands that show the system below what is the stage's own."""
        python = Path(sys._base_executable)  # type: ignore[attr-defined]
        shown = [Path("/", name) for name in _SYSTEM if Path("/", name).exists()]
        if not python.is_relative_to("/usr"):
            shown.append(Path(sys.base_prefix))
        lines = []
        for path in shown:
            target = shlex.quote(f"{self.root}{path}")
            if path.is_symlink():
                lines.append(f"[ -L {target} ] || ln -s {shlex.quote(str(path.readlink()))} {target}")
            else:
                lines.append(f"mkdir -p {target}; mount --bind {shlex.quote(str(path))} {target}")
                lines.append(f"mount -o remount,bind,ro {target}")
        root = shlex.quote(str(self.root))
        return "\n".join([*lines, f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"])


_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")


def _empty(root: Path) -> Path:
    for name in _OWN:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    shutil.copytree("/etc", root / "etc", symlinks=True, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    (root / "shim" / "bin" / "python").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    return root


def instructions(file: Path) -> Iterator[Instruction]:
    """Read a Dockerfile: comments left out, continued lines joined."""
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, text = line.strip().partition(" ")
        yield Instruction(name.upper(), text.strip())


class Build:
    """The build of one Dockerfile.

    Args:
        file: The Dockerfile.
        context: The directory that ``COPY`` copies from.
        directory: Where file systems are made; all of it can be removed afterwards.
        layers: Where the layers up to and including the last instruction that matches `kept` stay.
        kept: A pattern of text.
        arguments: In place of the defaults of ``ARG``.
    """

    def __init__(
        self, file: Path, context: Path, directory: Path, layers: Path, kept: str, arguments: Mapping[str, str]
    ) -> None:
        self._file = file
        self._context = context
        self._directory = directory
        self._layers = layers
        self._kept = kept
        self._arguments = arguments
        self._stages: dict[str, Stage] = {}

    def run(self) -> Stage:
        """Carry out all instructions, and return the last stage."""
        texts = list(instructions(self._file))
        starts = [number for number, one in enumerate(texts) if one.name == "FROM"]
        declared = dict(self._assigned(one) for one in texts[: starts[0]])
        stage: Stage | None = None
        for start, end in zip(starts, [*starts[1:], len(texts)], strict=True):
            words = texts[start].words
            name = words[-1] if "AS" in words else "final"
            stage = self._stage(name, texts[start + 1 : end], {**declared, **self._arguments})
            self._stages[name] = stage
        assert stage is not None
        return stage

    @staticmethod
    def _assigned(one: Instruction) -> tuple[str, str]:
        name, _, value = one.text.partition("=")
        return name, value

    def _stage(self, name: str, steps: Sequence[Instruction], declared: Mapping[str, str]) -> Stage:
        kept = [number for number, one in enumerate(steps) if re.search(self._kept, one.text)]
        split = kept[-1] + 1 if kept else 0
        self._directory.mkdir(parents=True, exist_ok=True)
        root = self._directory / name
        stage = Stage(root)
        if not split:
            _empty(root)
        else:
            layer = self._layer(name, steps[:split], declared)
            subprocess.run(["cp", "-a", "--reflink=auto", str(layer), str(root)], check=True)
            self._carry_out(stage, [one for one in steps[:split] if one.name in ("ARG", "ENV")], declared)
        self._carry_out(stage, steps[split:], declared)
        return stage

    def _layer(self, name: str, steps: Sequence[Instruction], declared: Mapping[str, str]) -> Path:
        """The file system after these steps, made unless it is there."""
        digest = hashlib.sha256(f"{sys.version}{steps}{declared}".encode())
        for one in steps:
            for source in self._sources(one, {**declared}):
                digest.update(source.read_bytes())
        path = self._layers / f"{name}-{digest.hexdigest()[:12]}"
        self._layers.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not (path / ".complete").exists():
                shutil.rmtree(path, ignore_errors=True)
                self._carry_out(Stage(_empty(path)), steps, declared)
                (path / ".complete").touch()
        return path

    def _carry_out(self, stage: Stage, steps: Sequence[Instruction], declared: Mapping[str, str]) -> None:
        for one in steps:
            match one.name:
                case "ARG":
                    stage.variables[one.text] = declared[one.text]
                case "ENV":
                    known = {**stage.variables}
                    for assignment in shlex.split(one.text):
                        variable, _, value = assignment.partition("=")
                        stage.variables[variable] = _filled(value, known)
                case "WORKDIR":
                    stage.directory = one.text
                    (stage.root / one.text[1:]).mkdir(parents=True, exist_ok=True)
                case "USER":
                    stage.user = one.text
                case "RUN":
                    stage.run("sh", "-c", one.text)
                case "COPY":
                    self._copy(stage, one)
                case "CMD":
                    stage.command = one.words
                case "HEALTHCHECK":
                    stage.health = json.loads(one.text[one.text.index("[") :])
                case "EXPOSE":
                    pass
                case _:
                    raise AssertionError(f"{one.name} is not carried out here: {one.text}")

    def _sources(self, one: Instruction, variables: Mapping[str, str]) -> list[Path]:
        if one.name != "COPY" or "--from=" in one.text:
            return []
        return [self._context / _filled(word, variables) for word in one.words[:-1]]

    def _copy(self, stage: Stage, one: Instruction) -> None:
        words, target = one.words[:-1], one.words[-1]
        sources = self._sources(one, stage.variables)
        if words[0].startswith("--from="):
            other = self._stages[words[0].removeprefix("--from=")]
            sources = [other.root / word[1:] for word in words[1:]]
        there = stage.root / target[1:]
        for source in sources:
            if source.is_dir():  # its content, as Docker does
                shutil.copytree(source, there, symlinks=True, dirs_exist_ok=True)
            else:
                place = there / source.name if target.endswith("/") else there
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables[found[1]], text)
