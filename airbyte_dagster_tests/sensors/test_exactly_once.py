"""Each finished job is recorded exactly once for each asset, whatever happens in whatever order.

Airbyte starts syncs and resets by itself, and ends them; it shows some ends late. Runs of ours note, start and record
jobs, all or some of the assets, and crash at any point. Ticks are killed before, within and after the writing of their
events, and go on in new processes. Notices come in any order, for any job, once or several times, while a tick or
another notice is being looked into, and receivers are killed, too. Airbyte is scripted below HTTP; the instance is
Dagster's own, in memory.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg
import httpx
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airbyte_dagster import AirbyteResource
from airbyte_dagster.airbyte import AirbyteClient, ClientSettings, records
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.checks.results import JOB_ID
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.runs.checkpoints import RunCheckpoints, recorded
from airbyte_dagster.runs.events import synced_metadata, unsuccessful
from airbyte_dagster.runs.targets import AssetTarget, ConnectionTargets
from airbyte_dagster.sensors.job_recorder import JobRecorder
from airbyte_dagster.sensors.sync_sensor import SyncSensor
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.webhook.recorder import NoticeRecorder
from airbyte_dagster_tests.sensors.own_runs import killed_after

WORKSPACE = "11111111-0000-4000-8000-000000000000"
SERVER = "http://airbyte.test/api/public/v1"
#: Connection → its assets; the last one is nobody's.
ASSETS = {"c-1": ("users", "products"), "c-2": ("orders",), "c-3": ()}
LINKS = Links(SERVER, WORKSPACE)
START = dt.datetime(2026, 1, 5, 10, tzinfo=dt.timezone.utc)


@dg.job
def nothing() -> None:
    pass


def key_of(connection: str, name: str) -> dg.AssetKey:
    return dg.AssetKey([connection.replace("-", "_"), name])


def targets_of(connection: records.Connection) -> ConnectionTargets:
    return ConnectionTargets(
        tuple(AssetTarget(key_of(connection.id, name), (Stream(name=name),), {}) for name in ASSETS[connection.id])
    )


SENSOR = SyncSensor("syncs", targets_of, [key_of(*pair) for pair in (("c-1", "users"),)], "airbyte", None)


@dataclass
class ServedJob:
    """A job in Airbyte.

    Attributes:
        changed: When its row was changed, seconds; shown to the second.
        shown_from: Before this the list shows it as it was.
    """

    id: int
    connection: str
    type: str
    changed: float
    status: str = "running"
    shown_from: float = 0.0


@dataclass
class Airbyte(httpx.BaseTransport):
    """A server that answers from its list of jobs.

    Attributes:
        meanwhile: What happens before a request is answered, by the number of the request.
    """

    now: float = 0.0
    jobs: dict[int, ServedJob] = field(default_factory=dict)
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    requests: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        self.meanwhile.pop(self.requests, lambda: None)()
        return self.respond(request)

    def respond(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/public/v1").removeprefix("/api/v1")
        if path == "/jobs":
            return self.answer({"data": self.page(request.url.params)})
        if found := re.fullmatch(r"/jobs/(\d+)", path):
            return self.answer(self.shown(self.jobs[int(found[1])]))
        if found := re.fullmatch(r"/connections/(.*)", path):
            connection = {"connectionId": found[1], "name": found[1], "workspaceId": WORKSPACE, "status": "active"}
            return self.answer({**connection, "sourceId": "s", "destinationId": "d", "configurations": {"streams": []}})
        if path == "/stream_statuses/list":
            return self.answer({"streamStatuses": []})
        assert path.startswith("/jobs/get_"), path
        return self.answer({"job": {"streamAggregatedStats": []}, "attempts": []})

    def answer(self, body: Any) -> httpx.Response:
        return httpx.Response(200, json=body)

    def page(self, params: httpx.QueryParams) -> list[dict[str, Any]]:
        found = sorted(self.jobs.values(), key=lambda job: (self.time(job), job.id))
        if "connectionId" in params:
            found = [job for job in found if job.connection == params["connectionId"]]
        if "updatedAtStart" in params:
            since = (dt.datetime.fromisoformat(params["updatedAtStart"].replace("Z", "+00:00")) - START).total_seconds()
            found = [job for job in found if self.time(job) >= since]
        if params["orderBy"].endswith("DESC"):
            found.reverse()
        offset = int(params["offset"])
        return [self.shown(job) for job in found[offset : offset + int(params["limit"])]]

    def is_final(self, job: ServedJob) -> bool:
        return job.status != "running" and self.now >= job.shown_from

    def time(self, job: ServedJob) -> float:
        return job.changed if job.status == "running" or self.is_final(job) else 0.0

    def shown(self, job: ServedJob) -> dict[str, Any]:
        shown = {"jobId": job.id, "connectionId": job.connection, "jobType": job.type, "startTime": START.isoformat()}
        if not self.is_final(job):
            return {**shown, "status": "running", "duration": "PT0S"}
        time = START + dt.timedelta(seconds=int(job.changed))
        return {**shown, "status": job.status, "lastUpdatedAt": time.isoformat(), "rowsSynced": 0}


class ScriptedResource:
    """What a tick needs of the resource of that server."""

    workspace_name = None

    def __init__(self, client: AirbyteClient) -> None:
        self._client = client

    def tick_client(self) -> AirbyteClient:
        return self._client

    def find_workspace(self, _client: AirbyteClient) -> records.Workspace:
        return records.Workspace(WORKSPACE, "w")


@dataclass
class OurRun:
    """A run that is in progress.

    Attributes:
        job: The job that it has learnt the id of, or has just asked for.
        to_record: Assets that it has not recorded yet.
    """

    run_id: str
    checkpoints: RunCheckpoints
    connection: str
    after: int
    to_record: list[str]
    job: int | None = None


class Recorded(RuleBasedStateMachine):
    """What can happen."""

    @initialize()
    def begin(self) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.airbyte = Airbyte()
        client = AirbyteClient(ClientSettings(server_url=SERVER), transport=self.airbyte)
        self.resource = cast("AirbyteResource", ScriptedResource(client))
        self.runs: list[OurRun] = []
        self.cursor: str | None = None
        self.notes = SENSOR.notes(self.instance)
        self.restart()
        self.tick(0.0, None, restarts=False)

    # Airbyte

    def active(self, connection: str) -> ServedJob | None:
        return next(
            (j for j in self.airbyte.jobs.values() if j.connection == connection and j.status == "running"), None
        )

    def start(self, connection: str, type_: str = "sync") -> ServedJob:
        number = len(self.airbyte.jobs) + 1
        self.airbyte.jobs[number] = ServedJob(number, connection, type_, self.airbyte.now)
        return self.airbyte.jobs[number]

    @rule(connection=st.sampled_from(list(ASSETS)), type_=st.sampled_from(["sync", "sync", "sync", "reset"]))
    def airbyte_starts_a_job(self, connection: str, type_: str) -> None:
        if self.active(connection) is None:
            self.start(connection, type_)

    @precondition(lambda self: any(job.status == "running" for job in self.airbyte.jobs.values()))
    @rule(
        data=st.data(),
        status=st.sampled_from(["succeeded", "succeeded", "failed", "cancelled"]),
        late=st.one_of(st.just(0.0), st.floats(0, 25)),
    )
    def a_job_ends(self, data: st.DataObject, status: str, late: float) -> None:
        running = [job for job in self.airbyte.jobs.values() if job.status == "running"]
        job = data.draw(st.sampled_from(running))
        job.status, job.changed, job.shown_from = status, self.airbyte.now, self.airbyte.now + late

    # Runs of ours

    @rule(connection=st.sampled_from(["c-1", "c-2"]), data=st.data(), starts=st.booleans())
    def a_run_begins(self, connection: str, data: st.DataObject, starts: bool) -> None:
        if any(run.connection == connection for run in self.runs):
            return  # two that watch one job record it both
        names = data.draw(st.lists(st.sampled_from(ASSETS[connection]), min_size=1, unique=True))
        run = self.instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
        after = max((job.id for job in self.airbyte.jobs.values() if job.connection == connection), default=0)
        checkpoints = RunCheckpoints(self.instance, run)
        ours = OurRun(run.run_id, checkpoints, connection, after, names)
        active = self.active(connection)
        if active is not None:
            ours.job, ours.after = active.id, active.id - 1
            checkpoints.save({connection: Checkpoint(ours.after, job_id=ours.job)})
        else:
            checkpoints.save({connection: Checkpoint(after, requested_at=1.0)})
        self.runs.append(ours)
        if starts and ours.job is None:
            self.asks_for_a_job(ours)

    @precondition(lambda self: any(run.job is None for run in self.runs))
    @rule()
    def a_run_starts_its_job(self) -> None:
        self.asks_for_a_job(next(run for run in self.runs if run.job is None))

    def asks_for_a_job(self, run: OurRun) -> None:
        made = [j for j in self.airbyte.jobs.values() if j.connection == run.connection and j.id > run.after]
        run.job = made[-1].id if made else self.start(run.connection).id

    @precondition(lambda self: any(run.job is not None for run in self.runs))
    @rule(data=st.data(), steps=st.integers(1, 4))
    def a_run_goes_on(self, data: st.DataObject, steps: int) -> None:
        """It learns the id of its job; then, with each step, it records the next asset, or is done."""
        run = data.draw(st.sampled_from([run for run in self.runs if run.job is not None]))
        assert run.job is not None
        run.checkpoints.save({run.connection: Checkpoint(run.after, job_id=run.job)})
        job = self.airbyte.jobs[run.job]
        for _ in range(steps):
            if not self.airbyte.is_final(job) or run not in self.runs:
                return
            if job.status != "succeeded":
                for name in ASSETS[run.connection]:
                    self.record(run, job, name)
                self.end(run, failed=True)
            elif run.to_record:
                self.record(run, job, run.to_record.pop())
            else:
                known = run.checkpoints.load([run.connection])
                run.checkpoints.save({key: recorded(item) for key, item in known.items()})
                self.end(run)

    def record(self, run: OurRun, job: ServedJob, name: str) -> None:
        made = records.Job(job.id, job.connection, job.type, job.status, START)
        key = key_of(run.connection, name)
        if job.status == "succeeded":
            event = dg.AssetMaterialization(
                key, metadata=synced_metadata([ReportedStats(name, "full_refresh_overwrite", 1)], None, made, LINKS)
            )
            kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
            logged = DagsterEvent(kind.value, "nothing", event_specific_data=data)
            self.instance.report_dagster_event(logged, run.run_id)
        else:
            told = unsuccessful(key, "why", job_id=job.id, status=job.status, connection_id=job.connection, links=LINKS)
            self.instance.report_runless_asset_event(told)

    def end(self, run: OurRun, *, failed: bool = False) -> None:
        found = self.instance.get_run_by_id(run.run_id)
        assert found
        if failed:
            self.instance.report_run_failed(found)
        else:
            success = DagsterEvent(DagsterEventType.PIPELINE_SUCCESS.value, "nothing")
            self.instance.report_dagster_event(success, run.run_id)
        self.runs.remove(run)

    @precondition(lambda self: bool(self.runs))
    @rule(data=st.data())
    def a_run_crashes(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.runs)), failed=True)

    # Ticks

    def restart(self) -> None:
        self.recorder = JobRecorder(targets_of, clock=lambda: self.airbyte.now, now=lambda: self.airbyte.now + 1e9)

    @rule(
        seconds=st.floats(0, 40),
        killed=st.one_of(st.none(), st.integers(0, 3)),
        restarts=st.booleans(),
        meanwhile=st.one_of(st.none(), st.tuples(st.integers(1, 5), st.integers(1, 9))),
    )
    def tick(
        self, seconds: float, killed: int | None, restarts: bool, meanwhile: tuple[int, int] | None = None
    ) -> None:
        """Tick after some time; perhaps killed when so many events are written, or before the cursor is kept.

        Meanwhile, at some request of the tick, a notice of some job may come.
        """
        self.airbyte.now += seconds
        self.at_request(meanwhile)
        with killed_after(self.instance, killed):
            outcome = self.recorder.tick(
                self.resource, None, self.instance, self.cursor, warn=lambda _text: None, notes=self.notes
            )
            if killed is None:
                self.cursor = outcome.cursor.to_json()
                assert len(self.cursor) < 4000
        self.airbyte.meanwhile.clear()
        if restarts:
            self.restart()

    @precondition(lambda self: bool(self.airbyte.jobs))
    @rule(
        data=st.data(),
        killed=st.one_of(st.none(), st.integers(0, 2)),
        meanwhile=st.one_of(st.none(), st.tuples(st.integers(1, 6), st.integers(1, 9))),
    )
    def a_notice_comes(self, data: st.DataObject, killed: int | None, meanwhile: tuple[int, int] | None) -> None:
        """Of any job, in whatever state; another receiver may get one while this one asks Airbyte."""
        job = data.draw(st.sampled_from(list(self.airbyte.jobs)))
        self.at_request(meanwhile)
        with killed_after(self.instance, killed):
            self.receiver().record(job)
        self.airbyte.meanwhile.clear()

    def at_request(self, what: tuple[int, int] | None) -> None:
        if what is not None:
            number, job = what
            self.airbyte.meanwhile[self.airbyte.requests + number] = lambda: self.other_notice(job)

    def other_notice(self, job: int) -> None:
        if job in self.airbyte.jobs:
            self.receiver().record(job)

    def receiver(self) -> NoticeRecorder:
        return NoticeRecorder(SENSOR, self.resource, None, self.instance, clock=lambda: self.airbyte.now)

    # What holds

    def told(self, key: dg.AssetKey) -> Counter[int]:
        records = [
            *self.instance.fetch_materializations(key, limit=1000).records,
            *self.instance.fetch_observations(key, limit=1000).records,
        ]
        events = [record.asset_materialization or record.event_log_entry.asset_observation for record in records]
        return Counter(int(str(event.metadata[JOB_ID].value)) for event in events if event)

    def teardown(self) -> None:
        """When all has come to its end, all is told."""
        if not hasattr(self, "cursor"):
            return
        for job in self.airbyte.jobs.values():
            if job.status == "running":
                job.status, job.changed, job.shown_from = "succeeded", self.airbyte.now, 0.0
        for run in list(self.runs):
            self.end(run, failed=True)
        for _ in range(3):
            self.tick(100.0, None, restarts=False)
        for connection, names in ASSETS.items():
            ended = {job.id: 1 for job in self.airbyte.jobs.values() if job.connection == connection}
            for name in names:
                assert self.told(key_of(connection, name)) == ended, (connection, name)
        assert json.loads(self.cursor or "")["waiting"] == {}
        self.instance.dispose()


Recorded.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestExactlyOnce = Recorded.TestCase
