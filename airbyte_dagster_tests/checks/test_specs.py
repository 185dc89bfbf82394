"""The declaration of checks and schedules: what is taken, and what is refused with which words."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from airbyte_dagster.checks.specs import Checks, Fresh
from airbyte_dagster.errors import SpecError
from airbyte_dagster.pipelines.spec import AirbytePipeline, Schedule, Stream


def pipeline(**settings: Any) -> AirbytePipeline:
    return AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "faker"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users", *settings.pop("streams", [])]},
        **settings,
    )


def test_counts_and_changed_values_are_checked_by_default() -> None:
    """The row count blocks; values that a destination had to change are a warning."""
    found = [(name, check.blocking, check.severity) for name, check in pipeline().checks.named()]

    assert found == [("row_count", True, "error"), ("values_kept", False, "warn")]


def test_strict_is_all_that_needs_no_settings() -> None:
    """By its name, in a mapping with more, or in a stream; what is said besides it counts."""
    names = ["row_count", "moved_something", "unique_key", "not_null", "schema", "values_kept"]
    light = pipeline(streams=[Stream(name="b", checks="strict")])

    assert [name for name, _ in pipeline(checks="strict").checks.named()] == names
    assert [name for name, _ in Checks.of("strict").named()] == names
    assert [name for name, _ in Checks(preset="strict", schema=False, not_null={"columns": "a"}).named()] == [
        name for name in names if name != "schema"
    ]
    assert [name for name, _ in light.checks_of((light.connection.streams or ())[1]).named()] == names
    with pytest.raises(SpecError, match="did you mean 'strict'"):
        Checks.of("strikt")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "schedule", "hours"),
    [
        ("full_refresh_overwrite", "0 6 * * *", 36),
        ("full_refresh_append", "0 6 * * 1-5", 108),
        ("full_refresh_overwrite", None, None),
        ("incremental_append", "0 6 * * *", None),
    ],
)
def test_strict_is_fresh_by_the_schedule(mode: str, schedule: str | None, hours: int | None) -> None:
    """Within one and a half times the longest time between two ticks, if each of them brings new rows."""
    strict = pipeline(checks="strict", schedule=schedule, streams=[Stream(name="b", sync_mode=mode)])

    fresh = strict.checks_of((strict.connection.streams or ())[1]).fresh

    assert (fresh.within if fresh else None) == (hours and dt.timedelta(hours=hours))
    assert pipeline(schedule=schedule).checks_of(None).fresh is None


def test_checks_are_switched_on_and_off_in_their_order() -> None:
    checks = Checks(row_count=False, schema=True, unique_key=True, sql={"negative": "SELECT 1"})

    assert [name for name, _ in checks.named()] == ["unique_key", "schema", "values_kept", "negative"]


def test_checks_are_taken_as_a_mapping_wherever_they_are_taken() -> None:
    """Or as what they are; nothing means the defaults, and anything else is refused."""
    checks = Checks(unique_key=True)

    assert Checks.of({"unique_key": True}) == Checks.of(checks) == checks
    assert Checks.of(None) == Checks()
    with pytest.raises(SpecError, match="did you mean 'unique_key'"):
        Checks.of({"uniqe_key": True})
    with pytest.raises(SpecError, match="expected Checks or a mapping of its settings, not list"):
        Checks.of([])  # type: ignore[arg-type]


def test_a_stream_says_only_what_differs() -> None:
    """What it leaves out stays as the pipeline has it; queries are joined."""
    general = {"unique_key": True, "not_null": {"columns": "email"}, "sql": {"a": "SELECT 1"}}
    stream = Stream(name="orders", checks={"unique_key": False, "row_count": {"severity": "warn"}, "sql": {"b": "x"}})

    checks = pipeline(checks=general, streams=[stream]).checks_of(stream)

    assert [name for name, _ in checks.named()] == ["row_count", "not_null", "values_kept", "a", "b"]
    assert checks.row_count is not None
    assert checks.row_count.severity == "warn"
    assert checks.not_null is not None
    assert checks.not_null.columns == ("email",)


@pytest.mark.parametrize(
    ("within", "hours"), [("36h", 36), ("1d 12h", 36), ("90m", 1.5), ("P1D", 24), (dt.timedelta(hours=2), 2)]
)
def test_lengths_of_time(within: Any, hours: float) -> None:
    assert Fresh(within=within).within == dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"uniqe_key": True}, "uniqe_key: unknown key; did you mean 'unique_key'?"),
        ({"schema_": True}, "did you mean 'schema'?"),
        ({"fresh": {"within": "soon"}}, "fresh.within: 'soon' is no length of time, such as 30m, 36h"),
        (
            {"fresh": {"within": "30s"}},
            "fresh.within: 30 s is too short: at least 60s, which Dagster's freshness policy",
        ),
        ({"fresh": {"within": "-P1D"}}, "fresh.within"),
        ({"fresh": {"within": 5}}, "fresh.within: 5 is no length of time"),
        ({"fresh": True}, "fresh.within: required, but missing"),
        ({"expected_range": {}}, "expected_range needs min, max or both"),
        ({"expected_range": {"min": 5, "max": 4}}, "min 5 is above max 4"),
        ({"sql": {"row_count": "SELECT 1"}}, "this name is taken"),
        ({"sql": {"a-b": "SELECT 1"}}, "letters, digits and underscores only"),
        ({"unique_key": {"severity": "warn", "blocking": True}}, "severity warn blocks nothing"),
        ({"unique_key": {"severity": "info"}}, "accepted: error, warn"),
    ],
)
def test_what_is_refused_is_named(checks: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        pipeline(checks=checks)

    assert said in str(caught.value)
    assert "checks." in str(caught.value)


def test_a_schedule_is_a_cron_expression_or_more() -> None:
    assert pipeline(schedule="0 6 * * *").schedule == Schedule(cron="0 6 * * *")
    assert pipeline(schedule="@daily").schedule == Schedule(cron="@daily", timezone="UTC", on_running="skip")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("every day", "schedule.cron: 'every day' is no cron expression of five fields"),
        ("0 0 6 * * ?", "schedule.cron"),
        ({"cron": "@daily", "timezone": "Mars/Base"}, "schedule.timezone: 'Mars/Base' is no time zone"),
        ({"cron": "@daily", "on_running": "queue"}, "schedule.on_running: 'queue' is not known; accepted: skip, wait"),
    ],
)
def test_a_schedule_that_dagster_would_refuse_is_refused_at_once(schedule: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        pipeline(schedule=schedule)

    assert said in str(caught.value)


def test_the_beginning_of_a_name_suggests_the_whole() -> None:
    """Rather than one that is as near by its letters."""
    with pytest.raises(SpecError, match="did you mean 'incremental_deduped_history'"):
        Stream(name="users", sync_mode="incremental_dedup")


def test_a_condition_is_one_of_dagsters() -> None:
    with pytest.raises(SpecError, match="automation_condition: expected Dagster's AutomationCondition"):
        pipeline(automation_condition="eager")
