"""Warehouses that a project has already, and those that others teach."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_duckdb import DuckDBResource
from typing_extensions import Self

from airbyte_dagster import MotherDuckResource, PostgresWarehouseResource, SqlWarehouseResource, build_pipeline_defs
from airbyte_dagster.destinations.tables import Place, TableRef
from airbyte_dagster.errors import ConfigurationError, WarehouseError
from airbyte_dagster.resources import is_elsewhere
from airbyte_dagster.warehouse import (
    DIALECTS,
    DriverWarehouse,
    DuckDBWarehouse,
    FoundTable,
    Sample,
    Table,
    Warehouse,
    WarehouseSession,
    warehouse_at,
    warehouse_of,
)
from airbyte_dagster_tests.conftest import pipeline_of, resource_of
from airbyte_dagster_tests.dagster_runs import run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.warehouse.refs import table_ref


class Snowflake(dg.ConfigurableResource[Any]):
    """As `SnowflakeResource` of dagster-snowflake: a setting `warehouse`, and connections; here of SQLite."""

    account: str = "shop"
    database: str = "RAW"
    warehouse: str = "SMALL"
    password: str = "PLANTED-SECRET"

    @contextmanager
    def get_connection(self) -> Iterator[Any]:
        if self.password:
            raise RuntimeError(f"Incorrect username or password was specified: {self.password}")
        yield None


class BigQuery(dg.ConfigurableResource[Any]):
    """As `BigQueryResource` of dagster-gcp."""

    project: str = "shop-1"

    @contextmanager
    def get_client(self) -> Iterator[Any]:
        yield None


def test_a_duckdb_resource_is_read_only_and_not_made(tmp_path: Path) -> None:
    """Dagster's resource would open the file to write it, and make one that is not there."""
    path = tmp_path / "lake.duckdb"
    resource = DuckDBResource(database=str(path))
    with pytest.raises(WarehouseError, match="There is no database file"):
        warehouse_of(resource).inspect({"t": table_ref("main", ("t",))})
    assert not path.exists()

    with resource.get_connection() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id")

    found = warehouse_of(resource).inspect({"t": table_ref("main", ("T",))})["t"]
    assert found
    assert found.rows == 1
    remote = warehouse_of(DuckDBResource(database="md:lms?motherduck_token=PLANTED"))
    assert isinstance(remote, DuckDBWarehouse)
    assert (remote.database, remote.motherduck_token) == ("md:lms", "PLANTED")


def test_a_pipeline_is_checked_through_a_resource_of_dagsters(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """Given as it is, or by its key among the project's resources."""
    resource = DuckDBResource(database=str(airbyte.home.warehouse))
    given = build_pipeline_defs(pipeline_of(airbyte), airbyte=resource_of(airbyte), warehouse=resource)
    by_key = build_pipeline_defs(pipeline_of(airbyte), airbyte=resource_of(airbyte), warehouse="duckdb")
    for definitions in (given, dg.Definitions.merge(by_key, dg.Definitions(resources={"duckdb": resource}))):
        result = run_sync(definitions, instance)
        assert [check.passed for check in result.get_asset_check_evaluations()] == [True] * 4


def test_a_file_that_this_process_writes_is_read_all_the_same(tmp_path: Path) -> None:
    """By a transaction that can't write; opened with other settings, it is said whose it is."""
    path = str(tmp_path / "lake.duckdb")
    with duckdb.connect(path) as writer:
        writer.execute("CREATE TABLE t AS SELECT 1 AS id")
        with DuckDBWarehouse(path).session() as session:
            assert session.count("SELECT * FROM t") == 1
            with pytest.raises(Exception, match=r"(?i)read-only"):
                session.run("DELETE FROM t")
    with (
        duckdb.connect(path, config={"threads": 1}),
        pytest.raises(WarehouseError, match=r"This very process has .* open with other settings"),
    ):
        DuckDBWarehouse(path, lock_timeout=0).inspect({"t": table_ref("main", ("t",))})


def test_snowflake_and_bigquery_resources() -> None:
    """By what they have, not by their class; an error says nothing of the password."""
    snowflake, bigquery = warehouse_of(Snowflake()), warehouse_of(BigQuery())

    assert isinstance(snowflake, DriverWarehouse)
    assert isinstance(bigquery, DriverWarehouse)
    assert (snowflake.dialect.product, bigquery.dialect.product) == ("Snowflake", "BigQuery")
    with pytest.raises(WarehouseError, match="Check username and password") as caught:
        snowflake.inspect({"t": table_ref("RAW", ("T",))})
    assert "PLANTED" not in f"{caught.value}{snowflake!r}"
    assert is_elsewhere(Snowflake(), "postgres", {})
    assert is_elsewhere(Snowflake(), "snowflake", {"database": "OTHER"})
    assert not is_elsewhere(Snowflake(), "snowflake", {"database": "raw"})
    assert is_elsewhere(BigQuery(), "bigquery", {"project_id": "shop-2"})
    with pytest.raises(ConfigurationError, match="Dictionary is no warehouse"):
        warehouse_of(type("Dictionary", (), {})())


def test_what_dagster_attaches_of_its_resources_is_not_taken() -> None:
    """A context shows another object than the resource for some of Dagster's packages."""

    class Context:
        snowflake = "what is attached"
        original_resource_dict: Mapping[str, Any] = {"snowflake": Snowflake()}

    assert isinstance(warehouse_at(Context(), "snowflake"), DriverWarehouse)


class Shelf(Warehouse):
    """A warehouse of somebody's own: tables in memory."""

    database = "shelf"

    @contextmanager
    def session(self) -> Iterator[WarehouseSession]:
        yield ShelfSession()


class ShelfSession(WarehouseSession):
    """Says only what it must."""

    def find(self, places: Collection[Place]) -> Sequence[FoundTable]:
        return [FoundTable("", Place("main", name), (("id", "int"),)) for name in ("users", "orders")]

    def measure(self, wanted: Mapping[Any, tuple[FoundTable, TableRef]]) -> Mapping[Any, Table | str]:
        return {name: Table("", *table.place, table.columns, 3) for name, (table, _) in wanted.items()}

    def sample(self, query: str, limit: int) -> Sample:
        return Sample(("n",), ((7,),))


def test_a_warehouse_of_ones_own() -> None:
    """Three methods are enough: the right table of a reference is found by what all share."""
    shelf = warehouse_of(Shelf())
    found = shelf.inspect({"u": table_ref("MAIN", ("Users",)), "none": table_ref("main", ("nope",))})

    assert {name: table.full_name if table else None for name, table in found.items()} == {
        "u": "main.users",
        "none": None,
    }
    with shelf.session() as session:
        assert session.count("SELECT 1") == 7
        assert session.changes(Table("", "main", "users", (), 0), 1) == []


def test_motherduck_with_a_read_scaling_token_reads_what_was_written_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot by the token that may write, then a refresh by the other: replicas are a minute late else."""
    asked: list[tuple[str, str]] = []

    class Connection:
        def __init__(self, _database: str, config: Mapping[str, str]) -> None:
            self.token = config["motherduck_token"]

        def execute(self, query: str) -> None:
            asked.append((self.token, query))

        def close(self) -> None:
            asked.append((self.token, "close"))

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

    monkeypatch.setattr(duckdb, "connect", Connection)
    resource = MotherDuckResource(database="md:lms", motherduck_token="READS", snapshot_token="WRITES")
    with resource.warehouse().connect():
        pass

    assert asked == [
        ("WRITES", 'CREATE SNAPSHOT OF "lms"'),
        ("WRITES", "close"),
        ("READS", 'REFRESH DATABASE "lms"'),
        ("READS", "close"),
    ]
    assert "WRITES" not in repr(resource) + repr(resource.warehouse())


def test_motherducks_postgresql_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's driver, DuckDB's SQL, and a certificate that is verified unless something else is said."""
    seen: dict[str, Any] = {}

    def connect(**arguments: Any) -> Any:
        seen.update(arguments)
        return closing(sqlite3.connect(":memory:")).thing  # type: ignore[attr-defined]

    monkeypatch.setattr("psycopg.connect", connect)
    host = "pg.us-east-1-aws.motherduck.com"
    resource = PostgresWarehouseResource(host=host, database="lms", username="postgres", password="PLANTED-TOKEN")
    warehouse = resource.warehouse()
    with warehouse.session() as session:
        assert session.sample("SELECT 1 AS one", 1) == Sample(("one",), ((1,),))

    assert warehouse.dialect is DIALECTS["duckdb"]
    assert {name: seen[name] for name in ("host", "dbname", "user", "sslmode", "sslrootcert")} == {
        "host": host,
        "dbname": "lms",
        "user": "postgres",
        "sslmode": "verify-full",
        "sslrootcert": "system",
    }
    assert "PLANTED" not in repr(warehouse)
    assert is_elsewhere(resource, "motherduck", {"destination_path": "md:other"})
    assert not is_elsewhere(resource, "motherduck", {"destination_path": "md:LMS"})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no address PLANTED", "url is no address of a database"),
        ("oracle://me:PLANTED@db/x", "Warehouses of the kind 'oracle' can't be checked"),
    ],
)
def test_addresses_that_can_not_be_taken(url: str, said: str) -> None:
    """What is wrong is said without the address, which may hold a password."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        SqlWarehouseResource(url=url).warehouse()

    assert "PLANTED" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named_with_its_extra() -> None:
    """When the warehouse is opened, as everything else that may be wrong with it."""
    warehouse = SqlWarehouseResource(url="databricks://token:PLANTED@host?catalog=raw").warehouse()
    with pytest.raises(ConfigurationError, match=r"pip install 'airbyte-dagster\[databricks\]'"):
        warehouse.inspect({"t": table_ref("raw", ("t",))})
    assert "PLANTED" not in repr(warehouse)


@pytest.mark.parametrize(
    ("url", "kind", "place", "elsewhere"),
    [
        ("snowflake://me@account/RAW/PUBLIC", "snowflake", {"database": "raw"}, False),
        ("snowflake://me@account/RAW", "snowflake", {"database": "OTHER"}, True),
        ("snowflake://me@account/RAW", "postgres", {"database": "RAW"}, True),
        ("bigquery://shop-1/raw", "bigquery", {"project_id": "shop-1"}, False),
        ("bigquery://shop-1", "bigquery", {"project_id": "shop-2"}, True),
        ("mysql+pymysql://me@db/raw", "mysql", {"database": "other"}, False),
        ("postgresql+psycopg://me@db/raw", "postgres", {"database": "other"}, True),
    ],
)
def test_whether_a_destination_writes_there(url: str, kind: str, place: dict[str, Any], *, elsewhere: bool) -> None:
    """By the kind and the name of the database; MySQL has all its schemas on one server."""
    assert is_elsewhere(SqlWarehouseResource(url=url), kind, place) is elsewhere
