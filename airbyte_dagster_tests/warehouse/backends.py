"""Real warehouses for the contract that every one has to keep: how to fill each, and how to read it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import psycopg

from airbyte_dagster import SqlWarehouseResource
from airbyte_dagster.destinations import names
from airbyte_dagster.warehouse import DIALECTS, Dialect, DuckDBWarehouse, Warehouse
from airbyte_dagster_tests.clients.environments import python_environment
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres
from airbyte_dagster_tests.warehouse import mariadb

#: A query that runs until it is stopped.
ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 0 FROM t) SELECT count(*) AS n FROM t"


class Backend(ABC):
    """A warehouse of one test.

    Attributes:
        schema: That there is, and is empty.
        dialect: Of the statements.
        table_name: What Airbyte's destination makes of a stream's name.
        types: Of numbers, texts and times.
        keeps_case: Whether names that differ by case alone are two.
        endless: A query that would never end.
        may_write: Whether only the user's rights keep from writing.
        many: Tables that are looked for, and how many of them are there.
    """

    schema = "raw"
    dialect: Dialect
    table_name: names.Normaliser
    types: ClassVar[Mapping[type, str]]
    keeps_case = False
    endless = ENDLESS
    may_write = False
    many = (3000, 250)

    @abstractmethod
    def warehouse(self, query_timeout: float | None = 60) -> Warehouse:
        """The reader under test."""

    @abstractmethod
    def execute(self, *statements: str) -> None:
        """Run statements that change it."""

    def create(self, name: str, columns: Mapping[str, type], rows: Sequence[Sequence[Any]] = ()) -> str:
        """Make a table; its name for a query."""
        quoted = self.dialect.name(self.schema, name)
        declared = ", ".join(f"{self.dialect.name(column)} {self.types[kind]}" for column, kind in columns.items())
        values = [f"({', '.join(map(self._value, row))})" for row in rows]
        self.execute(f"CREATE TABLE {quoted} ({declared})")
        if values:
            self.execute(f"INSERT INTO {quoted} VALUES {', '.join(values)}")  # noqa: S608 - a test's
        return quoted

    def _value(self, value: Any) -> str:
        return "NULL" if value is None else str(value) if isinstance(value, int) else self.dialect.literal(str(value))


class Time:
    """Marks a column of times."""


class DuckDB(Backend):
    """A file."""

    dialect = DIALECTS["duckdb"]
    table_name = staticmethod(names.motherduck)
    types: ClassVar[Mapping[type, str]] = {int: "BIGINT", str: "VARCHAR", Time: "TIMESTAMPTZ"}
    endless = "SELECT count(*) AS n FROM range(1000000000000) t(i) WHERE i % 7 = 8"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "lake.duckdb"
        self.execute("CREATE SCHEMA raw")

    def warehouse(self, query_timeout: float | None = 60) -> Warehouse:
        return DuckDBWarehouse(str(self.path), query_timeout=query_timeout)

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)


class SQLite(Backend):
    """A file, through SQLAlchemy."""

    schema = "main"
    dialect = DIALECTS["sqlite"]
    table_name = staticmethod(names.as_it_is)
    types: ClassVar[Mapping[type, str]] = {int: "INTEGER", str: "TEXT", Time: "TIMESTAMP"}

    def __init__(self, directory: Path) -> None:
        self.path = directory / "raw.sqlite"
        self.execute()

    def warehouse(self, query_timeout: float | None = 60) -> Warehouse:
        return SqlWarehouseResource(url=f"sqlite:///{self.path}", query_timeout=query_timeout).warehouse()

    def execute(self, *statements: str) -> None:
        with sqlite3.connect(self.path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()


class PostgreSQL(Backend):
    """A schema of a real server, through SQLAlchemy and psycopg."""

    dialect = DIALECTS["postgresql"]
    table_name = staticmethod(names.postgres)
    types: ClassVar[Mapping[type, str]] = {int: "BIGINT", str: "VARCHAR", Time: "TIMESTAMPTZ"}
    keeps_case = True

    def __init__(self, server: Postgres, schema: str) -> None:
        self.server, self.schema = server, schema
        self.execute(f"CREATE SCHEMA {schema}")

    def warehouse(self, query_timeout: float | None = 60, password: str = PASSWORD) -> Warehouse:
        return SqlWarehouseResource(
            url=f"postgresql+psycopg://airbyte@127.0.0.1:{self.server.port}/postgres",
            connect_args={"password": password},
            query_timeout=query_timeout,
        ).warehouse()

    def execute(self, *statements: str) -> None:
        address = f"host=127.0.0.1 port={self.server.port} dbname=postgres user=airbyte"
        with psycopg.connect(address, password=PASSWORD, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def refused(self) -> tuple[Warehouse, str]:
        """The reader with a wrong password, and that password."""
        return self.warehouse(password="PLANTED-SECRET"), "PLANTED-SECRET"


class MariaDB(Backend):
    """A database of a real server, through SQLAlchemy and PyMySQL."""

    dialect = DIALECTS["mariadb"]
    table_name = staticmethod(names.mysql)
    types: ClassVar[Mapping[type, str]] = {int: "BIGINT", str: "VARCHAR(100)", Time: "TIMESTAMP(6) NULL"}
    keeps_case = True  # on Linux
    endless = "SELECT benchmark(1000000000000, md5('a')) AS n"

    def __init__(self, port: int, schema: str) -> None:
        self.port, self.schema = port, schema
        self.execute(f"CREATE DATABASE {schema}")

    def warehouse(self, query_timeout: float | None = 60, password: str = PASSWORD) -> Warehouse:
        return SqlWarehouseResource(
            url=f"mysql+pymysql://airbyte@127.0.0.1:{self.port}/raw",
            connect_args={"password": password},
            query_timeout=query_timeout,
        ).warehouse()

    def execute(self, *statements: str) -> None:
        mariadb.query(self.port, "SET time_zone = '+00:00'", *statements)

    def refused(self) -> tuple[Warehouse, str]:
        """The reader with a wrong password, and that password."""
        return self.warehouse(password="PLANTED-SECRET"), "PLANTED-SECRET"


class Snowflake(Backend):
    """Snowflake's own connector and SQLAlchemy dialect, over HTTP to fakesnow: DuckDB in another process."""

    dialect = DIALECTS["snowflake"]
    table_name = staticmethod(names.snowflake)
    types: ClassVar[Mapping[type, str]] = {int: "NUMBER", str: "VARCHAR", Time: "TIMESTAMP_TZ"}
    may_write = True  # as Snowflake itself, where only a role keeps from that
    many = (100, 5)  # fakesnow parses every query

    def __init__(self, arguments: Mapping[str, Any], schema: str) -> None:
        self.arguments, self.schema = arguments, schema.upper()
        self.execute(f"CREATE SCHEMA {self.schema}")

    def warehouse(self, query_timeout: float | None = 60) -> Warehouse:
        return SqlWarehouseResource(
            url="snowflake://fake@fakesnow/RAW",
            connect_args={name: value for name, value in self.arguments.items() if name not in {"user", "account"}},
            query_timeout=query_timeout,
        ).warehouse()

    def execute(self, *statements: str) -> None:
        import snowflake.connector  # noqa: PLC0415 - not with Python 3.10

        with snowflake.connector.connect(**self.arguments, database="RAW") as connection:
            for statement in statements:
                connection.cursor().execute(statement)


@contextmanager
def running_snowflake() -> Iterator[Mapping[str, Any]]:
    """A server for the time of the block, with a database ``RAW``; what the connector needs to reach it."""
    import snowflake.connector  # noqa: PLC0415 - not with Python 3.10

    script = Path(__file__).with_name("fakesnow_server.py")
    command = [str(python_environment("fakesnow")), str(script)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        arguments = {**json.loads(server.stdout.readline()), "network_timeout": 10}
        with snowflake.connector.connect(**arguments) as connection:
            connection.cursor().execute("CREATE DATABASE RAW")
        yield arguments
        server.stdin.close()
