"""What goes wrong beside a healthy sync."""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import threading

import dagster as dg
import pytest

from airbyte_dagster_tests.acceptance.airbyte import Airbyte, is_about_jobs
from airbyte_dagster_tests.acceptance.definitions import PIPELINES, connections_of
from airbyte_dagster_tests.acceptance.stack import DagsterStack
from airbyte_dagster_tests.http_server import Reply, Request

pytestmark = pytest.mark.xdist_group("acceptance")

_HTML = {"Content-Type": "text/html"}
#: How long Airbyte takes to cancel a job: no longer than a test can wait, and longer than sending all takes.
_SECONDS_TO_CANCEL = 5.0


def test_one_odd_value_stops_no_other_connection(stack: DagsterStack, airbyte: Airbyte) -> None:
    """A time that Python has no value for leaves its own check unverified; all are recorded, the others verified."""
    odd, *others = connections_of("odd")
    for name, seen in ((odd, "'0044-03-15 (BC)'"), *((other, "now()") for other in others)):
        sql = f"ALTER TABLE {name}_users ADD COLUMN seen TIMESTAMP; UPDATE {name}_users SET seen = {seen}"
        airbyte.engine.afterwards[airbyte.id_of(name)] = sql
    airbyte.hold(*others)
    run = stack.launch("sync_odd")
    stack.eventually(lambda: airbyte.statuses(odd) == ["succeeded"], "the first end of a job")
    stack.wait_for_jobs(run, *others)
    airbyte.release(*others)

    ended = stack.succeed(run)

    assert [airbyte.statuses(name) for name in (odd, *others)] == [["succeeded"]] * 3
    assert stack.materialized(ended).keys() == {f"{name}/users" for name in (odd, *others)}
    for check in ("row_count", "fresh"):
        passed = stack.passed(ended, check)
        assert {name: passed.get(f"{name}/users") for name in others} == dict.fromkeys(others, True)
    assert stack.passed(ended, "fresh")[f"{odd}/users"] is False


@pytest.mark.parametrize("name", ["flaky", "p_flaky"])
def test_answers_of_an_ingress_do_not_end_the_watching(name: str, stack: DagsterStack, airbyte: Airbyte) -> None:
    """While a healthy job runs: a page with 404, a 403, two 401 in a row. The run waits on, and succeeds."""
    run, connection = _held(f"sync_{name}", name, stack, airbyte)
    page = Reply(404, "<html>default backend</html>", _HTML)
    faults = [page, Reply(403, "<html>forbidden</html>", _HTML), *[Reply(401, {"message": "Unauthorized"})] * 2]
    airbyte.ingress.before = lambda request: faults.pop(0) if faults and _is_poll(request) else None

    stack.until_over(run, lambda: not faults, "the faults")
    stack.wait_for_questions(run, 1)
    airbyte.release(connection)

    ended = stack.succeed(run)
    assert airbyte.statuses(connection) == ["succeeded"]
    assert stack.passed(ended) == {f"{connection}/users": True}


def _held(job: str, name: str, stack: DagsterStack, airbyte: Airbyte) -> tuple[dg.DagsterRun, str]:
    """A run of a job whose sync goes on until it is released, and the one connection of its scenario."""
    if name in PIPELINES:
        stack.provision(name)
    (connection,) = connections_of(name)
    airbyte.hold(connection)
    run = stack.launch(job)
    stack.wait_for_jobs(run, connection)
    return run, connection


def _is_poll(request: Request) -> bool:
    return request.method == "GET" and is_about_jobs(request)


def test_a_terminated_run_cancels_all_its_jobs_at_once(stack: DagsterStack, airbyte: Airbyte) -> None:
    """Sixty jobs that Airbyte takes seconds to cancel: it is asked for the last before it has answered the first."""
    names = connections_of("many")
    airbyte.hold(*names)
    asked: list[str] = []
    at_first_answer: list[int] = []
    all_asked = threading.Event()

    def before(request: Request) -> None:
        if request.method != "DELETE":
            return
        asked.append(request.path)
        if len(set(asked)) == len(names):
            all_asked.set()
        all_asked.wait(_SECONDS_TO_CANCEL)
        at_first_answer.append(len(set(asked)))

    airbyte.ingress.before = before
    run = stack.launch("sync_many")
    stack.wait_for_jobs(run, *names)
    stack.terminate(run)
    stack.be_canceled(run)

    assert at_first_answer[0] == len(names)
    stack.eventually(lambda: {status for name in names for status in airbyte.statuses(name)} == {"cancelled"}, "it all")
    airbyte.release(*names)


@pytest.mark.parametrize("name", ["retried", "p_retried"])
def test_a_termination_is_not_retried(name: str, stack: DagsterStack, airbyte: Airbyte) -> None:
    """A job of Dagster's with a retry policy for its ops, terminated: no second sync, and the run is canceled."""
    run, connection = _held(f"retry_{name}", name, stack, airbyte)

    stack.terminate(run)
    stack.eventually(lambda: airbyte.statuses(connection)[0] == "cancelled", "the cancelling of the job")
    airbyte.release(connection)

    stack.be_canceled(run)
    assert airbyte.statuses(connection) == ["cancelled"]
