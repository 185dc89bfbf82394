"""What arrived with a job becomes the events of its connection's assets, each with the numbers of its own streams."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Job, Stream, StreamKey, StreamStats
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.runs.events import InstanceHistory
from airbyte_dagster.runs.recording import Recorder, SyncedConnection
from airbyte_dagster.runs.reported import JobDetails
from airbyte_dagster.runs.targets import AssetTarget

NOON = dt.datetime(2026, 1, 3, 12, tzinfo=dt.timezone.utc)
JOB = Job(7, "c", "sync", "succeeded", start_time=NOON)
SALES, SUPPORT = StreamKey("sales", "account"), StreamKey("support", "account")
TWINS = [Stream(key.name, key.namespace) for key in (SALES, SUPPORT)]


def recorded(
    instance: dg.DagsterInstance, streams: list[Stream], stats: Mapping[StreamKey, int], selected: int
) -> list[Any]:
    """Record a job of streams with an asset each, of which only one is selected."""
    targets = tuple(AssetTarget(dg.AssetKey(f"a{number}"), (stream,), {}) for number, stream in enumerate(streams))
    reports = {key: StreamStats(key.name, key.namespace, rows, rows * 10) for key, rows in stats.items()}
    recorder = Recorder(
        None,
        InstanceHistory(instance),
        Links("https://airbyte.test/api/public/v1", "w"),
        {targets[selected].key},
        (),
        lambda _key: Checks(),
        pytest.fail,
        lambda: NOON,
    )
    ((_, events),) = recorder.events([SyncedConnection("c", "C", len(streams), targets, JOB, JobDetails(reports), {})])
    return events


def number(event: Any, name: str) -> Any:
    """A number of an event, as an op yields it or as it is logged."""
    found = event.metadata.get(name)
    return getattr(found, "value", found)


@pytest.mark.parametrize("selected", [0, 1])
def test_an_asset_that_is_not_selected_has_the_numbers_of_its_own_stream(
    instance: dg.DagsterInstance, selected: int
) -> None:
    """Two streams of one name in two namespaces: each event has the rows and bytes of its own, selected or not."""
    events = recorded(instance, TWINS, {SUPPORT: 5, SALES: 3}, selected)

    assert [number(event, "airbyte/rows_reported") for event in events] == [3, 5]
    assert [number(event, "airbyte/bytes_reported") for event in events] == [30, 50]
    assert [isinstance(event, dg.MaterializeResult) for event in events] == [selected == 0, selected == 1]


@pytest.mark.parametrize("selected", [0, 1])
def test_a_stream_that_the_job_does_not_report_has_none_of_its_namesakes_numbers(
    instance: dg.DagsterInstance, selected: int
) -> None:
    """What is not reported is unknown."""
    events = recorded(instance, TWINS, {SALES: 3}, selected)

    assert [number(event, "airbyte/rows_reported") for event in events] == [3, None]


def test_a_stream_without_a_namespace_takes_no_number_of_two_namesakes(instance: dg.DagsterInstance) -> None:
    """Some servers leave the namespace out: one of that name is it, of two nobody knows which."""
    nameless = [Stream("account")]

    assert number(recorded(instance, nameless, {SALES: 3}, 0)[0], "airbyte/rows_reported") == 3
    assert number(recorded(instance, nameless, {SALES: 3, SUPPORT: 5}, 0)[0], "airbyte/rows_reported") is None
