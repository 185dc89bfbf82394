"""What ``airbyte-dagster doctor`` says of the rights of a warehouse's credentials, on real databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster import MotherDuckResource, PostgresWarehouseResource, SqlWarehouseResource
from airbyte_dagster.cli.findings import Finding, Status
from airbyte_dagster.cli.warehouse_access import examine_rights
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster.warehouse.rights import rights_of
from airbyte_dagster_tests.cli.reports import a_report, by_step
from airbyte_dagster_tests.local.postgresql import Postgres, running_postgres
from airbyte_dagster_tests.warehouse import mariadb

#: Each database is started once: a worker of pytest-xdist takes all or none.
pytestmark = pytest.mark.xdist_group("rights")

_PASSWORD = "PLANTED-password"


def grants_of(product: str, name: str) -> str:
    """The statements of docs/security.md for a reader of this name."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    (block,) = re.findall(rf"^```sql\n-- {product}[^\n]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return re.sub(r"\breader\b", name, block).replace("…", _PASSWORD)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        running.query(
            f"""
            CREATE SCHEMA raw;
            CREATE TABLE raw.users (id int, _airbyte_extracted_at timestamptz);
            CREATE TABLE raw."Odd Name" (id int);
            {grants_of("PostgreSQL", "reader")}
            CREATE ROLE owner LOGIN PASSWORD '{_PASSWORD}';
            ALTER TABLE raw.users OWNER TO owner;
            GRANT USAGE ON SCHEMA raw TO owner;
            GRANT SELECT ON raw.users TO reader;
            CREATE ROLE blind LOGIN PASSWORD '{_PASSWORD}';
            CREATE ROLE maker LOGIN PASSWORD '{_PASSWORD}';
            GRANT USAGE, CREATE ON SCHEMA raw TO maker;
            GRANT SELECT ON raw.users TO maker;
            """
        )
        yield running


def judged(resource: WarehouseResource) -> Finding | None:
    report = a_report()
    examine_rights(report, resource.warehouse())
    return by_step(report).get("rights")


def resource_for(postgres: Postgres, user: str, password: str = _PASSWORD) -> PostgresWarehouseResource:
    place: dict[str, Any] = {"host": "127.0.0.1", "port": postgres.port, "database": "postgres"}
    return PostgresWarehouseResource(**place, username=user, password=password)


@pytest.mark.parametrize(
    ("user", "status", "words", "advice"),
    [
        ("reader", Status.OK, "may read, and no more", ""),
        (
            "owner",
            Status.WARNING,
            "These credentials may change the table raw.users. Checks only read.",
            "may only read",
        ),
        ("maker", Status.WARNING, "may create tables in the schema raw. Checks only read.", "docs/security.md"),
        (
            "blind",
            Status.WARNING,
            "Checks can't read the table raw.users, which Airbyte wrote.",
            "Grant this user SELECT",
        ),
    ],
)
def test_rights_of_a_role_of_postgresql(postgres: Postgres, user: str, status: Status, words: str, advice: str) -> None:
    """One with the grants of the docs may read, and no more; one that owns, may create or sees nothing is a warning."""
    found = judged(resource_for(postgres, user))

    assert found
    assert (found.status, words in found.found, advice in found.advice) == (status, True, True), found


def test_a_superuser_may_do_everything(postgres: Postgres) -> None:
    """As does whoever syncs and checks by one role; which tables and schemas is said, too."""
    from airbyte_dagster_tests.local.postgresql import PASSWORD  # noqa: PLC0415

    found = judged(resource_for(postgres, "airbyte", PASSWORD))

    assert found
    assert found.status is Status.WARNING
    for words in ("do everything, as a superuser", 'the tables raw."Odd Name", raw.users', "create schemas"):
        assert words in found.found


def test_a_table_that_comes_later_can_be_read(postgres: Postgres) -> None:
    """The grants of the docs hold for the tables of syncs to come, if the role that syncs gave them."""
    postgres.query("CREATE TABLE raw.later (_airbyte_extracted_at timestamptz)")

    assert rights_of(resource_for(postgres, "reader").warehouse()).unreadable == ()
    assert rights_of(resource_for(postgres, "blind").warehouse()).unreadable == ("raw.later", "raw.users")
    postgres.query("DROP TABLE raw.later")


def test_rights_of_a_user_of_mariadb() -> None:
    """Its own list of grants says it: one that may select, one that may insert besides, one that may do all."""
    with mariadb.running_mariadb() as port:
        mariadb.query(port, "CREATE TABLE raw.users (id INT)")
        mariadb.query(port, *filter(None, map(str.strip, grants_of("MySQL", "reader").split(";"))))
        for name, granted in {"writer": "SELECT, INSERT (id), DROP", "owner": "ALL"}.items():
            where = "raw.*" if name != "writer" else "raw.users"
            mariadb.query(
                port,
                f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'",
                f"GRANT {granted} ON {where} TO {name}@'127.0.0.1'",
            )

        def writing(name: str) -> tuple[str, ...]:
            url = f"mariadb+pymysql://{name}@127.0.0.1:{port}/raw"
            return rights_of(SqlWarehouseResource(url=url, connect_args={"password": _PASSWORD}).warehouse()).writing

        assert writing("reader") == ()
        assert writing("writer") == ("insert, drop on raw.users",)
        assert writing("owner") == ("all privileges on raw.*",)


def test_what_reports_no_rights_is_passed_over(tmp_path: Path) -> None:
    """No finding, rather than one that says nothing."""
    warehouse = MotherDuckResource(database=str(tmp_path / "x.duckdb"))

    assert judged(warehouse) is None
    with pytest.raises(ValueError, match="reports no rights"):
        rights_of(warehouse.warehouse())


def test_a_database_that_refuses_to_report_is_a_warning(postgres: Postgres) -> None:
    """It could be read a moment ago; nothing of the password is in the message."""
    found = judged(resource_for(postgres, "reader", "PLANTED-wrong"))

    assert found
    assert found.status is Status.WARNING
    assert "password authentication failed" in found.found
