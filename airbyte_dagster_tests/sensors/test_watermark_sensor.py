"""The watermark sensor against real DuckDB files."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import AirbytePipeline, MotherDuckResource
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.sensors import build_watermark_sensor, databases
from airbyte_dagster.sensors.tick import SkipTick, TimeLimitedCall
from airbyte_dagster.sensors.watermark import Watermark
from airbyte_dagster_tests.held_file import held_elsewhere
from airbyte_dagster_tests.sensors.ticks import Ticks

NEWEST = "SELECT max(id) FROM orders"


class Orders:
    """A DuckDB file with a table of orders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("CREATE TABLE orders (id INTEGER)")

    def run(self, sql: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute(sql)

    def becomes(self, value: str) -> None:
        """Make the one value of the table an SQL expression."""
        self.run(f"CREATE OR REPLACE TABLE orders AS SELECT {value} AS id")

    def ticks(self, query: str = NEWEST, **settings: Any) -> Ticks:
        resource = MotherDuckResource(database=str(self.path), lock_timeout=settings.pop("lock_timeout", 5))
        return Ticks(
            build_watermark_sensor("orders_grew", query, target="sync_orders", **settings),
            resources={settings.get("warehouse_key", "motherduck"): resource},
        )


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(tmp_path / "orders.duckdb")


def test_a_run_is_requested_when_the_value_grows(orders: Orders) -> None:
    """The first tick only records; the same value is no reason; the run carries the old and the new value.

    A comment and a semicolon, as queries have that were copied, do no harm.
    """
    ticks = orders.ticks("SELECT max(id) -- newest\nFROM orders;  \n")
    orders.becomes("5")

    assert ticks.skip() == "Recorded the first value, 5; a run is requested when it grows."
    assert ticks.skip() == "The value is still 5."
    orders.becomes("7")
    request = ticks.run()
    assert request.tags["airbyte_dagster/watermark_before"] == "5"
    assert request.tags["airbyte_dagster/on_running"] == "wait"
    assert request.tags["airbyte_dagster/watermark"] == "7"
    assert ticks.skip() == "The value is still 7."


def test_run_keys(orders: Orders) -> None:
    """A value that is reached a second time is another run; after a crash between launch and cursor it is the same one.

    Dagster then finds the existing run. A value that grew further meanwhile is another run.
    """
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()
    orders.becomes("7")
    first = ticks.run().run_key
    ticks.crash()
    assert ticks.run().run_key == first
    ticks.crash()
    orders.becomes("8")
    assert ticks.run().run_key != first

    orders.becomes("5")
    assert ticks.skip() == "The value fell from 8 to 5; a run is requested when it grows."
    orders.becomes("7")
    assert ticks.run().run_key != first


def test_a_cleared_cursor_does_not_use_run_keys_again(orders: Orders) -> None:
    """Somebody clears the cursor in Dagster: the same growth as before is to launch, and has another key."""
    sensor = orders.ticks().sensor
    keys = set()
    for last_tick in (None, 1767225600.5):
        cursor = None
        for value in ("5", "7"):
            orders.becomes(value)
            resource = MotherDuckResource(database=str(orders.path)).get_resource_definition()
            with dg.SensorEvaluationContext(
                instance_ref=None,
                last_tick_completion_time=last_tick,
                cursor=cursor,
                resources={"motherduck": resource},
            ) as context:
                data = sensor.evaluate_tick(context)
            cursor = data.cursor
        keys |= {request.run_key for request in data.run_requests or ()}

    assert len(keys) == 2


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (("1", "2::HUGEINT"), "2"),
        (("0.1::DOUBLE", "0.2::DOUBLE"), "0.2"),
        (("1.50::DECIMAL(10,2)", "10.50::DECIMAL(10,2)"), "10.50"),
        (("9", "9.5::DECIMAL(10,1)"), "9.5"),
        (("DATE '2026-01-31'", "DATE '2026-02-01'"), "2026-02-01"),
        (("TIMESTAMP '2026-01-01'", "TIMESTAMP '2026-01-01 00:00:00.000001'"), "2026-01-01T00:00:00.000001"),
        (
            ("TIMESTAMPTZ '2026-01-01 02:00:00+02'", "TIMESTAMPTZ '2026-01-01 01:30:00+01'"),
            "2026-01-01T00:30:00+00:00",
        ),
        (("'2026-01-31'", "'2026-02-01'"), "2026-02-01"),
    ],
)
def test_each_kind_of_value_can_grow(orders: Orders, values: tuple[str, str], shown: str) -> None:
    """Whole numbers, fractions, dates, timestamps with and without a time zone, texts."""
    ticks = orders.ticks()
    lower, higher = values
    orders.becomes(lower)
    ticks.skip()

    orders.becomes(higher)
    assert ticks.run().tags["airbyte_dagster/watermark"] == shown
    assert "still" in ticks.skip()
    orders.becomes(lower)
    assert "fell" in ticks.skip()


@pytest.mark.parametrize("value", [True, b"x", float("nan"), Decimal("NaN"), dt.time(1), dt.timedelta(1), [1]])
def test_what_has_no_order_is_reported(value: Any) -> None:
    """A type that can't be compared is no exception in the tick, but a reason."""
    with pytest.raises(SkipTick, match=f"type {type(value).__name__}"):
        Watermark.of(value)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM range(3)", "The query returned more than one row; it must return one value."),
        ("SELECT 1, 2", "The query returned 2 columns; it must return one value."),
        ("SELECT true", "a value of the type bool"),
        ("SELECT max(id) FROM nowhere", "Table with name nowhere does not exist"),
        ("SELECT max(nothing) FROM orders", '"nothing" not found'),
        ("SELEKT 1", "syntax error"),
        ("DELETE FROM orders", "syntax error"),
    ],
)
def test_a_query_that_gives_no_single_value_is_reported(orders: Orders, query: str, reason: str) -> None:
    """Two rows, two columns, a mistake: each is one plain reason, and the cursor stays."""
    ticks = orders.ticks(query)

    assert reason in ticks.skip()
    assert ticks.cursor is None


def test_no_value_is_a_reason_and_keeps_the_last_one(orders: Orders) -> None:
    """A table that is empty for a moment, while somebody loads it, launches nothing when it is full again."""
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()

    orders.run("DELETE FROM orders")
    assert ticks.skip() == "The query returned NULL; the last value was 5."
    orders.becomes("5")
    assert ticks.skip() == "The value is still 5."


def test_nothing_at_first_is_something_to_grow_from(orders: Orders) -> None:
    """The first rows of a table that was empty when the sensor was turned on are growth, too."""
    ticks = orders.ticks("SELECT id FROM orders")

    assert ticks.skip() == "The query returned no row; a run is requested when it returns a value."
    assert ticks.skip() == "The query returned no row, as before."
    orders.run("INSERT INTO orders VALUES (1)")
    request = ticks.run()
    assert request.tags["airbyte_dagster/watermark"] == "1"
    assert "airbyte_dagster/watermark_before" not in request.tags


def test_another_type_is_reported_until_the_cursor_is_cleared(orders: Orders) -> None:
    """A number can't be held against a text; nothing is requested, nothing is lost."""
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()
    cursor = ticks.cursor

    orders.becomes("'6'")
    reason = ticks.skip()
    assert "returned 6, a text; the last value was 5, a number" in reason
    assert "clear the cursor" in reason
    assert ticks.cursor == cursor


def test_another_query_starts_again(orders: Orders) -> None:
    """The value of one query says nothing about that of another."""
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()

    ticks.sensor = orders.ticks("SELECT count(*) + 100 FROM orders").sensor
    assert ticks.skip() == "Recorded the first value, 101; a run is requested when it grows."


@pytest.mark.parametrize("cursor", ["rubbish", "[]", "7", '{"version": 2}', '{"version": 1, "watched": "a"}'])
def test_a_cursor_of_somebody_else_is_reported(orders: Orders, cursor: str) -> None:
    """It is left as it is."""
    ticks = orders.ticks()
    ticks.cursor = cursor

    assert "Clear the cursor" in ticks.skip()
    assert ticks.cursor == cursor


def test_a_warehouse_that_is_not_there_or_locked_is_reported(
    orders: Orders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor stays, and the next tick takes up where the last one was; it waits for a lock for a bounded time."""
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.0)
    ticks = orders.ticks(lock_timeout=3600)
    orders.becomes("5")
    ticks.skip()
    cursor = ticks.cursor

    with held_elsewhere(orders.path):
        assert "Close the other program" in ticks.skip()
    orders.path.rename(tmp_path / "away")
    assert "There is no database file at" in ticks.skip()
    assert ticks.cursor == cursor
    (tmp_path / "away").rename(orders.path)
    orders.becomes("6")
    assert ticks.run().tags["airbyte_dagster/watermark_before"] == "5"


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_a_query_that_takes_too_long_is_given_up_and_ended(
    orders: Orders, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The tick ends with a reason; the query is interrupted, so that a later tick can query again."""
    endless = {
        "duckdb": "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b",
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n",
    }[kind]
    calls: list[TimeLimitedCall] = []

    def impatient() -> TimeLimitedCall:
        calls.append(TimeLimitedCall(0.2))
        return calls[-1]

    monkeypatch.setattr("airbyte_dagster.sensors.watermark_sensor.TimeLimitedCall", impatient)
    ticks = orders.ticks(endless, **({"url": "sqlite://"} if kind == "sqlite" else {}))

    assert ticks.skip() == "There was no answer within 0.2 s."

    running = calls[0]._running
    assert running is not None
    assert running.exception(timeout=300) is not None


def a_pipeline() -> AirbytePipeline:
    return AirbytePipeline(
        name="shop",
        source={"name": "s", "configuration": {"sourceType": "faker"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users"]},
    )


@dg.job
def a_job() -> None: ...


def test_what_it_runs_can_be_given_in_each_way() -> None:
    """A pipeline, a job, an asset job, a name, a selection of assets."""
    asset_job = dg.define_asset_job("assets", selection=dg.AssetSelection.groups("shop"))
    targets = [a_pipeline(), a_job, asset_job, "by_name"]

    names = [
        build_watermark_sensor("s", "SELECT 1", target=target).targets[0].job_name  # type: ignore[arg-type]
        for target in targets
    ]
    selected = build_watermark_sensor("s", "SELECT 1", target=dg.AssetSelection.groups("shop"))

    assert names == ["sync_shop", "a_job", "assets", "by_name"]
    assert 'group:"shop"' in str(selected.description)
    assert selected.targets


def test_it_says_what_it_watches() -> None:
    """In its description: what it runs, which query, where; its interval and state are those that were given."""
    sensor = build_watermark_sensor(
        "orders_grew",
        NEWEST,
        target=a_pipeline(),
        warehouse_key="lake",
        minimum_interval_seconds=7,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )

    assert (
        sensor.description
        == f"Runs sync_shop when the value of this query of the warehouse 'lake' grows:\n\n    {NEWEST}"
    )
    assert sensor.required_resource_keys == {"lake"}
    assert (sensor.minimum_interval_seconds, sensor.default_status) == (7, dg.DefaultSensorStatus.RUNNING)
    by_url = build_watermark_sensor("s", NEWEST, target="j", url="postgresql+psycopg://me:pw@db/shop?sslkey=k")
    assert "query of postgresql+psycopg://db/shop grows" in str(by_url.description)
    assert "query of the database of SHOP_URL grows" in str(
        build_watermark_sensor("s", NEWEST, target="j", url=dg.EnvVar("SHOP_URL")).description
    )
    assert build_watermark_sensor("s", NEWEST, target="j", description="mine").description == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "not a name"}, "'not a name' is no name of a sensor. Use letters, digits and underscores."),
        ({"query": " "}, "has no query"),
        ({"target": None}, "can't run a NoneType. Give target an AirbytePipeline, a job"),
        ({"target": ""}, "can't run a str"),
        ({"target": dg.Definitions()}, "can't run a Definitions"),
        ({"minimum_interval_seconds": 0}, "minimum_interval_seconds of the sensor 's' is 0"),
        ({"url": "sqlite://", "warehouse_key": "lake"}, "url or the warehouse of warehouse_key, not both"),
    ],
)
def test_a_wrong_declaration_is_refused(changes: dict[str, Any], message: str) -> None:
    """When it is written, in one sentence."""
    with pytest.raises(ConfigurationError) as caught:
        build_watermark_sensor(**{"name": "s", "query": "SELECT 1", "target": "j", **changes})

    assert message in str(caught.value)
