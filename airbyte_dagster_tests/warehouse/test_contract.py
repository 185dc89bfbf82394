"""What every warehouse does, whatever it is: the same tests for each, in the real thing."""

# ruff: noqa: S608 - the queries are made of quoted names

from __future__ import annotations

import datetime as dt
import itertools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.destinations.tables import Place, TableRef
from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse import QueryFailed, Warehouse
from airbyte_dagster.warehouse.sql_session import SqlSession
from airbyte_dagster_tests.destinations.test_names import CASES
from airbyte_dagster_tests.local.postgresql import Postgres, running_postgres
from airbyte_dagster_tests.warehouse import backends
from airbyte_dagster_tests.warehouse.backends import Backend, Time
from airbyte_dagster_tests.warehouse.mariadb import running_mariadb

#: Each database is started once: a worker of pytest-xdist takes all or none.
pytestmark = pytest.mark.xdist_group("warehouses")

UTC = dt.timezone.utc
# Snowflake's dialect that goes with SQLAlchemy 2.1 is for Python 3.11 and newer.
KINDS = ["duckdb", "sqlite", "postgresql", "mariadb", *(["snowflake"] if sys.version_info >= (3, 11) else [])]
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="module")
def mariadb() -> Iterator[int]:
    with running_mariadb() as port:
        yield port


@pytest.fixture(scope="module")
def snowflake() -> Iterator[Mapping[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        # Else the connector looks for the cloud that it runs in, over the network.
        patch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        with backends.running_snowflake() as arguments:
            yield arguments


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A warehouse with an empty schema."""
    schema = f"raw_{next(_NUMBERS)}"
    match request.param:
        case "duckdb":
            yield backends.DuckDB(tmp_path)
        case "sqlite":
            yield backends.SQLite(tmp_path)
        case "postgresql":
            yield backends.PostgreSQL(request.getfixturevalue("postgres"), schema)
        case "mariadb":
            yield backends.MariaDB(request.getfixturevalue("mariadb"), schema)
        case _:
            yield backends.Snowflake(request.getfixturevalue("snowflake"), schema)


def ref(backend: Backend, *names: str, **measures: object) -> TableRef:
    return TableRef(tuple(Place(backend.schema, name) for name in names), **measures)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES["duckdb_and_motherduck"], ids=lambda case: case["name"])
def test_tables_and_columns_of_all_names(backend: Backend, case: dict[str, str]) -> None:
    """Each is found by its stream's name, whatever case it is looked for in, and measured by its columns' names."""
    table = backend.table_name(case["name"])
    backend.create(table, {"id": int, table: str}, [(1, "a"), (2, None)])

    found = backend.warehouse().inspect(
        {
            "exact": ref(backend, table, keys=(("id",),), not_null=(case["name"],)),
            "other case": ref(backend, table.swapcase()),
            "none": ref(backend, f"{table[:40]}_none"),
        }
    )

    exact, other = found["exact"], found["other case"]
    assert exact is not None, found.unknown
    assert (exact.name, exact.rows, exact.keys) == (table, 2, {("id",): (2, 2)})
    assert exact.nulls == {case["name"]: 1}
    assert [name for name, _ in exact.columns] == ["id", table]
    assert other is not None
    assert (other.rows, found["none"]) == (2, None)


def test_names_that_differ_by_case_alone(backend: Backend) -> None:
    """Each is its own where the warehouse has both; what could be either is unknown."""
    if not backend.keeps_case:
        backend.create("Users", {"id": int}, [(1,)])
        assert backend.warehouse().inspect({"u": ref(backend, "USERS")})["u"]
        return
    backend.create("Users", {"id": int}, [(1,)])
    backend.create("users", {"id": int}, [(1,), (2,)])
    found = backend.warehouse().inspect({name: ref(backend, name) for name in ("Users", "users", "USERS")})

    assert [table.rows if table else None for table in found.values()] == [1, 2, None]
    assert "differ by case alone" in found.unknown["USERS"]


def test_keys_by_their_bytes(backend: Backend) -> None:
    """Upper and lower case, accents and blanks at the end are different keys; a null in a key is no key."""
    rows = [("a", 1), ("A", 1), ("á", 1), ("a ", 1), ("a", 2), ("a", 2), (None, 1), ("b", None)]
    backend.create("k", {"name": str, "part": int}, rows)
    found = backend.warehouse().inspect(
        {"k": ref(backend, "k", keys=(("name",), ("name", "part"), ("name", "nope")), not_null=("name", "part"))}
    )["k"]

    assert found
    assert found.keys == {("name",): (7, 5), ("name", "part"): (6, 5)}
    assert (found.rows, found.nulls) == (8, {"name": 1, "part": 1})


def test_values_changes_and_generations(backend: Backend) -> None:
    """How many values each column has; rows whose `_airbyte_meta` lists changes, by what it says; the generations."""
    changed = '{"changes": [{"field": "a", "change": "NULLED", "reason": "SOURCE"}]}'
    rows = [(1, None, changed, 3), (2, None, '{"changes": []}', 4), (3, None, changed, 4)]
    backend.create("m", {"id": int, "a": str, "_airbyte_meta": str, "_airbyte_generation_id": int}, rows)
    backend.create("plain", {"id": int})
    with backend.warehouse().session() as session:
        found = session.inspect(
            {name: ref(backend, name, values=True, changes=True, generations=True) for name in ("m", "plain")}
        )
        table, plain = found["m"], found["plain"]
        assert table
        assert plain
        changes = session.changes(table, 10)

    assert table.values == {"id": 3, "a": 0, "_airbyte_meta": 3, "_airbyte_generation_id": 3}
    assert (table.changed_rows, table.generations) == (2, (3, 4))
    assert changes == [(changed, 2)]
    assert (plain.rows, plain.values, plain.changed_rows, plain.generations) == (0, {"id": 0}, None, None)


def test_the_newest_value(backend: Backend) -> None:
    """In UTC, of a column that has times; none of another column, of no rows, or of nulls."""
    backend.create("t", {"id": int, "at": Time}, [(1, "2026-01-02 03:04:05"), (2, "2025-12-31 00:00:00"), (3, None)])
    backend.create("empty", {"id": int, "at": Time})
    backend.create("nulls", {"id": int, "at": Time}, [(1, None)])
    asked = {name: ref(backend, name, newest="at") for name in ("t", "empty", "nulls")}
    found = backend.warehouse().inspect({**asked, "number": ref(backend, "t", newest="id")})

    newest = {name: (table.newest, table.newest_text) for name, table in found.items() if table}
    assert newest == {
        "t": (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None),
        "empty": (None, None),
        "nulls": (None, None),
        "number": (None, None),
    }


def test_thousands_of_tables_take_few_queries(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few that find them, and one for a hundred tables that are there, however many are not."""
    many, present = backend.many
    names = [f"t{number}" for number in range(many)]
    backend.execute(
        *(f"CREATE TABLE {backend.dialect.name(backend.schema, name)} (id INT)" for name in names[:present])
    )
    queries = list[str]()
    real = SqlSession.run

    def run(session: SqlSession, query: str) -> Sequence[Sequence[Any]]:
        queries.append(query)
        return real(session, query)

    monkeypatch.setattr(SqlSession, "run", run)
    found = backend.warehouse().inspect({name: ref(backend, name) for name in names})

    assert [name for name, table in found.items() if table] == names[:present]
    assert not found.unknown
    assert len(queries) <= 4


def test_a_table_that_can_not_be_measured_stops_no_other(backend: Backend) -> None:
    """It is unknown, with the warehouse's own reason; a view over what is gone is such a one."""
    for name in ("a", "gone", "z"):
        backend.create(name, {"id": int}, [(1,)])
    gone, broken = (backend.dialect.name(backend.schema, name) for name in ("gone", "broken"))
    if isinstance(backend, backends.PostgreSQL):
        backend.execute(f"CREATE VIEW {broken} AS SELECT 1 / (id - 1) AS id FROM {gone}")
    else:
        backend.execute(f"CREATE VIEW {broken} AS SELECT id FROM {gone}", f"DROP TABLE {gone}")
    found = backend.warehouse().inspect({name: ref(backend, name, keys=(("id",),)) for name in ("a", "broken", "z")})

    rows = [table.rows if table else None for table in found.values()]
    # A warehouse that lists no columns of such a view has none of that name.
    assert rows == [1, None, 1]
    assert set(found.unknown) <= {"broken"}
    assert all(why.startswith("it can't be measured: ") for why in found.unknown.values())


def test_a_query_of_a_users_own(backend: Backend) -> None:
    """How many rows it returns, and the first of them with their names; what is wrong is said in one line."""
    table = backend.create("u", {"id": int, "name": str}, [(1, "50%"), (2, "a:b"), (3, None)])
    with backend.warehouse().session() as session:
        assert session.count(f"SELECT * FROM {table} WHERE name LIKE '50%' OR name = 'a:b' ; ") == 2
        sample = session.sample(f"SELECT id, name FROM {table} ORDER BY id", 2)
        with pytest.raises(QueryFailed) as caught:
            session.count(f"SELECT nope FROM {table}")
        assert session.count(f"SELECT * FROM {table}") == 3

    assert [name.lower() for name in sample.columns] == ["id", "name"]
    assert len(sample.rows) == 2
    assert "nope" in str(caught.value).lower()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "SELECT 1 AS a) AS x; DELETE FROM {}; SELECT 1 FROM (SELECT 1"]
)
def test_nothing_is_written(backend: Backend, statement: str) -> None:
    """Not even by a query that is meant to."""
    table = backend.create("w", {"id": int}, [(1,)])
    with backend.warehouse().session() as session, pytest.raises(QueryFailed):
        session.count(statement.format(table))
    if not backend.may_write:
        with (  # noqa: PT012 - it is the end of the session that raises
            pytest.raises(WarehouseError, match=re.compile("read.?only", re.IGNORECASE)),
            backend.warehouse().session() as session,
        ):
            assert isinstance(session, SqlSession)
            session.run(f"DELETE FROM {table}")

    assert rows_of(backend.warehouse(), ref(backend, "w")) == 1


@pytest.mark.parametrize("backend", [kind for kind in KINDS if kind != "snowflake"], indirect=True)
def test_a_query_ends_in_time(backend: Backend) -> None:
    """It is stopped, the session goes on, and what is said names the setting. What stands for Snowflake stops none."""
    backend.create("s", {"id": int}, [(1,)])
    with backend.warehouse(query_timeout=1).session() as session:
        with pytest.raises(QueryFailed, match=r"it took longer than 1 s \(query_timeout\)"):
            session.sample(backend.endless, 1)
        assert session.count(f"SELECT * FROM {backend.dialect.name(backend.schema, 's')}") == 1


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"], indirect=True)
def test_a_wrong_password_is_said_without_it(backend: backends.PostgreSQL | backends.MariaDB) -> None:
    """In one sentence that says what to do."""
    warehouse, password = backend.refused()
    with pytest.raises(WarehouseError, match="Check username and password") as caught:
        warehouse.inspect({"u": ref(backend, "u")})

    assert password not in f"{caught.value}{caught.value.__cause__!r}{warehouse!r}"


def rows_of(warehouse: Warehouse, table: TableRef) -> int | None:
    found = warehouse.inspect({"t": table})["t"]
    return found.rows if found else None
