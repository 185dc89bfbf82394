"""Which database a configuration means."""

from __future__ import annotations

from typing import Any

import pytest

from airbyte_dagster.destinations.databases import Database, database_of, place_of, writes_to_motherduck

RAW_IN_SNOWFLAKE = Database("snowflake", "RAW", "a.snowflakecomputing.com")


@pytest.mark.parametrize(
    ("kind", "configuration", "database"),
    [
        ("duckdb", {"destination_path": "/data/x.duckdb"}, Database("duckdb", "/data/x.duckdb")),
        ("duckdb", {"destination_path": "md:LMS?motherduck_token=PLANTED"}, Database("motherduck", "lms")),
        ("motherduck", {"destination_path": "md:"}, Database("motherduck", "my_db")),
        ("motherduck", {"destination_path": "lake"}, Database("motherduck", "lake")),
        ("", {"destination_path": "motherduck:lms"}, Database("motherduck", "lms")),
        ("postgres", {"database": "raw", "host": "db", "port": 5433}, Database("postgres", "raw", "db", "5433")),
        ("motherduck", {}, None),
        ("snowflake", {"database": "RAW", "host": "a.snowflakecomputing.com"}, RAW_IN_SNOWFLAKE),
        ("bigquery", {"project_id": "shop-1", "dataset_id": "raw"}, Database("bigquery", "shop-1")),
        ("mysql", {"database": "raw"}, None),
        ("elasticsearch", {"database": "raw"}, None),
    ],
)
def test_database(kind: str, configuration: dict[str, Any], database: Database | None) -> None:
    """By the type and its settings; nothing is said of what is not known."""
    assert database_of(kind, configuration) == database


def test_motherduck_by_type_or_by_address() -> None:
    """The type alone is enough; a path alone is, too."""
    assert writes_to_motherduck("motherduck", {})
    assert writes_to_motherduck("duckdb", {"destination_path": "md:lms"})
    assert not writes_to_motherduck("duckdb", {"destination_path": "lms"})


def test_what_is_kept_of_a_configuration_has_no_secret() -> None:
    """Nor one that stands in an address."""
    configuration = {
        "destination_path": "md:lms?motherduck_token=PLANTED",
        "host": "me:PLANTED@db",
        "password": "PLANTED",
    }

    assert place_of({**configuration, "port": 5432}) == {"destination_path": "md:lms", "host": "db", "port": 5432}
