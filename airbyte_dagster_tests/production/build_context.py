"""What a builder is sent of a directory: what its ``.dockerignore`` leaves."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
from pathlib import Path


def copy_context(repository: Path, ignore: Path, target: Path) -> None:
    """Copy the files that git knows or would take, and that a ``.dockerignore`` of exceptions leaves.

    Args:
        repository: The root of the context.
        ignore: The file: ``*``, then exceptions, then what is left out of them wherever it is.
        target: A directory to make.
    """
    patterns = [line for line in ignore.read_text().splitlines() if line and not line.startswith("#")]
    assert patterns[0] == "*", "all is left out, but for what is named"
    wanted = [line[1:] for line in patterns if line.startswith("!")]
    unwanted = [line.removeprefix("**/") for line in patterns[1:] if not line.startswith("!")]
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=repository, capture_output=True, text=True, check=True).stdout.splitlines():
        path = Path(name)
        named = any(path.is_relative_to(one) for one in wanted)
        if named and not any(fnmatch.fnmatch(part, one) for part in path.parts for one in unwanted):
            there = target / path
            there.parent.mkdir(parents=True, exist_ok=True)
            if (repository / path).exists():
                shutil.copy2(repository / path, there)
