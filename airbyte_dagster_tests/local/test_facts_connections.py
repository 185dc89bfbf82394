"""Facts: connections.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

from uuid import uuid4

import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte


@pytest.fixture
def ends(api: Api) -> tuple[str, str]:
    return api.source(count=2), api.destination()


def test_defaults(api: Api, ends: tuple[str, str]) -> None:
    """What a connection is when nothing but its ends and streams is given. (§5, ConnectionCreateMapper.kt)"""
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
    """Without configurations only suggested streams are taken, or the sole one: of a source of several that
    suggests none, none. (§5, CatalogConverter.kt)
    """

    def chosen(source: str) -> list[str]:
        made = api.ok("GET", f"/connections/{api.connection(source, ends[1])}")
        return [stream["name"] for stream in made["configurations"]["streams"]]

    rows = [{"id": 1}]
    airbyte.engine.add("sole", {"only": rows})
    airbyte.engine.add("hinting", {"a": rows, "b": rows}, suggested=["b"])
    airbyte.engine.add("silent", {"a": rows, "b": rows})
    assert chosen(api.source("silent")) == []
    assert chosen(ends[0]) == ["users", "products", "purchases"]
    assert chosen(api.source("sole")) == ["only"]
    assert chosen(api.source("hinting")) == ["b"]


def test_creating_discovers_and_the_second_time_does_not(airbyte: RunningAirbyte, api: Api) -> None:
    """Create asks the source for its streams before it answers. (§5, SourceService.kt)"""
    source, destination = api.source(count=1), api.destination()
    before = airbyte.engine.discoveries
    api.connection(source, destination, ["users"])
    assert airbyte.engine.discoveries == before + 1


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


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        (None, "Missing cron expression in the schedule."),
        ("* 0 8 * * ?", "The seconds and minutes values cannot be `*`."),
        ("0 * 8 * * ? 2030", "The seconds and minutes values cannot be `*`."),
        ("nonsense", "The cron expression nonsense is not valid. Error: "),
        ("0 0 8 * *", "The cron expression 0 0 8 * * is not valid. Error: "),
    ],
)
def test_wrong_schedules_are_a_400(cron: str | None, words: str, api: Api, ends: tuple[str, str]) -> None:
    """Cron is Quartz; its first field, and the second if there are seven, is a number. (§5, AirbyteCatalogHelper.kt)"""
    body = {"sourceId": ends[0], "destinationId": ends[1]}
    answer = api.post("/connections", json={**body, "schedule": {"scheduleType": "cron", "cronExpression": cron}})
    assert (answer.status_code, answer.json()["title"]) == (400, "bad-request")
    assert words in answer.json()["data"]["message"]


def test_sub_hourly_schedules_are_taken(api: Api, ends: tuple[str, str]) -> None:
    """A cron that runs every few minutes passes by default. (§5, ConnectionScheduleHelper.kt)"""
    schedule = {"scheduleType": "cron", "cronExpression": "0 */5 * * * ?"}
    assert api.connection(*ends, ["users"], schedule=schedule)


def test_basic_schedules_are_for_answers_only(api: Api, ends: tuple[str, str]) -> None:
    """A request's schedule is manual or cron. (§5)"""
    body = {"sourceId": ends[0], "destinationId": ends[1], "schedule": {"scheduleType": "basic"}}
    assert api.post("/connections", json=body).status_code == 422


def test_unknown_ends_are_a_404(api: Api, ends: tuple[str, str]) -> None:
    """An unknown source or destination is a resource-not-found. (§2)"""
    for body in ({"sourceId": str(uuid4()), "destinationId": ends[1]}, {"sourceId": ends[0], "destinationId": ends[0]}):
        assert api.post("/connections", json=body).status_code == 404


def test_patch_changes_what_is_given(api: Api, ends: tuple[str, str]) -> None:
    """Absent fields stay; streams replace the whole set, an empty list changes nothing. (§5)"""
    connection = api.connection(*ends, ["users", "products"])
    path = f"/connections/{connection}"
    before = api.ok("GET", path)
    after = api.ok("PATCH", path, json={"name": "n", "prefix": "p_", "status": "inactive"})
    assert after == {**before, "name": "n", "prefix": "p_", "status": "inactive"}
    assert api.ok("PATCH", path, json={"configurations": {"streams": []}}) == after
    changed = api.ok("PATCH", path, json={"configurations": {"streams": [{"name": "purchases"}]}})
    assert [stream["name"] for stream in changed["configurations"]["streams"]] == ["purchases"]
    assert api.ok("GET", path) == changed


def test_ends_of_a_connection_never_change(api: Api, ends: tuple[str, str]) -> None:
    """sourceId and destinationId are immutable: a PATCH that names others leaves them. (§5)"""
    path = f"/connections/{api.connection(*ends, ['users'])}"
    changed = api.ok(
        "PATCH", path, json={"sourceId": api.source(count=9), "destinationId": api.destination("o.duckdb")}
    )
    assert (changed["sourceId"], changed["destinationId"]) == ends


def test_mappers_are_kept(api: Api, ends: tuple[str, str]) -> None:
    """A stream's mappers come back as they were given, and are an empty list else. (§5)"""
    mapper = {
        "type": "hashing",
        "mapperConfiguration": {"targetField": "name", "method": "MD5", "fieldNameSuffix": "_h"},
    }
    made = api.connection(*ends, [{"name": "users", "mappers": [mapper]}, "products"])
    shown = api.ok("GET", f"/connections/{made}")["configurations"]["streams"]
    assert [stream["mappers"] for stream in shown] == [[mapper], []]


def test_deleted_connection(api: Api, ends: tuple[str, str]) -> None:
    """After DELETE it is still found by id, as deprecated, and listed only with includeDeleted. (§5,
    ConnectionHelper.kt)
    """
    connection = api.connection(*ends, ["users"])
    assert api.delete(f"/connections/{connection}").status_code == 204
    assert api.ok("GET", f"/connections/{connection}")["status"] == "deprecated"
    assert api.ok("GET", "/connections")["data"] == []
    assert len(api.ok("GET", "/connections?includeDeleted=true")["data"]) == 1
    assert api.post("/jobs", json={"connectionId": connection, "jobType": "sync"}).status_code == 409
