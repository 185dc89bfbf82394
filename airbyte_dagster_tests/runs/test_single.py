"""One sync in an op or asset of one's own, and a body of one's own around a pipeline's sync."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import AirbyteResource, airbyte_assets
from airbyte_dagster.airbyte.records import JobType
from airbyte_dagster.errors import ConfigurationError, SyncFailed
from airbyte_dagster_tests.conftest import client_of, pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import failures_of, run_sync
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.fixture
def connection_id(api: Api, airbyte: RunningAirbyte) -> str:
    return api.connection(api.source(count=7), api.destination(str(airbyte.home.warehouse)), ["users"])


def test_the_result_is_what_airbyte_reports(airbyte: RunningAirbyte, connection_id: str) -> None:
    """Without Dagster, too: the job, where it came from, and the records of each stream."""
    done = resource_of(airbyte).sync(connection_id)

    assert (done.job.status, done.origin) == ("succeeded", "new")
    assert {str(key): stats.rows for key, stats in done.streams.items()} == {"users": 7}


def test_a_job_that_fails_raises_with_its_reason(airbyte: RunningAirbyte, connection_id: str) -> None:
    """The connector's own words."""
    airbyte.engine.fail_next("The API key is expired")

    with pytest.raises(SyncFailed, match="The API key is expired"):
        resource_of(airbyte).sync(connection_id)


def test_a_name_is_no_id(airbyte: RunningAirbyte, connection_id: str) -> None:
    """The message has the id of the connection of that name; nothing is started."""
    with client_of(airbyte) as client:
        name = client.connection(connection_id).name

    with pytest.raises(ConfigurationError, match=f"It is the name of {connection_id}: give the id"):
        resource_of(airbyte).sync(name)
    with pytest.raises(ConfigurationError, match=r"'nobody' is no id of a connection\. Give the connection's id"):
        resource_of(airbyte).sync("nobody")

    with client_of(airbyte) as client:
        assert client.jobs(connection_id) == []


def test_a_context_of_no_run_is_refused(airbyte: RunningAirbyte, connection_id: str) -> None:
    """One that is built for a test keeps no job; the message says what to do, and nothing is started."""
    with pytest.raises(ConfigurationError, match=r"of no run.*Leave context out, or run the asset"):
        resource_of(airbyte).sync(connection_id, context=dg.build_asset_context())

    with client_of(airbyte) as client:
        assert client.jobs(connection_id) == []


def test_a_step_that_is_tried_again_goes_on_with_its_job(
    airbyte: RunningAirbyte, connection_id: str, instance: dg.DagsterInstance
) -> None:
    """The op failed after its sync: the retry gets the same job, and starts none."""
    jobs: list[int] = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def orders(context: dg.AssetExecutionContext, airbyte: AirbyteResource) -> None:
        jobs.append(airbyte.sync(connection_id, context=context).job.id)
        if len(jobs) == 1:
            raise ValueError("something else")

    result = dg.materialize([orders], instance=instance, resources={"airbyte": resource_of(airbyte)})

    assert result.success
    assert jobs == [1, 1]
    with client_of(airbyte) as client:
        assert [job.id for job in client.jobs(connection_id)] == [1]


def test_each_call_is_a_request_of_its_own(
    airbyte: RunningAirbyte, connection_id: str, instance: dg.DagsterInstance
) -> None:
    """In one step and in several, of either type; those of a step that is tried again are what they were."""
    done: list[tuple[int, str]] = []

    def run(context: dg.OpExecutionContext, airbyte: AirbyteResource, job_type: JobType) -> None:
        job = airbyte.sync(connection_id, context=context, job_type=job_type).job
        done.append((job.id, job.job_type))

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
    def reload(context: dg.OpExecutionContext, airbyte: AirbyteResource) -> int:
        run(context, airbyte, "reset")
        run(context, airbyte, "sync")
        run(context, airbyte, "sync")
        if len(done) == 3:
            raise ValueError("something else")
        return 0

    @dg.op
    def again(context: dg.OpExecutionContext, airbyte: AirbyteResource, before: int) -> int:
        run(context, airbyte, "sync")
        return before

    @dg.job(resource_defs={"airbyte": resource_of(airbyte)})
    def both() -> None:
        again(reload())

    assert both.execute_in_process(instance=instance).success
    first = [(1, "reset"), (2, "sync"), (3, "sync")]
    assert done == [*first, *first, (4, "sync")]


def test_a_body_of_ones_own_is_around_the_sync(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """What it does first happens before Airbyte is called; what it does last, after all is recorded."""
    seen: list[Any] = []

    @airbyte_assets(pipeline_of(airbyte))
    def shop(context: dg.AssetExecutionContext, results: Iterator[Any]) -> Iterator[Any]:
        seen.append(len(airbyte.engine.requests))
        for result in results:
            seen.append(result.asset_key.path[-1])
            yield result
        seen.append(len(airbyte.engine.requests))

    resources = {"airbyte": resource_of(airbyte), "motherduck": warehouse_of(airbyte)}
    job = dg.define_asset_job("sync_example", executor_def=dg.in_process_executor)
    result = run_sync(dg.Definitions(assets=[shop], jobs=[job], resources=resources), instance)

    assert result.success, failures_of(result)
    assert seen == [0, "users", "products", 1]
    assert {check.passed for check in result.get_asset_check_evaluations()} == {True}
