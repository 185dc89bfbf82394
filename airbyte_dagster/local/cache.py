"""What is in the cache of environments, and cleaning it."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from airbyte_dagster.local.environments import COMPLETE, USED, Environments, complete_version, locked

_DIRECTORY = re.compile(r"(?:source-)?(?P<name>[a-z0-9][a-z0-9-]*)-(?:[0-9a-f]{12}|latest)")
_BLOCK = 512  # what st_blocks counts in
_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True)
class Cached:
    """An environment in the cache.

    Args:
        path: Its directory.
        name: What it is for: a connector's short name.
        version: Of the connector; None if its installation was not finished.
        size: Bytes on disk; files that it shares with uv's cache count in both.
        last_used: Epoch seconds.
        current: Whether this version of airbyte-dagster would use it; it makes another one if not.
    """

    path: Path
    name: str
    version: str | None
    size: int
    last_used: float
    current: bool


def cached(root: Path) -> list[Cached]:
    """Every environment below a directory, whole or not, by name."""
    environments = Environments(root)
    found = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    named = [(match["name"], path) for path in found if (match := _DIRECTORY.fullmatch(path.name))]
    return [_look(name, path, environments) for name, path in sorted(named)]


def _look(name: str, path: Path, environments: Environments) -> Cached:
    files = (Path(directory, file) for directory, _, names in os.walk(path) for file in names)
    used = path / USED
    return Cached(
        path=path,
        name=name,
        version=complete_version(path),
        size=sum(file.lstat().st_blocks * _BLOCK for file in files),
        last_used=(used if used.exists() else path).stat().st_mtime,
        current=environments.path(name) == path,
    )


def superfluous(
    environments: Iterable[Cached], *, unused_days: float | None = None, clock: Callable[[], float] = time.time
) -> list[Cached]:
    """Those that can go: unfinished, made for other versions of this package, or not used for long.

    Args:
        environments: The environments.
        unused_days: Also those that were not used for so many days; however long ago it was if None.
        clock: Epoch seconds.
    """

    def is_old(entry: Cached) -> bool:
        return unused_days is not None and clock() - entry.last_used >= unused_days * _SECONDS_PER_DAY

    return [entry for entry in environments if entry.version is None or not entry.current or is_old(entry)]


def remove(path: Path) -> None:
    """Delete an environment; one that is just being made, after that. A job that uses it fails."""
    with locked(path, lambda: None):
        (path / COMPLETE).unlink(missing_ok=True)  # first, so that what is half deleted is not used
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f"{path.name}.log").unlink(missing_ok=True)
