"""The rows before a sync that no run started, and what checks make of them."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import AirbytePipeline, Stream
from airbyte_dagster.runs.events import last_recorded
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster_tests.conftest import pipeline_of
from airbyte_dagster_tests.daemon.stack import HoldingEngine
from airbyte_dagster_tests.dagster_runs import ROWS, run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.sensors.own_runs import (
    USERS,
    end_run,
    own_run,
    reports_of,
)
from airbyte_dagster_tests.sensors.recording import Recording


def append_pipeline(server: RunningAirbyte, mode: str = "incremental_append") -> AirbytePipeline:
    """A pipeline of one stream that is read on from where it stopped; rows come from `rows_of`."""
    server.engine.add("faker", {"users": ROWS[:4]})
    return pipeline_of(server, streams=[Stream(name="users", sync_mode=mode, primary_key="id")])


def sql(server: RunningAirbyte, statement: str) -> None:
    with duckdb.connect(str(server.home.warehouse)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("mode", ["incremental_append", "incremental_deduped_history"])
def test_rows_before_go_from_job_to_job(
    mode: str, airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api
) -> None:
    """A sync of ours counted the rows; those of Airbyte's own build on it, and the check judges them rightly."""
    recording = Recording(airbyte, instance, append_pipeline(airbyte, mode))
    connection = recording.provision()
    recording.tick()
    assert run_sync(recording.definitions, instance).success
    for rows in (6, 9):
        airbyte.engine.add("faker", {"users": ROWS[:rows]})
        api.finish(api.sync(connection))
        data = recording.tick()
        check = recording.check(data)["users"]
        assert check.passed, check.description

    assert [reports_of(event)["rows_before"] for event in recording.told()] == [0, 4, 6]
    assert [reports_of(event)["rows_reported"] for event in recording.told()] == [4, 2, 3]
    sql(airbyte, "DELETE FROM users WHERE id = 1" if mode == "incremental_append" else "INSERT INTO users FROM users")
    check = recording.check(data)["users"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR


def test_rows_before_within_one_tick(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """Of several jobs in one tick each builds on the one before, though the warehouse shows only the last."""
    recording = Recording(airbyte, instance, append_pipeline(airbyte))
    connection = recording.provision()
    recording.tick()
    assert run_sync(recording.definitions, instance).success
    for rows in (6, 9):
        airbyte.engine.add("faker", {"users": ROWS[:rows]})
        api.finish(api.sync(connection))

    data = recording.tick()

    assert [reports_of(event)["rows_before"] for event in recording.told()] == [0, 4, 6]
    assert recording.check(data)["users"].passed


def test_rows_before_after_a_reset(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """A reset leaves nothing, which the next job finds."""
    recording = Recording(airbyte, instance, append_pipeline(airbyte))
    connection = recording.provision()
    recording.tick()
    api.finish(api.sync(connection, "reset"))
    api.finish(api.sync(connection))

    data = recording.tick()

    assert reports_of(recording.told()[-1])["rows_before"] == 0
    assert recording.check(data)["users"].passed


def test_rows_before_are_unknown_after_a_job_that_nobody_saw(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api
) -> None:
    """A job from before the sensor began brought rows that no event tells of: the check says that it can't know."""
    recording = Recording(airbyte, instance, append_pipeline(airbyte))
    connection = recording.provision()
    assert run_sync(recording.definitions, instance).success
    airbyte.engine.add("faker", {"users": ROWS[:6]})
    api.finish(api.sync(connection))
    recording.tick()
    airbyte.engine.add("faker", {"users": ROWS[:9]})
    api.finish(api.sync(connection))

    data = recording.tick()

    assert recording.jobs() == [1, 3]
    assert "rows_before" not in reports_of(recording.told()[-1])
    check = recording.check(data)["users"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    airbyte.engine.add("faker", {"users": ROWS})
    api.finish(api.sync(connection))
    assert recording.check(recording.tick())["users"].passed


@pytest.mark.parametrize(("rows", "before"), [(0, 4), (2, None)])
def test_rows_before_after_a_job_that_failed(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api, rows: int, before: int | None
) -> None:
    """One that brought nothing changes nothing; what one left that brought rows is not known."""
    recording = Recording(airbyte, instance, append_pipeline(airbyte))
    connection = recording.provision()
    recording.tick()
    assert run_sync(recording.definitions, instance).success
    airbyte.engine.fail_next()
    failed = api.finish(api.sync(connection))["jobId"]
    committed = json.dumps([{"streamName": "users", "streamNamespace": None, **dict.fromkeys(COUNTS, rows)}])
    recording.forget("UPDATE jobs SET stats = ? WHERE id = ?", committed, str(failed))
    recording.tick()
    airbyte.engine.add("faker", {"users": ROWS[:6]})
    api.finish(api.sync(connection))

    recording.tick()

    assert recording.jobs() == [1, 2, 3]
    assert reports_of(recording.told()[-1]).get("rows_before") == before


COUNTS = ("recordsEmitted", "bytesEmitted", "recordsCommitted", "bytesCommitted")


def test_a_job_that_is_told_late_changes_no_check(recording: Recording, connection: str, api: Api) -> None:
    """A newer job was recorded meanwhile: the older one is told, but checks hold to the newer one's reports."""
    cursor = recording.cursor
    api.finish(api.sync(connection))
    run = own_run(recording, connection, Checkpoint(0, job_id=1))
    recording.tick()
    recording.server.engine.add("faker", {"users": ROWS, "products": ROWS})
    api.finish(api.sync(connection))
    recording.tick()
    assert recording.jobs() == [2]
    end_run(recording, run)

    data = recording.tick()

    assert recording.jobs() == [2, 1]
    late = recording.told()[-1]
    assert late.kind == "materialization"
    assert late.metadata["airbyte/rows_reported"] == 35
    assert "dagster/row_count" not in late.metadata
    assert not data.run_requests
    recorded = last_recorded(recording.instance, USERS)
    assert recorded is not None
    assert recorded.reports[0].reported == 10
    assert cursor != recording.cursor


def test_rows_before_are_unknown_while_an_older_job_waits(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api
) -> None:
    """A job that a run is still to record brought rows, too: a newer one can't build on what was before both."""
    recording = Recording(airbyte, instance, append_pipeline(airbyte))
    connection = recording.provision()
    recording.tick()
    api.finish(api.sync(connection, "reset"))
    own_run(recording, connection, Checkpoint(1, job_id=2))
    api.finish(api.sync(connection))
    airbyte.engine.add("faker", {"users": ROWS[:6]})
    api.finish(api.sync(connection))

    recording.tick()

    assert recording.jobs() == [1, 3]
    assert "rows_before" not in reports_of(recording.told()[-1])


def test_while_the_next_sync_runs(recording: Recording, connection: str, api: Api) -> None:
    """What the warehouse shows is no longer what the finished job left: it is told without, and checked after."""
    api.finish(api.sync(connection))
    recording.server.engine.hold()
    running = api.sync(connection)
    recording.server.engine.wait_for_start(2)

    assert not recording.tick().run_requests
    assert "dagster/row_count" not in recording.told()[0].metadata
    api.ok("DELETE", f"/jobs/{running}")
    data = recording.tick()

    assert recording.jobs() == [1, 2]
    assert recording.check(data)["users"].passed


def test_a_job_that_waited_while_the_next_one_began(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """A sync that runs for long is not among what changed last; a job that waited is told without the tables still."""
    now = [1_700_000_000.0]
    engine = HoldingEngine()
    with running_local_airbyte(tmp_path / "home", engine, clock=lambda: now[0]) as server, server.api() as api:
        recording = Recording(server, instance)
        connection = recording.provision()
        other = api.connection(api.source(count=1), api.destination("other.duckdb"), ["users"], name="nobody's")
        recording.tick()
        run = own_run(recording, connection, Checkpoint(0, job_id=1))
        api.finish(api.sync(connection))
        recording.tick()
        engine.hold_connection(connection)
        now[0] += 5
        api.sync(connection)
        engine.wait_for_start(2)
        now[0] += 500
        api.finish(api.sync(other))
        recording.tick()
        end_run(recording, run)

        data = recording.tick()

        assert recording.jobs() == [1]
        assert "dagster/row_count" not in recording.told()[0].metadata
        assert not data.run_requests
