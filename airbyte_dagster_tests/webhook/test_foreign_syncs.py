"""Syncs that Dagster did not start, from local Airbyte's notice over HTTP to Dagster's instance."""

from __future__ import annotations

import logging
import threading

import dagster as dg
import pytest

from airbyte_dagster import build_airbyte_sync_sensor, build_pipeline_defs, build_workspace_defs
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.webhook import build_webhook_app
from airbyte_dagster.webhook.recorder import Outcome, recorders_of
from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.conftest import resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte
from airbyte_dagster_tests.sensors.own_runs import PRODUCTS, Gate, GatedResource, killed_after, own_run
from airbyte_dagster_tests.sensors.recording import Recording
from airbyte_dagster_tests.webhook.receiving import SECRET, notice_of, notify, post, receiving, served, until


def both(recording: Recording) -> list[list[int]]:
    return [recording.jobs(), recording.jobs(*PRODUCTS)]


def record(recording: Recording, job: int) -> Outcome:
    """Have a receiver look into a job, in this thread."""
    with recorders_of(recording.definitions, recording.instance) as (recorder,):
        return recorder.record(job)


def test_a_foreign_sync_is_recorded_when_it_ends(recording: Recording, connection: str, api: Api) -> None:
    """By what Airbyte posts, as the sensor would have recorded it; the sensor's next tick only has the checks run."""
    api.finish(api.sync(connection))
    recording.tick()
    by_sensor = recording.told()[0]
    with receiving(recording) as url:
        notify(api, url)
        api.finish(api.sync(connection))
        until(lambda: both(recording) == [[1, 2], [1, 2]], recording)

    by_receiver = recording.told()[1]
    data = recording.tick()

    assert by_receiver.kind == "materialization"
    assert by_receiver.run_id == ""
    assert by_receiver.metadata.keys() == by_sensor.metadata.keys()
    assert by_receiver.metadata["dagster/row_count"] == by_receiver.metadata["airbyte/rows_reported"] == 35
    assert both(recording) == [[1, 2], [1, 2]]
    assert all(check.passed for check in recording.check(data).values())
    assert not recording.tick().run_requests


def test_a_foreign_failure_is_recorded_with_its_reason(recording: Recording, connection: str, api: Api) -> None:
    """As an observation."""
    with receiving(recording) as url:
        notify(api, url)
        recording.server.engine.fail_next("The source broke")
        api.finish(api.sync(connection))
        until(lambda: both(recording) == [[1], [1]], recording)

    assert recording.told()[0].kind == "observation"
    assert "The source broke" in recording.told()[0].description


def test_duplicates_and_replays_change_nothing(recording: Recording, connection: str, api: Api) -> None:
    """However often a notice comes, at once or later, to one receiver or to two, the job is recorded once."""
    with receiving(recording) as one, receiving(recording) as two:
        job = api.finish(api.sync(connection))["jobId"]
        notice = notice_of(api, job)
        threads = [threading.Thread(target=post, args=(url, notice)) for url in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: both(recording) == [[1], [1]], recording)
        assert post(one, notice) == post(two, notice) == 202

    assert record(recording, job) is Outcome.KNOWN
    recording.tick()
    assert both(recording) == [[1], [1]]


def test_forged_notices(recording: Recording, connection: str, api: Api, airbyte: RunningAirbyte) -> None:
    """A wrong secret, a job that is not there, one of a namesake in another workspace: nothing is recorded."""
    recording.airbyte = resource_of(airbyte, workspace_id=airbyte.workspace_id)
    recording.restart()
    job = api.finish(api.sync(connection))["jobId"]
    other = api.ok("POST", "/workspaces", json={"name": "other"})["workspaceId"]
    here, api.workspace_id = api.workspace_id, other
    namesake = api.connection(api.source(count=3), api.destination(), ["users", "products"], name="faker to duck")
    theirs = api.finish(api.sync(namesake))["jobId"]
    api.workspace_id = here

    with receiving(recording, queue_size=50) as url:
        wrong = url.replace(SECRET, "x" * len(SECRET))
        assert post(wrong, notice_of(api, job)) == 404
        for content in (
            notice_of(api, 4711),
            notice_of(api, theirs),
            notice_of(api, theirs, workspace={"id": other}),
            notice_of(api, job, workspace={"id": other}),
        ):
            assert post(url, content) == 202
    assert record(recording, 4711) is Outcome.UNKNOWN
    assert record(recording, theirs) is Outcome.FOREIGN

    assert both(recording) == [[], []]


def test_a_run_keeps_its_own_job(recording: Recording, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Airbyte posts a notice while the run that waits for the job has still to record it."""
    caplog.set_level(logging.INFO, "airbyte_dagster.webhook")
    with receiving(recording) as url:
        notify(api, url)
        for _ in range(3):
            assert run_sync(recording.definitions, recording.instance).success
        until(lambda: sum(text.startswith("Job ") for text in caplog.messages) == 3, recording)
    recording.tick()

    assert both(recording) == [[1, 2, 3], [1, 2, 3]]
    assert all(event.run_id for event in recording.told())


def test_a_job_that_still_runs_is_not_recorded(recording: Recording, connection: str, api: Api) -> None:
    """Whatever the notice says."""
    recording.server.engine.hold()
    job = api.sync(connection)

    assert record(recording, job) is Outcome.ACTIVE

    recording.server.engine.release()
    api.finish(job)
    assert record(recording, job) is Outcome.RECORDED


def test_a_lost_notice_is_found_by_the_sensor(recording: Recording, connection: str, api: Api) -> None:
    """And the next notice finds it, too: what lies between is recorded before it, resets, which have none, as well."""
    api.finish(api.sync(connection))
    recording.tick()
    with receiving(recording) as url:
        notify(api, "http://127.0.0.1:1/nobody")
        api.finish(api.sync(connection))
        api.finish(api.sync(connection, "reset"))
        notify(api, url)
        api.finish(api.sync(connection))
        until(lambda: both(recording) == [[1, 2, 3, 4], [1, 2, 3, 4]], recording)
        notify(api, None)
    api.finish(api.sync(connection))
    recording.tick()

    assert both(recording) == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert recording.told()[2].kind == "observation"


def test_the_sensor_looks_rarely(recording: Recording, connection: str, api: Api) -> None:
    """With poll_interval_seconds a tick between calls nothing, and has what a receiver recorded checked."""
    recording.sensor = build_airbyte_sync_sensor(recording.pipelines, poll_interval_seconds=3600)
    parts = [
        build_pipeline_defs(item, airbyte=recording.airbyte, warehouse=recording.warehouse)
        for item in recording.pipelines
    ]
    recording.definitions = dg.Definitions.merge(*parts, dg.Definitions(sensors=[recording.sensor]))
    recording.tick()
    recording.tick()
    calls = recording.airbyte.tick_client().calls
    job = api.finish(api.sync(connection))["jobId"]

    quiet = recording.tick()
    assert "Airbyte has reported nothing" in (quiet.skip_message or "")
    assert recording.airbyte.tick_client().calls == calls
    assert record(recording, job) is Outcome.RECORDED
    calls = recording.airbyte.tick_client().calls
    data = recording.tick()
    assert recording.airbyte.tick_client().calls == calls
    assert recording.check(data).keys() == {"users", "products"}
    assert not recording.tick().run_requests
    recording.cursor = (recording.cursor or "").replace('"looked_at": ', '"looked_at": null, "was": ')
    assert not recording.tick().run_requests
    assert both(recording) == [[1], [1]]


def test_what_is_being_recorded_is_finished_at_the_end(
    recording: Recording, connection: str, api: Api, gate: Gate
) -> None:
    """A receiver that is stopped in the middle of it answers no more, and ends when it is written."""
    gated = GatedResource(database=str(recording.server.home.warehouse))
    parts = build_pipeline_defs(recording.pipelines[0], airbyte=recording.airbyte, warehouse=gated)
    definitions = dg.Definitions.merge(parts, dg.Definitions(sensors=[build_airbyte_sync_sensor(recording.pipelines)]))
    app = build_webhook_app(definitions, secret=SECRET, instance=recording.instance)
    job = api.finish(api.sync(connection))["jobId"]
    with served(app) as at:
        assert post(f"{at}/notices/{SECRET}", notice_of(api, job)) == 202
        assert gate.reached.wait(PATIENCE)
        closing = threading.Thread(target=app.close)
        closing.start()
        until(lambda: post(f"{at}/notices/{SECRET}", notice_of(api, job + 1)) == 503, recording)
        gate.open.set()
        closing.join(PATIENCE)
        assert both(recording) == [[1], [1]]


def test_killed_in_the_middle_of_recording(recording: Recording, connection: str, api: Api) -> None:
    """The sensor writes the rest, the receiver that starts again does, too, and neither repeats anything."""
    for expected, other in ((1, recording.tick), (2, lambda: record(recording, 2))):
        job = api.finish(api.sync(connection))["jobId"]
        with killed_after(recording.instance, 1):
            record(recording, job)
        assert sum(map(len, both(recording))) == 2 * expected - 1

        other()

        assert both(recording) == [[*range(1, expected + 1)]] * 2


def test_a_tick_and_a_notice_at_once(recording: Recording, connection: str, api: Api, gate: Gate) -> None:
    """While the sensor waits for the warehouse a receiver records the job: the sensor's events are dropped."""
    recording.warehouse = GatedResource(database=str(recording.server.home.warehouse))
    job = api.finish(api.sync(connection))["jobId"]
    ticking = threading.Thread(target=recording.tick)
    ticking.start()
    assert gate.reached.wait(PATIENCE)
    assert record(recording, job) is Outcome.RECORDED
    gate.open.set()
    ticking.join()

    assert both(recording) == [[1], [1]]
    assert recording.check(recording.tick()).keys() == {"users", "products"}


def test_a_run_joins_while_a_notice_is_looked_into(recording: Recording, connection: str, api: Api, gate: Gate) -> None:
    """A run that has begun to wait for the job by then records it, not the receiver."""
    job = api.finish(api.sync(connection))["jobId"]
    gated = GatedResource(database=str(recording.server.home.warehouse))
    parts = build_pipeline_defs(recording.pipelines[0], airbyte=recording.airbyte, warehouse=gated)
    definitions = dg.Definitions.merge(parts, dg.Definitions(sensors=[build_airbyte_sync_sensor(recording.pipelines)]))
    outcomes: list[Outcome] = []
    with recorders_of(definitions, recording.instance) as (recorder,):
        looking = threading.Thread(target=lambda: outcomes.append(recorder.record(job)))
        looking.start()
        assert gate.reached.wait(PATIENCE)
        own_run(recording, connection, Checkpoint(0, job_id=job))
        gate.open.set()
        looking.join(PATIENCE)

    assert outcomes == [Outcome.OF_A_RUN]
    assert both(recording) == [[], []]


def test_a_workspace(airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    """Whose connections are found in Airbyte: the same receiver records what its sensor would."""
    connection = api.connection(
        api.source(count=7), api.destination(str(airbyte.home.warehouse)), ["users"], name="shop"
    )
    definitions = build_workspace_defs(
        resource_of(airbyte), warehouse=warehouse_of(airbyte), sync_sensor=True, poll_interval_seconds=600
    )
    key = dg.AssetKey(["shop", "users"])
    with served(build_webhook_app(definitions, secret=SECRET, instance=instance)) as at:
        notify(api, f"{at}/notices/{SECRET}")
        api.finish(api.sync(connection))
        wait_for(lambda: instance.get_latest_materialization_event(key), lambda: "nothing was recorded")
    event = instance.get_latest_materialization_event(key)
    assert event
    assert event.asset_materialization
    assert event.asset_materialization.metadata["dagster/row_count"].value == 7
