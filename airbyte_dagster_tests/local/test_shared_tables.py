"""No two streams of a connection share a table, and two connections that share one are said to."""

from __future__ import annotations

from typing import Any

import pytest

from airbyte_dagster.local.connectionwarnings import warnings_of
from airbyte_dagster.local.records import Connection
from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

ROWS = [{"id": 1}]


def message(answer: Any) -> str:
    """Of an answer that must be a 400."""
    assert (answer.status_code, answer.json()["title"]) == (400, "bad-request"), answer.text
    return str(answer.json()["data"]["message"])


def source_of(airbyte: RunningAirbyte, api: Api, *names: str, **more: Any) -> str:
    airbyte.engine.add("mine", dict.fromkeys(names, ROWS), **more)
    return api.source("mine")


def create(api: Api, source: str, *names: str, destination: str | None = None, **more: Any) -> Any:
    body = {"sourceId": source, "destinationId": destination or api.destination(), **more}
    return api.post("/connections", json={**body, "configurations": {"streams": [{"name": name} for name in names]}})


@pytest.mark.parametrize("names", [("Users", "users"), ("open-orders", "open.orders")])
def test_streams_of_one_table_are_refused(names: tuple[str, str], airbyte: RunningAirbyte, api: Api) -> None:
    """With both names and the table, when the connection is made."""
    said = message(create(api, source_of(airbyte, api, *names), *names))
    assert f"[{names[0]}] and [{names[1]}]" in said
    assert "main.users" in said.lower() or "main.open_orders" in said


def test_postgres_tells_case_apart(airbyte: RunningAirbyte, api: Api) -> None:
    """``Users`` and ``users`` are two tables there, ``open-orders`` and ``open.orders`` one."""
    source = source_of(airbyte, api, "Users", "users", "open-orders", "open.orders")
    configuration = {"destinationType": "postgres", "host": "localhost", "database": "d", "username": "u"}
    body = {"name": "pg", "workspaceId": api.workspace_id, "configuration": configuration}
    destination = api.ok("POST", "/destinations", json=body)["destinationId"]
    assert create(api, source, "Users", "users", destination=destination).status_code == 200
    assert "open_orders" in message(create(api, source, "open-orders", "open.orders", destination=destination))


def test_a_change_is_refused_too(airbyte: RunningAirbyte, api: Api) -> None:
    """By the public API and by the configuration API; the connection stays as it was."""
    connection = api.connection(source_of(airbyte, api, "Users", "users"), api.destination(), ["users"])
    both = {"configurations": {"streams": [{"name": "users"}, {"name": "Users"}]}}
    assert "[users] and [Users]" in message(api.patch(f"/connections/{connection}", json=both))
    config = Config(airbyte, api)
    catalog = config.ok("web_backend/connections/get", connectionId=connection)["syncCatalog"]
    for entry in catalog["streams"]:
        entry["config"]["selected"] = True
    answer = config.ask("web_backend/connections/update", connectionId=connection, syncCatalog=catalog)
    assert "main.users" in message(answer)
    shown = api.ok("GET", f"/connections/{connection}")
    assert [stream["name"] for stream in shown["configurations"]["streams"]] == ["users"]


def test_twins_of_two_namespaces(airbyte: RunningAirbyte, api: Api) -> None:
    """Are refused where all namespaces become one schema, when made and when that is changed."""
    airbyte.engine.add("twins", {"t": ROWS})
    discover = airbyte.engine.discover
    airbyte.engine.discover = lambda *a, **k: [{**discover(*a, **k)[0], "namespace": name} for name in ("x", "y")]
    source, destination = api.source("twins"), api.destination()
    twins = [{"name": "t", "namespace": "x"}, {"name": "t", "namespace": "y"}]
    body = {"sourceId": source, "destinationId": destination, "configurations": {"streams": twins}}
    assert "[x.t] and [y.t]" in message(api.post("/connections", json=body))
    made = api.ok("POST", "/connections", json={**body, "namespaceDefinition": "source"})["connectionId"]
    change = {"namespaceDefinition": "destination"}
    assert "[x.t] and [y.t]" in message(api.patch(f"/connections/{made}", json=change))


def test_a_name_of_which_nothing_is_left(airbyte: RunningAirbyte, api: Api) -> None:
    """An accent alone is no name of a table in PostgreSQL."""
    source = source_of(airbyte, api, "\u0301")
    configuration = {"destinationType": "postgres", "host": "localhost", "database": "d", "username": "u"}
    body = {"name": "pg", "workspaceId": api.workspace_id, "configuration": configuration}
    destination = api.ok("POST", "/destinations", json=body)["destinationId"]
    assert "nothing of its name is left" in message(create(api, source, "\u0301", destination=destination))


def test_two_connections_into_one_table(airbyte: RunningAirbyte, api: Api) -> None:
    """Are accepted, and each is said to write what the other does: to who looks at it, and in the log of its job."""
    source = source_of(airbyte, api, "Users", "users")
    destination, other = api.destination(), api.destination("./lms.duckdb")  # the same file
    first = create(api, source, "Users", destination=destination, name="one").json()["connectionId"]
    assert warnings_of(airbyte.context, airbyte.store.connection(first)) == []
    second = create(api, source, "users", destination=other, name="two").json()["connectionId"]
    for connection, name in ((first, "two"), (second, "one")):
        (said,) = warnings_of(airbyte.context, airbyte.store.connection(connection))
        assert f"is written by the connection {name}" in said
        assert "main.users" in said
    job = api.finish(api.sync(second))
    log = airbyte.home.job_log(job["jobId"]).read_text()
    assert "WARNING: The table main.users is written by the connection one" in log


def test_tables_that_are_not_shared(airbyte: RunningAirbyte, api: Api) -> None:
    """Another prefix, another file, another schema; nor with a connection that was deleted or has left the stream."""
    source, destination = source_of(airbyte, api, "a", "b"), api.destination()
    first = api.connection(source, destination, ["a"])
    api.connection(source, destination, ["a"], prefix="p_")
    api.connection(source, api.destination("other.duckdb"), ["a"])
    api.connection(source, api.destination(schema="elsewhere"), ["a"])
    deleted, moved = api.connection(source, destination, ["a"]), api.connection(source, destination, ["a"])
    api.ok("DELETE", f"/connections/{deleted}")
    api.ok("PATCH", f"/connections/{moved}", json={"configurations": {"streams": [{"name": "b"}]}})
    assert warnings_of(airbyte.context, airbyte.store.connection(first)) == []


def test_a_connection_that_was_made_before_this_was_refused(airbyte: RunningAirbyte, api: Api) -> None:
    """Its sync fails with both names, rather than lose half of the rows."""
    connection = api.connection(source_of(airbyte, api, "Users", "users"), api.destination(), ["users"])
    with airbyte.store.database.write() as session:
        record = session.get_one(Connection, connection)
        record.streams = [*record.streams, {**record.streams[0], "name": "Users"}]
        record.catalog = [*record.catalog, {**record.catalog[0], "name": "Users"}]
    job = api.finish(api.sync(connection))
    failure = api.failure(job["jobId"])
    assert (job["status"], failure["failureType"]) == ("failed", "config_error")
    assert "[users] and [Users]" in failure["externalMessage"]


def test_a_schema_that_is_changed_later(airbyte: RunningAirbyte, api: Api) -> None:
    """Once such a connection has synced, what it shares now is known."""
    source, destination = source_of(airbyte, api, "a"), api.destination(schema="x")
    first, second = api.connection(source, destination, ["a"]), api.connection(source, api.destination(), ["a"])
    change = {"configuration": {"schema": "main"}}
    api.ok("PATCH", f"/destinations/{destination}", json=change)
    assert api.finish(api.sync(first))["status"] == "succeeded"
    assert len(warnings_of(airbyte.context, airbyte.store.connection(second))) == 1
