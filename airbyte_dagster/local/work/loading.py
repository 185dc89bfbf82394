"""The thread that types records and commits them, in the order in which they came."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.work.reporting import Failed, Reporter, explain
from airbyte_dagster.local.work.staging import Staging
from airbyte_dagster.local.work.tables import StreamTable
from airbyte_dagster.local.work.targets import Target, Write

#: Chunks that wait for the database; more would be memory that is not bounded.
_MOST_WAITING = 2


class Load(NamedTuple):
    """A file of records of one stream, to be typed."""

    stream: int
    file: Path
    lines: int
    longest: int


class Mark(NamedTuple):
    """How many records of a stream may be committed, and their bytes."""

    records: int
    size: int


class Commit(NamedTuple):
    """Records to be committed, and the states that count from then on."""

    marks: Mapping[int, Mark]
    states: Sequence[Json]


class Loader:
    """Types and commits in a thread of its own, in the order in which it is told.

    Args:
        staging: Where records wait.
        target: Where they go.
        tables: One for each stream.
        reporter: Is told of what is committed.
    """

    def __init__(self, staging: Staging, target: Target, tables: Sequence[StreamTable], reporter: Reporter) -> None:
        self._staging = staging
        self._target = target
        self._tables = tables
        self._reporter = reporter
        self._replaced: set[int] = set()
        self._work: queue.Queue[Load | Commit | None] = queue.Queue(_MOST_WAITING)
        self._failed: Failed | None = None
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._thread.start()

    def put(self, work: Load | Commit) -> None:
        """Queue something; waits while much is queued.

        Raises:
            Failed: Something before it failed.
        """
        self.check()
        self._work.put(work)

    def check(self) -> None:
        """Raise what went wrong so far.

        Raises:
            Failed: It is what went wrong.
        """
        if self._failed is not None:
            raise self._failed

    def finish(self) -> None:
        """Wait until all is done.

        Raises:
            Failed: Something failed.
        """
        self._work.put(None)
        self._thread.join()
        self.check()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if self._failed is not None:
                continue
            try:
                if isinstance(work, Load):
                    self._load(work)
                else:
                    self._commit(work)
            except Exception as error:  # noqa: BLE001 - it is raised where the connector is read
                self._failed = explain(error)

    def _load(self, work: Load) -> None:
        self._staging.load(work.stream, self._tables[work.stream], work.file, work.lines, work.longest)
        work.file.unlink()

    def _commit(self, work: Commit) -> None:
        writes = []
        for index, mark in work.marks.items():
            table = self._tables[index]
            self._staging.ensure(index, table)
            if table.dedupe:
                self._staging.keep_last(index, table, mark.records)
            if index in self._replaced:  # the connector went on after it had called the stream complete
                table = replace(table, strategy="merge" if table.dedupe else "append")
            writes.append(Write(index, table, mark.records))
        if writes:
            self._staging.with_enough_memory(partial(self._target.commit, writes))
        for write in writes:
            if write.table.strategy == "replace":
                self._replaced.add(write.index)
            self._staging.discard(write.index, write.upto)
            mark = work.marks[write.index]
            self._reporter.update(write.table.key, records_committed=mark.records, bytes_committed=mark.size)
        self._reporter.keep_states(list(work.states))
