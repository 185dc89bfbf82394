"""Runs that are repeated: by a user, by Dagster after a failure, and after the death of a run's process."""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from airbyte_dagster_tests.acceptance.airbyte import ROWS, Airbyte, is_about_jobs
from airbyte_dagster_tests.acceptance.definitions import connections_of
from airbyte_dagster_tests.acceptance.stack import DagsterStack
from airbyte_dagster_tests.http_server import Request
from airbyte_dagster_tests.local.fakes import PATIENCE, warehouse

pytestmark = pytest.mark.xdist_group("acceptance")


@pytest.fixture(scope="module")
def _daemon(stack: DagsterStack) -> Iterator[None]:
    stack.start_daemon()
    yield
    stack.stop_daemon()


def test_all_steps_of_a_pipelines_run_sync_again(stack: DagsterStack, airbyte: Airbyte) -> None:
    """Re-executing all of a run is a new request: one more sync, which is recorded as the first was."""
    first = stack.succeed(stack.launch("sync_p_again"))
    second = stack.succeed(stack.reexecute(first, "ALL_STEPS"))

    assert airbyte.statuses("p_again") == ["succeeded"] * 2
    jobs = [int(job["jobId"]) for job in airbyte.jobs("p_again")]
    recorded = [stack.materialized(run)["p_again/users"]["airbyte/job_id"] for run in (first, second)]
    assert recorded == jobs
    assert stack.passed(second) == {"p_again/users": True}


def test_all_steps_of_a_workspaces_runs_sync_again(stack: DagsterStack, airbyte: Airbyte) -> None:
    """From the failure: only what failed is synced again. All steps of that run, and of the next: everything is."""
    good, bad = connections_of("again")
    airbyte.engine.failing = {airbyte.id_of(bad)}
    failed = stack.fail(stack.launch("sync_again"))
    airbyte.engine.failing = set()

    from_failure = stack.succeed(stack.reexecute(failed, "FROM_FAILURE"))
    assert (airbyte.statuses(good), airbyte.statuses(bad)) == (["succeeded"], ["failed", "succeeded"])
    assert f"{bad}/users" in stack.materialized(from_failure)

    third = stack.succeed(stack.reexecute(from_failure, "ALL_STEPS"))
    assert (len(airbyte.jobs(good)), len(airbyte.jobs(bad))) == (2, 3)
    assert stack.materialized(third).keys() == {f"{good}/users", f"{bad}/users"}

    fourth = stack.succeed(stack.reexecute(third, "ALL_STEPS"))
    assert (len(airbyte.jobs(good)), len(airbyte.jobs(bad))) == (3, 4)
    assert stack.materialized(fourth).keys() == {f"{good}/users", f"{bad}/users"}
    assert stack.passed(fourth) == {f"{good}/users": True, f"{bad}/users": True}


@pytest.mark.usefixtures("_daemon")
@pytest.mark.parametrize("name", ["blocked", "p_blocked"])
def test_what_a_check_has_blocked_is_checked_again(name: str, stack: DagsterStack, airbyte: Airbyte) -> None:
    """A retry syncs nothing again, but checks: red while rows are missing, green and downstream when they are back.

    The first retry is the daemon's, the second a user's re-execution from the failure.
    """
    (connection,) = connections_of(name)
    users, table = f"{connection}/users", f"{connection}_users" if name == "blocked" else "users"
    if name == "p_blocked":
        stack.provision(name)
    airbyte.engine.afterwards[airbyte.id_of(connection)] = f"DELETE FROM {table} WHERE id = 0"

    failed = stack.fail(stack.launch(f"report_{name}", tags={"dagster/max_retries": "1"}))
    assert stack.passed(failed) == {users: False}
    assert stack.materialized(failed).keys() == {users}

    retried = stack.fail(stack.retry_of(failed))
    assert stack.passed(retried) == {users: False}
    assert f"{name}_report" not in stack.materialized(retried)

    with warehouse(stack.warehouse(name)) as database:
        database.execute(f"INSERT INTO {table} (id) VALUES (0)")
    mended = stack.succeed(stack.reexecute(retried, "FROM_FAILURE"))
    assert stack.passed(mended) == {users: True}
    assert f"{name}_report" in stack.materialized(mended)

    (job,) = airbyte.jobs(connection)
    assert [stack.job_of_check(run, users) for run in (failed, retried, mended)] == [int(job["jobId"])] * 3


def test_a_later_sync_of_somebody_else_is_what_is_checked(stack: DagsterStack, airbyte: Airbyte) -> None:
    """Data that a sync in Airbyte's UI has mended is not held against the numbers of the run's own job."""
    (connection,) = connections_of("overtaken")
    users = f"{connection}/users"
    airbyte.engine.afterwards[airbyte.id_of(connection)] = f"DELETE FROM {connection}_users WHERE id = 0"
    failed = stack.fail(stack.launch("sync_overtaken"))
    del airbyte.engine.afterwards[airbyte.id_of(connection)]
    airbyte.api.finish(airbyte.api.sync(airbyte.id_of(connection)))

    mended = stack.succeed(stack.reexecute(failed, "FROM_FAILURE"))

    ours, theirs = (int(job["jobId"]) for job in airbyte.jobs(connection))
    assert (stack.job_of_check(failed, users), stack.job_of_check(mended, users)) == (ours, theirs)
    found = stack.materialized(mended)[users]
    assert (found["airbyte/job_id"], found["dagster/row_count"]) == (theirs, 2 * ROWS - 1)


def test_a_run_whose_processes_die_goes_on_with_its_jobs(stack: DagsterStack, airbyte: Airbyte) -> None:
    """Three ops in three processes, all killed while their jobs run: re-executed, each has the job that it had."""
    names = connections_of("crashed")
    airbyte.hold(*names)
    together = threading.Barrier(len(names))

    def before(request: Request) -> None:
        # Jobs that start at one moment are what is kept at one moment, too.
        if request.method == "POST" and is_about_jobs(request):
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(PATIENCE)

    airbyte.ingress.before = before
    run = stack.launch("sync_crashed")
    stack.wait_for_jobs(run, *names)
    together.abort()
    stack.kill(run)
    stack.fail(run)
    airbyte.release(*names)
    stack.eventually(lambda: [airbyte.statuses(name) for name in names] == [["succeeded"]] * 3, "the jobs' ends")

    again = stack.succeed(stack.reexecute(run, "FROM_FAILURE"))

    jobs = {f"{name}/users": [int(job["jobId"]) for job in airbyte.jobs(name)] for name in names}
    assert {key: [found["airbyte/job_id"]] for key, found in stack.materialized(again).items()} == jobs
    assert stack.passed(again) == dict.fromkeys(jobs, True)
    assert all(found["dagster/row_count"] == ROWS for found in stack.materialized(again).values())
