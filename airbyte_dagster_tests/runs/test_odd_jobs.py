"""Jobs whose end is not what it seems: called a success without a trace, failed in parts, records rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import httpx
import pytest

from airbyte_dagster import AirbytePipeline, build_pipeline_defs
from airbyte_dagster_tests.conftest import client_of, pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import ROWS, definitions_of, failures_of, metadata_of, run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte


class AnsweringTransport(httpx.HTTPTransport):
    """The real transport, but some paths of the configuration API have other answers.

    Attributes:
        answers: End of the path → what makes of Airbyte's JSON what is answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Callable[[Any], Any]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        for path, change in self.answers.items():
            if request.url.path.endswith(path):
                text = response.read()
                body = change(json.loads(text) if response.is_success else None)
                return httpx.Response(200, json=body)
        return response


@pytest.fixture
def answers(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Any], Any]]:
    """Answers of the configuration API, to be put in."""
    transport = AnsweringTransport()
    client = client_of(airbyte, transport)
    monkeypatch.setattr("airbyte_dagster.resources.airbyte._shared_client", lambda **_settings: client)
    return transport.answers


def pipeline(server: RunningAirbyte, rows: int = 10, **checks: Any) -> AirbytePipeline:
    server.engine.add("faker", {name: list(ROWS[:rows]) for name in ("users", "products")})
    return AirbytePipeline(**{**dict(pipeline_of(server)), "checks": checks})


def evaluated(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {
        f"{item.asset_key.path[-1]}:{item.check_name}": item.passed for item in result.get_asset_check_evaluations()
    }


def observed(instance: dg.DagsterInstance) -> dict[str, str | None]:
    """The last observation of each stream: what a step notes before it fails is no part of its result."""
    found = {}
    for name in ("users", "products"):
        for record in instance.fetch_observations(dg.AssetKey(["example", name]), limit=1).records:
            event = record.asset_observation
            found[name] = event.description if event else None
    return found


def without_trace(answer: Any) -> Any:
    """No stats of streams, and an attempt without output, as of a launch that failed."""
    job = {key: value for key, value in answer["job"].items() if not key.endswith("ggregatedStats")}
    return {"job": job, "attempts": [{"attempt": {"id": 0, "status": "succeeded", "totalStats": {}}}]}


def test_a_success_without_a_trace_fails(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """Nothing shows that anything ran: nothing is materialized, and the run says so; the next one syncs again."""
    answers |= {"/jobs/get_without_logs": without_trace, "/jobs/get_debug_info": without_trace}
    definitions = definitions_of(airbyte, pipeline(airbyte, rows=0))

    phantom = run_sync(definitions, instance)
    answers.clear()
    again = run_sync(definitions, instance)

    assert not phantom.success
    assert metadata_of(phantom) == {}
    assert "nothing shows that it ran" in failures_of(phantom)[0]
    assert "nothing shows that it ran" in str(observed(instance)["users"])
    assert again.success, failures_of(again)
    assert evaluated(again)["users:row_count"]


def test_a_success_with_rows_ran_whatever_its_attempts_say(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """The public API's number of rows is a trace."""
    answers |= {"/jobs/get_without_logs": without_trace, "/jobs/get_debug_info": without_trace}

    result = run_sync(definitions_of(airbyte, pipeline(airbyte, rows=7)), instance)

    assert "nothing shows that it ran" not in str(failures_of(result))
    assert "users" in metadata_of(result)


def test_a_retry_after_a_success_without_a_trace_is_a_new_sync(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """The step that is tried again does not go on with the job that brought nothing."""
    spec = pipeline(airbyte, rows=0)
    seen: list[int] = []

    def first_only(answer: Any) -> Any:
        seen.append(answer["job"]["id"])
        return without_trace(answer) if answer["job"]["id"] == seen[0] else answer

    answers |= {"/jobs/get_without_logs": first_only, "/jobs/get_debug_info": first_only}
    definitions = build_pipeline_defs(
        spec, airbyte=resource_of(airbyte), warehouse=warehouse_of(airbyte, lock_timeout=5)
    )
    job = dg.Definitions(
        assets=definitions.assets,
        resources=definitions.resources,
        jobs=[dg.define_asset_job("tried", op_retry_policy=dg.RetryPolicy(max_retries=1))],
    ).resolve_job_def("tried")

    result = job.execute_in_process(instance=instance, raise_on_error=False)

    assert result.success, failures_of(result)
    assert len(airbyte.engine.requests) == 2


def partly(answer: Any) -> Any:
    """What a job says of its streams, of which one is complete."""
    stats = [{"streamName": "users", "recordsEmitted": 10, "recordsCommitted": 10, "bytesCommitted": 1000}]
    return {"job": {**answer["job"], "streamAggregatedStats": stats}}


def with_reason(answer: Any) -> Any:
    """The failure names the stream that it is of."""
    failures = answer["attempts"][0]["attempt"]["failureSummary"]["failures"]
    failures[0] |= {"streamDescriptor": {"name": "products"}, "externalMessage": "The column price is gone."}
    return answer


def states(*complete: str) -> Callable[[Any], Any]:
    """What Airbyte says of how streams fared."""
    rows = [
        {"streamName": name, "attemptNumber": 0, "runState": "COMPLETE" if name in complete else "INCOMPLETE"}
        for name in ("users", "products")
    ]
    return lambda _answer: {"streamStatuses": rows}


def test_complete_streams_of_a_failed_job_are_recorded_and_checked(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """The run fails, naming the others, each with its own reason."""
    definitions = definitions_of(airbyte, pipeline(airbyte))
    run_sync(definitions, instance)
    airbyte.engine.fail_next("The source broke", after_rows=3)
    answers |= {"/jobs/get_without_logs": partly, "/jobs/get_debug_info": with_reason}
    answers["/stream_statuses/list"] = states("users")

    result = run_sync(definitions, instance)

    assert not result.success
    assert set(metadata_of(result)) == {"users"}
    assert metadata_of(result)["users"]["airbyte/job_status"] == "failed"
    assert evaluated(result) == {"users:row_count": True, "users:values_kept": True}
    assert set(observed(instance)) == {"products"}
    assert str(observed(instance)["products"]).endswith("failed for this stream: The column price is gone.")
    assert "Not complete: products; the other 1 streams are." in failures_of(result)[0]


@pytest.mark.parametrize("known", [True, False])
def test_without_a_complete_stream_all_fail(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]], *, known: bool
) -> None:
    """So do all where Airbyte does not say how the streams fared."""
    answers["/stream_statuses/list"] = states() if known else lambda _answer: {}
    airbyte.engine.fail_next("The source broke")

    result = run_sync(definitions_of(airbyte, pipeline(airbyte)), instance)

    assert metadata_of(result) == {}
    assert set(observed(instance)) == {"users", "products"}
    assert "Not complete" not in failures_of(result)[0]


def test_a_complete_stream_whose_rows_differ_is_not_verified(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """A destination may keep what it wrote to itself if the job fails: that is no loss."""
    definitions = definitions_of(airbyte, pipeline(airbyte, rows=4))
    run_sync(definitions, instance)
    airbyte.engine.fail_next("The source broke")
    answers |= {"/jobs/get_without_logs": partly, "/stream_statuses/list": states("users")}

    [found] = [
        item for item in run_sync(definitions, instance).get_asset_check_evaluations() if item.check_name == "row_count"
    ]

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "as a whole is failed, though this stream is called complete" in str(found.description)


def test_records_that_were_rejected_are_in_the_metadata(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """The job succeeded, but two records did not arrive: a warning."""

    def rejecting(answer: Any) -> Any:
        for stats in answer["job"]["streamAggregatedStats"]:
            stats["recordsRejected"] = 2 if stats["streamName"] == "users" else 0
        return answer

    answers["/jobs/get_without_logs"] = rejecting

    result = run_sync(definitions_of(airbyte, pipeline(airbyte)), instance)

    assert metadata_of(result)["users"]["airbyte/rows_rejected"] == 2
    assert "airbyte/rows_rejected" not in metadata_of(result)["products"]
    assert evaluated(result)["products:row_count"]
    assert not evaluated(result)["users:row_count"]


def test_a_number_that_is_not_known_is_no_zero(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, answers: dict[str, Callable[[Any], Any]]
) -> None:
    """An empty table with no number of its records is not verified, whatever the total is."""

    def unknown(answer: Any) -> Any:
        for stats in answer["job"]["streamAggregatedStats"]:
            stats["recordsCommitted"] = None
        return answer

    answers["/jobs/get_without_logs"] = unknown

    result = run_sync(definitions_of(airbyte, pipeline(airbyte, rows=0)), instance)

    assert not evaluated(result)["users:row_count"]
    assert {item.severity for item in result.get_asset_check_evaluations() if not item.passed} == {
        dg.AssetCheckSeverity.WARN
    }


def with_reports(spec: AirbytePipeline, airbyte: RunningAirbyte) -> Any:
    """A job over the pipeline and something downstream of each of its streams."""

    @dg.asset(deps=[dg.AssetKey(["example", "users"])])
    def of_users() -> None: ...

    @dg.asset(deps=[dg.AssetKey(["example", "products"])])
    def of_products() -> None: ...

    definitions = dg.Definitions.merge(
        build_pipeline_defs(spec, airbyte=resource_of(airbyte), warehouse=warehouse_of(airbyte)),
        dg.Definitions(
            assets=[of_users, of_products], jobs=[dg.define_asset_job("all", executor_def=dg.in_process_executor)]
        ),
    )
    return definitions.resolve_job_def("all")


@pytest.mark.parametrize("failing", [("users",), ("users", "products")])
def test_a_blocking_check_stops_only_what_is_downstream_of_its_own_asset(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, failing: tuple[str, ...]
) -> None:
    """Of two assets in one op: what is downstream of the other runs. If nothing may run, the run fails."""
    strict = {"expected_range": {"max": 5, "blocking": True}}
    spec = pipeline(airbyte)
    streams = [{"name": name, "checks": strict if name in failing else {}} for name in ("users", "products")]
    spec = AirbytePipeline(**{**dict(spec), "connection": {"name": "faker to duck", "streams": streams}})

    result = with_reports(spec, airbyte).execute_in_process(instance=instance, raise_on_error=False)

    keys = [["example", "users"], ["example", "products"], ["of_users"], ["of_products"]]
    found = {path[-1] for path in keys if instance.fetch_materializations(dg.AssetKey(path), limit=1).records}
    good = {"products"} - set(failing)
    assert found == {"users", "products", *(f"of_{name}" for name in good)}
    results = instance.get_records_for_run(result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    checks = [record.event_log_entry.dagster_event.event_specific_data for record in results]  # type: ignore[union-attr]
    assert {(item.asset_key.path[-1], item.check_name) for item in checks if not item.passed} == {  # type: ignore[union-attr]
        (name, "expected_range") for name in failing
    }
    assert result.success is bool(good)
