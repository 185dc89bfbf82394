"""Whole runs on Celery's workers, of which Dagster's run monitoring notices that they are dead."""

from __future__ import annotations

from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import check, ended, launch, newest_job, until_jobs
from airbyte_dagster_tests.production.network import Host, children_of

SIZE = Size(
    shop=10,
    crm=1,
    streams=1,
    job_seconds=10.0,
    runners=2,
    replaced={"poll_interval_seconds: 30": "poll_interval_seconds: 5"},
)


def test_a_run_whose_process_is_killed_is_retried_on_a_worker(deployment: Deployment) -> None:
    """Run monitoring finds the task failed, and the retry goes on with the jobs that Airbyte has meanwhile."""
    before = newest_job(deployment)
    request = launch(deployment, "shop", range(10))
    until_jobs(deployment, before + 3)

    for runner in deployment.runners:
        for pid in _processes_of_tasks(runner):
            runner.kill(pid)

    run = ended(deployment, request, 400)
    check(deployment, [request], after_job=before)
    assert run.run_id != request.run_id
    assert "Celery task failed" in deployment.log_of(request.run_id, 500)


def _processes_of_tasks(host: Host) -> list[int]:
    """Those that Celery has forked: `dagster-celery` starts Celery, and that one process for each task."""
    celery = children_of(host.programs["worker"].pid)
    return [task for process in celery for task in children_of(process)]
