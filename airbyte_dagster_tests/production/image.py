"""What a host finds on its disk: the system's programs and this project's code, read-only, and else an empty disk."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "production"
#: Where the example's image has its files, and Dagster's home.
APP, HOME = "/opt/dagster/app", "/opt/dagster/dagster_home"

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_CODE = ("airbyte_dagster", "airbyte_dagster_tests", "benchmarks")


@dataclass(frozen=True)
class Image:
    """What each host of a kind boots with.

    Attributes:
        files: Copied to the host's disk: path there → path here.
        packages: Directories of Python packages beside the environment's, first those that win.
        variables: In the environment of all programs.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    packages: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        search = [str(path) for path in (*self.packages, REPOSITORY)]
        programs = [f"{path}/bin" for path in (*self.packages, Path(sys.prefix))]
        return {
            "PATH": ":".join([*programs, "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]),
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join(search),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "DAGSTER_HOME": HOME,
            **self.environment,
        }

    def script(self, root: Path, name: str, hosts_file: Path, volume: Path | None) -> str:
        """The shell script that makes the disk, and then sleeps as the host's first process."""
        lines = [
            f"mount -t tmpfs -o mode=755 tmpfs {_quoted(root)}",
            f"cd {_quoted(root)}",
            "mkdir -p proc dev tmp run root data mnt .old var/tmp var/log opt/dagster/app opt/dagster/dagster_home",
            "chmod 1777 tmp var/tmp",
        ]
        lines += [line for path in self._shown() for line in _bind(path, "ro")]
        lines += ["mount -t proc proc proc", "mount -t tmpfs -o mode=755 tmpfs dev", "mkdir -m 1777 dev/shm"]
        lines += [f"touch dev/{device} && mount --bind /dev/{device} dev/{device}" for device in _DEVICES]
        lines += ["ln -s /proc/self/fd dev/fd"]
        lines += [f"mount --bind {_quoted(hosts_file)} etc/hosts"]
        if volume is not None:
            lines += [f"mount --bind {_quoted(volume)} data"]
        for there, here in self.files.items():
            target = _quoted("." + there)
            lines += [f"mkdir -p $(dirname {target})", f"cp -rT {_quoted(here)} {target}"]
        lines += [f"hostname {name}", "pivot_root . .old", "umount -l /.old", "exec sleep infinity"]
        return "\n".join(lines)

    def _shown(self) -> list[Path]:
        system = [Path(path) for path in _SYSTEM if Path(path).exists()]
        base = Path(sys.base_prefix)
        python = [] if base.is_relative_to("/usr") else [base]
        return [*system, *python, Path(sys.prefix), *self.packages, *(REPOSITORY / name for name in _CODE)]


def _bind(path: Path, mode: str) -> list[str]:
    if path.is_symlink():
        return [f"cp -a {_quoted(path)} {_quoted(f'.{path}')}"]
    target = _quoted(f".{path}")
    return [
        f"mkdir -p {target}",
        f"mount --bind {_quoted(path)} {target}",
        f"mount -o remount,bind,{mode} {target}",
    ]


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))
