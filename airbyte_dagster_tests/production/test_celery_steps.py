"""Steps on Celery's workers: three hosts, of which one dies."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster_tests.production.conftest import number
from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import (
    check,
    checks_passed,
    ended,
    launch,
    most_at_once,
    newest_job,
    until_jobs,
)

_TASKS = number("PRODUCTION_TASKS", 100)
#: As the example's dagster.yaml has it.
_POOL = 20
SIZE = Size(
    crm=_TASKS,
    streams=1,
    job_seconds=4.0,
    workers=3,
    # A task whose worker is gone is given to another one after this time; nobody waits six hours here.
    replaced={
        "visibility_timeout: 21600": "visibility_timeout: 60",
        '"visibility_timeout": 21600': '"visibility_timeout": 60',
    },
)


def test_each_is_synced_once_over_three_workers(deployment: Deployment) -> None:
    """A task for each connection: a job each, materialized and checked once, and the pool holds for all workers."""
    request = launch(deployment, "crm", range(_TASKS))
    ended(deployment, request, 1500)

    check(deployment, [request])
    assert most_at_once(deployment.truth()) <= _POOL
    assert checks_passed(deployment, request.run_id) == {True: 2 * _TASKS}
    assert len(_workers_of(deployment, request.run_id)) == 3


def test_a_worker_host_is_gone_with_its_tasks(deployment: Deployment) -> None:
    """Another worker gets them after the visibility timeout, and goes on with the jobs that they had requested."""
    before = newest_job(deployment)
    request = launch(deployment, "crm", range(6))
    until_jobs(deployment, before + 2)

    worker = next(item for item in deployment.workers if item.name in _workers_of(deployment, request.run_id))
    worker.crash()

    ended(deployment, request, 600)
    check(deployment, [request], after_job=before)


def _workers_of(deployment: Deployment, run_id: str) -> set[str]:
    events = deployment.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    found = [event.get_dagster_event().engine_event_data.metadata.get("Celery worker") for event in events]
    return {str(item.value).split("@")[-1] for item in found if item is not None}
