"""Connections and streams over HTTP: defaults, stream settings, schedules, changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Iterator[Api]:
    with airbyte.api() as client:
        yield client


@pytest.fixture
def ends(api: Api) -> tuple[str, str]:
    return api.source(count=2), api.destination()


def test_defaults(api: Api, ends: tuple[str, str]) -> None:
    """What a connection is when nothing but its ends and streams is given."""
    made = api.ok("GET", f"/connections/{api.connection(*ends, ['users'])}")
    made.pop("createdAt")
    assert made == {
        "connectionId": made["connectionId"],
        "name": "faker source <> duck",
        "sourceId": ends[0],
        "destinationId": ends[1],
        "workspaceId": api.workspace_id,
        "status": "active",
        "schedule": {"scheduleType": "manual"},
        "dataResidency": "auto",
        "configurations": {
            "streams": [
                {
                    "name": "users",
                    "syncMode": "full_refresh_overwrite",
                    "cursorField": ["updated_at"],
                    "primaryKey": [["id"]],
                    "mappers": [],
                    "selectedFields": [],
                }
            ]
        },
        "tags": [],
        "namespaceDefinition": "destination",
        "nonBreakingSchemaUpdatesBehavior": "ignore",
        "prefix": "",
    }


def test_streams_left_out_may_be_none(airbyte: RunningAirbyte, api: Api, ends: tuple[str, str]) -> None:
    """Without configurations only suggested streams are taken, or the sole one; of Faker's three, none."""

    def chosen(source: str) -> list[str]:
        made = api.ok("GET", f"/connections/{api.connection(source, ends[1])}")
        return [stream["name"] for stream in made["configurations"]["streams"]]

    rows = [{"id": 1}]
    airbyte.engine.add("sole", {"only": rows})
    airbyte.engine.add("hinting", {"a": rows, "b": rows}, suggested=["b"])
    assert chosen(ends[0]) == []
    assert chosen(api.source("sole")) == ["only"]
    assert chosen(api.source("hinting")) == ["b"]


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        ([{"name": "nonesuch"}], "The streams are: [products, purchases, users]"),
        ([{"name": "users"}, {"name": "users"}], "Duplicate stream"),
        (
            [{"name": "users", "syncMode": "full_refresh_soft_delete"}],
            "Valid sync modes are: [full_refresh_overwrite",
        ),
        ([{"name": "users", "syncMode": "nonsense"}], "Valid sync modes are"),
        ([{"name": "users", "syncMode": "incremental_append", "cursorField": ["name"]}], "already defined by source"),
        ([{"name": "users", "syncMode": "incremental_deduped_history", "primaryKey": [["name"]]}], "pre-defined"),
        ([{"name": "users", "selectedFields": [{"fieldPath": []}]}], "cannot be empty"),
        ([{"name": "users", "selectedFields": [{"fieldPath": ["a", "b"]}]}], "Nested field selection"),
        ([{"name": "users", "selectedFields": [{"fieldPath": ["nonesuch"]}]}], "Invalid fields selected"),
        (
            [
                {
                    "name": "users",
                    "syncMode": "incremental_deduped_history",
                    "selectedFields": [{"fieldPath": ["name"]}, {"fieldPath": ["updated_at"]}],
                }
            ],
            "Primary key field",
        ),
    ],
)
def test_wrong_streams_are_a_400(streams: list[Any], words: str, api: Api, ends: tuple[str, str]) -> None:
    """Every wrong stream setting is a 400 bad-request that says what would be right; nothing is made."""
    body = {"sourceId": ends[0], "destinationId": ends[1], "configurations": {"streams": streams}}
    answer = api.post("/connections", json=body)
    assert answer.status_code == 400
    assert answer.json()["title"] == "bad-request"
    assert words in answer.json()["data"]["message"]
    assert api.ok("GET", "/connections")["data"] == []


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ({"syncMode": "incremental_append", "cursorField": ["nonesuch"]}, "Invalid cursor field"),
        ({"syncMode": "full_refresh_overwrite_deduped"}, "No default primary key"),
        ({"syncMode": "full_refresh_overwrite_deduped", "primaryKey": [["nonesuch"]]}, "Invalid primary key"),
        ({"syncMode": "full_refresh_overwrite_deduped", "primaryKey": [["a"], ["a"]]}, "Duplicate primary key"),
        ({"syncMode": "incremental_append"}, "Valid sync modes"),
    ],
)
def test_keys_and_cursors_that_the_source_leaves_open(
    stream: dict[str, Any], words: str, airbyte: RunningAirbyte, api: Api
) -> None:
    """A key or cursor that the source does not define must be given, and must be a field."""
    airbyte.engine.add("open", {"items": [{"a": 1, "at": 2}]}, primary_key=None, cursor="at")
    if words == "Valid sync modes":
        airbyte.engine.sources["open"].cursor = None
    elif stream["syncMode"] == "incremental_append":
        discover = airbyte.engine.discover
        airbyte.engine.discover = lambda *a, **k: [{**s, "source_defined_cursor": False} for s in discover(*a, **k)]
    body = {"sourceId": api.source("open"), "destinationId": api.destination()}
    answer = api.post("/connections", json={**body, "configurations": {"streams": [{"name": "items", **stream}]}})
    assert answer.status_code == 400
    assert words in answer.json()["data"]["message"]


def test_schedules(api: Api, ends: tuple[str, str]) -> None:
    """Cron is Quartz in UTC; the answer ends with UTC, whether the request did or not."""
    for cron in ("0 0 8 * * ?", "0 0 8 * * ? UTC"):
        schedule = {"scheduleType": "cron", "cronExpression": cron}
        made = api.ok("GET", f"/connections/{api.connection(*ends, ['users'], schedule=schedule)}")
        assert made["schedule"] == {"scheduleType": "cron", "cronExpression": "0 0 8 * * ? UTC"}
    for wrong in ("* 0 8 * * ?", "nonsense", None):
        body = {"sourceId": ends[0], "destinationId": ends[1]}
        answer = api.post("/connections", json={**body, "schedule": {"scheduleType": "cron", "cronExpression": wrong}})
        assert answer.status_code == 400


def test_patch_changes_what_is_given(api: Api, ends: tuple[str, str]) -> None:
    """Absent fields stay; streams replace the whole set, an empty list changes nothing."""
    connection = api.connection(*ends, ["users", "products"])
    path = f"/connections/{connection}"
    before = api.ok("GET", path)
    after = api.ok("PATCH", path, json={"name": "n", "prefix": "p_", "status": "inactive"})
    assert after == {**before, "name": "n", "prefix": "p_", "status": "inactive"}
    assert api.ok("PATCH", path, json={"configurations": {"streams": []}}) == after
    changed = api.ok("PATCH", path, json={"configurations": {"streams": [{"name": "purchases"}]}})
    assert [stream["name"] for stream in changed["configurations"]["streams"]] == ["purchases"]
    assert api.ok("GET", path) == changed


def test_deleted_connection(api: Api, ends: tuple[str, str]) -> None:
    """After DELETE it is still found by id, as deprecated, and listed only with includeDeleted."""
    connection = api.connection(*ends, ["users"])
    assert api.delete(f"/connections/{connection}").status_code == 204
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert api.ok("GET", "/connections")["data"] == []
    assert len(api.ok("GET", "/connections?includeDeleted=true")["data"]) == 1
    assert api.post("/jobs", json={"connectionId": connection, "jobType": "sync"}).status_code == 409


def test_streams_are_a_bare_array(airbyte: RunningAirbyte, api: Api, ends: tuple[str, str]) -> None:
    """`/streams` gives an array; syncModes only with a destination, and never the deduped overwrite."""
    found = api.ok("GET", f"/streams?sourceId={ends[0]}")
    assert [stream["streamName"] for stream in found] == ["products", "users", "purchases"]
    assert "syncModes" not in found[0]
    with_modes = api.ok("GET", f"/streams?sourceId={ends[0]}&destinationId={ends[1]}")
    assert with_modes[1] == {
        "streamName": "users",
        "syncModes": [
            "full_refresh_overwrite",
            "full_refresh_append",
            "incremental_append",
            "incremental_deduped_history",
        ],
        "defaultCursorField": ["updated_at"],
        "sourceDefinedCursorField": True,
        "sourceDefinedPrimaryKey": [["id"]],
        "propertyFields": [["id"], ["name"], ["updated_at"]],
    }
    airbyte.engine.add("spaced", {"t": [{"id": 1}]}, namespaces={"t": "hr"})
    assert api.ok("GET", f"/streams?sourceId={api.source('spaced')}")[0]["streamnamespace"] == "hr"
    assert api.get("/streams").status_code == 400


def test_tags_filter(api: Api, ends: tuple[str, str]) -> None:
    """tagIds match connections that have any of the tags."""
    tag = api.ok("POST", "/tags", json={"workspaceId": api.workspace_id, "name": "t", "color": "FFFFFF"})
    tagged = api.connection(*ends, ["users"], tags=[tag])
    api.connection(*ends, ["users"])
    found = api.ok("GET", f"/connections?tagIds={tag['tagId']}")["data"]
    assert [(one["connectionId"], one["tags"]) for one in found] == [(tagged, [tag])]
