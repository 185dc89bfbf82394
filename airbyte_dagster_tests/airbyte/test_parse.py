"""Airbyte's JSON and the records made of it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import pytest

from airbyte_dagster.airbyte.parse import (
    parse_actor,
    parse_available_streams,
    parse_connection,
    parse_job,
    parse_workspace,
)
from airbyte_dagster.airbyte.parse_details import (
    parse_attempts,
    parse_catalog,
    parse_failure,
    parse_stream_states,
    parse_stream_stats,
)
from airbyte_dagster.airbyte.records import (
    Attempts,
    AvailableStream,
    Destination,
    Failure,
    Source,
    Stream,
    StreamKey,
    StreamStats,
)
from airbyte_dagster.errors import UnexpectedAnswer


@pytest.mark.parametrize("kind", ["source", "destination"])
@pytest.mark.parametrize("with_type_key", [True, False])
def test_both_shapes_of_configuration(kind: Literal["source", "destination"], with_type_key: bool) -> None:
    """A configuration with its type key, as some servers send it, and without, as real ones do, give one record."""
    data = {
        f"{kind}Id": "a-1",
        "name": "n",
        f"{kind}Type": "faker",
        "workspaceId": "w-1",
        "definitionId": "d-1",
        "createdAt": 1700000000,
        "configuration": {"count": 35, **({f"{kind}Type": "faker"} if with_type_key else {})},
        "somethingNew": {"x": 1},
    }
    record = parse_actor(kind, data)
    assert isinstance(record, Source if kind == "source" else Destination)
    assert (record.id, record.name, record.workspace_id, record.type) == ("a-1", "n", "w-1", "faker")
    assert record.definition_id == "d-1"
    assert record.configuration == {"count": 35}
    assert data["configuration"] == record.raw["configuration"]


@pytest.mark.parametrize(
    ("more", "type_"),
    [
        ({"sourceType": ""}, ""),
        ({}, ""),
        ({"sourceType": "", "configuration": {"sourceType": "mine"}}, "mine"),
        ({"sourceType": "never-heard-of", "configuration": None}, "never-heard-of"),
    ],
)
def test_custom_connectors(more: dict[str, Any], type_: str) -> None:
    """A connector without a type in Airbyte's table, or with one that the SDK doesn't know, is accepted."""
    assert parse_actor("source", {"sourceId": "s", "name": "n", **more}).type == type_


def test_secrets_do_not_show_in_a_repr() -> None:
    """The repr of a record shows no configuration."""
    record = parse_actor("source", {"sourceId": "s", "name": "n", "configuration": {"password": "hunter22"}})
    assert "hunter22" not in repr(record)


def test_connection() -> None:
    """All of a connection that this package uses; mappers, which the SDK can't read, stay in `raw`."""
    stream = {
        "name": "users",
        "syncMode": "incremental_deduped_history",
        "cursorField": ["updated_at"],
        "primaryKey": [["id"], ["sub", "id"]],
        "selectedFields": [{"fieldPath": ["id"]}, {"fieldPath": ["updated_at"]}],
        "mappers": [{"type": "hashing", "mapperConfiguration": {}}],
        "namespace": "public",
    }
    record = parse_connection(
        {
            "connectionId": "c-1",
            "name": "n",
            "workspaceId": "w-1",
            "sourceId": "s-1",
            "destinationId": "d-1",
            "status": "active",
            "configurations": {"streams": [stream]},
            "schedule": {"scheduleType": "cron", "cronExpression": "0 0 8 * * ? UTC"},
            "namespaceDefinition": "custom_format",
            "namespaceFormat": "x_${SOURCE_NAMESPACE}",
            "prefix": "raw_",
            "tags": [],
        }
    )
    assert record.streams == (
        Stream(
            name="users",
            namespace="public",
            sync_mode="incremental_deduped_history",
            cursor_field=("updated_at",),
            primary_key=(("id",), ("sub", "id")),
            selected_fields=("id", "updated_at"),
        ),
    )
    assert record.streams[0].raw == stream
    assert record.schedule == "0 0 8 * * ?"
    assert (record.namespace_definition, record.namespace_format, record.prefix) == (
        "custom_format",
        "x_${SOURCE_NAMESPACE}",
        "raw_",
    )


def test_least_connection() -> None:
    """What Airbyte leaves out has Airbyte's defaults; values that are new are kept as text."""
    record = parse_connection(
        {"connectionId": "c-1", "status": "locked", "configurations": {"streams": [{"name": "s"}]}}
    )
    assert record.status == "locked"
    assert (record.namespace_definition, record.namespace_format, record.prefix) == ("destination", None, "")
    assert record.schedule is None
    assert record.streams == (Stream(name="s"),)
    assert parse_connection({"connectionId": "c-1", "configurations": None}).streams == ()


@pytest.mark.parametrize(
    ("schedule", "meant"),
    [
        ({"scheduleType": "manual"}, None),
        ({"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}, "Every 24 HOURS"),
        ({"scheduleType": "cron", "cronExpression": "0 0 8 * * ?"}, "0 0 8 * * ?"),
        ({}, None),
        (None, None),
        ("manual", None),
    ],
)
def test_schedule(schedule: Any, meant: str | None) -> None:
    """Manual is none; cron comes without the zone that the server appends; basic timing is Airbyte's text."""
    assert parse_connection({"connectionId": "c", "schedule": schedule}).schedule == meant


def test_available_streams() -> None:
    """GET /streams answers with a bare array; its fields are optional and its namespace is spelt oddly."""
    full = {
        "streamName": "users",
        "streamnamespace": "public",
        "syncModes": ["full_refresh_overwrite", "something_new"],
        "defaultCursorField": ["updated_at"],
        "sourceDefinedCursorField": True,
        "sourceDefinedPrimaryKey": [["id"]],
        "propertyFields": [["id"], ["address", "city"]],
    }
    assert parse_available_streams([full, {"streamName": "least"}]) == [
        AvailableStream(
            name="users",
            namespace="public",
            sync_modes=("full_refresh_overwrite", "something_new"),
            source_defined_cursor=True,
            primary_key=(("id",),),
            property_fields=(("id",), ("address", "city")),
        ),
        AvailableStream("least", None, (), source_defined_cursor=False, primary_key=(), property_fields=()),
    ]
    assert parse_available_streams({"data": [{"streamName": "s"}]})[0].name == "s"
    wrongs: list[Any] = [None, {}, "x", [{}], ["s"]]
    for wrong in wrongs:
        with pytest.raises(UnexpectedAnswer):
            parse_available_streams(wrong)


def test_job() -> None:
    """A finished job as Airbyte sends it; times without seconds are read."""
    record = parse_job(
        {
            "jobId": 42,
            "status": "succeeded",
            "jobType": "sync",
            "startTime": "2026-01-05T10:00Z",
            "connectionId": "c-1",
            "lastUpdatedAt": "2026-01-05T10:01Z",
            "duration": "PT1H1M1S",
            "bytesSynced": 1234,
            "rowsSynced": 35,
        }
    )
    assert (record.id, record.connection_id, record.job_type, record.status) == (42, "c-1", "sync", "succeeded")
    assert record.start_time == dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.timezone.utc)
    assert record.last_updated == dt.datetime(2026, 1, 5, 10, 1, tzinfo=dt.timezone.utc)
    assert (record.duration, record.rows, record.bytes) == (3661, 35, 1234)
    assert not record.active


def test_pending_job() -> None:
    """What a pending job lacks is none, not zero; a status that is new is kept and counts as active."""
    record = parse_job({"jobId": "42", "status": "pondering", "startTime": "2026-01-05T10:00:07Z", "duration": "long"})
    assert record.id == 42
    assert (record.duration, record.rows, record.bytes, record.last_updated) == (None, None, None, None)
    assert record.status == "pondering"
    assert record.active


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"jobId": None},
        {"jobId": "x"},
        {"jobId": 1},
        {"jobId": 1, "startTime": "soon"},
        {"jobId": True},
    ],
)
def test_not_a_job(data: Any) -> None:
    """A job without an id or a start is an error that says so."""
    with pytest.raises(UnexpectedAnswer, match="job"):
        parse_job(data)


def test_stream_stats() -> None:
    """Committed rows by stream, from the configuration API's job."""
    stats = [
        {
            "streamName": "users",
            "streamNamespace": "ns",
            "recordsEmitted": 9,
            "recordsCommitted": 7,
            "bytesCommitted": 70,
        },
        {"streamName": "empty"},
        {"recordsCommitted": 3},
        None,
    ]
    assert parse_stream_stats({"job": {"id": 42, "streamAggregatedStats": stats}}) == (
        StreamStats("users", "ns", rows=7, bytes=70),
        StreamStats("empty", None, rows=None, bytes=None),
    )
    withouts: list[Any] = [None, {}, {"job": None}, {"job": {"streamAggregatedStats": {}}}, {"job": {}}, []]
    for without in withouts:
        assert parse_stream_stats(without) is None


def test_failure() -> None:
    """The last attempt that failed says why; Airbyte's text for people goes before its internal one."""
    attempts = [
        {"attempt": {"failureSummary": {"failures": [{"failureOrigin": "source", "externalMessage": "old"}]}}},
        {
            "attempt": {
                "failureSummary": {
                    "failures": [
                        {"failureOrigin": "destination"},
                        {"failureOrigin": "destination", "externalMessage": "disk\nfull", "internalMessage": "ENOSPC"},
                    ]
                }
            },
            "logs": {},
        },
    ]
    assert parse_failure({"job": {}, "attempts": attempts}) == Failure("destination", "disk full", attempts=2)
    internal = [{"attempt": {"failureSummary": {"failures": [{"internalMessage": "ENOSPC"}]}}}]
    assert parse_failure({"attempts": internal}) == Failure("unknown", "ENOSPC", attempts=1)
    withouts: list[Any] = [None, {}, {"attempts": []}, {"attempts": [{}]}]
    withouts.append({"attempts": [{"attempt": {"failureSummary": None}}]})
    for without in withouts:
        assert parse_failure(without) is None


def test_workspace() -> None:
    """A workspace needs no more than its id."""
    assert parse_workspace({"workspaceId": "w-1", "name": "n", "dataResidency": "auto"}).name == "n"
    assert parse_workspace({"workspaceId": "w-1"}).name == ""


@pytest.mark.parametrize(
    ("committed", "emitted", "rejected", "rows"),
    [
        (35, 35, None, 35),
        (0, 0, 0, 0),
        (0, None, None, None),
        (None, 35, None, None),
        (0, 35, None, None),  # the server adds up what it lacks as 0
        (0, 35, 35, 0),
        (33, 35, 2, 33),
    ],
)
def test_records_committed_are_unknown_where_the_server_lacks_them(
    committed: int | None, emitted: int | None, rejected: int | None, rows: int | None
) -> None:
    """None committed is a number only where none were emitted or all of them rejected, and that is known."""
    item = {"recordsCommitted": committed, "recordsEmitted": emitted, "recordsRejected": rejected}

    [found] = parse_stream_stats({"job": {"streamAggregatedStats": [{"streamName": "a", **item}]}}) or ()

    assert (found.rows, found.rejected) == (rows, rejected)


@pytest.mark.parametrize(
    ("attempt", "has_output"),
    [
        ({"id": 0, "status": "succeeded"}, False),
        ({"totalStats": {}}, False),
        ({"totalStats": {"recordsEmitted": None}, "streamStats": []}, False),
        ({"totalStats": {"recordsEmitted": 0}}, True),
        ({"streamStats": [{"streamName": "a"}]}, True),
        ({"recordsSynced": 0}, True),
    ],
)
def test_an_attempt_has_output_if_it_has_any_number(attempt: dict[str, Any], has_output: bool) -> None:
    """Be it 0: something ran then."""
    assert parse_attempts({"attempts": [{"attempt": attempt}]}) == Attempts(1, has_output)


def test_attempts_and_the_reasons_of_streams() -> None:
    """A failure may name the stream that it is of; an answer without a list is none."""
    failure = {"externalMessage": "gone\n now", "streamDescriptor": {"name": "a", "namespace": "n"}}
    attempts = [{"attempt": {}}, {"attempt": {"failureSummary": {"failures": [failure, {"internalMessage": "x"}]}}}]

    assert parse_attempts({"attempts": attempts}) == Attempts(
        2, has_output=False, reasons={StreamKey("n", "a"): "gone now"}
    )
    assert parse_attempts({"attempts": []}) == Attempts(0, has_output=False)
    assert parse_attempts({}) is parse_attempts(None) is None


def test_states_of_streams() -> None:
    """With the number of the attempt, since a later one counts."""
    row = {"streamName": "a", "streamNamespace": "n", "attemptNumber": 1, "runState": "complete"}

    assert parse_stream_states({"streamStatuses": [row, "odd"]}) == [(StreamKey("n", "a"), 1, "COMPLETE")]
    assert parse_stream_states({}) is None


def test_fields_of_a_catalog() -> None:
    """Not of a stream whose columns are renamed on the way."""
    stream = {"name": "a", "jsonSchema": {"properties": {"id": {}, "name": {}}}}
    streams = [
        {"stream": stream, "config": {"mappers": []}},
        {"stream": {**stream, "name": "b"}, "config": {"mappers": [{"type": "hashing"}]}},
        {"stream": {"name": "c"}, "config": {}},
    ]

    assert parse_catalog({"syncCatalog": {"streams": streams}}) == {StreamKey(None, "a"): ("id", "name")}
    assert parse_catalog({}) is None
