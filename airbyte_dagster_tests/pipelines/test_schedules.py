"""Ticks of a pipeline's schedule, against local Airbyte and a real Dagster instance."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.definitions.repository_definition.repository_definition import (
    RepositoryDefinition,
    RepositoryLoadData,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from airbyte_dagster import AirbytePipeline, Schedule, build_pipeline_defs
from airbyte_dagster.runs.checkpoints import has_job
from airbyte_dagster_tests.conftest import pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.sensors.ticks import outcome

WAIT = {"ops": {"example_airbyte_sync": {"config": {"on_running": "wait"}}}}


class Scheduled(logging.Handler):
    """A pipeline with a schedule, and ticks of it.

    Args:
        schedule: Beside the cron expression.

    Attributes:
        logged: What ticks wrote into their logs.
    """

    def __init__(self, server: RunningAirbyte, instance: dg.DagsterInstance, **schedule: Any) -> None:
        super().__init__()
        self.instance = instance
        pipeline = pipeline_of(server)
        declared = AirbytePipeline(**{**dict(pipeline), "schedule": Schedule(cron="0 6 * * *", **schedule)})
        self.airbyte = resource_of(server, max_attempts=1)
        self.definitions = build_pipeline_defs(declared, airbyte=self.airbyte, warehouse=warehouse_of(server))
        self.schedule = self.definitions.resolve_schedule_def("sync_example_schedule")
        self.logged: list[str] = []
        loaded = self.definitions.get_repository_def()
        self.repository = RepositoryDefinition(
            loaded.name,
            repository_data=loaded._repository_data,
            repository_load_data=RepositoryLoadData(code_location_name="here"),
        )

    def emit(self, record: logging.LogRecord) -> None:
        self.logged.append(record.getMessage())

    def tick(self) -> dg.RunRequest | str:
        """Evaluate the schedule once; return the one run it requests, or the reason why it requests none."""
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=dt.datetime(2026, 1, 1, 6, tzinfo=dt.timezone.utc),
            repository_def=self.repository,
            resources={"airbyte": self.airbyte},
        ) as context:
            context.log.addHandler(self)
            return outcome(self.schedule.evaluate_tick(context))

    def config(self) -> Any:
        """Evaluate the schedule once; it has to request a run, whose configuration is returned."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return request.run_config

    def run(self, status: dg.DagsterRunStatus, *, job_id: int | None = None, location: str = "here") -> str:
        """Put a run of the job into the instance, as the code location's server would.

        Args:
            status: Of the run.
            job_id: The job of Airbyte that it watches.
            location: The code location that has the job.
        """
        job = self.definitions.resolve_job_def("sync_example")
        tags = {} if job_id is None else {"airbyte/job_id": str(job_id)}
        origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), self.repository.name)
        return self.instance.create_run_for_job(
            job, status=status, tags=tags, remote_job_origin=RemoteJobOrigin(origin, job.name)
        ).run_id

    def provision(self) -> str:
        """Make everything in Airbyte; return the connection's id."""
        result = run_sync(self.definitions, self.instance, job="provision_example")
        return str(result.output_for_node("create_connection"))


def test_a_quiet_connection_is_synced(airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance) -> None:
    """With no run in progress and no active job a run is requested, with nothing particular in its configuration."""
    scheduled = Scheduled(airbyte, instance)
    api.finish(api.sync(scheduled.provision()))
    scheduled.run(dg.DagsterRunStatus.SUCCESS)
    scheduled.run(dg.DagsterRunStatus.FAILURE)

    assert scheduled.config() == {}
    assert scheduled.logged == []


def test_nothing_provisioned_yet_is_synced(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The run itself makes the connection."""
    scheduled = Scheduled(airbyte, instance)

    assert scheduled.config() == {}
    assert scheduled.logged == []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_run_in_progress_is_not_joined_by_another(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    """The reason names the run and its state."""
    scheduled = Scheduled(airbyte, instance)
    run_id = scheduled.run(status)

    assert scheduled.tick() == f"Run {run_id} of sync_example is still {status.value.lower()}."


@pytest.mark.parametrize("on_running", ["skip", "wait"])
def test_runs_of_another_code_location_do_not_matter(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, on_running: str
) -> None:
    """It may have a job of the same name, of another connection."""
    scheduled = Scheduled(airbyte, instance, on_running=on_running)
    scheduled.run(dg.DagsterRunStatus.STARTED, location="elsewhere")

    assert scheduled.config() == (WAIT if on_running == "wait" else {})
    run_id = scheduled.run(dg.DagsterRunStatus.STARTED)
    assert run_id in str(scheduled.tick())


@pytest.mark.parametrize("job_type", ["sync", "reset"])
def test_a_job_of_somebody_else_is_not_joined(
    airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance, job_type: str
) -> None:
    """Somebody started it in Airbyte: the reason names the job; when it has ended, the next tick syncs."""
    scheduled = Scheduled(airbyte, instance)
    connection_id = scheduled.provision()
    airbyte.engine.hold()
    job_id = api.sync(connection_id, job_type)
    api.until(job_id, lambda job: job["status"] == "running")

    assert scheduled.tick() == (
        f"Airbyte is busy with 'faker to duck' for somebody else: job {job_id}, a {job_type}, is running."
    )
    airbyte.engine.release()
    api.finish(job_id)
    assert scheduled.config() == {}


def test_jobs_of_other_connections_do_not_matter(
    airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance
) -> None:
    """Only the pipeline's own connection has to be quiet."""
    scheduled = Scheduled(airbyte, instance)
    scheduled.provision()
    other = api.connection(api.source(), api.destination(), ["users"], name="another")
    airbyte.engine.hold()
    job_id = api.sync(other)
    api.until(job_id, lambda job: job["status"] == "running")

    assert scheduled.config() == {}


def test_waiting_is_left_to_the_run(airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance) -> None:
    """With on_running="wait" a run is requested whoever syncs, and told to wait."""
    scheduled = Scheduled(airbyte, instance, on_running="wait")
    airbyte.engine.hold()
    job_id = api.sync(scheduled.provision())

    assert scheduled.config() == WAIT
    scheduled.run(dg.DagsterRunStatus.STARTED, job_id=job_id)
    assert scheduled.config() == WAIT


def test_one_run_that_waits_is_enough(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Besides one that syncs, or alone, for a job of somebody else: ticks don't pile up runs. The reason names it."""
    scheduled = Scheduled(airbyte, instance, on_running="wait")
    waiting = scheduled.run(dg.DagsterRunStatus.STARTED)
    reason = f"Run {waiting} of sync_example waits already: its sync has not begun."

    assert scheduled.tick() == reason
    scheduled.run(dg.DagsterRunStatus.STARTED, job_id=1)
    assert scheduled.tick() == reason


def test_a_run_that_waits_is_known_by_what_it_writes(
    airbyte: RunningAirbyte, api: Api, instance: dg.DagsterInstance
) -> None:
    """A real run, as the tick asks for it: it waits for the job of somebody else; then its own job is in its tags."""
    scheduled = Scheduled(airbyte, instance, on_running="wait")
    airbyte.engine.hold()
    first = api.sync(scheduled.provision())
    airbyte.engine.wait_for_start()
    ticks: list[dg.RunRequest | str] = []

    def look(request: httpx.Request) -> None:
        if request.url.path.endswith(f"/jobs/{first}") and not ticks:
            ticks.append(scheduled.tick())
            airbyte.engine.release()

    scheduled.airbyte.client().http.event_hooks["request"] = [look]
    result = run_sync(scheduled.definitions, instance, run_config=WAIT)

    assert result.success
    assert ticks == [f"Run {result.run_id} of sync_example waits already: its sync has not begun."]
    assert [request.job_id for request in airbyte.engine.requests] == [first, first + 1]
    run = instance.get_run_by_id(result.run_id)
    assert run
    assert has_job(instance, run)


def test_airbyte_that_does_not_answer_is_left_to_the_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """The run waits for it longer than a tick may, or fails for all to see; the tick's log has a warning."""
    with running_local_airbyte(tmp_path / "home") as server:
        scheduled = Scheduled(server, instance)

    assert scheduled.config() == {}
    (line,) = scheduled.logged
    assert "Airbyte did not tell whether 'faker to duck' syncs: " in line


def test_it_is_as_declared(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Cron expression, time zone, state, and a description that says what a tick does."""
    stopped = Scheduled(airbyte, instance).schedule
    running = Scheduled(airbyte, instance, timezone="Europe/Berlin", running=True, on_running="wait").schedule

    assert (stopped.cron_schedule, stopped.execution_timezone) == ("0 6 * * *", "UTC")
    assert stopped.default_status is dg.DefaultScheduleStatus.STOPPED
    assert stopped.job_name == "sync_example"
    assert str(stopped.description).endswith("A tick that finds 'faker to duck' syncing is skipped.")
    assert running.execution_timezone == "Europe/Berlin"
    assert running.default_status is dg.DefaultScheduleStatus.RUNNING
    assert str(running.description).endswith("syncing starts a run that waits for it.")
