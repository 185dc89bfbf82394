"""Facts: streams, as they are listed and as connections may have them.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

MODES = (
    "[full_refresh_overwrite, full_refresh_append, full_refresh_overwrite_deduped, "
    "incremental_append, incremental_deduped_history]"
)


def connect(api: Api, source: str, *streams: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"sourceId": source, "destinationId": api.destination(), "configurations": {"streams": list(streams)}}
    return api.post("/connections", json={**body, **more})


def refused(answer: httpx.Response) -> str:
    """The message of an answer that must be a 400 bad-request."""
    assert (answer.status_code, answer.json()["title"]) == (400, "bad-request")
    return str(answer.json()["data"]["message"])


@pytest.fixture
def free(airbyte: RunningAirbyte, api: Api) -> str:
    """A source whose stream `t` (a, b.c) leaves key and cursor to the user."""
    airbyte.engine.add("free", {"t": [{"a": 1, "b": "x"}]}, primary_key=None)
    discover = airbyte.engine.discover
    schema = {
        "properties": {"a": {"type": "integer"}, "b": {"type": "object", "properties": {"c": {"type": "string"}}}}
    }
    more = {"supported_sync_modes": ["full_refresh", "incremental"], "json_schema": schema}
    airbyte.engine.discover = lambda *a, **k: [{**one, **more} for one in discover(*a, **k)]
    return api.source("free")


def test_unknown_stream(api: Api) -> None:
    """A name that discovery does not have. (§5, AirbyteCatalogHelper.kt; that the streams are listed is ours)"""
    assert refused(connect(api, api.source(), {"name": "nonesuch"})) == (
        "No streams found with name [nonesuch] and namespace [null]. The streams are: [products, purchases, users]."
    )


def test_a_sole_name_match_ignores_the_namespace(airbyte: RunningAirbyte, api: Api) -> None:
    """Only when several streams have the name does the namespace decide. (§5)"""
    airbyte.engine.add("spaced", {"t": [{"id": 1}]}, namespaces={"t": "hr"})
    made = connect(api, api.source("spaced"), {"name": "t", "namespace": "other"}).json()
    assert made["configurations"]["streams"][0]["namespace"] == "hr"


def test_the_namespace_decides_between_twins(airbyte: RunningAirbyte, api: Api) -> None:
    """Of two streams of one name the one of the named namespace is taken; none if the namespace is wrong. (§5)"""
    airbyte.engine.add("twins", {"t": [{"id": 1}]})
    discover = airbyte.engine.discover
    airbyte.engine.discover = lambda *a, **k: [{**discover(*a, **k)[0], "namespace": name} for name in ("x", "y")]
    source = api.source("twins")
    twins = [{"name": "t", "namespace": "x"}, {"name": "t", "namespace": "y"}]
    both = connect(api, source, *twins, namespaceDefinition="source")
    assert [one["namespace"] for one in both.json()["configurations"]["streams"]] == ["x", "y"]
    assert refused(connect(api, source, {"name": "t", "namespace": "z"})) == (
        "No streams found with name [t] and namespace [z]. The streams are: [t in x, t in y]."
    )


def test_duplicate_stream(api: Api) -> None:
    """A stream that is named twice. (§5)"""
    assert refused(connect(api, api.source(), {"name": "users"}, {"name": "users"})) == (
        "Duplicate stream found in configuration for stream name [users] in namespace [null]."
    )


@pytest.mark.parametrize("mode", ["full_refresh_soft_delete", "incremental_update", "nonsense"])
def test_unsupported_mode(mode: str, api: Api) -> None:
    """A mode that stream and destination don't share is refused with those that they do. (§5; an
    unknown word is [?])
    """
    assert refused(connect(api, api.source(), {"name": "users", "syncMode": mode})) == (
        f"Cannot set sync mode to {mode} for stream users. Valid sync modes are: {MODES}"
    )


def test_mode_of_a_stream_that_only_refreshes_fully(airbyte: RunningAirbyte, api: Api) -> None:
    """Without incremental among its modes, incremental_append is refused. (§5)"""
    airbyte.engine.add("full", {"t": [{"id": 1}]}, cursor=None)
    words = refused(connect(api, api.source("full"), {"name": "t", "syncMode": "incremental_append"}))
    assert words.endswith("[full_refresh_overwrite, full_refresh_append, full_refresh_overwrite_deduped]")


def test_a_stream_without_a_mode_is_overwritten(api: Api) -> None:
    """syncMode left out is full_refresh_overwrite, and neither key nor cursor of the request counts then. (§5)"""
    stream = {"name": "users", "cursorField": ["nonesuch"], "primaryKey": [["nonesuch"]]}
    (shown,) = connect(api, api.source(), stream).json()["configurations"]["streams"]
    assert shown["syncMode"] == "full_refresh_overwrite"
    assert (shown["cursorField"], shown["primaryKey"]) == (["updated_at"], [["id"]])


def test_no_cursor(free: str, api: Api) -> None:
    """An incremental mode needs a cursor, from the source or from the user. (§5)"""
    assert refused(connect(api, free, {"name": "t", "syncMode": "incremental_append"})) == (
        "No default cursor field for stream: t. Please include a cursor field configuration for this stream."
    )


def test_invalid_cursor(free: str, api: Api) -> None:
    """A cursor must be a field; all fields are listed, nested ones too. (§5)"""
    answer = connect(api, free, {"name": "t", "syncMode": "incremental_append", "cursorField": ["nonesuch"]})
    assert refused(answer) == (
        "Invalid cursor field for stream: t. The list of valid cursor fields include: [[a], [b], [b, c]]."
    )


def test_overridden_cursor(api: Api) -> None:
    """A cursor that the source defines can be repeated, not replaced. (§5)"""
    stream = {"name": "users", "syncMode": "incremental_append"}
    assert refused(connect(api, api.source(), {**stream, "cursorField": ["name"]})) == (
        "Cursor Field [name] is already defined by source for stream: users. "
        "Do not include a cursor field configuration for this stream."
    )
    assert connect(api, api.source(), {**stream, "cursorField": ["updated_at"]}).status_code == 200


def test_no_primary_key(free: str, api: Api) -> None:
    """A deduplicating mode needs a key. (§5; for full_refresh_overwrite_deduped the check is ours)"""
    for mode in ("incremental_deduped_history", "full_refresh_overwrite_deduped"):
        assert refused(connect(api, free, {"name": "t", "syncMode": mode, "cursorField": ["a"]})) == (
            "No default primary key for stream: t. Please include a primary key configuration for this stream."
        )


def test_invalid_primary_key(free: str, api: Api) -> None:
    """A key must be a field. (§5)"""
    stream = {"name": "t", "syncMode": "full_refresh_overwrite_deduped", "primaryKey": [["nonesuch"]]}
    assert refused(connect(api, free, stream)) == (
        "Invalid primary key for stream: t. The list of valid primary keys fields: [[a], [b], [b, c]]."
    )


def test_duplicate_primary_key(free: str, api: Api) -> None:
    """No column twice in a key. (§5)"""
    stream = {"name": "t", "syncMode": "full_refresh_overwrite_deduped", "primaryKey": [["a"], ["a"]]}
    assert refused(connect(api, free, stream)) == (
        "Duplicate primary key detected for stream: t, please don't provide the same column more than once. "
        "Key: [[a], [a]]"
    )


def test_overridden_primary_key(api: Api) -> None:
    """A key that the source defines can be repeated, not replaced. (§5)"""
    stream = {"name": "users", "syncMode": "incremental_deduped_history"}
    assert refused(connect(api, api.source(), {**stream, "primaryKey": [["name"]]})) == (
        "Primary key for stream: users is already pre-defined. "
        "Please remove the primaryKey or provide the value as [[id]]."
    )
    assert connect(api, api.source(), {**stream, "primaryKey": [["id"]]}).status_code == 200


FIELDS = "The list of valid field names includes: [id, name, updated_at]."


@pytest.mark.parametrize(
    ("selected", "words"),
    [
        ([], f"No fields selected for stream users. {FIELDS}"),
        ([[]], "Selected field path cannot be empty for stream:  users."),
        ([["id", "x"]], "Nested field selection not supported for stream users."),
        ([["id"], ["id"]], "Duplicate fields selected in configuration for stream: users."),
        ([["nonesuch"]], f"Invalid fields selected for stream users. {FIELDS}"),
    ],
    ids=["none", "empty path", "nested", "duplicate", "unknown"],
)
def test_wrong_selected_fields(selected: list[list[str]], words: str, api: Api) -> None:
    """Selected fields are top-level fields, each once, and at least one, although answers show [] for all. (§5)"""
    stream = {"name": "users", "selectedFields": [{"fieldPath": path} for path in selected]}
    assert refused(connect(api, api.source(), stream)) == words


def test_key_and_cursor_must_be_selected(api: Api) -> None:
    """A deduplicating mode keeps its key, an incremental one its cursor. (§5)"""
    stream = {"name": "users", "syncMode": "incremental_deduped_history"}
    assert refused(connect(api, api.source(), {**stream, "selectedFields": [{"fieldPath": ["updated_at"]}]})) == (
        "Primary key fields are not selected properly for stream: users. "
        "Please include primary key(s) in the configuration for this stream."
    )
    assert refused(connect(api, api.source(), {**stream, "selectedFields": [{"fieldPath": ["id"]}]})) == (
        "Cursor field is not selected properly for stream: users. "
        "Please include the cursor field in selected fields for this stream."
    )
    good = {**stream, "selectedFields": [{"fieldPath": ["id"]}, {"fieldPath": ["updated_at"]}]}
    (shown,) = connect(api, api.source(), good).json()["configurations"]["streams"]
    assert shown["selectedFields"] == good["selectedFields"]


def test_a_wrong_stream_changes_nothing(api: Api) -> None:
    """Neither a create nor a patch that is refused leaves anything behind."""
    source = api.source(count=1)
    connect(api, source, {"name": "nonesuch"})
    assert api.ok("GET", "/connections")["data"] == []
    path = f"/connections/{api.connection(source, api.destination(), ['users'])}"
    before = api.ok("GET", path)
    refused(api.patch(path, json={"name": "n", "configurations": {"streams": [{"name": "nonesuch"}]}}))
    assert api.ok("GET", path) == before


def test_streams_are_a_bare_array(airbyte: RunningAirbyte, api: Api) -> None:
    """`/streams` gives an array; syncModes only with a destination, and never the deduped overwrite. (§7,
    StreamsController.kt)
    """
    ends = api.source(count=2), api.destination()
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


def test_streams_are_cached_unless_asked_otherwise(airbyte: RunningAirbyte, api: Api) -> None:
    """ignoreCache makes the connector look again. (§7)"""
    asked: list[bool] = []
    discover = airbyte.engine.discover

    def watched(kind: str, config: Any, *, refresh: bool = False) -> Any:
        asked.append(refresh)
        return discover(kind, config, refresh=refresh)

    airbyte.engine.discover = watched
    source = api.source(count=1)
    for query in ("", "&ignoreCache=false", "&ignoreCache=true"):
        api.ok("GET", f"/streams?sourceId={source}{query}")
    assert asked == [False, False, True]
