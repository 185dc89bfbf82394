"""What may happen to streams of a connection in which nothing is lost, as hypothesis draws it, and its happening."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st

from airbyte_dagster import Checks
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.destinations import names
from airbyte_dagster.destinations.sync_modes import SYNC_MODES, RowEffect
from airbyte_dagster_tests.dagster_runs import failures_of
from airbyte_dagster_tests.proof.source import SourceStream
from airbyte_dagster_tests.proof.world import World, green, red

_CASES = Path(__file__).parents[1] / "cases"
_NAMES: dict[str, Any] = json.loads((_CASES / "names.json").read_text(encoding="utf-8"))
_VALUES: list[dict[str, Any]] = json.loads((_CASES / "values.json").read_text(encoding="utf-8"))

STREAMS = 10
MODES = (
    "full_refresh_overwrite",
    "full_refresh_overwrite_deduped",
    "full_refresh_append",
    "incremental_append",
    "incremental_deduped_history",
)
_APPENDS = RowEffect(keeps=True, dedupes=False)
_MORE_NAMES = ['quo"ted', "semi;colon", "it's", "SELECT", " spaces ", "ÉTÉ", "${x}", "%s", "a/b"]
_TABLE_NAMES = [*(case["name"] for case in _NAMES["duckdb_and_motherduck"]), *_MORE_NAMES]
_COLUMNS = [
    *_NAMES["together_in_one_stream"],
    ["order", "Größe (cm)"],
    ["2024_q", 'quo"ted'],
    ["x" * 70, "x" * 70 + "y"],
]

#: ``sync``: a run of Dagster's. ``partial``: one in which some streams break; ``crash``: the source dies then, too.
#: ``foreign``: somebody else syncs, and Dagster does not know. ``told``: the sensor records it. ``told_partial``: one
#: in which some break. ``refresh``, ``merge``: somebody refreshes some, which the sensor records; ``foreign_refresh``:
#: which nothing does. ``clear``: some tables are emptied, ``reset``: all. ``mode``: some get another sync mode.
#: ``columns``: some get a further column in the source.
Kind = Literal[
    "sync",
    "partial",
    "crash",
    "foreign",
    "told",
    "told_partial",
    "refresh",
    "merge",
    "foreign_refresh",
    "clear",
    "reset",
    "mode",
    "columns",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Change:
    """What happens to one row of the source: new values, or its end."""

    number: int
    part: str | None
    values: tuple[Any, Any]
    is_deletion: bool


@dataclass(frozen=True)
class Turn:
    """What a step is for one stream.

    Attributes:
        takes_part: Whether it is among those that break, are refreshed, are emptied, … in this step.
        mode: That it gets, if it takes part in such a step.
    """

    changes: tuple[Change, ...]
    takes_part: bool
    mode: str


@dataclass(frozen=True)
class Step:
    """What happens next, to all streams."""

    kind: Kind
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Beginning:
    """What a stream is at first.

    Attributes:
        deletions: What becomes of rows that were deleted, where the source tells of them: they stay and are marked, or
            are deleted by the destination.
        is_strict: Whether it has all checks that there are, or those alone that everybody has.
        schemas: Of two of its fields.
    """

    name: str
    namespace: str | None
    mode: str
    deletions: Literal["soft", "hard"] | None
    has_null_keys: bool
    is_strict: bool
    columns: tuple[str, str]
    schemas: tuple[Any, Any]

    @property
    def place(self) -> tuple[str, str]:
        """Two that are the same to some destination would be one table, which is no healthy thing."""
        return names.motherduck(self.namespace or ""), names.motherduck(self.name)


_schemas = st.sampled_from([case["json_schema"] for case in _VALUES])
_values = st.sampled_from([case["value"] for case in _VALUES])
_changes = st.builds(
    Change,
    st.integers(0, 6),
    st.sampled_from(["a", "", "日本", None]),
    st.tuples(_values, _values),
    st.sampled_from([False, False, True]),
)
_turns = st.builds(Turn, st.lists(_changes, max_size=4).map(tuple), st.booleans(), st.sampled_from(MODES))


def _connections(namespaces: Sequence[str | None]) -> st.SearchStrategy[list[Beginning]]:
    """The streams of a connection, whose source has these namespaces."""
    one = st.builds(
        Beginning,
        st.sampled_from(_TABLE_NAMES),
        st.sampled_from(namespaces),
        st.sampled_from(MODES),
        st.sampled_from([None, "soft", "hard"]),
        st.sampled_from([False, False, True]),
        st.sampled_from([True, False, False]),
        st.sampled_from(_COLUMNS).map(tuple),
        st.tuples(_schemas, _schemas),
    )
    return st.lists(one, min_size=STREAMS, max_size=STREAMS, unique_by=lambda beginning: beginning.place)


_all_turns = st.lists(_turns, min_size=STREAMS, max_size=STREAMS).map(tuple)
#: The histories of so many streams of one connection, side by side; what kind of step each is comes from `Kinds`.
histories = st.tuples(
    st.one_of(_connections([None]), _connections(_NAMES["namespaces"])), st.lists(_all_turns, min_size=2, max_size=4)
)
_numbers = count(1)


class Kinds:
    """Each kind of step as often as any other, in an order that changes: drawn one by one, some would never come.

    A history that hypothesis lets happen again has the same ones.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._next: list[Kind] = []
        self._of: dict[str, Kind] = {}

    def of(self, history: object, number: int) -> Kind:
        """The kind of a step of a history."""
        step = f"{number} of {history}"
        if step not in self._of:
            self._next = self._next or self._chance.sample(KINDS, len(KINDS))
            self._of[step] = self._next.pop()
        return self._of[step]


class Course:
    """The histories of the streams of one connection, as they happen.

    Args:
        beginnings: Of the streams.
        make: Makes the connection of a name for these streams.
    """

    def __init__(
        self, beginnings: Sequence[Beginning], make: Callable[[str, Sequence[SourceStream], Any], World]
    ) -> None:
        self._beginnings = beginnings
        self._streams = [
            SourceStream(
                beginning.name,
                beginning.mode,
                beginning.namespace,
                dict(zip(beginning.columns, beginning.schemas, strict=True)),
                tells_deletions=beginning.deletions is not None,
            )
            for beginning in beginnings
        ]
        checks = {
            stream.key: _strict(beginning) if beginning.is_strict else Checks()
            for stream, beginning in zip(self._streams, beginnings, strict=True)
        }
        self.world = make(f"course_{next(_numbers)}", self._streams, checks)

    @property
    def hard(self) -> set[StreamKey]:
        """Streams whose destination deletes rows that were deleted."""
        pairs = zip(self._streams, self._beginnings, strict=True)
        return {
            stream.key
            for stream, beginning in pairs
            if beginning.deletions == "hard" and stream.mode == "incremental_deduped_history"
        }

    def begin(self) -> None:
        """Sync for the first time; from then on the connection follows new columns."""
        checks = self.world.sync()
        self._fine("the first sync", checks)
        assert self.world.result.success, failures_of(self.world.result)
        # That nothing is red would say little if nothing were known.
        counted = {name for name in checks if name.endswith(":row_count")}
        assert len(counted) == STREAMS
        assert counted <= green(checks)
        body = {"nonBreakingSchemaUpdatesBehavior": "propagate_columns"}
        self.world.api.ok("PATCH", f"/connections/{self.world.connection}", json=body)
        self.world.tick()

    def take(self, step: Step) -> None:
        """Let a step happen; nothing may be red after it."""
        for stream, turn, beginning in zip(self._streams, step.turns, self._beginnings, strict=True):
            for change in turn.changes:
                _change(stream, change, has_null_keys=beginning.has_null_keys)
        about = [stream for stream, turn in zip(self._streams, step.turns, strict=True) if turn.takes_part]
        keys = [stream.key for stream in about]
        getattr(self, f"_{step.kind}")(step, about, keys)

    def _sync(self, step: Step, _about: Sequence[SourceStream], _keys: Sequence[StreamKey]) -> None:
        self.world.script()
        self._fine(step, self.world.sync())
        assert self.world.result.success, failures_of(self.world.result)

    def _partial(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script(keys)
        checks = self.world.sync()
        self._fine(step, checks)
        assert self.world.result.success == (not keys), failures_of(self.world.result)
        self._fine(step, self.world.look())

    def _crash(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script(keys, crash=True)
        self._fine(step, self.world.sync())
        assert self.world.result.success == (not keys), failures_of(self.world.result)
        self._fine(step, self.world.look())

    def _foreign(self, step: Step, _about: Sequence[SourceStream], _keys: Sequence[StreamKey]) -> None:
        self.world.script()
        if self._leaves_something():
            self.world.foreign()
        self._fine(step, self.world.look())

    def _told(self, step: Step, _about: Sequence[SourceStream], _keys: Sequence[StreamKey]) -> None:
        self.world.script()
        self.world.foreign()
        self._fine(step, self.world.tick())

    def _told_partial(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script(keys)
        self.world.foreign()
        self._fine(step, self.world.tick())
        self._fine(step, self.world.look())

    def _refresh(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script()
        if keys:
            self.world.refresh("Truncate", keys)
        self._fine(step, self.world.tick())

    def _merge(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script()
        if keys:
            self.world.refresh("Merge", keys)
        self._fine(step, self.world.tick())

    def _foreign_refresh(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script()
        if keys and self._leaves_something():
            self.world.refresh("Truncate", keys)
        self._fine(step, self.world.look())

    def _clear(self, step: Step, _about: Sequence[SourceStream], keys: Sequence[StreamKey]) -> None:
        self.world.script()
        if keys:
            self.world.clear(keys)
        self._fine(step, self.world.tick())
        self._fine(step, self.world.look())

    def _reset(self, step: Step, _about: Sequence[SourceStream], _keys: Sequence[StreamKey]) -> None:
        self.world.script()
        self.world.reset()
        self._fine(step, self.world.look())

    def _mode(self, step: Step, _about: Sequence[SourceStream], _keys: Sequence[StreamKey]) -> None:
        turns = zip(self._streams, step.turns, strict=True)
        changed = [(stream, turn.mode) for stream, turn in turns if turn.takes_part and turn.mode != stream.mode]
        # Where each version of a row has stayed, there are several of a key: people begin such a table again.
        again = [s.key for s, mode in changed if SYNC_MODES[s.mode] == _APPENDS and SYNC_MODES[mode].dedupes]
        self.world.script()
        if again:
            self.world.clear(again)
            self._fine(step, self.world.tick())
        for stream, mode in changed:
            stream.mode = mode
        self.world.declare()
        self._sync(step, (), ())

    def _columns(self, step: Step, about: Sequence[SourceStream], _keys: Sequence[StreamKey]) -> None:
        for stream in about:
            stream.fields[f"new {len(stream.fields)}"] = {"type": ["null", "string"]}
        self._sync(step, (), ())

    def _leaves_something(self) -> bool:
        """Whether no table is empty after a sync: of one that is, nothing would show that there was a sync."""
        return all(stream.rows for stream in self._streams)

    def _fine(self, step: object, checks: Any) -> None:
        failed = red(checks)
        assert not failed, (failed, step)


def _strict(beginning: Beginning) -> Checks:
    not_null: Any = False if beginning.has_null_keys else {"columns": "version"}
    return Checks.of({"preset": "strict", "fresh": {"within": "30d"}, "not_null": not_null})


def _change(stream: SourceStream, change: Change, *, has_null_keys: bool) -> None:
    part = change.part if has_null_keys else change.part or ""
    if not change.is_deletion:
        fields = [name for name in stream.fields if not name.startswith("new ")]
        added = {name: "new" for name in stream.fields if name.startswith("new ")}
        stream.put(change.number, part, **dict(zip(fields, change.values, strict=True)), **added)
    elif part is not None:
        stream.delete(change.number, part)
