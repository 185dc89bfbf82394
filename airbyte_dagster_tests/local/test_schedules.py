"""Syncs that start by themselves."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airbyte_dagster.local.schedules import Scheduler
from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte, ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.local.processes import ServerProcess

HOUR = 3600.0
MIDNIGHT = 1_795_478_400.0
HOURLY = {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = MIDNIGHT + 60

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(tmp_path: Path, clock: Clock) -> Iterator[RunningAirbyte]:
    with running_local_airbyte(tmp_path / "home", ScriptedEngine(), clock=clock) as running:
        yield running


@pytest.fixture
def api(running: RunningAirbyte) -> Iterator[Api]:
    with running.api() as client:
        yield client


def jobs(api: Api) -> list[str]:
    return [job["connectionId"] for job in api.ok("GET", "/jobs")["data"]]


def scheduled(api: Api, **more: object) -> str:
    return api.connection(api.source(count=1), api.destination(), ["users"], schedule=HOURLY, **more)


def test_syncs_when_due_and_not_before(running: RunningAirbyte, api: Api, clock: Clock) -> None:
    """A connection with a cron schedule syncs at its times; the job is like any other."""
    connection = scheduled(api)
    running.context.schedules.tick()
    clock.now = MIDNIGHT + HOUR - 1
    running.context.schedules.tick()
    assert jobs(api) == []
    clock.now = MIDNIGHT + HOUR
    running.context.schedules.tick()
    assert jobs(api) == [connection]
    job = api.finish(1)
    assert (job["status"], job["jobType"], job["rowsSynced"]) == ("succeeded", "sync", 1)
    running.context.schedules.tick()
    assert jobs(api) == [connection]
    clock.now += HOUR
    running.context.schedules.tick()
    assert jobs(api) == [connection] * 2


def test_times_that_were_slept_through_are_one(running: RunningAirbyte, api: Api, clock: Clock) -> None:
    """After a long pause there is one sync, not one per missed time."""
    connection = scheduled(api)
    running.context.schedules.tick()
    clock.now += 10 * HOUR
    running.context.schedules.tick()
    running.context.schedules.tick()
    assert jobs(api) == [connection]


def test_nothing_is_made_up_for_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    """What came due while the server was down is left out."""
    with running_local_airbyte(tmp_path, clock=clock) as running, running.api() as api:
        scheduled(api)
    clock.now += 10 * HOUR
    with running_local_airbyte(tmp_path, clock=clock) as running, running.api() as api:
        running.context.schedules.tick()
        assert jobs(api) == []


@pytest.mark.parametrize("jump", [48 * HOUR, 300 * 365 * 24 * HOUR], ids=["days", "centuries"])
def test_a_clock_that_jumped_ahead_and_was_set_right(
    jump: float, running: RunningAirbyte, api: Api, clock: Clock
) -> None:
    """The jump is one sync at most; once the clock is right again, the next hour is, by the right time."""
    connection = scheduled(api)
    running.context.schedules.tick()
    right, clock.now = clock.now, clock.now + jump
    running.context.schedules.tick()
    for job in range(1, len(jobs(api)) + 1):
        api.finish(job)
    before = len(jobs(api))
    assert before <= 1
    clock.now = right + 1
    running.context.schedules.tick()
    assert len(jobs(api)) == before
    clock.now = MIDNIGHT + HOUR
    running.context.schedules.tick()
    assert jobs(api) == [connection] * (before + 1)


def test_a_small_correction_starts_nothing_twice(running: RunningAirbyte, api: Api, clock: Clock) -> None:
    """A clock that is set back by seconds, just after a sync was due, makes it due no second time."""
    connection = scheduled(api)
    running.context.schedules.tick()
    clock.now = MIDNIGHT + HOUR
    running.context.schedules.tick()
    api.finish(1)
    clock.now -= 5
    running.context.schedules.tick()
    clock.now += 10
    running.context.schedules.tick()
    assert jobs(api) == [connection]


def test_running_sync_is_not_started_twice(running: RunningAirbyte, api: Api, clock: Clock) -> None:
    """While a sync runs, its next time is left out."""
    connection = scheduled(api)
    running.context.schedules.tick()
    running.engine.hold()
    for _ in range(2):
        clock.now += HOUR
        running.context.schedules.tick()
        running.engine.wait_for_start()
    assert jobs(api) == [connection]
    running.engine.release()


def test_only_active_connections_with_a_schedule(running: RunningAirbyte, api: Api, clock: Clock) -> None:
    """Inactive, deleted and manual connections don't start; a changed schedule counts from the change on."""
    inactive, deleted, manual, changed = (scheduled(api) for _ in range(4))
    running.context.schedules.tick()
    api.ok("PATCH", f"/connections/{inactive}", json={"status": "inactive"})
    api.ok("DELETE", f"/connections/{deleted}")
    api.ok("PATCH", f"/connections/{manual}", json={"schedule": {"scheduleType": "manual"}})
    later = {"scheduleType": "cron", "cronExpression": "0 30 * * * ?"}
    api.ok("PATCH", f"/connections/{changed}", json={"schedule": later})
    clock.now = MIDNIGHT + HOUR
    running.context.schedules.tick()
    assert jobs(api) == []
    clock.now += HOUR / 2
    running.context.schedules.tick()
    assert jobs(api) == [changed]


def test_a_changed_schedule_may_be_due_before_the_former_was(running: RunningAirbyte, api: Api, clock: Clock) -> None:
    """It is reckoned when it is first seen, not when the former would have been due."""
    connection = scheduled(api)
    running.context.schedules.tick()
    sooner = {"scheduleType": "cron", "cronExpression": "0 30 * * * ?"}
    api.ok("PATCH", f"/connections/{connection}", json={"schedule": sooner})
    running.context.schedules.tick()
    clock.now = MIDNIGHT + HOUR / 2
    running.context.schedules.tick()
    assert jobs(api) == [connection]


def test_expression_that_means_nothing_is_refused(api: Api) -> None:
    """What can't be run is refused at creation, with the reason."""
    body = {"schedule": {"scheduleType": "cron", "cronExpression": "0 0 25 * * ?"}}
    answer = api.patch(f"/connections/{scheduled(api)}", json=body)
    assert answer.status_code == 400
    assert "'25' is no hours" in answer.text


class Failing:
    """A store whose first answer is an error, as with a full disk."""

    def __init__(self) -> None:
        self.asked = 0
        self.again = threading.Event()

    def scheduled(self) -> list[tuple[str, str, str]]:
        self.asked += 1
        if self.asked > 1:
            self.again.set()
            return []
        raise OSError("disk full")


def test_goes_on_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """An error in one look does not end the looking."""
    store = Failing()
    scheduler = Scheduler(store, None)  # type: ignore[arg-type]
    scheduler.start()
    assert store.again.wait(PATIENCE)
    scheduler.close()
    assert "disk full" in capsys.readouterr().err


def test_served_process_runs_schedules(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """`local serve` looks at the schedules; one for every second, which the API refuses, is put into the database."""
    server = start_server(tmp_path)
    with server.api() as api:
        api.connection(api.source("tiny", streams={"items": []}), api.destination(), ["items"])
        with closing(sqlite3.connect(server.home.database)) as database, database:
            database.execute(
                "UPDATE connections SET schedule = ?", ['{"scheduleType": "cron", "cronExpression": "* * * * * ? UTC"}']
            )
        wait_for(lambda: jobs(api), lambda: "no scheduled job")
