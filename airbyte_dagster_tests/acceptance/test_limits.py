"""How many syncs may run at once."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from airbyte_dagster_tests.acceptance.airbyte import Airbyte
from airbyte_dagster_tests.acceptance.definitions import POOL, connections_of
from airbyte_dagster_tests.acceptance.stack import DagsterStack

pytestmark = pytest.mark.xdist_group("acceptance")


@pytest.fixture
def _daemon(stack: DagsterStack) -> Iterator[None]:
    stack.start_daemon()
    yield
    stack.stop_daemon()


def end_in_turns(stack: DagsterStack, airbyte: Airbyte, run: dg.DagsterRun, names: list[str]) -> None:
    """End held jobs until all of some connections have had one; each runs long enough for others to be started."""
    by_id = {airbyte.id_of(name): name for name in names}
    while by_id:
        now = stack.eventually(lambda: airbyte.engine.running(by_id.keys()), f"the next jobs\n{stack.log_of(run)}")
        stack.wait_for_questions(run, 3)
        airbyte.release(*(by_id.pop(connection) for connection in now))


@pytest.mark.usefixtures("_daemon")
def test_deferred_runs_keep_to_the_settings(stack: DagsterStack, airbyte: Airbyte) -> None:
    """Two syncs at once, all connections once; one that syncs for somebody else is synced again after that."""
    busy, *others = connections_of("deferred")
    theirs = airbyte.start_held(busy)
    airbyte.hold(*others)
    run = stack.launch("sync_deferred")
    end_in_turns(stack, airbyte, run, others)
    stack.eventually(lambda: all(airbyte.statuses(name) == ["succeeded"] for name in others), "the ends of the others")
    assert airbyte.engine.peak([airbyte.id_of(name) for name in others]) <= 2

    airbyte.release(busy)
    stack.succeed(run)
    stack.eventually(lambda: airbyte.statuses(busy) == ["succeeded"] * 2, "a sync of the busy connection")
    assert int(airbyte.jobs(busy)[0]["jobId"]) == theirs


def test_a_pool_limits_syncs_not_ops(stack: DagsterStack, airbyte: Airbyte) -> None:
    """A pool of three; one run with an op for many connections, one with an op and a process for each: three syncs."""
    stack.limit_pool(POOL, 3)
    singles, eaches = connections_of("pooled_single"), connections_of("pooled_each")
    ids = [airbyte.id_of(name) for name in eaches]
    names = [*singles, *eaches]
    airbyte.hold(*names)
    single = stack.launch("sync_pooled_single")
    stack.eventually(lambda: airbyte.engine.running([airbyte.id_of(name) for name in singles]), "a first job")
    each = stack.launch("sync_pooled_each")
    stack.eventually(
        lambda: len(airbyte.engine.running(ids)) + stack.blocked_steps(each, POOL) == len(ids),
        "all ops of the second run, each with a job or waiting for a slot",
    )
    end_in_turns(stack, airbyte, each, names)

    stack.succeed(single)
    stack.succeed(each)
    assert [airbyte.statuses(name) for name in names] == [["succeeded"]] * len(names)
    assert airbyte.engine.peak([airbyte.id_of(name) for name in names]) <= 3
