"""What a tick costs in calls, in a workspace of a thousand connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest

from airbyte_dagster.pipelines.sync_sensor import pipeline_targets
from airbyte_dagster.resources import AirbyteResource
from airbyte_dagster.sensors.job_recorder import JobRecorder, Outcome
from airbyte_dagster_tests.conftest import resource_of, warehouse_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte, ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.sensors.many_jobs import end_jobs, make_home, pipelines_of

CONNECTIONS = 1000
TIME = 1_700_000_000.0


class Many:
    """The server, and ticks over it."""

    def __init__(self, server: RunningAirbyte, instance: dg.DagsterInstance, ours: Sequence[int]) -> None:
        self.server = server
        self.instance = instance
        self.airbyte: AirbyteResource = resource_of(server)
        self.recorder = JobRecorder(pipeline_targets(pipelines_of(server, ours)), now=lambda: self.now)
        self.now = 0.0
        self.cursor: str | None = None
        self.calls: Counter[str] = Counter()

    def tick(self) -> Outcome:
        """Tick once, half a minute after the last time."""
        self.now += 30
        client = self.airbyte.tick_client()
        before, paths = client.calls, list[str]()
        client.http.event_hooks["request"] = [lambda request: paths.append(request.url.path.split("/")[4])]
        warehouse = warehouse_of(self.server).warehouse
        outcome = self.recorder.tick(self.airbyte, warehouse, self.instance, self.cursor, warn=lambda _text: None)
        self.calls = Counter({**Counter(paths), "all": client.calls - before})
        self.cursor = outcome.cursor.to_json()
        return outcome


@pytest.fixture(autouse=True)
def _all_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the disk is."""
    monkeypatch.setattr("airbyte_dagster.sensors.job_writer._WRITING_SECONDS", 600.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningAirbyte]:
    """A workspace with a thousand connections and a job of each, long ago."""
    home = make_home(tmp_path, CONNECTIONS)
    with running_local_airbyte(home, ScriptedEngine(), clock=lambda: TIME) as running:
        end_jobs(running, range(CONNECTIONS), at=TIME - 10_000, apart=5)
        yield running


def test_quiet_ticks(server: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The first tick costs a token, the workspace and one page of jobs; each further one a page."""
    many = Many(server, instance, range(100))
    many.tick()
    assert many.calls == {"workspaces": 1, "jobs": 1, "all": 3}
    for _ in range(3):
        many.tick()
        assert many.calls == {"jobs": 1, "all": 1}


def test_250_jobs_of_others(server: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Three pages of jobs; which connections they are of is learnt from one list, once.

    The next tick reads those of the last half minute again, in case one showed late; after it nothing is read twice.
    """
    many = Many(server, instance, [900])
    many.tick()
    end_jobs(server, range(250), at=TIME, apart=0.2)

    assert not many.tick().events
    assert many.calls == {"jobs": 3, "connections": 11, "all": 14}
    many.tick()
    assert many.calls == {"jobs": 2, "all": 2}
    many.tick()
    assert many.calls == {"jobs": 1, "all": 1}
    end_jobs(server, range(250), at=TIME + 100, apart=0.2)
    many.tick()
    assert many.calls == {"jobs": 3, "all": 3}


def test_90_jobs_of_ours(server: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Each is recorded in the tick that sees it, with one call for its rows."""
    many = Many(server, instance, range(90))
    many.tick()
    end_jobs(server, range(90), at=TIME, apart=0.1)

    outcome = many.tick()

    assert len(outcome.events) == 90
    assert many.calls == {"jobs": 1, "connections": 11, "get_without_logs": 90, "all": 102}
    assert not many.tick().events
    assert many.calls == {"jobs": 1, "all": 1}


def test_jobs_of_one_second(server: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """150 jobs that ended within one second, seen by ticks within that second: each is recorded once."""
    many = Many(server, instance, range(0, 150, 10))
    many.tick()
    for part in range(3):
        end_jobs(server, range(part * 50, part * 50 + 50), at=TIME + 0.3 * part, apart=0.005)
        assert len(many.tick().events) == 5
    assert not many.tick().events


def test_many_jobs_of_one_instant(server: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """So do more than a page of jobs that ended at the very same time, as after a restart of a server."""
    many = Many(server, instance, range(0, 250, 10))
    many.tick()
    end_jobs(server, range(250), at=TIME)

    assert len(many.tick().events) == 25
    assert many.calls["jobs"] == 3
    assert not many.tick().events


def test_a_backlog_of_weeks(server: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """After weeks in which no tick was, all that was missed is told, a bounded number of calls at a time."""
    many = Many(server, instance, [7])
    many.tick()
    for day in range(5):
        end_jobs(server, range(CONNECTIONS), at=TIME + day * 86_400, apart=0.5)

    ticks = 0
    while len(instance.fetch_materializations(dg.AssetKey(["pipeline_7", "users"]), limit=10).records) < 5:
        many.tick()
        assert many.calls["jobs"] <= 12
        ticks += 1
        assert ticks < 20
    many.tick()

    records = instance.fetch_materializations(dg.AssetKey(["pipeline_7", "users"]), limit=10).records
    assert len(records) == 5


def test_others_are_held_up_for_a_time_only(
    server: RunningAirbyte, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing takes long, the rest comes with the next ticks, nothing twice."""
    monkeypatch.setattr("airbyte_dagster.sensors.job_writer._WRITING_SECONDS", 0.0)
    many = Many(server, instance, range(3))
    many.tick()
    end_jobs(server, range(3), at=TIME, apart=1)

    assert [len(many.tick().events) for _ in range(4)] == [1, 1, 1, 0]
