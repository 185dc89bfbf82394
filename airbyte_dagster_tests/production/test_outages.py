"""Half a minute without the database or the network, two daemons by mistake, and code that changes meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.image import APP
from airbyte_dagster_tests.production.ledger import check, ended, launch, newest_job, until_jobs

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

#: What ``dagster api resume_run`` does, which those launchers give to a new container.
_RESUME = """
import sys
import dagster as dg
from dagster._cli.api import _resume_run_command_body as resume
with dg.DagsterInstance.get() as instance:
    resume(instance=instance, run_id=sys.argv[1], write_stream_fn=print, set_exit_code_on_failure=False)
"""


def test_the_database_is_gone_for_half_a_minute_during_a_run_of_100_syncs(deployment: Deployment) -> None:
    """The run goes on, or fails and is resumed; no sync is lost, and none is made twice."""
    before = newest_job(deployment)
    request = launch(deployment, "shop", range(100))
    until_jobs(deployment, before + 15)

    deployment.database.crash()
    threading.Event().wait(_OUTAGE_SECONDS)  # the outage is what is tested
    deployment.database.boot()
    deployment.start_postgres(deployment.database)

    ended(deployment, request, 600)
    check(deployment, [request], after_job=before)


def test_a_code_server_is_cut_off_for_40_seconds(deployment: Deployment) -> None:
    """Its run watches the same jobs afterwards."""
    _cut_during_a_run(deployment, deployment.code["shop"].cut_off, deployment.code["shop"].reconnect)


def test_airbyte_is_cut_off_for_40_seconds(deployment: Deployment) -> None:
    """The run watches the same jobs afterwards."""
    _cut_during_a_run(deployment, deployment.airbyte.cut_off, deployment.airbyte.reconnect)


def _cut_during_a_run(deployment: Deployment, cut: Callable[[], None], mend: Callable[[], None]) -> None:
    before = newest_job(deployment)
    request = launch(deployment, "shop", range(10))
    until_jobs(deployment, before + 3)
    cut()
    try:
        threading.Event().wait(_CUT_SECONDS)
    finally:
        mend()
    ended(deployment, request, 400)
    check(deployment, [request], after_job=before)


def test_a_restart_by_run_monitoring_goes_on_where_it_was(deployment: Deployment) -> None:
    """Launchers of containers start a dead run again as the same run: here, on another host, by the same command."""
    before = newest_job(deployment)
    request = launch(deployment, "shop", range(10))
    until_jobs(deployment, before + 3)
    deployment.code["shop"].crash()
    deployment.code["shop"].boot()
    deployment.start_code("shop")
    deployment.wait_for_code("shop")
    assert not deployment.run(request.run_id).is_finished

    deployment.web.run("python", "-c", _RESUME, request.run_id)

    assert ended(deployment, request).run_id == request.run_id
    check(deployment, [request], after_job=before)


def test_two_daemons_launch_no_run_twice(deployment: Deployment) -> None:
    """Dagster's daemons share the queue without a lock: each request is still one sync."""
    before = newest_job(deployment)
    deployment.start_daemon(deployment.web)
    try:
        requests = [launch(deployment, "shop", [number], f"run {number}") for number in range(8)]
        for request in requests:
            ended(deployment, request)
    finally:
        deployment.web.programs["daemon"].stop()
    check(deployment, requests, after_job=before)


def test_a_code_location_is_reloaded_in_the_middle_of_a_run(deployment: Deployment) -> None:
    """The run goes on in its own process, and is recorded as if nothing had happened."""
    before = newest_job(deployment)
    request = launch(deployment, "shop", range(5))
    until_jobs(deployment, before + 1)

    reloaded = deployment.graphql(_RELOAD, name="shop")["reloadRepositoryLocation"]

    assert reloaded["locationOrLoadError"]["__typename"] == "RepositoryLocation", reloaded
    ended(deployment, request, 200)
    check(deployment, [request], after_job=before)
    assert deployment.run(request.run_id).is_success


def test_definitions_that_change_between_launch_and_start(deployment: Deployment) -> None:
    """A run that waits in the queue is executed by the code that is there when it starts: one sync, as requested."""
    before = newest_job(deployment)
    deployment.daemon.crash()
    request = launch(deployment, "shop", [7])
    host = deployment.code["shop"]
    host.run("sed", "-i", 's/tag="shop"/tag=["shop", "crm"]/', f"{APP}/definitions/shop.py")
    host.programs["code"].stop()
    deployment.start_code("shop")
    deployment.wait_for_code("shop")
    deployment.daemon.boot()
    deployment.start_daemon()

    ended(deployment, request, 200)
    check(deployment, [request], after_job=before)
