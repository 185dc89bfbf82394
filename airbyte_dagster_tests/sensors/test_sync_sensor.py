"""Syncs that no run started, in Dagster: what jobs become, at which cost, and what defines it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from airbyte_dagster import AirbytePipeline
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines.sync_sensor import build_airbyte_sync_sensor
from airbyte_dagster.runs.events import last_recorded
from airbyte_dagster_tests.conftest import pipeline_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.sensors.own_runs import (
    PRODUCTS,
    USERS,
    reports_of,
)
from airbyte_dagster_tests.sensors.recording import Recording, count_calls, ids_of


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


def test_a_failed_job_has_complete_streams(recording: Recording, connection: str, api: Api) -> None:
    """They are materialized and checked, as a run does it; the others are told to have failed, in the same words."""
    engine = recording.server.engine
    api.finish(api.sync(connection))
    recording.tick()
    engine.fail_next("No such host", stream=(None, "users"), complete=["products"])
    assert not run_sync(recording.definitions, recording.instance).success
    engine.fail_next("No such host", stream=(None, "users"), complete=["products"])
    api.finish(api.sync(connection))

    data = recording.tick()

    _, ours, airbytes = recording.told(*PRODUCTS)
    assert [event.kind for event in (ours, airbytes)] == ["materialization"] * 2
    assert airbytes.metadata["airbyte/job_status"] == ours.metadata["airbyte/job_status"] == "failed"
    assert reports_of(airbytes) == {**reports_of(ours), "note": reports_of(ours)["note"].replace("job 2", "job 3")}
    assert airbytes.metadata["dagster/row_count"] == ours.metadata["dagster/row_count"] == 35
    _, ours, airbytes = recording.told()
    assert [event.kind for event in (ours, airbytes)] == ["observation"] * 2
    assert airbytes.description == ours.description.replace("Job 2", "Job 3")
    checks = recording.check(data)
    assert checks.keys() == {"products"}
    assert checks["products"].passed


def test_a_job_before_one_that_failed_in_parts(recording: Recording, connection: str, api: Api) -> None:
    """Of a stream that the later one brought, the tables show what that one has left."""
    api.finish(api.sync(connection))
    recording.server.engine.fail_next("No such host", stream=(None, "users"), complete=["products"])
    api.finish(api.sync(connection))

    data = recording.tick()

    assert ["dagster/row_count" in event.metadata for event in recording.told(*PRODUCTS)] == [False, True]
    assert ["dagster/row_count" in event.metadata for event in recording.told()] == [True, False]
    assert recording.check(data).keys() == {"users", "products"}


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
    with pytest.raises(ConfigurationError, match=r"poll_interval_seconds .* is 29, less than the 30 s between"):
        build_airbyte_sync_sensor([pipeline], poll_interval_seconds=29)


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
