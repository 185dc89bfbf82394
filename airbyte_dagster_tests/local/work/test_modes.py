"""What the strategies do to rows, and which states are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airbyte_dagster_tests.local.postgresql import Postgres
from airbyte_dagster_tests.local.work.worker import Worker, plan, record, state, status

TYPES = {"id": {"type": "integer"}, "at": {"type": "integer"}, "v": {"type": "string"}, "part": {"type": "object"}}
MERGED: dict[str, Any] = {"strategy": "merge", "incremental": True, "dedupe": True}


def row(id_: int | None, at: int | None, v: str, **more: Any) -> dict[str, Any]:
    return record("s", {"id": id_, "at": at, "v": v, **more})


def merged(**more: Any) -> Any:
    return plan("s", TYPES, **{**MERGED, "primary_key": (("id",),), "cursor_field": ("at",), **more})


def test_a_merge_keeps_the_newest_of_each_key(worker: Worker, postgres_worker: Worker, postgres: Postgres) -> None:
    """By the cursor, then by the order of arrival, within a sync and across syncs; no cursor is older than any."""
    syncs = [
        [row(1, 5, "a"), row(1, 4, "older"), row(2, 1, "b"), row(3, None, "c"), row(4, 7, "d")],
        [row(1, 4, "late"), row(2, 1, "B"), row(3, None, "C"), row(4, None, "none")],
        [row(2, 3, "x"), row(2, 3, "y"), row(3, 1, "z")],
    ]
    expected = [["a b c d"], ["a B C d"], ["a y z d"]]
    for found in (worker, postgres_worker):
        for lines, rows in zip(syncs, expected, strict=True):
            assert found.run([merged(table="merged")], lines).failure is None
            sql = "SELECT string_agg(v, ' ' ORDER BY id) FROM main.merged"
            assert (worker.query(sql)[0][0] if found is worker else postgres.query(sql)[0][0]) == rows[0]


def test_a_key_with_a_null_part_is_no_key(worker: Worker, postgres_worker: Worker, postgres: Postgres) -> None:
    """Its rows are rows of their own, and are written once per record that the source sends."""
    key = {"primary_key": (("id",), ("v",)), "table": "nulls"}
    lines = [row(1, 1, "x"), row(1, 1, "x"), record("s", {"id": 1, "at": 1, "v": None})]
    for _ in range(3):
        for found in (worker, postgres_worker):
            assert found.run([merged(**key)], lines).failure is None
    sql = "SELECT count(*), count(v) FROM main.nulls"
    assert worker.query(sql) == [(4, 1)]
    assert postgres.query(sql) == [["4", "1"]]


def test_keys_and_cursors_within_a_column(worker: Worker, postgres_worker: Worker, postgres: Postgres) -> None:
    """A path into an object is compared by the type that the schema gives it: 10 is more than 9."""
    inner = {"type": "object", "properties": {"a/b": {"type": "string"}, "at": {"type": "integer"}}}
    types = {**TYPES, "part": inner}
    more: dict[str, Any] = {"primary_key": (("part", "a/b"),), "cursor_field": ("part", "at"), "table": "nested"}
    for found in (worker, postgres_worker):
        for at, v in ((9, "nine"), (10, "ten"), (8, "eight")):
            line = row(1, None, v, part={"a/b": "k", "at": at})
            assert found.run([plan("s", types, **{**MERGED, **more})], [line]).failure is None
    assert worker.query("SELECT v FROM nested") == [("ten",)]
    assert postgres.query("SELECT v FROM main.nested") == [["ten"]]


def test_a_tombstone_stays_as_a_row(worker: Worker) -> None:
    """A row that the source deleted keeps its last values and has the time of its deletion, as in MotherDuck."""
    deleted = {"_ab_cdc_deleted_at": {"type": "string", "format": "date-time"}}
    stream = plan("s", {**TYPES, **deleted}, **{**MERGED, "primary_key": (("id",),), "cursor_field": ("at",)})
    gone = record("s", {"id": 1, "at": 2, "_ab_cdc_deleted_at": "2026-01-01T00:00:00Z"})
    for lines in ([row(1, 1, "a"), row(2, 1, "b")], [gone]):
        assert worker.run([stream], lines).failure is None
    assert worker.query("SELECT id, _ab_cdc_deleted_at IS NOT NULL FROM s ORDER BY id") == [(1, True), (2, False)]


def test_a_full_refresh_replaces_only_with_the_whole(worker: Worker) -> None:
    """What is complete replaces the table, be it nothing; what broke off leaves it as it was."""
    stream = [plan("s", TYPES, strategy="replace")]
    assert worker.run(stream, [row(1, 1, "a")]).failure is None
    broken = worker.run(stream, [row(2, 1, "b")], exit_code=1)
    assert broken.failure is not None
    assert worker.query("SELECT v FROM s") == [("a",)]
    assert worker.run(stream, [status("s", "COMPLETE")]).failure is None
    assert worker.query("SELECT count(*) FROM s") == [(0,)]


def test_complete_streams_of_a_failed_job_are_committed(worker: Worker) -> None:
    """Those that the source called complete; the others keep what they had, and the reason names the stream."""
    streams = [plan(name, {"v": {"type": "integer"}}, strategy="replace") for name in ("one", "two")]
    both = [record("one", {"v": 1}), record("two", {"v": 1})]
    assert worker.run(streams, both).failure is None
    again = [
        *(record("one", {"v": 2}), status("one", "COMPLETE")),
        *(record("two", {"v": 2}), status("two", "INCOMPLETE")),
    ]
    result = worker.run(streams, again, stderr="Traceback\nFileNotFoundError: orders.csv\n")
    assert result.failure is not None
    assert result.failure["message"] == (
        "The source could not read all of the stream two: FileNotFoundError: orders.csv"
    )
    assert result.failure["stream"] == [None, "two"]
    assert worker.query("SELECT (SELECT v FROM one), (SELECT v FROM two)") == [(2, 1)]
    assert [result.streams[name]["status"] for name in ("one", "two")] == ["COMPLETE", "INCOMPLETE"]
    assert [result.streams[name]["records_committed"] for name in ("one", "two")] == [1, 0]


def test_rows_up_to_the_last_state_survive_a_crash(worker: Worker) -> None:
    """They and their state are kept, what came after it is not: the next sync reads just that again."""
    stream = [plan("s", TYPES, incremental=True)]
    result = worker.run(stream, [row(1, 1, "a"), row(2, 2, "b"), state("s", 2), row(3, 3, "c")], exit_code=9)
    assert result.failure is not None
    assert "exit code 9" in result.failure["message"]
    assert result.states == [state("s", 2)["state"]]
    assert worker.query("SELECT count(*) FROM s") == [(2,)]
    assert result.streams["s"]["records_committed"] == 2
    assert result.streams["s"]["records_emitted"] == 3
    after = worker.run(stream, [row(3, 3, "c"), state("s", 3)], states=result.states)
    assert json.loads((worker.home / "lines.state").read_text()) == result.states
    assert after.failure is None
    assert worker.query("SELECT count(*) FROM s") == [(3,)]


def test_a_state_of_all_streams_counts_only_with_a_table_of_theirs(worker: Worker) -> None:
    """Where all tables are gone the connector gets no state; where some are, it has to tell its streams apart."""
    streams = [plan(name, TYPES, incremental=True) for name in ("one", "two")]
    whole = {"type": "LEGACY", "data": {"position": 5}}
    assert worker.run(streams, [], states=[whole]).failure is None
    assert not (worker.home / "lines.state").exists()
    worker.query("DROP TABLE one")
    failure = worker.run(streams, [], states=[whole]).failure
    assert failure is not None
    assert "The tables of one are gone, and this source has one state for all streams" in failure["message"]


def test_streams_that_are_read_at_once_have_marks_of_their_own(worker: Worker) -> None:
    """A state of one stream does not let rows of another count that come after that one's own state."""
    streams = [plan(name, {"v": {"type": "integer"}}, incremental=True) for name in ("one", "two")]
    lines = [record("one", {"v": 1}), record("two", {"v": 1}), state("one", 1), record("two", {"v": 2})]
    result = worker.run(streams, lines, exit_code=1)
    assert [entry["stream"]["stream_descriptor"]["name"] for entry in result.states] == ["one"]
    assert worker.query("SELECT count(*) FROM one") == [(1,)]
    assert worker.query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'two'") == [(0,)]


def test_a_reset_empties_what_is_there(worker: Worker, postgres_worker: Worker, postgres: Postgres) -> None:
    """The tables stay, without rows; a table or a file that isn't there is none of its concern."""
    streams = [plan("emptied", TYPES), plan("missing", TYPES)]
    for found in (worker, postgres_worker):
        assert found.run(streams, job_type="reset").failure is None
        assert found.run(streams[:1], [record("emptied", {"id": 1})]).failure is None
        assert found.run(streams, job_type="reset").failure is None
    assert worker.query("SELECT count(*) FROM emptied") == [(0,)]
    assert postgres.query("SELECT count(*) FROM main.emptied") == [["0"]]


@pytest.mark.parametrize("path", [("nowhere",), ("nowhere", "in", "it")])
def test_a_key_that_is_no_field_is_said(path: tuple[str, ...], worker: Worker) -> None:
    """The stream and the field are named, and the job is not worth repeating."""
    failure = worker.run([merged(primary_key=(path,))], []).failure
    assert failure is not None
    assert failure["message"] == "The stream s has no field nowhere, which is in its primary key or its cursor"
    assert failure["kind"] == "config_error"


def test_only_selected_fields_are_stored(worker: Worker) -> None:
    """The other fields of the records have no column."""
    assert worker.run([plan("s", TYPES, selected_fields=(("v",),))], [row(1, 1, "a")]).failure is None
    columns = [name for name, *_ in worker.query("DESCRIBE s") if not name.startswith("_airbyte")]
    assert columns == ["v"]
