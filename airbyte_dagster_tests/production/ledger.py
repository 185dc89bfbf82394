"""What Airbyte has done against what Dagster says of it: the facts that have to hold, whatever happened in between."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
import httpx
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._serdes import deserialize_value

from airbyte_dagster_tests.production.deployment import Deployment, LaunchRefused
from airbyte_dagster_tests.production.network import eventually
from benchmarks.simulated_airbyte.inventory import connection_id

_MATERIALIZATIONS = "SELECT event FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY id"


@dataclass(frozen=True)
class Request:
    """A run that somebody launched.

    Attributes:
        run_id: Of the first run; retries and re-executions have it as their root.
        connections: Numbers of the connections that it is to sync, once each.
        name: For messages.
    """

    run_id: str
    connections: tuple[int, ...]
    name: str = "the run"


_TAG = "production_tests/request"
#: One of each storage that a launch writes to.
_QUERIES = ("{ runsOrError(limit: 1) { __typename } }", "{ assetRecordsOrError(limit: 1) { __typename } }")


def _answers(deployment: Deployment, query: str) -> bool:
    try:
        return "PythonError" not in str(deployment.graphql(query))
    except (httpx.HTTPError, AssertionError):
        return False


def launch(deployment: Deployment, location: str, connections: Iterable[int], name: str = "the run") -> Request:
    """Launch a run as a careful client does: if no answer comes, look whether there is a run before asking again.

    Connections of the web server to a database that was away are bad, and cost an answer. If that is one to a launch,
    a run is left that is not even queued, until it is failed for its start timeout, and retried.
    """
    for query in _QUERIES:
        eventually(partial(_answers, deployment, query), "an answer of the web server", 120, 0.5)
    numbers, tag = tuple(connections), f"{name} {uuid.uuid4()}"
    streams = range(deployment.size.streams)
    keys = [(f"{location}_{number}", f"stream_{index}") for number in numbers for index in streams]

    def launched() -> str | None:
        try:
            return deployment.launch(location, keys, **{_TAG: tag})
        except (httpx.HTTPError, LaunchRefused):
            runs = deployment.instance.get_runs(dg.RunsFilter(tags={_TAG: tag}))
            return runs[-1].run_id if runs else None

    return Request(eventually(launched, f"the launch of {name}", 120, 1.0), numbers, name)


def ended(deployment: Deployment, request: Request, seconds: float = 300.0) -> dg.DagsterRun:
    """The run that decides about a request, once it has ended for good."""
    return eventually(lambda: last_run(deployment, request), f"the end of {request.name}", seconds, 0.5)


def newest_job(deployment: Deployment) -> int:
    """The id of Airbyte's newest job; 0 if there is none."""
    return max((job["id"] for job in deployment.truth()), default=0)


def until_jobs(deployment: Deployment, newest: int) -> None:
    """Wait until Airbyte has a job with this id."""
    eventually(lambda: newest_job(deployment) >= newest, f"job {newest}", 240)


@dataclass(frozen=True)
class Materialization:
    """One that Dagster has."""

    run_id: str
    key: tuple[str, ...]
    connection_id: str
    job_id: int


def materializations(deployment: Deployment) -> list[Materialization]:
    """All that Dagster has, oldest first."""
    found = []
    for (text,) in deployment.query(deployment.database, _MATERIALIZATIONS, database="dagster"):
        entry = deserialize_value(text, EventLogEntry)
        event = entry.get_dagster_event()
        assert event.asset_key is not None
        metadata = event.step_materialization_data.materialization.metadata
        found.append(
            Materialization(
                entry.run_id,
                tuple(event.asset_key.path),
                str(metadata["airbyte/connection_id"].value),
                int(str(metadata["airbyte/job_id"].value)),
            )
        )
    return found


def last_run(deployment: Deployment, request: Request) -> dg.DagsterRun | None:
    """The run that decides about a request, once it has ended for good; ``None`` before that."""
    first = deployment.run(request.run_id)
    others = deployment.instance.get_runs(dg.RunsFilter(tags={"dagster/root_run_id": request.run_id}))
    newest = others[0] if others else first
    if not newest.is_finished:
        return None
    # Dagster says so a moment after the run has failed.
    may_be_retried = newest.tags.get(WILL_RETRY_TAG) != "false" and AUTO_RETRY_RUN_ID_TAG not in newest.tags
    return None if newest.is_failure and may_be_retried else newest


def check(deployment: Deployment, requests: Iterable[Request], *, after_job: int = 0) -> None:
    """Fail unless each request's syncs ran exactly once, all succeeded, and Dagster says just that.

    Args:
        requests: All that were made; nobody else has started a job.
        after_job: Jobs up to this one are others'.
    """
    wanted = list(requests)
    jobs = [job for job in deployment.truth() if job["id"] > after_job]
    _check_jobs(wanted, jobs)
    recorded = [item for item in materializations(deployment) if item.job_id > after_job]
    _check_recorded(deployment, wanted, jobs, recorded)
    for request in wanted:
        run = last_run(deployment, request)
        assert run is not None, f"{request.name} has not ended"
        assert run.is_success, f"{request.name}: {run.run_id} is {run.status}\n{deployment.log_of(run.run_id)}"


def _check_jobs(requests: list[Request], jobs: list[dict[str, Any]]) -> None:
    asked = Counter(connection_id(number) for request in requests for number in request.connections)
    made = Counter(job["connection_id"] for job in jobs)
    assert made == asked, f"syncs too many: {made - asked}, too few: {asked - made}"
    assert {job["status"] for job in jobs} <= {"succeeded"}, [job for job in jobs if job["status"] != "succeeded"]


def _check_recorded(
    deployment: Deployment,
    requests: list[Request],
    jobs: list[dict[str, Any]],
    recorded: list[Materialization],
) -> None:
    succeeded = {job["id"]: job["connection_id"] for job in jobs if job["status"] == "succeeded"}
    false = [item for item in recorded if succeeded.get(item.job_id) != item.connection_id]
    assert not false, f"materialized without a job that succeeded: {false[:3]}"
    streams: defaultdict[int, set[tuple[str, ...]]] = defaultdict(set)
    for item in recorded:
        streams[item.job_id].add(item.key)
    missing = {job for job in succeeded if len(streams[job]) != deployment.size.streams}
    assert not missing, f"not all streams of these jobs are materialized: {sorted(missing)}"
    in_one_run = Counter((item.run_id, item.key) for item in recorded)
    twice = [pair for pair, count in in_one_run.items() if count > 1]
    assert not twice, f"materialized twice by one run: {twice[:5]}"


def most_at_once(jobs: Iterable[Mapping[str, Any]]) -> int:
    """How many jobs were on their way at once, at most."""
    changes = sorted(change for job in jobs for change in ((job["created"], 1), (job["ended"] or float("inf"), -1)))
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def checks_passed(deployment: Deployment, run_id: str) -> Counter[bool]:
    """How many checks of a run passed, and how many did not."""
    records = deployment.instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = (record.event_log_entry.get_dagster_event() for record in records)
    return Counter(bool(event.asset_check_evaluation_data.passed) for event in events)
