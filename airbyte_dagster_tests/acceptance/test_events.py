"""What a run records, as the UI shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airbyte_dagster_tests.acceptance.airbyte import TWINS, Airbyte
from airbyte_dagster_tests.acceptance.definitions import connections_of
from airbyte_dagster_tests.acceptance.stack import DagsterStack
from airbyte_dagster_tests.http_server import Reply, Request

pytestmark = pytest.mark.xdist_group("acceptance")

_ASSET = """query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
    assetMaterializations(limit: 9) { runId metadataEntries { label ... on IntMetadataEntry { intValue } } }
    assetChecksOrError { ... on AssetChecks { checks {
        name executionForLatestMaterialization { status runId } } } } } } }"""
_EVENTS = """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
    __typename
    ... on MaterializationEvent { assetKey { path } }
    ... on AssetCheckEvaluationEvent { evaluation { checkName assetKey { path } success } } } } } }"""


def _asset(stack: DagsterStack, path: list[str]) -> dict[str, Any]:
    return dict(stack.graphql(_ASSET, path=path)["assetNodeOrError"])


def _events(stack: DagsterStack, run: Any, kind: str) -> list[dict[str, Any]]:
    events = stack.graphql(_EVENTS, run=run.run_id)["logsForRun"]["events"]
    return [event for event in events if event["__typename"] == kind]


def test_what_has_ended_is_shown_while_the_run_goes_on(stack: DagsterStack, airbyte: Airbyte) -> None:
    """The first connection's asset and check can be seen while the second syncs; the run's events, at its end, too."""
    done, held = connections_of("seen")
    airbyte.hold(held)
    run = stack.launch("sync_seen")
    stack.until_over(run, lambda: _asset(stack, [done, "users"])["assetMaterializations"], "the first asset")

    def check_of_done() -> Any:
        checks = _asset(stack, [done, "users"])["assetChecksOrError"]["checks"]
        (check,) = [check for check in checks if check["name"] == "row_count"]
        return check["executionForLatestMaterialization"]

    stack.until_over(run, check_of_done, "its check")
    assert check_of_done() == {"status": "SUCCEEDED", "runId": run.run_id}
    assert not _asset(stack, [held, "users"])["assetMaterializations"]
    airbyte.release(held)
    stack.succeed(run)

    paths = sorted(event["assetKey"]["path"] for event in _events(stack, run, "MaterializationEvent"))
    assert paths == [[done, "users"], [held, "users"]]
    checked = [event["evaluation"] for event in _events(stack, run, "AssetCheckEvaluationEvent")]
    counted = [item for item in checked if item["checkName"] == "row_count"]
    assert sorted((item["assetKey"]["path"], item["success"]) for item in counted) == [(path, True) for path in paths]

    again = stack.succeed(stack.reexecute(run, "ALL_STEPS"))
    for name in (done, held):
        shown = _asset(stack, [name, "users"])["assetMaterializations"]
        assert [item["runId"] for item in shown] == [again.run_id, run.run_id]


def test_a_namesake_without_numbers_is_unknown(stack: DagsterStack, airbyte: Airbyte) -> None:
    """Airbyte reports numbers of one of two streams of one name: the other has none, and its own key."""
    (connection,) = connections_of("unreported")
    reported, unknown = TWINS

    def before(request: Request) -> Reply | None:
        if not request.path.endswith("/jobs/get_without_logs"):
            return None
        answer = json.loads(airbyte.ingress.forwarded(request).body)
        stats = answer["job"]["streamAggregatedStats"]
        answer["job"]["streamAggregatedStats"] = [item for item in stats if item["streamNamespace"] == reported]
        assert len(stats) == len(answer["job"]["streamAggregatedStats"]) + 1
        return Reply(200, answer)

    airbyte.ingress.before = before
    run = stack.succeed(stack.launch("sync_unreported"))

    key = f"{connection}/{{}}/account".format
    materialized, checked = stack.materialized(run), stack.checked(run)
    assert materialized[key(reported)]["airbyte/rows_reported"] == len(TWINS[reported])
    assert "airbyte/rows_reported" not in materialized[key(unknown)]
    (stream,) = materialized[key(unknown)]["airbyte/streams"].records
    assert ("rows_reported" in stream.data, stream.data["primary_key"]) == (False, "code")
    assert checked[key(reported)].metadata["rows_reported"].value == len(TWINS[reported])
    assert "rows_reported" not in checked[key(unknown)].metadata
