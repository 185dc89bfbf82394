"""Half a minute without the database or without the network, two daemons by mistake, and code that changes meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

import dagster as dg

from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import Request, check, last_run
from airbyte_dagster_tests.production.network import eventually
from airbyte_dagster_tests.production.image import APP

_OUTAGE_SECONDS, _CUT_SECONDS = 30.0, 40.0
SIZE = Size(shop=100, crm=2, streams=1, job_seconds=5.0)

_RELOAD = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename } }
  }
}
"""


def test_the_database_is_gone_for_half_a_minute_during_a_run_of_100_syncs(deployment: Deployment) -> None:
    """The run goes on, or fails and is resumed; no sync is lost, and none is made twice."""
    before = _newest_job(deployment)
    request = Request(deployment.launch("shop"), tuple(range(100)))
    _until_jobs(deployment, before + 15)

    deployment.database.crash()
    threading.Event().wait(_OUTAGE_SECONDS)  # the outage is what is tested
    deployment.database.boot()
    deployment.start_postgres(deployment.database)

    _ended(deployment, request, 600)
    check(deployment, [request], after_job=before)


def test_a_code_server_is_cut_off_for_40_seconds(deployment: Deployment) -> None:
    """Its run watches the same jobs afterwards."""
    _cut_during_a_run(deployment, deployment.code["shop"].cut_off, deployment.code["shop"].reconnect)


def test_airbyte_is_cut_off_for_40_seconds(deployment: Deployment) -> None:
    """The run watches the same jobs afterwards."""
    _cut_during_a_run(deployment, deployment.airbyte.cut_off, deployment.airbyte.reconnect)


def _cut_during_a_run(deployment: Deployment, cut: Callable[[], None], mend: Callable[[], None]) -> None:
    before = _newest_job(deployment)
    numbers = tuple(range(10))
    request = Request(deployment.launch("shop", _keys(numbers)), numbers)
    _until_jobs(deployment, before + 3)
    cut()
    try:
        threading.Event().wait(_CUT_SECONDS)
    finally:
        mend()
    _ended(deployment, request, 400)
    check(deployment, [request], after_job=before)


def test_two_daemons_launch_no_run_twice(deployment: Deployment) -> None:
    """Dagster's daemons share the queue without a lock: each request is still one sync."""
    before = _newest_job(deployment)
    deployment.start_daemon(deployment.web)
    try:
        requests = [
            Request(deployment.launch("shop", _keys((number,))), (number,), f"run {number}") for number in range(8)
        ]
        for request in requests:
            _ended(deployment, request, 300)
    finally:
        deployment.web.programs["daemon"].stop()
    check(deployment, requests, after_job=before)


def test_a_code_location_is_reloaded_in_the_middle_of_a_run(deployment: Deployment) -> None:
    """The run goes on in its own process, and is recorded as if nothing had happened."""
    before = _newest_job(deployment)
    request = Request(deployment.launch("shop", _keys(range(5))), tuple(range(5)))
    _until_jobs(deployment, before + 1)

    reloaded = deployment.graphql(_RELOAD, name="shop")["reloadRepositoryLocation"]

    assert reloaded["locationOrLoadError"]["__typename"] == "RepositoryLocation", reloaded
    _ended(deployment, request, 200)
    check(deployment, [request], after_job=before)
    assert deployment.run(request.run_id).is_success


def test_definitions_that_change_between_launch_and_start(deployment: Deployment) -> None:
    """A run that waits in the queue is executed by the code that is there when it starts: one sync, as it was asked for."""
    before = _newest_job(deployment)
    deployment.daemon.crash()
    request = Request(deployment.launch("shop", _keys((7,))), (7,))
    host = deployment.code["shop"]
    host.run("sed", "-i", 's/tag="shop"/tag=["shop", "crm"]/', f"{APP}/definitions/shop.py")
    host.programs["code"].stop()
    deployment.start_code("shop")
    deployment.wait_for_code("shop")
    deployment.daemon.boot()
    deployment.start_daemon()

    _ended(deployment, request, 200)
    check(deployment, [request], after_job=before)


def _keys(numbers: range | tuple[int, ...]) -> list[tuple[str, str]]:
    return [(f"shop_{number}", "stream_0") for number in numbers]


def _newest_job(deployment: Deployment) -> int:
    return max((job["id"] for job in deployment.truth()), default=0)


def _until_jobs(deployment: Deployment, newest: int) -> None:
    eventually(lambda: _newest_job(deployment) >= newest, f"job {newest}", 200)


def _ended(deployment: Deployment, request: Request, seconds: float) -> dg.DagsterRun:
    return eventually(lambda: last_run(deployment, request), f"the end of {request.name}", seconds, 0.5)


