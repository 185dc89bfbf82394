"""Schedules, sensors and automation conditions as they are in production: the daemon decides, runs are processes.

All tests share one stack, and each looks at things of its own in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from airbyte_dagster_tests.conftest import resource_of
from airbyte_dagster_tests.daemon.definitions import definitions_at, orders_file
from airbyte_dagster_tests.daemon.stack import Stack, running_stack
from airbyte_dagster_tests.http_server import Reply
from airbyte_dagster_tests.local.fakes import warehouse

#: Each wait has a bound of its own and says what it waited for; a test has several.
pytestmark = [
    pytest.mark.xdist_group("daemon"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.timeout(1800),
]

JOB = "airbyte/job_id"
PRICES = "/prices.csv"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("daemon")) as made:
        made.places.inbox.mkdir()
        made.prices.on("HEAD", PRICES, Reply(headers={"ETag": '"one"'}))
        set_newest_order(made, 5)
        made.start_daemon()
        yield made


def set_newest_order(stack: Stack, order: int) -> None:
    with warehouse(str(stack.places.marks)) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE orders AS SELECT {order} AS id")


def job_of(run: dg.DagsterRun) -> int:
    return int(run.tags[JOB])


@pytest.mark.usefixtures("after_the_others")
def test_a_schedule_leaves_a_busy_connection_alone(stack: Stack) -> None:
    """Somebody else's job holds it: each tick is skipped, and names the job; once it has ended, the next one syncs."""
    (held,) = stack.jobs("busy")

    stack.skipped("sync_busy_schedule", f"for somebody else: job {held.id}, a sync, is running.")
    assert stack.runs("sync_busy") == []

    stack.engine.release_connection(held.connection_id)
    run = stack.run_that_succeeded("sync_busy")
    stack.turn_off("sync_busy_schedule")
    assert [job.id for job in stack.jobs("busy")][:2] == [held.id, job_of(run)]


@pytest.mark.usefixtures("after_the_others")
def test_a_schedule_that_waits_starts_one_run_that_waits(stack: Stack) -> None:
    """It waits for somebody else's job, and no second run does; once released, it starts a job of its own."""
    (held,) = stack.jobs("patient")

    stack.eventually(
        lambda: any("waiting for it to end" in stack.log_of(run) for run in stack.runs("sync_patient")),
        "a run that waits",
    )
    (waiting,) = stack.runs("sync_patient")
    stack.skipped("sync_patient_schedule", f"Run {waiting.run_id} of sync_patient waits already")
    assert len(stack.runs("sync_patient")) == 1

    stack.engine.release_connection(held.connection_id)
    run = stack.run_that_succeeded("sync_patient")
    stack.turn_off("sync_patient_schedule")
    assert run.run_id == waiting.run_id
    assert [job.id for job in stack.jobs("patient")][:2] == [held.id, job_of(run)]


def test_a_watermark_that_grew_is_one_run_even_if_the_daemon_dies(stack: Stack) -> None:
    """Killed while it launches; killed before it could keep the cursor; away while the value grows: one run each."""
    before = stack.skipped("orders_grew", "Recorded the first value, 5").cursor
    assert before is not None

    set_newest_order(stack, 7)
    stack.eventually(lambda: stack.runs("sync_grown"), "a run")
    stack.kill_daemon()
    stack.start_daemon()
    stack.skipped("orders_grew", "The value is still 7.")
    run = stack.run_that_succeeded("sync_grown")
    assert run.tags["airbyte_dagster/watermark_before"] == "5"
    assert run.tags["airbyte_dagster/watermark"] == "7"

    stack.kill_daemon()
    stack.rewind("orders_grew", before)
    restarted = time.time()
    stack.start_daemon()
    stack.skipped("orders_grew", "The value is still 7.", after=restarted)
    again = stack.ticks("orders_grew", after=restarted)[-1]
    assert again.run_keys == [run.tags["dagster/run_key"]]
    assert again.run_ids == []
    assert [found.run_id for found in stack.runs("sync_grown")] == [run.run_id]
    assert [job.id for job in stack.jobs("grown")] == [job_of(run)]

    stack.kill_daemon()
    set_newest_order(stack, 8)
    stack.start_daemon()
    second = stack.run_that_succeeded("sync_grown", 2)
    stack.skipped("orders_grew", "The value is still 8.")
    assert [job.id for job in stack.jobs("grown")] == [job_of(run), job_of(second)]


def test_new_files_are_one_run_however_many(stack: Stack) -> None:
    """One file, then many at once: one run each, which names them."""
    stack.skipped("files_arrived", "Recorded 0 files.")

    (stack.places.inbox / "a.csv").touch()
    first = stack.run_that_succeeded("sync_arrived")
    put_at_once(stack.places.inbox, 30)
    second = stack.run_that_succeeded("sync_arrived", 2)
    stack.skipped("files_arrived", "31 files match; none is new or changed.")

    assert json.loads(first.tags["airbyte_dagster/files"]) == [str(stack.places.inbox / "a.csv")]
    assert second.tags["airbyte_dagster/file_count"] == "30"
    assert [job.id for job in stack.jobs("arrived")] == [job_of(first), job_of(second)]


def put_at_once(directory: Path, files: int) -> None:
    """Write files so that no tick can see only some of them: the directory is exchanged as a whole."""
    filled = directory.with_name("filled")
    filled.mkdir()
    for number in range(files):
        (filled / f"{number}.csv").touch()
    (filled / "a.csv").hardlink_to(directory / "a.csv")
    directory.rename(directory.with_name("emptied"))
    filled.rename(directory)


def test_a_sensor_whose_system_is_down_says_so_and_recovers(stack: Stack) -> None:
    """A web server that breaks: the tick is skipped, the cursor stays; what has changed meanwhile is then seen."""
    before = stack.skipped("prices_changed", "Recorded 1 file.")

    stack.prices.on("HEAD", PRICES, Reply(drop="before"))
    stack.prices.on("GET", PRICES, Reply(drop="before"))
    down = stack.skipped("prices_changed", f"{stack.places.prices_url} can't be listed")
    assert down.cursor == before.cursor

    stack.prices.on("HEAD", PRICES, Reply(headers={"ETag": '"two"'}))
    run = stack.run_that_succeeded("prices_job")
    assert run.tags["airbyte_dagster/file_count"] == "1"
    assert len(stack.runs("prices_job")) == 1


def test_a_warehouse_that_is_away_is_no_reason_for_a_run(stack: Stack) -> None:
    """Its file is gone and comes back as it was: the ticks between say so, and the cursor stays."""
    before = stack.skipped("orders_grew", "value")
    runs = len(stack.runs("sync_grown"))
    away = stack.places.marks.with_name("away.duckdb")

    stack.places.marks.rename(away)
    gone = stack.skipped("orders_grew", "There is no database file at")
    assert gone.cursor == before.cursor
    back = time.time()
    away.rename(stack.places.marks)
    stack.skipped("orders_grew", "The value is still", after=back)
    assert len(stack.runs("sync_grown")) == runs


def test_airbytes_own_syncs_appear_once_even_if_the_daemon_dies(stack: Stack) -> None:
    """A sync that nobody in Dagster started is recorded and checked, once; one of ours is left to its run."""
    before = stack.skipped("airbyte_syncs", "This is the first tick").cursor
    assert before is not None
    key = dg.AssetKey(["recorded", "users"])
    definitions = definitions_at(stack.places, resource_of(stack.airbyte))
    provision = definitions.resolve_job_def("provision_recorded").execute_in_process(instance=stack.instance)
    with stack.airbyte.api() as api:
        theirs = api.finish(api.sync(provision.output_for_node("create_connection")))["jobId"]

    stack.eventually(lambda: recorded_jobs(stack, key), "a materialization")
    stack.kill_daemon()
    stack.start_daemon()
    checked = stack.run_that_succeeded("airbyte_syncs_checks")
    assert "Asset check 'row_count' on 'recorded/users' passed." in stack.log_of(checked)

    stack.kill_daemon()
    stack.rewind("airbyte_syncs", before)
    restarted = time.time()
    stack.start_daemon()
    stack.skipped("airbyte_syncs", "No job has ended.", after=restarted)
    again = stack.ticks("airbyte_syncs", after=restarted)[-1]
    assert again.run_keys == [checked.tags["dagster/run_key"]]
    assert again.run_ids == []

    assert definitions.resolve_job_def("sync_recorded").execute_in_process(instance=stack.instance).success
    (ours,) = [job.id for job in stack.jobs("recorded") if job.id != theirs]
    ended = time.time()
    stack.skipped("airbyte_syncs", "No job has ended.", after=ended)
    assert recorded_jobs(stack, key) == [(theirs, False), (ours, True)]
    assert [run.run_id for run in stack.runs("airbyte_syncs_checks")] == [checked.run_id]


def recorded_jobs(stack: Stack, key: dg.AssetKey) -> list[tuple[int, bool]]:
    """The jobs that an asset was materialized by, oldest first, and whether a run recorded them."""
    records = stack.instance.fetch_materializations(key, limit=100, ascending=True).records
    found = [(record.asset_materialization, bool(record.run_id)) for record in records]
    return [(int(str(event.metadata[JOB].value)), by_run) for event, by_run in found if event]


def test_an_automation_condition_syncs_what_an_asset_has_written(stack: Stack) -> None:
    """A Python asset writes a file, an eager pipeline brings it to the warehouse, an eager asset reads the table.

    The first evaluation of a condition is Dagster's baseline: `eager` requests nothing for what was there, or was
    missing, at that moment (`newly_updated` has nothing to compare with, and `initial_evaluation` handles the rest).
    So the file is written only after a tick has ended, however late the daemon comes to its first one.
    """
    stack.eventually(lambda: stack.ticks("automation"), "the first tick")
    report = dg.AssetKey("report")
    resources = {"orders_path": stack.places.orders_file}
    for rows in (2, 4):
        assert dg.materialize([orders_file], instance=stack.instance, resources=resources).success
        wait_for_report(stack, report, rows)

    assert [job.status for job in stack.jobs("imported")] == ["succeeded", "succeeded"]


def wait_for_report(stack: Stack, report: dg.AssetKey, rows: int) -> None:
    def is_there() -> bool:
        event = stack.instance.get_latest_materialization_event(report)
        found = event.asset_materialization if event else None
        return found is not None and found.metadata["orders"].value == rows

    stack.eventually(is_there, f"a report of {rows} orders")
    stack.eventually(lambda: all(run.is_finished for run in stack.runs("__ASSET_JOB")), "the end of its run")
    # What is new between two ticks counts as one: a condition can't tell that the file came after the table.
    ended = time.time()
    stack.eventually(lambda: stack.ticks("automation", after=ended), "a tick that has seen the end")


@pytest.mark.usefixtures("after_the_others")
def test_three_ticks_of_a_schedule_are_three_syncs(stack: Stack) -> None:
    """One run for each minute, one job for each run, whatever happened to the daemon meanwhile."""
    runs = [stack.run_that_succeeded("sync_every_minute", number) for number in (1, 2, 3)]
    ticks = [tick for tick in reversed(stack.ticks("sync_every_minute_schedule")) if tick.run_ids]

    assert [tick.run_ids for tick in ticks[:3]] == [[run.run_id] for run in runs]
    minutes = [round(tick.timestamp / 60, 3) for tick in ticks[:3]]
    assert minutes == [float(int(minute)) for minute in minutes]
    assert len(set(minutes)) == 3
    jobs = stack.jobs("every_minute")
    assert [job.id for job in jobs[:3]] == [job_of(run) for run in runs]
    assert [job.status for job in jobs[:3]] == ["succeeded"] * 3
