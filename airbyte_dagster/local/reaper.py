"""A program that ends other processes when the one that started them is gone, even if it was killed.

It reads ``+GROUP`` and ``-GROUP`` lines from its stdin as process groups come and go. At the end of stdin the groups
that are left are interrupted, get as many seconds as the first argument says to end by themselves, and are killed then.
Run by path; standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

_POLL_SECONDS = 0.1


def main(grace: float) -> None:
    """Read to the end of stdin, then end what is left.

    Args:
        grace: Seconds between interrupting and killing; 0 kills at once.
    """
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    deadline = time.monotonic() + grace
    alive = {group for group in groups if grace and _signal(group, signal.SIGINT)}
    while alive and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        alive = {group for group in alive if _signal(group, 0)}
    for group in groups:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Send a signal; whether there is such a group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main(float(sys.argv[1]))
