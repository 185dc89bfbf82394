"""The sync sensor while something is not as it should be."""

from __future__ import annotations

import itertools
import json

import pytest

from airbyte_dagster import AirbyteResource, MotherDuckResource
from airbyte_dagster.pipelines.sync_sensor import pipeline_targets
from airbyte_dagster.sensors.job_recorder import JobRecorder
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster_tests.local.fakes import Api
from airbyte_dagster_tests.sensors.own_runs import (
    PRODUCTS,
    Gate,
    GatedResource,
    end_run,
    own_run,
)
from airbyte_dagster_tests.sensors.recording import Recording


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
    monkeypatch.setattr("airbyte_dagster.sensors.job_recorder.WAREHOUSE_SECONDS", 0.1)
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
        recorded.append(outcome.summary)

    assert recorded == ["Recorded job 1.", "Recorded job 2.", "Recorded job 3.", "No job has ended."]
    assert recording.jobs() == recording.jobs(*PRODUCTS) == [1, 2, 3]
