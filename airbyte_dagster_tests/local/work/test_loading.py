"""The order in which records are committed and their states are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.local.work.loading import Commit, Loader, Mark
from airbyte_dagster.local.work.reporting import Failed
from airbyte_dagster.local.work.staging import Staging
from airbyte_dagster.local.work.tables import Column, Part, StreamTable
from airbyte_dagster_tests.local.work.worker import state

TABLE = StreamTable((None, "s"), Place("main", "s"), (), "append", dedupe=False)


class Parts:
    """Stands for the staging, the target and the reporter: notes what is done, in order."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done: list[Any] = []
        self._error = error

    def with_enough_memory(self, work: Callable[[], None]) -> None:
        work()

    def commit(self, writes: Sequence[Any]) -> None:
        self.done.append(("commit", [(write.table.strategy, write.upto) for write in writes]))
        if self._error is not None:
            raise self._error

    def discard(self, _index: int, upto: int) -> None:
        self.done.append(("discard", upto))

    def keep_states(self, states: Sequence[Any]) -> None:
        self.done.append(("states", len(states)))

    def ensure(self, index: int, table: StreamTable) -> None: ...

    def update(self, key: Any, **counts: Any) -> None: ...


def loader_of(parts: Any, table: StreamTable = TABLE) -> Loader:
    return Loader(parts, parts, [table], parts)


def test_a_state_is_kept_after_the_rows_that_it_speaks_of() -> None:
    """And what is committed is no longer staged: the next commit does not write it again."""
    parts = Parts()
    loader = loader_of(parts)
    for records in (2, 5):
        loader.put(Commit({0: Mark(records, 10)}, [state("s", records)["state"]]))
    loader.finish()

    one_by_one = [[("commit", [("append", n)]), ("discard", n), ("states", 1)] for n in (2, 5)]
    assert parts.done == [*one_by_one[0], *one_by_one[1]]


def test_no_state_is_kept_of_rows_that_could_not_be_written() -> None:
    """Nor is anything written after them."""
    parts = Parts(OSError("disk full"))
    loader = loader_of(parts)
    loader.put(Commit({0: Mark(2, 10)}, [state("s", 2)["state"]]))
    with pytest.raises(Failed):
        loader.finish()

    assert parts.done == [("commit", [("append", 2)])]


def test_a_table_is_replaced_once() -> None:
    """A connector that goes on after it has called the stream complete adds to what was written."""
    parts = Parts()
    loader = loader_of(parts, replace(TABLE, strategy="replace"))
    for records in (2, 5):
        loader.put(Commit({0: Mark(records, 10)}, []))
    loader.finish()

    assert [done for done in parts.done if done[0] == "commit"] == [
        ("commit", [("replace", 2)]),
        ("commit", [("append", 5)]),
    ]


def test_a_row_beyond_the_mark_replaces_none_before_it(tmp_path: Path) -> None:
    """It is not committed yet: if the job breaks off, the row of its key before it has to be there."""
    staging = Staging(tmp_path, 1, most_columns=1, text_holds_zero=True)
    column = Column("id", "id", "integer", "integer")
    table = replace(TABLE, columns=(column,), dedupe=True, primary_key=(Part(0, (), "integer"),))
    staging.ensure(0, table)
    staging.connection.execute("INSERT INTO s0 (ordinal, c0) VALUES (1, 7), (2, 7), (3, 8), (4, 8)")

    staging.keep_last(0, table, 3)

    rows = staging.connection.execute("SELECT ordinal FROM s0 ORDER BY 1").fetchall()
    staging.connection.close()
    assert [row[0] for row in rows] == [2, 3, 4]
