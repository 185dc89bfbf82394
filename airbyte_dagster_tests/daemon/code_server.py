"""Dagster's code server, whose runs begin in a fork of a process that has imported Dagster and this package already.

Dagster starts a new interpreter for each run, which imports all of that again: seconds of a core each. What a run does
is the same: it is a process of its own, which loads the code location by itself.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from dagster._cli import main

_IMPORTED = (
    "dagster._grpc.server",
    "duckdb",
    "airbyte_dagster_tests.acceptance.definitions",
    "airbyte_dagster_tests.daemon.definitions",
)
_get_context = multiprocessing.get_context


def forking_context(method: str | None = None) -> Any:
    """The context for processes that was meant, or one of forks in place of one of new interpreters."""
    return _get_context("forkserver" if method == "spawn" else method)


if __name__ == "__main__":
    multiprocessing.set_forkserver_preload(list(_IMPORTED))
    multiprocessing.get_context = forking_context
    main()  # type: ignore[no-untyped-call]
