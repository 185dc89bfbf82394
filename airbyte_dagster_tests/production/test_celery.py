"""Steps and whole runs on Celery's workers: three hosts, of which some die."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster_tests.production.conftest import number
from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import Request, check, checks_passed, last_run, most_at_once
from airbyte_dagster_tests.production.network import Host, children_of, eventually

_CRM = number("PRODUCTION_TASKS", 300)
_SHOP = 20
#: As the example's dagster.yaml has it.
_POOL = 20
SIZE = Size(
    shop=_SHOP,
    crm=_CRM,
    streams=1,
    job_seconds=4.0,
    workers=3,
    runners=2,
    # A task whose worker is gone is given to another one after this time; nobody waits six hours here.
    replaced={"visibility_timeout: 21600": "visibility_timeout: 60", '"visibility_timeout": 21600': '"visibility_timeout": 60',
              "poll_interval_seconds: 30": "poll_interval_seconds: 5"},
)


def test_each_is_synced_once_over_three_workers(deployment: Deployment) -> None:
    """A task for each connection: a job each, materialized and checked once, no more at once than the pool has slots."""
    request = Request(deployment.launch("crm"), tuple(range(_SHOP, _SHOP + _CRM)), "crm")
    _ended(deployment, request, 1500)

    check(deployment, [request])
    assert most_at_once(deployment.truth()) <= _POOL
    assert checks_passed(deployment, request.run_id) == {True: 2 * _CRM}
    assert len(_workers_of(deployment, request.run_id)) == 3


def test_a_run_whose_process_is_killed_is_resumed_as_the_same_run(deployment: Deployment) -> None:
    """Run monitoring starts it again on a worker, and it goes on with the jobs that Airbyte has meanwhile."""
    before = _newest_job(deployment)
    numbers = tuple(range(10))
    request = Request(deployment.launch("shop", [(f"shop_{number}", "stream_0") for number in numbers]), numbers)
    eventually(lambda: _newest_job(deployment) >= before + 3, "the first jobs", 120)

    for runner in deployment.runners:
        for pid in _processes_of_tasks(runner):
            runner.kill(pid)

    run = _ended(deployment, request, 300)
    check(deployment, [request], after_job=before)
    assert run.run_id == request.run_id
    resumed = [line for line in deployment.log_of(request.run_id, 500).splitlines() if "new run worker to resume" in line]
    assert resumed


def test_a_worker_host_is_gone_with_its_tasks(deployment: Deployment) -> None:
    """Another worker gets them after the visibility timeout, and goes on with the jobs that they had requested."""
    before = _newest_job(deployment)
    numbers = tuple(range(_SHOP, _SHOP + 6))
    request = Request(deployment.launch("crm", [(f"crm_{number}", "stream_0") for number in numbers]), numbers)
    eventually(lambda: _newest_job(deployment) >= before + 2, "the first jobs", 120)

    worker = next(item for item in deployment.workers if item.name in _workers_of(deployment, request.run_id))
    worker.crash()

    _ended(deployment, request, 400)
    check(deployment, [request], after_job=before)
    worker.boot()
    deployment.start_worker(worker)


def _ended(deployment: Deployment, request: Request, seconds: float) -> dg.DagsterRun:
    return eventually(lambda: last_run(deployment, request), f"the end of {request.name}", seconds, 1.0)


def _newest_job(deployment: Deployment) -> int:
    return max((job["id"] for job in deployment.truth()), default=0)


def _workers_of(deployment: Deployment, run_id: str) -> set[str]:
    events = deployment.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    found = [event.get_dagster_event().engine_event_data.metadata.get("Celery worker") for event in events]
    return {str(item.value).split("@")[-1] for item in found if item is not None}


def _processes_of_tasks(host: Host) -> list[int]:
    """Those that Celery has forked: `dagster-celery` starts Celery, and that one process for each task."""
    celery = children_of(host.programs["worker"].pid)
    return [task for process in celery for task in children_of(process)]
