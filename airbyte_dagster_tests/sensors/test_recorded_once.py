"""Each job is recorded once, whichever run or tick does it, and whatever is killed in between."""

from __future__ import annotations

import json
import threading

import dagster as dg
import pytest

from airbyte_dagster import build_pipeline_defs
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster_tests.conftest import pipeline_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import Api
from airbyte_dagster_tests.sensors.own_runs import (
    PRODUCTS,
    Gate,
    GatedResource,
    end_run,
    killed_after,
    own_run,
)
from airbyte_dagster_tests.sensors.recording import Recording


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
        assert gate.reached.wait(300)
        ticks = [recording.tick() for _ in range(3)]
        assert [tick.skip_message for tick in ticks] == ["No job has ended that is not recorded already."] * 3
        assert recording.jobs() == []
    finally:
        gate.open.set()
        run.join(300)
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
    recording.restart()

    data = recording.tick()

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
    with killed_after(recording.instance, 3):
        recording.evaluate()
    assert len(recording.told()) + len(recording.told(*PRODUCTS)) == 3

    data = recording.tick()

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
