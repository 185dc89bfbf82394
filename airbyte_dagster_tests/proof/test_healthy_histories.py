"""Generated histories in which nothing is ever lost: no check is red, whatever happens to a connection.

What nobody could know is left out: a sync or a reset that Dagster has not recorded and that leaves a table empty.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from hypothesis import given, settings
from hypothesis import strategies as st

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster_tests.proof.harness import Watched, red
from airbyte_dagster_tests.proof.writer import Happening, SimulatedWriter, SourceStream

MODES = (
    "full_refresh_overwrite",
    "full_refresh_overwrite_deduped",
    "full_refresh_append",
    "incremental_append",
    "incremental_deduped_history",
)
NAMES = ("users", "Open-Orders", "2024 税率", "Größe (cm)", "order", "São Paulo", "x" * 70, 'quo"ted', "semi;colon")
QUIET = Happening()
VALUES = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.sampled_from(["9999-12-31", "0000-00-00", "日本 🎉", "'; DROP", "{}"]),
)


@dataclass(frozen=True)
class Change:
    """What happens to one row of the source: a new value, or its end."""

    stream: int
    number: int
    has_part: bool
    value: Any
    is_deletion: bool


@dataclass(frozen=True)
class Step:
    """What happens next.

    Attributes:
        kind: ``sync``: by Dagster; ``foreign``: by somebody else, recorded by nobody; ``told``: by somebody else,
            recorded without the rows before; ``reset``; ``mode``: a stream gets another sync mode; ``look``: checks run
            by themselves.
    """

    kind: Literal["sync", "foreign", "told", "reset", "mode", "look"]
    changes: tuple[Change, ...] = ()
    happening: Happening = QUIET
    stream: int = 0
    mode: str = MODES[0]


@dataclass(frozen=True)
class Kind:
    """How a stream is synced."""

    name: str
    mode: str
    cdc: Literal["hard", "soft"] | None
    has_null_keys: bool
    has_meta: bool


some = st.frozensets(st.integers(0, 1), max_size=1)
happenings = st.builds(
    Happening,
    attempts=st.sampled_from([1, 1, 1, 2]),
    failing=st.one_of(st.just(frozenset[int]()), some),
    rejected=st.one_of(st.just(frozenset[int]()), some),
    changed=some,
    refreshed=st.one_of(st.just(frozenset[int]()), some),
    adds_column=st.sampled_from([False, False, False, True]),
)
changes = st.builds(Change, st.integers(0, 1), st.integers(0, 6), st.booleans(), VALUES, st.sampled_from([False, True]))
steps = st.builds(
    Step,
    st.sampled_from(["sync", "sync", "sync", "foreign", "told", "reset", "mode", "look"]),
    st.lists(changes, max_size=6).map(tuple),
    st.one_of(st.just(QUIET), happenings),
    st.integers(0, 1),
    st.sampled_from(MODES),
)
kinds = st.builds(
    Kind,
    st.sampled_from(NAMES),
    st.sampled_from(MODES),
    st.sampled_from([None, "hard", "soft"]),
    st.booleans(),
    st.booleans(),
)
histories = st.tuples(
    st.lists(kinds, min_size=2, max_size=2, unique_by=lambda kind: kind.name), st.lists(steps, min_size=1, max_size=7)
)


class Course:
    """One history, as it happens."""

    def __init__(self, directory: Path, instance: dg.DagsterInstance, chosen: list[Kind]) -> None:
        self.kinds = chosen
        self.sources = [
            SourceStream(
                Stream(kind.name, sync_mode=kind.mode, primary_key=(("number",), ("part",))),
                cdc=kind.cdc,
                has_meta=kind.has_meta,
            )
            for kind in chosen
        ]
        self.writer = SimulatedWriter(directory / "lms.duckdb")
        checks = {
            source.stream.key: Checks(
                preset="strict",
                fresh={"within": "30d"},
                not_null={"columns": "version"} if not kind.has_null_keys else False,
            )
            for source, kind in zip(self.sources, chosen, strict=True)
        }
        self.watched = Watched(instance, self.writer, self.sources, checks)

    def take(self, step: Step) -> None:
        """Let a step happen; nothing may be red after it."""
        for change in step.changes:
            self._change(change)
        match step.kind:
            case "sync":
                before = self.watched.count()
                self._fine(step, self.watched.record(self.writer.sync(self.sources, step.happening), before))
            case "foreign" if all(source.rows for source in self.sources):
                self.writer.sync(self.sources, replace(step.happening, failing=frozenset(), rejected=frozenset()))
            case "told":
                self._fine(step, self.watched.record(self.writer.sync(self.sources, step.happening), {}))
            case "reset":
                self.watched.record_reset(self.writer.reset(self.sources))
            case "mode":
                source = self.sources[step.stream]
                source.stream = replace(source.stream, sync_mode=step.mode)
                return  # looked at after the next sync: until then, the table is as the last job's report says
        self._fine(step, self.watched.look())

    def _change(self, change: Change) -> None:
        source, kind = self.sources[change.stream], self.kinds[change.stream]
        part = None if kind.has_null_keys and not change.has_part else "a"
        if not change.is_deletion:
            source.put(change.number, part, change.value)
        elif part is not None:
            source.delete(change.number, part)

    def _fine(self, step: Step, results: dict[str, dg.AssetCheckResult]) -> None:
        failed = red(results)
        assert not failed, (failed, step)


@settings(max_examples=200)
@given(histories)
def test_no_check_is_red_over_healthy_data(history: tuple[list[Kind], list[Step]]) -> None:
    """Of any mode, with deletions, resets, refreshes, retries, jobs that fail in parts, and syncs of others."""
    chosen, happened = history
    with tempfile.TemporaryDirectory() as directory, dg.DagsterInstance.ephemeral() as instance:
        course = Course(Path(directory), instance, chosen)
        for step in happened:
            course.take(step)
