"""Syncs that no run started, in Dagster: local Airbyte over HTTP, a real instance, a real DuckDB file."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import AirbytePipeline, AirbyteResource, MotherDuckResource, Stream, build_pipeline_defs
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines.sync_sensor import build_airbyte_sync_sensor, pipeline_targets
from airbyte_dagster.runs.checkpoints import RunCheckpoints
from airbyte_dagster.runs.events import last_recorded
from airbyte_dagster.sensors.job_recorder import JobRecorder
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster_tests.conftest import client_of, pipeline_of
from airbyte_dagster_tests.daemon.stack import HoldingEngine
from airbyte_dagster_tests.dagster_runs import ROWS, run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.sensors.recording import Recording, Told, count_calls, ids_of

USERS = dg.AssetKey(["example", "users"])
PRODUCTS = ("example", "products")


@pytest.fixture
def recording(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> Recording:
    """The pipeline of users and products, with its connection made and the first tick done."""
    made = Recording(airbyte, instance)
    made.provision()
    made.tick()
    return made


@pytest.fixture
def connection(recording: Recording) -> str:
    with client_of(recording.server) as client:
        (found,) = client.connections(recording.server.workspace_id)
    return found.id


def append_pipeline(server: RunningAirbyte, mode: str = "incremental_append") -> AirbytePipeline:
    """A pipeline of one stream that is read on from where it stopped; rows come from `rows_of`."""
    server.engine.add("faker", {"users": ROWS[:4]})
    return pipeline_of(server, streams=[Stream(name="users", sync_mode=mode, primary_key="id")])


def sql(server: RunningAirbyte, statement: str) -> None:
    with duckdb.connect(str(server.home.warehouse)) as connection:
        connection.execute(statement)


def own_run(recording: Recording, connection: str, checkpoint: Checkpoint, **settings: Any) -> str:
    """Leave a run in the instance that has a checkpoint; its id."""
    job = recording.definitions.resolve_job_def("sync_example")
    settings.setdefault("status", dg.DagsterRunStatus.STARTED)
    run = recording.instance.create_run_for_job(job, **settings)
    RunCheckpoints(recording.instance, run).save({connection: checkpoint})
    return run.run_id


def end_run(recording: Recording, run_id: str) -> None:
    """Say that a run has failed, as Dagster does of one whose process has died."""
    run = recording.instance.get_run_by_id(run_id)
    assert run
    recording.instance.report_run_failed(run)


def reports_of(told: Told) -> dict[str, Any]:
    (reports,) = told.metadata["airbyte/streams"].records
    return dict(reports.data)


# What a job becomes


def test_a_sync_of_airbytes_own_is_as_one_of_ours(recording: Recording, connection: str, api: Api) -> None:
    """It is materialized with the metadata that a run gives it, and the checks of both assets run."""
    assert run_sync(recording.definitions, recording.instance).success
    api.finish(api.sync(connection))

    data = recording.tick()

    ours, airbytes = recording.told()
    assert (ours.job_id, airbytes.job_id) == (1, 2)
    assert ours.run_id
    assert not airbytes.run_id
    own = {"airbyte/job_id", "airbyte/job", "airbyte/duration_seconds", "airbyte/job_bytes", "airbyte/bytes_reported"}
    own |= {"airbyte/ended"}
    assert ours.metadata.keys() == airbytes.metadata.keys()
    assert {name: ours.metadata[name] for name in ours.metadata.keys() - own} == {
        name: airbytes.metadata[name] for name in airbytes.metadata.keys() - own
    }
    assert recording.jobs(*PRODUCTS) == [1, 2]
    checks = recording.check(data)
    assert {name: check.description for name, check in checks.items()} == {
        "users": "users has 35 rows, Airbyte reports 35.",
        "products": "products has 35 rows, Airbyte reports 35.",
    }


def test_nothing_from_before_the_first_tick(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """What had ended before is not reported; what was running then is, once it ends."""
    recording = Recording(airbyte, instance)
    connection = recording.provision()
    api.finish(api.sync(connection))
    airbyte.engine.hold()
    running = api.sync(connection)
    airbyte.engine.wait_for_start(2)

    assert recording.tick().skip_message == "This is the first tick: jobs that end from now on are recorded."
    assert recording.tick().skip_message == "No job has ended."
    airbyte.engine.release()
    api.finish(running)
    recording.tick()

    assert recording.jobs() == [running]


def test_failed_and_cancelled_jobs_are_observations(recording: Recording, connection: str, api: Api) -> None:
    """With the reason, in the words that a run has for it; no checks run."""
    recording.server.engine.fail_next("No such host")
    assert not run_sync(recording.definitions, recording.instance).success
    recording.server.engine.fail_next("No such host")
    api.finish(api.sync(connection))
    recording.server.engine.hold()
    cancelled = api.sync(connection)
    recording.server.engine.wait_for_start(3)
    api.ok("DELETE", f"/jobs/{cancelled}")

    data = recording.tick()

    ours, failed, stopped = recording.told()
    assert [event.kind for event in (ours, failed, stopped)] == ["observation"] * 3
    assert failed.description == ours.description.replace("Job 1", "Job 2")
    assert "No such host" in failed.description
    assert failed.metadata["airbyte/job_status"] == "failed"
    assert failed.metadata["airbyte/job_rows"] == 0
    assert stopped.description == f"Job 3 of connection {connection} was cancelled."
    assert stopped.metadata["airbyte/job_status"] == "cancelled"
    assert not data.run_requests
    assert data.skip_message == "Recorded jobs 2, 3."


def test_a_reset_is_an_observation_that_checks_know(recording: Recording, connection: str, api: Api) -> None:
    """After it nothing is expected in the tables."""
    api.finish(api.sync(connection))
    recording.tick()
    api.finish(api.sync(connection, "clear"))

    assert not recording.tick().run_requests

    reset = recording.told()[-1]
    assert (reset.kind, reset.job_id) == ("observation", 2)
    assert reset.description == "Emptied by Airbyte's job 2, a reset."
    assert reports_of(reset)["rows_reported"] == 0
    recorded = last_recorded(recording.instance, USERS)
    assert recorded is not None
    assert recorded.is_reset


def test_only_streams_that_were_reset(
    recording: Recording, connection: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reset of some streams says nothing of the others."""
    api.finish(api.sync(connection, "reset"))
    client = recording.airbyte.tick_client()
    monkeypatch.setattr(client, "reset_streams", lambda _job_id: frozenset({("some", "users")}))

    recording.tick()

    assert recording.jobs() == [1]
    assert recording.jobs(*PRODUCTS) == []


def test_one_asset_for_all_streams(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """A pipeline that names no streams has one asset; what the connection has decides of what it is."""
    recording = Recording(airbyte, instance, pipeline_of(airbyte, streams=None))
    connection = recording.provision()
    recording.tick()
    api.finish(api.sync(connection))

    data = recording.tick()

    (told,) = recording.told("example")
    assert told.metadata["dagster/row_count"] == 105
    assert len(told.metadata["airbyte/streams"].records) == 3
    assert recording.check(data)["example"].passed


def test_a_reset_of_a_part_of_one_asset(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, but checks go on to hold to the last sync: the asset is not empty."""
    recording = Recording(airbyte, instance, pipeline_of(airbyte, streams=None))
    connection = recording.provision()
    recording.tick()
    api.finish(api.sync(connection))
    recording.tick()
    api.finish(api.sync(connection, "reset"))
    client = recording.airbyte.tick_client()
    monkeypatch.setattr(client, "reset_streams", lambda _job_id: frozenset({(None, "users")}))

    recording.tick()

    assert recording.jobs("example") == [1, 2]
    recorded = last_recorded(instance, dg.AssetKey("example"))
    assert recorded is not None
    assert not recorded.is_reset


def test_several_jobs_in_one_tick(recording: Recording, connection: str, api: Api) -> None:
    """Each is told, in their order; what the warehouse shows is told of the newest alone, and it is checked once."""
    for _ in range(3):
        api.finish(api.sync(connection))

    data = recording.tick()

    assert recording.jobs() == [1, 2, 3]
    counted = [event.job_id for event in recording.told() if "dagster/row_count" in event.metadata]
    assert counted == [3]
    assert "dagster/column_schema" not in recording.told()[0].metadata
    assert len(data.run_requests or ()) == 1


def test_two_pipelines(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """One sensor, one run of checks: of the assets of both, and of no others."""
    first = pipeline_of(airbyte)
    second = AirbytePipeline(
        **{**dict(first), "name": "other", "connection": first.connection.model_copy(update={"name": "other"})}
    )
    recording = Recording(airbyte, instance, first, second)
    connections = [recording.provision(pipeline) for pipeline in (first, second)]
    recording.tick()
    for connection in connections:
        api.finish(api.sync(connection))

    data = recording.tick()

    assert recording.jobs() == [1]
    assert recording.jobs("other", "users") == [2]
    (request,) = data.run_requests or ()
    assert {key.asset_key.path[0] for key in request.asset_check_keys or ()} == {"example", "other"}
    api.finish(api.sync(connections[1]))
    (request,) = recording.tick().run_requests or ()
    assert {key.asset_key.path[0] for key in request.asset_check_keys or ()} == {"other"}


# Each once


def test_our_own_jobs_are_skipped(recording: Recording) -> None:
    """A run has recorded its job: the sensor has nothing to add."""
    assert run_sync(recording.definitions, recording.instance).success

    assert recording.tick().skip_message == "No job has ended that is not recorded already."
    assert recording.jobs() == [1]


def test_a_run_of_one_asset_leaves_nothing_out(recording: Recording) -> None:
    """It moved all streams, and recorded them; the sensor tells and checks nothing again."""
    assert run_sync(recording.definitions, recording.instance, selection=["users"]).success

    data = recording.tick()

    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1]
    assert recording.told()[0].run_id
    assert recording.told(*PRODUCTS)[0].run_id
    assert not data.run_requests


def test_our_own_reset_is_skipped(recording: Recording) -> None:
    """What reset_NAME recorded is not told again."""
    job = recording.definitions.resolve_job_def("reset_example")
    config = {"ops": {"reset": {"config": {"confirm": True}}}}
    assert job.execute_in_process(instance=recording.instance, run_config=config).success

    recording.tick()

    assert recording.jobs() == [1]


def test_jobs_of_a_week_that_a_run_recorded(recording: Recording, connection: str, api: Api) -> None:
    """A sensor that was off meanwhile finds what was recorded, however many events lie above it."""
    cursor = recording.cursor
    for _ in range(30):
        api.finish(api.sync(connection))
    recording.tick()
    recording.cursor = cursor

    recording.tick()

    assert recording.jobs() == list(range(1, 31))


class Gate:
    """Holds up whoever looks into the warehouse."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.open.wait(30)


GATE = Gate()


class GatedWarehouse(DuckDBWarehouse):
    """A warehouse that shows its tables only when the gate is open."""

    @contextmanager
    def session(self) -> Iterator[Any]:
        GATE.wait()
        with super().session() as session:
            yield session


class GatedResource(MotherDuckResource):
    """The resource of it."""

    def warehouse(self) -> DuckDBWarehouse:
        return GatedWarehouse(self.database)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(f"{__name__}.GATE", gate)
    yield gate
    gate.open.set()


def test_a_run_in_progress_records_its_job_itself(recording: Recording, connection: str, api: Api, gate: Gate) -> None:
    """While the run is about to record its finished job, ticks wait for it; afterwards there is nothing to tell."""
    held = build_pipeline_defs(
        pipeline_of(recording.server),
        airbyte=recording.airbyte,
        warehouse=GatedResource(database=str(recording.server.home.warehouse)),
    )
    run = threading.Thread(target=run_sync, args=(held, recording.instance))
    run.start()
    try:
        assert gate.reached.wait(30)
        ticks = [recording.tick() for _ in range(3)]
        assert [tick.skip_message for tick in ticks] == ["No job has ended that is not recorded already."] * 3
        assert recording.jobs() == []
    finally:
        gate.open.set()
        run.join(30)
    recording.tick()

    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1]
    assert recording.told()[0].run_id
    assert json.loads(recording.cursor or "")["waiting"] == {}


@pytest.mark.parametrize("checkpoint", [Checkpoint(0, job_id=1), Checkpoint(0, requested_at=1.0)])
def test_a_run_that_crashed_is_made_up_for(
    recording: Recording, connection: str, api: Api, checkpoint: Checkpoint
) -> None:
    """Its job waits while the run looks alive, whether it had learnt the id or not; then the sensor records it."""
    run_id = own_run(recording, connection, checkpoint)
    api.finish(api.sync(connection))

    recording.tick()
    recording.restart()
    recording.tick()
    assert recording.jobs() == []
    end_run(recording, run_id)
    data = recording.tick()

    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1]
    assert recording.check(data).keys() == {"users", "products"}
    recording.tick()
    assert recording.jobs() == [1]


@pytest.mark.parametrize(
    ("checkpoint", "status"),
    [
        (Checkpoint(1, requested_at=1.0), "STARTED"),
        (Checkpoint(0), "STARTED"),
        (Checkpoint(0, job_id=7), "STARTED"),
        (Checkpoint(0, job_id=1, is_recorded=True), "STARTED"),
        (Checkpoint(0, job_id=1), "SUCCESS"),
        (Checkpoint(0, job_id=1), "CANCELED"),
    ],
)
def test_jobs_that_no_run_will_record(
    recording: Recording, connection: str, api: Api, checkpoint: Checkpoint, status: str
) -> None:
    """Older, another job, none requested, recorded already, or of a run that has ended: nobody else records it."""
    own_run(recording, connection, checkpoint, status=dg.DagsterRunStatus(status))
    api.finish(api.sync(connection))

    recording.tick()

    assert recording.jobs() == [1]


def test_a_run_of_another_connection_claims_nothing(recording: Recording, connection: str, api: Api) -> None:
    """Checkpoints are by connection."""
    own_run(recording, "another", Checkpoint(0, requested_at=1.0))
    api.finish(api.sync(connection))

    recording.tick()

    assert recording.jobs() == [1]


def test_a_failed_run_that_dagster_will_retry(recording: Recording, connection: str, api: Api) -> None:
    """The retry takes the job over: it waits for that one, before the retry is there, and while it is queued."""
    failed, queued = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.NOT_STARTED
    first = own_run(recording, connection, Checkpoint(0, job_id=1), status=failed, tags={"dagster/will_retry": "true"})
    api.finish(api.sync(connection))

    recording.tick()
    job = recording.definitions.resolve_job_def("sync_example")
    second = recording.instance.create_run_for_job(
        job,
        status=queued,
        parent_run_id=first,
        root_run_id=first,
        tags={"dagster/parent_run_id": first, "dagster/is_resume_retry": "true"},
    )
    recording.instance.add_run_tags(first, {"dagster/auto_retry_run_id": second.run_id})
    recording.tick()
    assert recording.jobs() == []
    recording.instance.report_run_canceled(second)
    recording.tick()

    assert recording.jobs() == [1]


def test_a_dead_run_is_not_waited_for_for_ever(recording: Recording, connection: str, api: Api) -> None:
    """A run that looks alive for longer than any needs to record a job holds it back no more."""
    own_run(recording, connection, Checkpoint(0, job_id=1))
    api.finish(api.sync(connection))
    recording.tick()
    assert recording.jobs() == []
    data = json.loads(recording.cursor or "")
    data["waiting"]["1"][1] -= 3600
    recording.cursor = json.dumps(data)

    recording.tick()

    assert recording.jobs() == [1]


@pytest.mark.parametrize(("resumes", "jobs"), [("true", [1, 1]), ("", [1, 2])])
def test_a_rerun_after_the_sensor_recorded_the_job(
    recording: Recording, connection: str, api: Api, resumes: str, jobs: list[int]
) -> None:
    """From its failure a run goes on with the job that it requested; executed again as a whole it requests another."""
    crashed = own_run(recording, connection, Checkpoint(0, job_id=1), status=dg.DagsterRunStatus.FAILURE)
    api.finish(api.sync(connection))
    recording.tick()

    again = {
        "dagster/parent_run_id": crashed,
        "dagster/root_run_id": crashed,
        **({"dagster/is_resume_retry": resumes} if resumes else {}),
    }
    assert run_sync(recording.definitions, recording.instance, tags=again).success
    recording.tick()

    assert recording.jobs() == recording.jobs(*PRODUCTS) == jobs


def test_a_run_that_gave_up_watching_is_made_up_for(recording: Recording, connection: str, api: Api) -> None:
    """It recorded that the job was still running; how the job ended is news."""
    slow = Recording(recording.server, recording.instance, sync_timeout=0.1, cancel_on_timeout=False)
    recording.server.engine.hold()
    assert not run_sync(slow.definitions, recording.instance).success
    recording.tick()
    recording.server.engine.release()
    api.finish(1)

    recording.tick()

    assert [(event.job_id, event.kind) for event in recording.told()] == [(1, "observation"), (1, "materialization")]


def test_a_run_that_cancelled_its_job_told_it(recording: Recording) -> None:
    """A time-out is told by the run, with its reason: that the job was cancelled is no further news."""
    slow = Recording(recording.server, recording.instance, sync_timeout=0.1)
    recording.server.engine.hold()
    assert not run_sync(slow.definitions, recording.instance).success

    recording.tick()

    assert recording.jobs() == [1]


def test_killed_before_the_events_are_written(recording: Recording, connection: str, api: Api) -> None:
    """The next tick, in a new process, tells it all."""
    api.finish(api.sync(connection))
    recording.evaluate()
    recording.restart()

    data = recording.tick()

    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1]
    assert data.run_requests


def test_killed_before_the_cursor_is_kept(recording: Recording, connection: str, api: Api) -> None:
    """The next tick repeats no event; it asks for the same run of checks, by the same key, and once."""
    api.finish(api.sync(connection))
    lost = recording.evaluate()
    recording.write(lost)
    recording.restart()

    data = recording.tick()

    assert not data.asset_events
    assert recording.jobs() == [1]
    assert [request.run_key for request in data.run_requests or ()] == [
        request.run_key for request in lost.run_requests or ()
    ]
    assert recording.check(data).keys() == {"users", "products"}
    assert not recording.tick().run_requests


def test_killed_half_way_through_the_events(recording: Recording, connection: str, api: Api) -> None:
    """What was not written is written, what was is not repeated."""
    for _ in range(2):
        api.finish(api.sync(connection))
    for event in recording.evaluate().asset_events[:3]:
        recording.instance.report_runless_asset_event(event)

    data = recording.tick()

    assert len(data.asset_events) == 1
    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1, 2]
    assert recording.check(data).keys() == {"users", "products"}


def test_another_server_has_the_same_ids(recording: Recording, connection: str, api: Api) -> None:
    """A connection that was made anew begins with job 1 again: that is another job."""
    api.finish(api.sync(connection))
    recording.tick()
    for statement in ("DELETE FROM jobs", "DELETE FROM connections", "DELETE FROM sqlite_sequence"):
        recording.forget(statement)
    again = recording.provision()
    data = json.loads(recording.cursor or "")
    recording.cursor = json.dumps({**data, "handled": []})
    assert api.finish(api.sync(again))["jobId"] == 1

    recording.tick()

    assert recording.jobs() == [1, 1]


# Rows before, and the checks


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
    assert reports_of(recording.told()[-1])["rows_before"] is None
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
    assert reports_of(recording.told()[-1])["rows_before"] == before


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
    assert reports_of(recording.told()[-1])["rows_before"] is None


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


# When something is not as it should be


def test_a_warehouse_that_cannot_be_read(recording: Recording, connection: str, api: Api) -> None:
    """The sync is told all the same, without the numbers; the log says why."""
    api.finish(api.sync(connection))
    recording.warehouse = MotherDuckResource(database=str(recording.server.home.root / "nowhere.duckdb"))

    data = recording.tick()

    (told,) = recording.told()
    assert told.metadata["airbyte/rows_reported"] == 35
    assert "dagster/row_count" not in told.metadata
    assert data.run_requests
    assert "could not be read: There is no database file at" in "".join(recording.logged)


def test_a_warehouse_that_does_not_answer(
    recording: Recording, connection: str, api: Api, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick does not wait for it longer than Dagster waits for a tick."""
    api.finish(api.sync(connection))
    monkeypatch.setattr("airbyte_dagster.sensors.job_recorder._WAREHOUSE_SECONDS", 0.1)
    recording.restart()
    recording.warehouse = GatedResource(database=str(recording.server.home.warehouse))

    recording.tick()

    assert recording.jobs() == [1]


def test_airbyte_is_down(recording: Recording, connection: str, api: Api) -> None:
    """The tick says so and keeps its cursor; when Airbyte is back nothing was missed."""
    api.finish(api.sync(connection))
    cursor, there = recording.cursor, recording.airbyte
    recording.airbyte = AirbyteResource(server_url="http://127.0.0.1:9/v1", max_attempts=1)

    data = recording.tick()

    assert "127.0.0.1:9 can't be reached" in (data.skip_message or "")
    assert recording.cursor == cursor
    recording.airbyte = there
    recording.tick()
    assert recording.jobs() == [1]


def test_bad_credentials(recording: Recording) -> None:
    """The tick says so, without them."""
    cursor = recording.cursor
    recording.airbyte = AirbyteResource(
        server_url=recording.server.server_url, client_id=recording.server.client_id, client_secret="not-the-secret"
    )

    data = recording.tick()

    assert "Invalid client id or token" in (data.skip_message or "")
    assert "not-the-secret" not in (data.skip_message or "")
    assert recording.cursor == cursor


def test_deleted_and_renamed_connections(recording: Recording, connection: str, api: Api) -> None:
    """What was ours when it was deleted is told; what has another name now is nobody's; neither stops the sensor."""
    api.finish(api.sync(connection))
    api.ok("DELETE", f"/connections/{connection}")
    recording.tick()
    assert recording.jobs() == [1]

    renamed = recording.provision()
    api.finish(api.sync(renamed))
    api.ok("PATCH", f"/connections/{renamed}", json={"name": "somebody's"})
    assert recording.tick().skip_message == "No job has ended that is not recorded already."

    gone = recording.provision()
    api.finish(api.sync(gone))
    recording.forget("DELETE FROM connections WHERE id = ?", gone)
    assert recording.tick().skip_message == "No job has ended that is not recorded already."
    assert recording.jobs() == [1]


def test_a_job_that_airbyte_has_forgotten(recording: Recording, connection: str, api: Api) -> None:
    """A job that waited for a run, and that Airbyte does not know any more, is waited for no longer."""
    run = own_run(recording, connection, Checkpoint(0, job_id=1))
    api.finish(api.sync(connection))
    recording.tick()
    recording.forget("DELETE FROM jobs")
    end_run(recording, run)

    recording.tick()

    assert json.loads(recording.cursor or "")["waiting"] == {}


@pytest.mark.parametrize("left", ["another workspace", "another version"])
def test_a_cursor_of_something_else(recording: Recording, connection: str, api: Api, left: str) -> None:
    """The sensor begins anew, and says what that means."""
    api.finish(api.sync(connection))
    data = json.loads(recording.cursor or "")
    changed = {"workspace": "w"} if left == "another workspace" else {"version": 0}
    recording.cursor = json.dumps({**data, **changed})

    recording.tick()

    assert recording.jobs() == []
    assert "jobs that ended since the last tick are not recorded" in "".join(recording.logged)
    api.finish(api.sync(connection))
    recording.tick()
    assert recording.jobs() == [2]


@pytest.mark.parametrize("has_waited", [False, True])
def test_slow_details_are_left_for_the_next_tick(
    recording: Recording, connection: str, api: Api, *, has_waited: bool
) -> None:
    """Where the time of a tick is over, the rest comes with the next one, nothing twice; jobs that have waited, too."""
    run = own_run(recording, connection, Checkpoint(0, requested_at=1.0)) if has_waited else None
    for _ in range(3):
        api.finish(api.sync(connection))
    if run is not None:
        recording.tick()
        end_run(recording, run)
        # They have waited for so long that no list shows them any more: only the cursor knows them.
        data = json.loads(recording.cursor or "")
        recording.cursor = json.dumps({**data, "since": "2100-01-01T00:00:00+00:00", "handled": []})
    seconds = itertools.count(step=6)
    recorder = JobRecorder(pipeline_targets(recording.pipelines), clock=lambda: float(next(seconds)))
    cursor, recorded = recording.cursor, list[str]()

    for _ in range(4):
        outcome = recorder.tick(recording.airbyte, None, recording.instance, cursor, warn=recorded.append)
        cursor = outcome.cursor.to_json()
        for event in outcome.events:
            recording.instance.report_runless_asset_event(event)
        recorded.append(outcome.summary)

    assert recorded == ["Recorded job 1.", "Recorded job 2.", "Recorded job 3.", "No job has ended."]
    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1, 2, 3]


# Calls


def test_a_connection_of_nobody_is_asked_for_once(recording: Recording, connection: str, api: Api) -> None:
    """Its jobs cost nothing but their place in the list."""
    other = api.connection(api.source(count=1), api.destination("other.duckdb"), ["users"], name="nobody's")
    api.finish(api.sync(other))
    first = count_calls(recording, recording.tick)
    api.finish(api.sync(other))
    second = count_calls(recording, recording.tick)

    assert dict(first) == {"GET /jobs": 1, "GET /connections/*": 1, "all": 2}
    assert dict(second) == {"GET /jobs": 1, "all": 1}


def test_calls_of_a_tick(recording: Recording, connection: str, api: Api) -> None:
    """Nothing new: the list alone. A job of ours: its connection, and what it says of each stream."""
    assert dict(count_calls(recording, recording.tick)) == {"GET /jobs": 1, "all": 1}
    api.finish(api.sync(connection))
    calls = count_calls(recording, recording.tick)
    assert dict(calls) == {"GET /jobs": 1, "GET /connections/*": 1, "POST /jobs/*": 1, "all": 3}


# The definition


def test_definition(airbyte: RunningAirbyte) -> None:
    """Off until it is turned on, every 30 s, with a job of checks; what is not valid is refused."""
    pipeline = pipeline_of(airbyte)
    sensor = build_airbyte_sync_sensor([pipeline])
    assert (sensor.name, sensor.minimum_interval_seconds) == ("airbyte_syncs", 30)
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.required_resource_keys == {"airbyte", "motherduck"}
    other = build_airbyte_sync_sensor(
        [pipeline],
        name="mine",
        airbyte_key="a",
        warehouse_key="b",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    assert (other.name, other.minimum_interval_seconds) == ("mine", 5)
    assert other.required_resource_keys == {"a", "b"}
    assert other.default_status is dg.DefaultSensorStatus.RUNNING
    with pytest.raises(ConfigurationError, match="has no pipeline"):
        build_airbyte_sync_sensor([])
    with pytest.raises(ConfigurationError, match="no name of a sensor"):
        build_airbyte_sync_sensor([pipeline], name="my sensor")


def test_a_pipeline_without_checks(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """It loads, and no run is requested."""
    pipeline = AirbytePipeline(**{**dict(pipeline_of(airbyte)), "checks": {"row_count": False, "values_kept": False}})
    recording = Recording(airbyte, instance, pipeline)
    connection = recording.provision()
    recording.tick()
    api.finish(api.sync(connection))

    data = recording.tick()

    assert not data.run_requests
    assert data.skip_message == "Recorded job 1."
    assert ids_of(recording.told(), "materialization") == [1]


def test_checks_of_others_run_too(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api, tmp_path: Path
) -> None:
    """Whatever checks the code location has for an asset are run."""

    @dg.asset_check(asset=USERS)
    def mine() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    recording = Recording(airbyte, instance)
    recording.definitions = dg.Definitions.merge(recording.definitions, dg.Definitions(asset_checks=[mine]))
    connection = recording.provision()
    recording.tick()
    api.finish(api.sync(connection))

    (request,) = recording.tick().run_requests or ()

    assert {key.name for key in request.asset_check_keys or ()} == {"mine", "row_count", "values_kept"}
