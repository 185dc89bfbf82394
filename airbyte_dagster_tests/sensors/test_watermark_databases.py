"""The watermark sensor against SQLite files and a real PostgreSQL, through SQLAlchemy and the warehouse."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from airbyte_dagster import PostgresWarehouseResource
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.sensors import build_watermark_sensor, databases
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.sensors.ticks import Ticks

#: Each database is started once: a worker of pytest-xdist takes all or none.
pytestmark = pytest.mark.xdist_group("warehouses")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def address_of(server: Postgres, *, password: str = PASSWORD, port: int | None = None) -> str:
    return f"postgresql+psycopg://airbyte:{quote(password, safe='')}@127.0.0.1:{port or server.port}/postgres"


def test_any_database_of_sqlalchemy_can_be_queried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_postgresql_is_queried_in_its_own_types(postgres: Postgres) -> None:
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


def test_a_warehouse_in_postgresql_is_queried_in_its_own_words(postgres: Postgres) -> None:
    """The query runs there as it is, functions of PostgreSQL included; so does what is wrong with it."""
    postgres.query("CREATE TABLE loads AS SELECT 1 AS v")
    resource = PostgresWarehouseResource(
        host="127.0.0.1",
        port=postgres.port,
        database="postgres",
        username="airbyte",
        password=PASSWORD,
    )
    query = "SELECT max(v) FROM loads WHERE pg_backend_pid() > 0"
    ticks = Ticks(build_watermark_sensor("s", query, target="j", warehouse_key="pg"), resources={"pg": resource})
    assert "Recorded the first value, 1;" in ticks.skip()

    postgres.query("INSERT INTO loads VALUES (2)")

    assert ticks.run().tags["airbyte_dagster/watermark"] == "2"
    postgres.query("DROP TABLE loads")
    assert ticks.skip() == 'The query failed: relation "loads" does not exist'


def test_a_postgresql_that_is_down_or_refuses_is_reported_without_the_password(postgres: Postgres) -> None:
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

    said = databases.DatabaseQuery(url, "SELECT 1")._message(
        ValueError("can't use pass-in-url, tok-in-option, DRIVER=x;PWD=pwd-in-odbc\nand more")
    )

    assert said == "can't use [hidden], [hidden], DRIVER=x;PWD=[hidden]"


def test_an_address_that_is_not_set_or_not_understood_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_missing_driver_is_reported(scheme: str) -> None:
    """Whether SQLAlchemy knows the database or not."""
    ticks = Ticks(build_watermark_sensor("s", "SELECT 1", target="j", url=f"{scheme}://user:secret@127.0.0.1/x"))

    assert re.match(rf"There is no driver for {re.escape(scheme)}://127\.0\.0\.1/x: (?!.*secret)", ticks.skip())
