"""The watermark sensor against real DuckDB files, SQLite files and a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import AirbytePipeline, MotherDuckResource, PostgresWarehouseResource
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.sensors import build_watermark_sensor, databases
from airbyte_dagster.sensors.asking import Asker, Unanswered
from airbyte_dagster.sensors.watermark import Watermark
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
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


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def address_of(server: Postgres, *, password: str = PASSWORD, port: int | None = None) -> str:
    return f"postgresql+psycopg://airbyte:{quote(password, safe='')}@127.0.0.1:{port or server.port}/postgres"


def test_a_run_is_requested_when_the_value_grows(orders: Orders) -> None:
    """The first tick only records; the same value is no reason; the run carries the old and the new value."""
    ticks = orders.ticks()
    orders.becomes("5")

    assert ticks.skip() == "Recorded the first value, 5; a run is requested when it grows."
    assert ticks.skip() == "The value is still 5."
    orders.becomes("7")
    request = ticks.run()
    assert request.tags["airbyte_dagster/watermark_before"] == "5"
    assert request.tags["airbyte_dagster/on_running"] == "wait"
    assert request.tags["airbyte_dagster/watermark"] == "7"
    assert ticks.skip() == "The value is still 7."


def test_a_value_that_fell_is_recorded_and_the_next_growth_launches(orders: Orders) -> None:
    """The same value, reached a second time, is another run: its key is not that of the first."""
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()
    orders.becomes("7")
    first = ticks.run()

    orders.becomes("5")
    assert ticks.skip() == "The value fell from 7 to 5; a run is requested when it grows."
    orders.becomes("7")
    second = ticks.run()

    assert second.run_key != first.run_key


def test_a_crash_between_launch_and_cursor_repeats_the_run_key(orders: Orders) -> None:
    """Dagster then finds the run that is there. A value that grew further meanwhile is another run."""
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()
    orders.becomes("7")
    lost = ticks.run()

    ticks.crash()
    assert ticks.run().run_key == lost.run_key
    ticks.crash()
    orders.becomes("8")
    assert ticks.run().run_key != lost.run_key


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


def test_timestamps_with_a_time_zone_are_told_in_utc() -> None:
    """Whatever zone the database, or the driver, gives them in: tags and reasons can be held against each other."""
    there = dt.timezone(dt.timedelta(hours=5, minutes=30))

    assert str(Watermark.of(dt.datetime(2026, 1, 1, 5, 30, tzinfo=there))) == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("value", [True, b"x", float("nan"), Decimal("NaN"), dt.time(1), dt.timedelta(1), [1]])
def test_what_has_no_order_is_said(value: Any) -> None:
    """A type that can't be compared is no exception in the tick, but a reason."""
    with pytest.raises(Unanswered, match=f"type {type(value).__name__}"):
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
def test_a_query_that_gives_no_single_value_is_said(orders: Orders, query: str, reason: str) -> None:
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


def test_another_type_is_said_until_the_cursor_is_cleared(orders: Orders) -> None:
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


def test_another_query_starts_anew(orders: Orders) -> None:
    """The value of one query says nothing about that of another."""
    ticks = orders.ticks()
    orders.becomes("5")
    ticks.skip()

    ticks.sensor = orders.ticks("SELECT count(*) + 100 FROM orders").sensor
    assert ticks.skip() == "Recorded the first value, 101; a run is requested when it grows."


@pytest.mark.parametrize("cursor", ["rubbish", "[]", "7", '{"version": 2}', '{"version": 1, "watches": "a"}'])
def test_a_cursor_of_somebody_else_is_said(orders: Orders, cursor: str) -> None:
    """It is left as it is."""
    ticks = orders.ticks()
    ticks.cursor = cursor

    assert "Clear the cursor" in ticks.skip()
    assert ticks.cursor == cursor


def test_a_warehouse_that_is_not_there_or_locked_is_said(
    orders: Orders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor stays, and the next tick takes up where the last one was; it waits for a lock for a bounded time."""
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.0)
    ticks = orders.ticks(lock_timeout=3600)
    orders.becomes("5")
    ticks.skip()
    cursor = ticks.cursor

    with duckdb.connect(str(orders.path)):
        assert "open elsewhere" in ticks.skip()
    orders.path.rename(tmp_path / "away")
    assert "There is no database file at" in ticks.skip()
    assert ticks.cursor == cursor
    (tmp_path / "away").rename(orders.path)
    orders.becomes("6")
    assert ticks.run().tags["airbyte_dagster/watermark_before"] == "5"


def test_a_semicolon_and_comments_do_no_harm(orders: Orders) -> None:
    """Queries are often copied from somewhere."""
    ticks = orders.ticks("SELECT max(id) -- newest\nFROM orders;  \n")
    orders.becomes("5")

    assert "Recorded the first value, 5" in ticks.skip()


def test_any_database_of_sqlalchemy_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its address, which may come from the environment; percent signs and colons of a query are its own."""
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (at TEXT)")
        connection.execute("INSERT INTO orders VALUES ('2026-01-01 10:00')")
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{path}")
    query = "SELECT max(at) FROM orders WHERE at LIKE '2026%' AND at <> ':x %(y)s'"
    ticks = Ticks(build_watermark_sensor("s", query, target="j", url=dg.EnvVar("SHOP_URL")))
    assert "2026-01-01 10:00" in ticks.skip()

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO orders VALUES ('2026-01-02 10:00')")

    assert ticks.run().tags["airbyte_dagster/watermark"] == "2026-01-02 10:00"
    path.unlink()
    assert "no such table: orders" in ticks.skip()


def test_postgresql_is_asked_in_its_own_types(postgres: Postgres) -> None:
    """Numeric, timestamps with time zone; no more than two rows are fetched of however many."""
    for table in ("numbers AS SELECT 10.5::numeric AS v", "times AS SELECT timestamptz '2026-01-01 00:00:00+00' AS v"):
        postgres.query(f"CREATE TABLE {table}")
    url = address_of(postgres)
    numbers = Ticks(build_watermark_sensor("n", "SELECT max(v) FROM numbers WHERE '%s' LIKE '%'", target="j", url=url))
    times = Ticks(build_watermark_sensor("t", "SELECT max(v) FROM times", target="j", url=url))
    many = Ticks(build_watermark_sensor("m", "SELECT generate_series(1, 100000)", target="j", url=url))
    numbers.skip()
    times.skip()

    postgres.query("INSERT INTO numbers VALUES (11)")
    postgres.query("INSERT INTO times VALUES ('2026-01-01 01:00:00+00')")

    assert numbers.run().tags["airbyte_dagster/watermark"] == "11"
    assert times.run().tags["airbyte_dagster/watermark"] == "2026-01-01T01:00:00+00:00"
    assert "more than one row" in many.skip()
    assert "no row" in Ticks(build_watermark_sensor("u", "SET search_path = public", target="j", url=url)).skip()


def test_a_warehouse_in_postgresql_is_asked_in_its_own_words(postgres: Postgres, duckdb_extensions: Path) -> None:
    """The query runs there as it is, functions of PostgreSQL included; what is wrong with it is told in its words."""
    postgres.query("CREATE TABLE loads AS SELECT 1 AS v")
    resource = PostgresWarehouseResource(
        host="127.0.0.1",
        port=postgres.port,
        database="postgres",
        username="airbyte",
        password=PASSWORD,
        extension_directory=str(duckdb_extensions),
    )
    query = "SELECT max(v) FROM loads WHERE pg_backend_pid() > 0"
    ticks = Ticks(build_watermark_sensor("s", query, target="j", warehouse_key="pg"), resources={"pg": resource})
    assert "Recorded the first value, 1;" in ticks.skip()

    postgres.query("INSERT INTO loads VALUES (2)")

    assert ticks.run().tags["airbyte_dagster/watermark"] == "2"
    postgres.query("DROP TABLE loads")
    assert ticks.skip() == 'The query failed: relation "loads" does not exist'


def test_a_postgresql_that_is_down_or_refuses_is_said_without_the_password(postgres: Postgres) -> None:
    """The reason names the server and what it says."""
    wrong = "not-the-pässword!"
    refused = Ticks(build_watermark_sensor("r", "SELECT 1", target="j", url=address_of(postgres, password=wrong)))
    down = Ticks(build_watermark_sensor("d", "SELECT 1", target="j", url=address_of(postgres, port=1)))

    reasons = [refused.skip(), down.skip()]

    assert "password authentication failed" in reasons[0]
    assert "postgresql+psycopg://127.0.0.1:1/postgres gave no value" in reasons[1]
    for reason in (*reasons, str(refused.sensor.description)):
        assert wrong not in reason
        assert quote(wrong, safe="") not in reason
    assert (refused.cursor, down.cursor) == (None, None)


def test_a_driver_that_echoes_the_password_gives_nothing_away() -> None:
    """Passwords, tokens among the options, and those within an ODBC string are hidden in what a driver says."""
    url = databases.database_url(
        "sqlite://me:pass-in-url@/nowhere?token=tok-in-option&odbc_connect=DRIVER%3Dx%3BPWD%3Dpwd-in-odbc"
    )

    said = databases.DatabaseQuery(url, "SELECT 1")._said(
        ValueError("can't use pass-in-url, tok-in-option, DRIVER=x;PWD=pwd-in-odbc\nand more")
    )

    assert said == "can't use [hidden], [hidden], DRIVER=x;PWD=[hidden]"


def test_an_address_that_is_not_set_or_not_understood_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the tick if it comes from the environment, else when the sensor is declared; never with the address itself."""
    monkeypatch.delenv("SHOP_URL", raising=False)
    ticks = Ticks(build_watermark_sensor("s", "SELECT 1", target="j", url=dg.EnvVar("SHOP_URL")))
    assert "The environment variable SHOP_URL is not set" in ticks.skip()

    monkeypatch.setenv("SHOP_URL", "secret-rubbish")
    assert "no address of a database" in ticks.skip()
    assert "secret-rubbish" not in ticks.skip()
    with pytest.raises(ConfigurationError, match="no address of a database"):
        build_watermark_sensor("s", "SELECT 1", target="j", url="secret-rubbish")


@pytest.mark.parametrize("scheme", ["mysql+aiomysql", "nonsense"])
def test_a_missing_driver_is_said(scheme: str) -> None:
    """Whether SQLAlchemy knows the database or not."""
    ticks = Ticks(build_watermark_sensor("s", "SELECT 1", target="j", url=f"{scheme}://user:secret@127.0.0.1/x"))

    reason = ticks.skip()

    assert f"There is no driver for {scheme}://127.0.0.1/x" in reason
    assert "secret" not in reason


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_a_query_that_takes_too_long_is_given_up_and_ended(
    orders: Orders, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The tick ends with a reason; the query is interrupted, so that a later tick can ask again."""
    endless = {
        "duckdb": "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b",
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n",
    }[kind]
    askers: list[Asker] = []

    def impatient() -> Asker:
        askers.append(Asker(0.2))
        return askers[-1]

    monkeypatch.setattr("airbyte_dagster.sensors.watermark_sensor.Asker", impatient)
    settings = {"url": "sqlite://"} if kind == "sqlite" else {}
    ticks = orders.ticks(endless, **settings)

    assert ticks.skip() == "There was no answer within 0.2 s."

    asked = askers[0]._asked
    assert asked is not None
    assert asked.exception(timeout=30) is not None


def test_one_question_at_a_time() -> None:
    """While a question is unanswered none is asked; an answer that comes late is thrown away."""
    asker, gate, calls = Asker(0.01), threading.Event(), []

    def question() -> int:
        calls.append(1)
        gate.wait(30)
        return len(calls)

    with pytest.raises(Unanswered, match="no answer within"):
        asker.ask(question, give_up=lambda: None)
    with pytest.raises(Unanswered, match="still unanswered"):
        asker.ask(question, give_up=lambda: None)
    gate.set()
    assert asker._asked is not None
    asker._asked.result(timeout=30)

    assert Asker(30).ask(question, give_up=lambda: None) == 2
    assert asker.ask(lambda: "answer", give_up=lambda: None) == "answer"


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
    """In its description: what it runs, which query, where; its interval and state are those that were asked for."""
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
