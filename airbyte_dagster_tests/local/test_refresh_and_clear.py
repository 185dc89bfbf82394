"""Refreshing and clearing streams through the configuration API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

MERGED = {"name": "users", "syncMode": "incremental_deduped_history"}
APPENDED = {"name": "orders", "syncMode": "incremental_append"}
FIRST = {
    "users": [{"id": 1, "updated_at": "2026-01-01"}, {"id": 2, "updated_at": "2026-01-01"}],
    "orders": [{"id": 1, "updated_at": "2026-01-01"}],
}
# Of the users one was deleted in the source, and one came.
SECOND = {
    "users": [{"id": 1, "updated_at": "2026-01-01"}, {"id": 3, "updated_at": "2026-01-02"}],
    "orders": [{"id": 1, "updated_at": "2026-01-01"}, {"id": 2, "updated_at": "2026-01-02"}],
}


class Shop:
    """A connection of two incremental streams that has synced once, and whose source has changed since."""

    def __init__(self, airbyte: RunningAirbyte, api: Api, change: Callable[[Any], None], source: str) -> None:
        self.airbyte, self.api, self.config = airbyte, api, Config(airbyte, api)
        self.change = change
        self.connection = api.connection(source, api.destination(), [MERGED, APPENDED])
        self.finish(api.sync(self.connection))
        change(SECOND)

    def finish(self, job: int) -> Any:
        ended = self.api.finish(job)
        assert ended["status"] == "succeeded", self.api.debug(job)
        return ended

    def refresh(self, mode: str, *streams: str) -> Any:
        named = {"streams": [{"streamName": name} for name in streams]} if streams else {}
        return self.config.ok("connections/refresh", connectionId=self.connection, refreshMode=mode, **named)["job"]

    def clear(self, *streams: str) -> Any:
        if not streams:
            return self.config.ok("connections/clear", connectionId=self.connection)["job"]
        named = [{"streamName": name} for name in streams]
        return self.config.ok("connections/clear/stream", connectionId=self.connection, streams=named)["job"]

    def ids(self, stream: str) -> list[int]:
        path = str(self.airbyte.home.root / "lms.duckdb")
        with duckdb.connect(path, read_only=True) as warehouse:
            return [row[0] for row in warehouse.execute(f"SELECT id FROM {stream} ORDER BY id").fetchall()]  # noqa: S608

    def states(self) -> dict[str, Any]:
        found = self.config.ok("state/get", connectionId=self.connection).get("streamState") or []
        return {state["streamDescriptor"]["name"]: state["streamState"] for state in found}


@pytest.fixture
def shop(airbyte: RunningAirbyte, api: Api) -> Shop:
    airbyte.engine.add("shop", FIRST)
    return Shop(airbyte, api, lambda rows: airbyte.engine.add("shop", rows), api.source("shop"))


def generations(shop: Shop) -> dict[str, int]:
    """As the last job was told them."""
    return {stream.name: stream.generation_id for stream in shop.airbyte.engine.requests[-1].streams}


def test_a_refresh_that_truncates(shop: Shop) -> None:
    """Of the stream only rows of this reading are left; the other one syncs as usual."""
    job = shop.refresh("Truncate", "users")
    assert (job["configType"], job["refreshConfig"]) == ("refresh", {"streamsToRefresh": [{"name": "users"}]})
    shown = shop.finish(job["id"])
    assert (shown["jobType"], shown["rowsSynced"]) == ("refresh", 3)
    assert (shop.ids("users"), shop.ids("orders")) == ([1, 3], [1, 2])
    assert generations(shop) == {"users": 1, "orders": 0}


def test_a_refresh_that_merges(shop: Shop) -> None:
    """All is read again and merged into what is there."""
    shop.finish(shop.refresh("Merge", "users")["id"])
    assert (shop.ids("users"), shop.ids("orders")) == ([1, 2, 3], [1, 2])
    assert generations(shop) == {"users": 1, "orders": 0}


def test_a_refresh_of_all(shop: Shop) -> None:
    """Without streams; what is appended to is added to again when it merges."""
    shop.finish(shop.refresh("Merge")["id"])
    assert (shop.ids("users"), shop.ids("orders")) == ([1, 2, 3], [1, 1, 2])
    shop.finish(shop.refresh("Truncate")["id"])
    assert (shop.ids("users"), shop.ids("orders")) == ([1, 3], [1, 2])
    assert generations(shop) == {"users": 2, "orders": 2}


def test_after_a_refresh_a_sync_goes_on(shop: Shop) -> None:
    """From where the refresh has read to; the generation stays."""
    shop.finish(shop.refresh("Truncate", "users")["id"])
    assert shop.states()["users"] == {"updated_at": "2026-01-02"}
    assert shop.finish(shop.api.sync(shop.connection))["rowsSynced"] == 0
    assert generations(shop) == {"users": 1, "orders": 0}


def test_a_refresh_that_fails_loses_nothing(shop: Shop) -> None:
    """Neither rows nor where the reading stopped, so that the next sync does not read everything into them again."""
    shop.airbyte.engine.fail_next()
    before = shop.states()
    job = shop.refresh("Truncate", "orders")["id"]
    assert shop.api.finish(job)["status"] == "failed"
    assert (shop.states(), shop.ids("orders")) == (before, [1])
    shop.finish(shop.api.sync(shop.connection))
    assert shop.ids("orders") == [1, 2]


def test_a_refreshed_stream_that_tells_no_state(shop: Shop) -> None:
    """Begins anew the next time: its old state is not taken for the new reading's."""
    known = shop.airbyte.engine.discover("shop", {})
    shop.airbyte.engine.discover = lambda *_arguments, **_more: known
    shop.change({"users": [], "orders": FIRST["orders"]})
    shop.finish(shop.refresh("Truncate", "users")["id"])
    assert "users" not in shop.states()
    assert "orders" in shop.states()


def test_streams_are_cleared(shop: Shop) -> None:
    """Their tables are emptied and read from the beginning; the others are not touched."""
    job = shop.clear("users")
    assert (job["configType"], job["resetConfig"]) == ("reset_connection", {"streamsToReset": [{"name": "users"}]})
    assert shop.finish(job["id"])["jobType"] == "reset"
    assert (shop.ids("users"), shop.ids("orders")) == ([], [1])
    assert set(shop.states()) == {"orders"}
    shop.finish(shop.api.sync(shop.connection))
    assert (shop.ids("users"), shop.ids("orders")) == ([1, 3], [1, 2])
    assert generations(shop) == {"users": 1, "orders": 0}


def test_all_is_cleared(shop: Shop) -> None:
    """As by ``reset`` in the public API."""
    shop.finish(shop.clear()["id"])
    assert (shop.ids("users"), shop.ids("orders"), shop.states()) == ([], [], {})


def test_streams_that_are_read_as_a_whole_begin_generations(airbyte: RunningAirbyte, api: Api) -> None:
    """Each sync of them does (AttemptHandler.kt)."""
    connection = api.connection(api.source(count=1), api.destination(), ["users", {**MERGED, "name": "products"}])
    for _ in range(2):
        api.finish(api.sync(connection))
    assert [{s.name: s.generation_id for s in request.streams} for request in airbyte.engine.requests] == [
        {"users": 1, "products": 0},
        {"users": 2, "products": 0},
    ]


def test_state_of_all_streams_together(shop: Shop) -> None:
    """Of a ``GLOBAL`` or ``LEGACY`` state the source is told what is left without the refreshed stream."""
    both = [{"streamDescriptor": {"name": name}, "streamState": {"updated_at": "2026-01-01"}} for name in FIRST]
    state = {"stateType": "global", "globalState": {"sharedState": {"lsn": 7}, "streamStates": both}}
    shop.config.ok("state/create_or_update_safe", connectionId=shop.connection, connectionState=state)
    shop.airbyte.engine.hold()
    shop.refresh("Merge", "users")
    shop.airbyte.engine.wait_for_start(2)
    (told,) = shop.airbyte.engine.requests[-1].states
    assert told["global"]["shared_state"] == {"lsn": 7}
    assert [one["stream_descriptor"]["name"] for one in told["global"]["stream_states"]] == ["orders"]


@pytest.mark.parametrize("path", ["connections/refresh", "connections/clear/stream"])
def test_a_stream_that_is_not_there(path: str, shop: Shop) -> None:
    """422 that names it."""
    body = {"connectionId": shop.connection, "refreshMode": "Merge", "streams": [{"streamName": "nonesuch"}]}
    answer = shop.config.ask(path, **body)
    assert answer.status_code == 422
    assert "nonesuch" in answer.json()["data"]["message"]


def test_one_at_a_time(shop: Shop) -> None:
    """A refresh waits for nobody: 409 while something runs. A clear cancels what runs. A sync can be started, too."""
    shop.airbyte.engine.hold()
    running = shop.config.ok("connections/sync", connectionId=shop.connection)["job"]["id"]
    shop.airbyte.engine.wait_for_start(2)
    answer = shop.config.ask("connections/refresh", connectionId=shop.connection, refreshMode="Merge")
    assert (answer.status_code, answer.json()["title"]) == (409, "try-again-later")
    shop.airbyte.engine.release()
    shop.clear("users")
    assert shop.api.finish(running)["status"] in {"cancelled", "succeeded"}


@pytest.mark.parametrize("status", ["inactive", "deprecated"])
def test_a_connection_that_is_off(status: str, shop: Shop) -> None:
    """Can't be refreshed; cleared it can be unless it was deleted."""
    shop.api.ok("PATCH", f"/connections/{shop.connection}", json={"status": status})
    body = {"connectionId": shop.connection, "refreshMode": "Merge"}
    assert shop.config.ask("connections/refresh", **body).status_code == 409
    assert shop.config.ask("connections/clear", **body).status_code == (409 if status == "deprecated" else 200)


def test_the_public_api_still_refuses(shop: Shop) -> None:
    """422, in Airbyte's words; but it lists refreshes."""
    answer = shop.api.post("/jobs", json={"connectionId": shop.connection, "jobType": "refresh"})
    assert answer.status_code == 422
    assert answer.json()["data"]["message"] == "Refreshes are not supported in the public API"
    job = shop.refresh("Merge")["id"]
    listed = shop.api.ok("GET", "/jobs", params={"connectionId": shop.connection, "jobType": "refresh"})["data"]
    assert [one["jobId"] for one in listed] == [job]


@pytest.mark.real
def test_with_a_real_connector(real_airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """With the real engine: a refresh that merges, one that truncates, and a clear of one stream."""
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(FIRST))
    with real_airbyte.api() as api:
        source = api.source("tiny", streams=str(data), cursor="updated_at", primary_key="id")

        def change(rows: Any) -> None:
            data.write_text(json.dumps(rows))

        shop = Shop(real_airbyte, api, change, source)
        shop.finish(shop.refresh("Merge", "users")["id"])
        assert (shop.ids("users"), shop.ids("orders")) == ([1, 2, 3], [1, 2])
        shop.finish(shop.refresh("Truncate", "users")["id"])
        assert (shop.ids("users"), shop.ids("orders")) == ([1, 3], [1, 2])
        shop.finish(shop.clear("orders")["id"])
        assert (shop.ids("users"), shop.ids("orders")) == ([1, 3], [])
        assert set(shop.states()) == {"users"}
