"""Two runs that make things of one name at once, against local Airbyte, which checks no uniqueness either."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from airbyte_dagster import AirbytePipeline
from airbyte_dagster.airbyte import records
from airbyte_dagster.errors import AmbiguousName
from airbyte_dagster.pipelines.apply import ReconciledPipeline, Reconciler
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore
from airbyte_dagster.pipelines.names import by_name
from airbyte_dagster_tests.conftest import RecordingTransport, client_of, pipeline_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte, running_local_airbyte

PATHS = {"source": "/sources", "destination": "/destinations", "connection": "/connections"}
TIME = 1_790_000_000.0


class Clock:
    """The server's clock, which stands still unless it is moved."""

    def __init__(self) -> None:
        self.time = TIME

    def __call__(self) -> float:
        return self.time


class Hooked(RecordingTransport):
    """Calls `before` and `after` at each create."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], object] = lambda _path: None
        self.after: Callable[[str], object] = lambda _path: None
        self.tells_ages = True

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/public/v1")
        is_create = request.method == "POST" and path in PATHS.values()
        if is_create:
            self.before(path)
        response = super().handle_request(request)
        if is_create:
            self.after(path)
        if not self.tells_ages:
            text = re.sub(r'"createdAt":\s*\d+,?', "", response.read().decode())
            return httpx.Response(response.status_code, json=json.loads(text.replace(",}", "}")))
        return response


class Run:
    """What a process of its own does: a client, a reconciler, its log."""

    def __init__(self, server: RunningAirbyte, sleep: Callable[[float], object] = lambda _seconds: None) -> None:
        self.transport = Hooked()
        self.client = client_of(server, self.transport)
        self.workspace = self.client.find_workspace()
        self.lines: list[str] = []
        self.reconciler = Reconciler(
            self.client,
            InMemoryAppliedStore(),
            key="a key",
            log=self.lines.append,
            sleep=lambda seconds: (sleep(seconds), None)[1],
            now=lambda: TIME,
        )

    def reconcile(self, pipeline: AirbytePipeline) -> ReconciledPipeline:
        return self.reconciler.reconcile(pipeline, self.workspace)

    def things(self, kind: str) -> list[Any]:
        if kind == "connection":
            return list(self.client.connections(self.workspace.id))
        return list(self.client.actors(kind, self.workspace.id))  # type: ignore[call-overload]

    def create(self, server: RunningAirbyte, kind: str, record: records.Connection | None = None) -> str:
        """Create a twin with a raw call, as a run does that is just being made."""
        pipeline = pipeline_of(server)
        if kind == "connection":
            assert record
            body = {"name": record.name, "sourceId": record.source_id, "destinationId": record.destination_id}
            return self.client.create_connection({**body, "configurations": {"streams": [{"name": "users"}]}}).id
        declared = getattr(pipeline, kind)
        return self.client.create_actor(
            kind,  # type: ignore[arg-type]
            workspace_id=self.workspace.id,
            name=declared.name,
            configuration=declared.configuration,
        ).id


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[RunningAirbyte]:
    with running_local_airbyte(tmp_path / "home", clock=clock) as running:
        yield running


def second_pipeline(server: RunningAirbyte) -> AirbytePipeline:
    """Another one that shares the destination."""
    pipeline = pipeline_of(server)
    return pipeline.model_copy(
        update={
            "name": "second",
            "source": pipeline.source.model_copy(update={"name": "another source"}),
            "connection": pipeline.connection.model_copy(update={"name": "another connection"}),
        }
    )


def test_two_first_runs_at_the_same_moment_share_one_destination(server: RunningAirbyte) -> None:
    """Both find none and make one, in the same second; both then go on with the same, and a later run finds it."""
    barriers = threading.Barrier(2, timeout=300), threading.Barrier(2, timeout=300)
    is_deleted = threading.Event()
    runs = [Run(server, sleep=lambda _seconds: is_deleted.wait(300)) for _ in range(2)]
    for run in runs:
        run.transport.before = lambda path: path == "/destinations" and barriers[0].wait()
        run.transport.after = lambda path: path == "/destinations" and barriers[1].wait()
        run.client.http.event_hooks["response"] = [
            lambda response: is_deleted.set() if response.request.method == "DELETE" else None
        ]

    with ThreadPoolExecutor(2) as pool:
        pipelines = (pipeline_of(server), second_pipeline(server))
        done = list(pool.map(lambda run, pipeline: run.reconcile(pipeline), runs, pipelines))

    assert [run.transport.writes.count(("POST", "/destinations")) for run in runs] == [1, 1]
    (destination,) = runs[0].things("destination")
    assert {item.destination.id for item in done} == {destination.id}
    assert {item.connection_record.destination_id for item in done} == {destination.id}
    (line,) = [line for run in runs for line in run.lines if "at the same moment" in line]
    assert f"{destination.id} is kept" in line
    assert Run(server).reconcile(pipeline_of(server)).destination.outcome == "unchanged"


@pytest.mark.parametrize("later", [0, 1], ids=["in the same second", "a second later"])
@pytest.mark.parametrize("kind", ["source", "destination", "connection"])
def test_what_is_made_after_another_yields_to_it(server: RunningAirbyte, clock: Clock, kind: str, later: int) -> None:
    """Another run did all its work between our look and our create: it keeps what it uses, and ours goes."""
    ours, other = Run(server), Run(server)
    theirs: list[ReconciledPipeline] = []

    def interleave(path: str) -> None:
        if path == PATHS[kind] and not theirs:
            theirs.append(other.reconcile(pipeline_of(server)))
            clock.time += later

    ours.transport.before = interleave

    done = ours.reconcile(pipeline_of(server))

    assert [item.id for item in ours.things(kind)] == [getattr(theirs[0], kind).id]
    assert getattr(done, kind).id == getattr(theirs[0], kind).id
    assert any("was not in use and is deleted" in line for line in ours.lines)


@pytest.mark.parametrize("kind", ["source", "destination", "connection"])
def test_what_is_made_before_another_is_kept(server: RunningAirbyte, clock: Clock, kind: str) -> None:
    """Whoever made the newer one deletes it; not we."""
    ours, other = Run(server), Run(server)
    twins: list[str] = []

    def interleave(path: str) -> None:
        if path == PATHS[kind] and not twins:
            clock.time += 1
            twins.append(_twin(server, ours, other, kind))

    ours.transport.after = interleave

    done = ours.reconcile(pipeline_of(server))

    assert getattr(done, kind).outcome == "created"
    same = [item.id for item in ours.things(kind) if item.name == getattr(done, kind).name]
    assert sorted(same) == sorted([getattr(done, kind).id, twins[0]])
    assert not [call for call in ours.transport.writes if call[0] == "DELETE"]


def _twin(server: RunningAirbyte, ours: Run, other: Run, kind: str) -> str:
    made = by_name("connection", "faker to duck", ours.things("connection"))
    return other.create(server, kind, made)


@pytest.mark.parametrize("kind", ["source", "destination", "connection"])
def test_lost_answer_while_another_makes_the_same(server: RunningAirbyte, clock: Clock, kind: str) -> None:
    """Which one is ours is not known; when nobody else has removed one, the newer goes."""
    ours, other = Run(server), Run(server)
    theirs: list[ReconciledPipeline] = []

    def interleave(path: str) -> None:
        if path == PATHS[kind] and not theirs:
            theirs.append(other.reconcile(pipeline_of(server)))
            clock.time += 1

    ours.transport.before = interleave
    ours.transport.lose.append(("POST", PATHS[kind]))

    done = ours.reconcile(pipeline_of(server))

    assert [item.id for item in ours.things(kind)] == [getattr(theirs[0], kind).id] == [getattr(done, kind).id]


def test_what_has_no_age_is_not_called_newer(server: RunningAirbyte) -> None:
    """Servers that do not say when a thing was made: which of two is somebody else's is not guessed."""
    ours, other = Run(server), Run(server)
    theirs: list[str] = []

    def interleave(path: str) -> None:
        if path == "/destinations" and not theirs:
            theirs.append(other.create(server, "destination"))

    ours.transport.tells_ages = False
    ours.transport.before = interleave
    ours.transport.lose.append(("POST", "/destinations"))

    with pytest.raises(AmbiguousName, match=theirs[0] if theirs else "destinations named 'duck'"):
        ours.reconcile(pipeline_of(server))

    assert len(ours.things("destination")) == 2


def test_a_run_that_finds_two_of_just_now_waits_for_one_to_go(server: RunningAirbyte) -> None:
    """It comes between the other's create and its deletion."""
    first = Run(server).reconcile(pipeline_of(server))
    other = Run(server)
    twin = other.create(server, "destination")
    waited: list[float] = []

    def remove(seconds: float) -> None:
        waited.append(seconds)
        other.client.delete_actor("destination", twin)

    found = Run(server, sleep=remove).reconcile(pipeline_of(server))

    assert found.destination.id == first.destination.id
    assert len(waited) == 1


def test_two_that_are_older_are_an_error_at_once(server: RunningAirbyte, clock: Clock) -> None:
    """Nobody is about to delete one: both ids are in the message, nothing is waited for or deleted."""
    clock.time -= 1000
    first = Run(server).reconcile(pipeline_of(server))
    twin = Run(server).create(server, "destination")
    waited: list[float] = []
    late = Run(server, sleep=waited.append)

    with pytest.raises(AmbiguousName) as caught:
        late.reconcile(pipeline_of(server))

    assert first.destination.id in str(caught.value)
    assert twin in str(caught.value)
    assert (waited, late.transport.writes) == ([], [])


def test_ours_that_is_in_use_already_is_not_deleted(server: RunningAirbyte, clock: Clock) -> None:
    """Somebody has connected it: then both stay, and it is an error that lists both."""
    ours, other = Run(server), Run(server)
    theirs: list[ReconciledPipeline] = []

    def before(path: str) -> None:
        if path == "/destinations" and not theirs:
            theirs.append(other.reconcile(pipeline_of(server)))
            clock.time += 1

    def after(path: str) -> None:
        if path == "/destinations":
            (mine,) = [item for item in ours.things("destination") if item.id != theirs[0].destination.id]
            body = {"sourceId": theirs[0].source.id, "destinationId": mine.id, "name": "by hand"}
            other.client.create_connection({**body, "configurations": {"streams": [{"name": "users"}]}})

    ours.transport.before, ours.transport.after = before, after

    with pytest.raises(AmbiguousName, match=theirs[0].destination.id if theirs else "destinations named 'duck'"):
        ours.reconcile(pipeline_of(server))

    assert len(ours.things("destination")) == 2


def test_a_deleted_twin_does_not_exist(server: RunningAirbyte) -> None:
    """An Airbyte that lists deleted connections gives them the status deprecated."""
    run = Run(server)
    done = run.reconcile(pipeline_of(server))
    twin = run.create(server, "connection", done.connection_record)
    run.client.delete_connection(twin)
    deleted = run.client.connection(twin)

    assert deleted.status == "deprecated"
    found = by_name("connection", deleted.name, [deleted, *run.things("connection")])
    assert found is not None
    assert found.id == done.connection.id
