"""What arrived with a job becomes the events of its connection's assets, each with the numbers of its own streams."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Job, Stream, StreamKey, StreamStats
from airbyte_dagster.checks.history import RecordedJob
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.table_rules import RecordedColumns
from airbyte_dagster.runs.events import InstanceHistory, synced_metadata
from airbyte_dagster.runs.recording import Recorder, SyncedConnection
from airbyte_dagster.runs.reported import JobDetails, after_others
from airbyte_dagster.runs.sync_op import SyncOp, build_sync_op
from airbyte_dagster.runs.targets import AssetTarget, ConnectionTargets
from airbyte_dagster.warehouse import Table

NOON = dt.datetime(2026, 1, 3, 12, tzinfo=dt.timezone.utc)
JOB = Job(7, "c", "sync", "succeeded", start_time=NOON)
LINKS = Links("https://airbyte.test/api/public/v1", "w")
SALES, SUPPORT = StreamKey("sales", "account"), StreamKey("support", "account")
TWINS = [Stream(key.name, key.namespace) for key in (SALES, SUPPORT)]


def recorded(
    instance: dg.DagsterInstance, streams: list[Stream], stats: Mapping[StreamKey, int], selected: int
) -> list[Any]:
    """Record a job of streams with an asset each, of which only one is selected."""
    targets = tuple(AssetTarget(dg.AssetKey(f"a{number}"), (stream,), {}) for number, stream in enumerate(streams))
    reports = {key: StreamStats(key.name, key.namespace, rows, rows * 10) for key, rows in stats.items()}
    recorder = Recorder(
        None,
        InstanceHistory(instance),
        Links("https://airbyte.test/api/public/v1", "w"),
        {targets[selected].key},
        (),
        lambda _key: Checks(),
        pytest.fail,
        lambda: NOON,
    )
    ((_, events),) = recorder.events([SyncedConnection("c", "C", len(streams), targets, JOB, JobDetails(reports), {})])
    return events


def number(event: Any, name: str) -> Any:
    """A number of an event, as an op yields it or as it is logged."""
    found = event.metadata.get(name)
    return getattr(found, "value", found)


@pytest.mark.parametrize("selected", [0, 1])
def test_an_asset_that_is_not_selected_has_the_numbers_of_its_own_stream(
    instance: dg.DagsterInstance, selected: int
) -> None:
    """Two streams of one name in two namespaces: each event has the rows and bytes of its own, selected or not."""
    events = recorded(instance, TWINS, {SUPPORT: 5, SALES: 3}, selected)

    assert [number(event, "airbyte/rows_reported") for event in events] == [3, 5]
    assert [number(event, "airbyte/bytes_reported") for event in events] == [30, 50]
    assert [isinstance(event, dg.MaterializeResult) for event in events] == [selected == 0, selected == 1]


@pytest.mark.parametrize("selected", [0, 1])
def test_a_stream_that_the_job_does_not_report_has_none_of_its_namesakes_numbers(
    instance: dg.DagsterInstance, selected: int
) -> None:
    """What is not reported is unknown."""
    events = recorded(instance, TWINS, {SALES: 3}, selected)

    assert [number(event, "airbyte/rows_reported") for event in events] == [3, None]


def test_a_stream_without_a_namespace_takes_no_number_of_two_namesakes(instance: dg.DagsterInstance) -> None:
    """Some servers leave the namespace out: one of that name is it, of two nobody knows which."""
    nameless = [Stream("account")]

    assert number(recorded(instance, nameless, {SALES: 3}, 0)[0], "airbyte/rows_reported") == 3
    assert number(recorded(instance, nameless, {SALES: 3, SUPPORT: 5}, 0)[0], "airbyte/rows_reported") is None


def test_what_is_recorded_of_a_job_is_read_back(instance: dg.DagsterInstance) -> None:
    """All that checks need later: its reports, of odd names too, its end, the generation, columns without values."""
    key = dg.AssetKey("a")
    reports = (
        ReportedStats(
            "Größe, (cm)", "incremental_append", 3, 5, "n", ("id", "a, b"), rejected=1, attempts=2, doubt="odd"
        ),
    )
    table = Table(
        "lms", "main", "t", (("id", "BIGINT"), ("old", "VARCHAR")), 8, values={"id": 8, "old": 0}, generations=(4, 7)
    )
    ended = NOON.replace(microsecond=0)
    metadata = synced_metadata(reports, [table], replace(JOB, rows=3, last_updated=ended), LINKS)
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))

    history = InstanceHistory(instance)
    recorded = history.last_job(key)

    assert recorded is not None
    assert recorded.reports == (replace(reports[0], generation=7),)
    assert (recorded.job_id, recorded.total, recorded.row_count, recorded.ended) == (7, 3, 8, ended)
    assert history.columns(key) == [RecordedColumns({"id": "BIGINT", "old": "VARCHAR"}, frozenset({"old"}))]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((), ""),
        (("id",), "id"),
        (("a", "größe (cm)"), "a, größe (cm)"),
        (("a, b", 'c"d', " e"), '"a, b", "c""d", " e"'),
    ],
)
def test_a_key_is_shown_as_people_list_it(instance: dg.DagsterInstance, key: tuple[str, ...], text: str) -> None:
    """Names, with quotes only where one could be taken for several; it is read back as it was."""
    reports = (ReportedStats("a", "incremental_append", 3, primary_key=key),)
    metadata = synced_metadata(reports, None, JOB, LINKS)
    instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata=metadata))

    recorded = InstanceHistory(instance).last_job(dg.AssetKey("a"))

    [row] = metadata["airbyte/streams"].records
    assert row.data.get("primary_key", "") == text
    assert recorded is not None
    assert recorded.reports[0].primary_key == key


def test_what_is_known_of_no_stream_has_no_column() -> None:
    """Dagster writes each column with each event, so that columns without any value would take most of the time."""
    reports = (ReportedStats("a", "incremental_append", 3), ReportedStats("b", "incremental_append", None, attempts=1))

    table = synced_metadata(reports, None, JOB, LINKS)["airbyte/streams"]

    assert [column.name for column in table.schema.columns] == ["stream", "sync_mode", "rows_reported", "attempts"]
    assert [row.data["rows_reported"] for row in table.records] == [3, ""]


@pytest.mark.parametrize("with_hook", [False, True])
def test_metadata_is_written_once(instance: dg.DagsterInstance, *, with_hook: bool) -> None:
    """It is with the materialization, and with the output of the step only for hooks, which have no other place."""
    seen: list[Any] = []

    @dg.success_hook
    def hook(context: dg.HookContext) -> None:
        seen.append(context.op_output_metadata)

    op = build_sync_op(
        SyncOp(
            name="syncs",
            specs=[dg.AssetSpec("a")],
            checked=[],
            find=lambda *_args: pytest.fail("the results of the syncs are not wanted"),
            targets_of=lambda _connection: ConnectionTargets(),
            airbyte_key="airbyte",
            warehouse_key=None,
            description="",
            execute=lambda _context, _results: iter([dg.MaterializeResult(asset_key="a", metadata={"rows": 1})]),
        )
    )
    job = dg.define_asset_job("job", hooks={hook} if with_hook else None)
    definitions = dg.Definitions([op], jobs=[job], resources={"airbyte": object()})

    result = definitions.resolve_job_def("job").execute_in_process(instance=instance)

    [materialization] = result.asset_materializations_for_node("syncs")
    assert materialization.metadata["rows"].value == 1
    [output] = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT]
    assert bool(output.step_output_data.metadata) is with_hook
    assert [dict(found) for metadata in seen for found in metadata.values()] == [{"rows": dg.IntMetadataValue(1)}] * (
        with_hook
    )


def report(mode: str, before: int | None = 5, **changes: Any) -> ReportedStats:
    return ReportedStats("a", mode, 3, before, primary_key=("id",), **changes)


@pytest.mark.parametrize(
    ("before", "job", "doubt"),
    [
        (report("incremental_deduped_history"), JOB, None),
        (report("incremental_append"), JOB, "the sync mode was incremental_append before"),
        (replace(report("incremental_deduped_history"), primary_key=("k",)), JOB, "the primary key was (k) before"),
        (None, JOB, "how the rows before were written is not recorded"),
        (report("incremental_deduped_history"), replace(JOB, job_type="refresh"), "job 7 is a refresh, which may"),
        (report("incremental_deduped_history"), replace(JOB, status="failed"), "job 7 as a whole is failed"),
    ],
)
def test_what_may_have_changed_the_rows_before(before: ReportedStats | None, job: Job, doubt: str | None) -> None:
    """It is known when the job is recorded, and goes with its report."""
    last = RecordedJob((replace(before, generation=4),), 3, 5, is_reset=False, job_id=6) if before else None

    [found] = after_others([report("incremental_deduped_history")], job, lambda: last)

    assert (found.doubt or "").startswith(doubt or "")
    assert (found.doubt is None) is (doubt is None)
    assert found.generation is None  # the rows before were counted, of whatever generation they are


def test_a_job_that_is_recorded_again_keeps_what_was_known_of_it() -> None:
    """A run that is executed again from its failure compares with the rows before the job, not with the job itself."""
    known = RecordedJob((report("incremental_append", doubt="odd", generation=2),), 3, 5, is_reset=False, job_id=JOB.id)

    [found] = after_others([report("incremental_deduped_history")], JOB, lambda: known)

    assert (found.doubt, found.generation) == ("odd", 2)
