"""Connections that sync already when a run begins, for somebody else."""

from __future__ import annotations

import pytest

from airbyte_dagster_tests.acceptance.airbyte import ROWS, Airbyte
from airbyte_dagster_tests.acceptance.definitions import connections_of
from airbyte_dagster_tests.acceptance.stack import DagsterStack

pytestmark = pytest.mark.xdist_group("acceptance")


@pytest.mark.parametrize("name", ["queued", "p_queued"])
def test_rows_of_a_job_that_was_waited_for_are_not_ours(name: str, stack: DagsterStack, airbyte: Airbyte) -> None:
    """A run that waits for somebody else's job, then appends: rows before are those after their job, before ours."""
    if name == "p_queued":
        stack.provision(name)
    (connection,) = connections_of(name)
    theirs = airbyte.start_held(connection)
    run = stack.launch(f"sync_{name}")
    stack.wait_for_questions(run, 3)
    airbyte.release(connection)

    ended = stack.succeed(run)

    ours = int(airbyte.jobs(connection)[1]["jobId"])
    assert [int(job["jobId"]) for job in airbyte.jobs(connection)] == [theirs, ours]
    found = stack.materialized(ended)[f"{connection}/users"]
    assert (found["airbyte/job_id"], found["dagster/row_count"]) == (ours, 2 * ROWS)
    assert stack.passed(ended) == {f"{connection}/users": True}


@pytest.mark.parametrize("name", ["joined", "p_joined"])
def test_a_terminated_run_cancels_what_it_has_started_alone(name: str, stack: DagsterStack, airbyte: Airbyte) -> None:
    """A job that was joined goes on to its end; one that the run has started is cancelled."""
    if name == "p_joined":
        stack.provision(name)
    joined, *own = connections_of(name)
    airbyte.start_held(joined)
    airbyte.hold(*own)
    run = stack.launch(f"sync_{name}")
    stack.wait_for_questions(run, 1)
    stack.wait_for_jobs(run, joined, *own)

    stack.terminate(run)
    stack.be_canceled(run)

    stack.eventually(lambda: all(airbyte.statuses(one) == ["cancelled"] for one in own), "the cancelling of its job")
    assert airbyte.statuses(joined) == ["running"]
    airbyte.release(joined, *own)
    stack.eventually(lambda: airbyte.statuses(joined) == ["succeeded"], "the end of their job")
