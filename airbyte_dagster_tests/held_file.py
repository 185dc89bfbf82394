"""A DuckDB file that another process holds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held_elsewhere(file: Path, *, read_only: bool = False) -> Iterator[Callable[[], None]]:
    """Have another process hold a file for the time of the block; what is given lets go of it earlier."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(file), str(read_only)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"

        def release() -> None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

        try:
            yield release
        finally:
            release()
