"""Lists of the configuration API: connections, how they fare, and how their streams do."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

PAGE = {"pageSize": 10, "rowOffset": 0}


@pytest.fixture
def config(airbyte: RunningAirbyte, api: Api) -> Config:
    return Config(airbyte, api)


@pytest.fixture
def connection(api: Api) -> str:
    return api.connection(api.source(count=3, api_key="hidden"), api.destination(), ["products", "users"], name="one")


def statuses(config: Config, **wanted: Any) -> list[Any]:
    body = {"workspaceId": config.api.workspace_id, "pagination": PAGE, **wanted}
    found: list[Any] = config.ok("stream_statuses/list", **body)["streamStatuses"]
    return found


def test_streams_of_a_sync(config: Config, api: Api, connection: str) -> None:
    """Each is complete when the job succeeded."""
    job = api.sync(connection)
    api.finish(job)
    found = statuses(config, connectionId=connection, jobId=job)
    assert [(one["streamName"], one["runState"], one["jobType"]) for one in found] == [
        ("products", "COMPLETE", "SYNC"),
        ("users", "COMPLETE", "SYNC"),
    ]
    assert {one["jobId"] for one in found} == {job}
    assert len({one["id"] for one in found}) == 2
    assert "incompleteRunCause" not in found[0]


def test_a_failed_job_can_have_complete_streams(config: Config, api: Api, connection: str) -> None:
    """What arrived is complete, the rest is not, because it failed."""
    config.airbyte.engine.fail_next("broken", stream=(None, "products"), complete=["users"])
    job = api.sync(connection)
    assert api.finish(job)["status"] == "failed"
    found = {one["streamName"]: one for one in statuses(config, jobId=job)}
    assert found["users"]["runState"] == "COMPLETE"
    assert (found["products"]["runState"], found["products"]["incompleteRunCause"]) == ("INCOMPLETE", "FAILED")


def test_streams_that_run_and_streams_that_were_cancelled(config: Config, api: Api, connection: str) -> None:
    """Pending until something was read; incomplete, as cancelled, after that."""
    config.airbyte.engine.hold()
    job = api.sync(connection)
    config.airbyte.engine.wait_for_start()
    api.until(job, lambda _: bool(statuses(config, jobId=job)))
    assert {one["runState"] for one in statuses(config, jobId=job)} == {"PENDING"}
    api.ok("DELETE", f"/jobs/{job}")
    assert {(one["runState"], one["incompleteRunCause"]) for one in statuses(config, jobId=job)} == {
        ("INCOMPLETE", "CANCELED")
    }


def test_statuses_are_filtered_and_paged(config: Config, api: Api, connection: str) -> None:
    """By job, connection, type, stream and attempt; the offset is a multiple of the page."""
    sync, reset = api.sync(connection), 0
    api.finish(sync)
    reset = api.sync(connection, "reset")
    api.finish(reset)
    assert [(one["jobId"], one["streamName"]) for one in statuses(config)] == [
        (sync, "products"),
        (sync, "users"),
        (reset, "products"),
        (reset, "users"),
    ]
    assert {one["jobId"] for one in statuses(config, jobType="RESET")} == {reset}
    assert {one["streamName"] for one in statuses(config, streamName="users")} == {"users"}
    assert statuses(config, streamNamespace="n") == statuses(config, attemptNumber=1) == []
    assert statuses(config, jobId=99) == statuses(config, connectionId=str(uuid4())) == []
    assert statuses(config, workspaceId=str(uuid4())) == []
    page = statuses(config, pagination={"pageSize": 3, "rowOffset": 3})
    assert [(one["jobId"], one["streamName"]) for one in page] == [(reset, "users")]


def test_connections_with_their_catalogs(config: Config, api: Api, connection: str) -> None:
    """All of the workspace, as ``connections/get`` shows each; a deleted one is left out."""
    api.ok("DELETE", f"/connections/{api.connection(api.source(), api.destination())}")
    shown = config.ok("connections/list", workspaceId=api.workspace_id)["connections"]
    assert shown == [config.ok("connections/get", connectionId=connection)]
    assert shown[0]["breakingChange"] is False
    assert config.ask("connections/list", workspaceId=str(uuid4())).status_code == 404


def test_connections_with_their_newest_sync(config: Config, api: Api, connection: str) -> None:
    """A page of them, from one on; with source and destination, without secrets."""
    others = [api.connection(api.source(), api.destination("b.duckdb"), name=f"{n}") for n in range(2)]
    api.finish(api.sync(connection))

    def page(**more: Any) -> Any:
        return config.ok("web_backend/connections/list", workspaceId=api.workspace_id, **more)

    first = page(pageSize=1)
    (item,) = first["connections"]
    assert (item["connectionId"], first["num_connections"], first["page_size"]) == (connection, 3, 1)
    assert (item["isSyncing"], item["latestSyncJobStatus"], item["schemaChange"]) == (False, "succeeded", "no_change")
    assert (item["source"]["sourceName"], item["destination"]["destinationName"]) == ("faker", "duckdb")
    assert "hidden" not in str(item)
    rest = page(cursor=connection)["connections"]
    assert [one["connectionId"] for one in rest] == others
    assert "latestSyncJobStatus" not in rest[0]
    source = api.ok("GET", f"/connections/{others[1]}")["sourceId"]
    assert [one["connectionId"] for one in page(sourceId=[source])["connections"]] == [others[1]]
    assert config.ask("web_backend/connections/list", workspaceId=api.workspace_id, cursor=source).status_code == 422


def test_how_a_connection_fares(config: Config, api: Api, connection: str) -> None:
    """``ConnectionSyncStatus`` at each turn of its life (ConnectionsHandler.getConnectionStatuses)."""

    def status() -> Any:
        (found,) = config.ok("connections/status", connectionIds=[connection])
        return found

    engine = config.airbyte.engine
    assert status() == {"connectionId": connection, "connectionSyncStatus": "pending"}
    engine.hold()
    job = api.sync(connection)
    engine.wait_for_start()
    assert (status()["connectionSyncStatus"], status()["activeJob"]["id"]) == ("running", job)
    api.ok("DELETE", f"/jobs/{job}")
    assert status()["connectionSyncStatus"] == "incomplete"
    engine.release()
    job = api.sync(connection)
    api.finish(job)
    found = status()
    assert (found["connectionSyncStatus"], found["lastSyncJobId"], found["lastSyncAttemptNumber"]) == ("synced", job, 0)
    assert found["lastSuccessfulSync"] >= found["lastSyncJobCreatedAt"]
    for kind, expected in (("system_error", "incomplete"), ("config_error", "failed")):
        engine.fail_next("broken", kind=kind)
        api.finish(api.sync(connection))
        assert (status()["connectionSyncStatus"], status()["failureReason"]["externalMessage"]) == (expected, "broken")
    api.finish(api.sync(connection, "reset"))
    assert status()["connectionSyncStatus"] == "pending"
    api.finish(api.sync(connection))
    api.ok("PATCH", f"/connections/{connection}", json={"status": "inactive"})
    assert status()["connectionSyncStatus"] == "paused"


def test_progress(config: Config, api: Api, connection: str) -> None:
    """Of the job that runs; none when nothing does."""
    idle = {"connectionId": connection, "streams": [], "configType": "sync"}
    assert config.ok("connections/sync_progress", connectionId=connection) == idle
    config.airbyte.engine.hold()
    job = api.sync(connection)
    config.airbyte.engine.wait_for_start()
    api.until(job, lambda _: config.ok("connections/sync_progress", connectionId=connection)["streams"] != [])
    shown = config.ok("connections/sync_progress", connectionId=connection)
    assert (shown["jobId"], shown["configType"], shown["recordsEmitted"]) == (job, "sync", 0)
    assert [stream["streamName"] for stream in shown["streams"]] == ["products", "users"]


def test_the_stream_of_a_failure(config: Config, api: Api, connection: str) -> None:
    """Is in its reason, with the connector's own words, by each of the calls that show one."""
    words = "FileNotFoundError: [Errno 2] No such file or directory: 'orders.csv'"
    config.airbyte.engine.fail_next(words, stream=("n", "orders"), kind="config_error")
    job = api.sync(connection)
    api.finish(job)
    reason = api.failure(job)
    assert (reason["externalMessage"], reason["failureOrigin"], reason["failureType"]) == (
        words,
        "source",
        "config_error",
    )
    assert reason["streamDescriptor"] == {"name": "orders", "namespace": "n"}
    (status,) = config.ok("connections/status", connectionIds=[connection])
    assert status["failureReason"] == reason
    config.airbyte.engine.fail_next(words)
    job = api.sync(connection)
    api.finish(job)
    assert "streamDescriptor" not in api.failure(job)


@pytest.mark.real
def test_with_a_real_connector(real_airbyte: RunningAirbyte) -> None:
    """One stream is complete and in the warehouse, the other is not: the connector broke in the middle of it."""
    with real_airbyte.api() as api:
        streams = {"first": [{"id": 1}], "second": [{"id": 1}, {"id": 2}]}
        source = api.source("tiny", streams=streams, fail_after=2)
        job = api.sync(api.connection(source, api.destination(), ["first", "second"]))
        assert api.finish(job)["status"] == "failed"
        found = {one["streamName"]: one["runState"] for one in statuses(Config(real_airbyte, api), jobId=job)}
    assert found == {"first": "COMPLETE", "second": "INCOMPLETE"}
