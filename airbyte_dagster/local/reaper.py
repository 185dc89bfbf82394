"""A program that ends other processes when the server is gone, even if it was killed and could end nothing itself.

The server writes ``+GROUP`` and ``-GROUP`` lines to its stdin as process groups come and go. At the end of stdin the
groups that are left are killed. Run by path; standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read to the end of stdin, then kill."""
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
