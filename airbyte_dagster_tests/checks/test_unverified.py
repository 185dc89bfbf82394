"""What can't be known, and what is missing: of a database, of a table, of a sync that nobody recorded."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster_tests.checks.test_evaluation import NOON, USERS, Recorded, asset, database, evaluated, job

__all__ = ["database"]

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
ALL: dict[str, Any] = {
    "moved_something": True,
    "unique_key": {"columns": "id"},
    "not_null": {"columns": "id"},
    "fresh": {"within": "1d", "column": "seen"},
    "expected_range": {"min": 1},
    "values_kept": True,
    "sql": {"none": "SELECT * FROM {table} WHERE id > 99"},
}
REPORT = ReportedStats("users", "full_refresh_overwrite", 3)


def statuses(found: dict[str, dg.AssetCheckResult]) -> dict[str, tuple[bool, dg.AssetCheckSeverity]]:
    return {name.partition(":")[2]: (result.passed, result.severity) for name, result in found.items()}


def test_a_database_that_is_gone_is_a_missing_table(tmp_path: Path) -> None:
    """Each check of a table fails after a sync; what the job says is evaluated all the same. Before, none is known."""
    path = tmp_path / "gone.duckdb"

    after = statuses(evaluated(path, asset(USERS, checks=ALL), history=Recorded({USERS: job(REPORT)})))
    before = statuses(evaluated(path, asset(USERS, checks=ALL)))
    reset = replace(job(REPORT), is_reset=True)
    emptied = statuses(evaluated(path, asset(USERS, checks=ALL), history=Recorded({USERS: reset})))

    assert after.pop("moved_something") == (True, WARN)
    assert after.pop("values_kept") == (False, WARN)
    assert set(after.values()) == {(False, ERROR)}
    assert set(before.values()) == set(emptied.values()) == {(False, WARN)}


def test_a_table_that_is_not_there_before_the_first_sync_is_not_missing(database: Path) -> None:
    """Nor is it after a reset; after a sync it is."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("DROP TABLE users")

    before = statuses(evaluated(database, asset(USERS, checks=ALL)))
    emptied = replace(job(REPORT), is_reset=True)
    reset = statuses(evaluated(database, asset(USERS, checks=ALL), history=Recorded({USERS: emptied})))
    after = statuses(evaluated(database, asset(USERS, checks=ALL), history=Recorded({USERS: job(REPORT)})))

    assert set(before.values()) == set(reset.values()) == {(False, WARN)}
    assert {name for name, status in after.items() if status == (False, ERROR)} == set(after) - {
        "moved_something",
        "values_kept",
    }


@pytest.mark.parametrize(("choice", "severity"), [("warn", WARN), ("fail", ERROR)])
def test_what_cannot_be_known_is_what_the_user_says(database: Path, choice: str, severity: Any) -> None:
    """A warning by default; or a failure of the severity that the check has."""
    checks = {"on_unverified": choice, "unique_key": True, "not_null": {"severity": "warn"}}

    found = statuses(evaluated(database, asset(USERS, checks=checks)))

    assert found == {"row_count": (False, severity), "unique_key": (False, severity), "not_null": (False, WARN)}


@pytest.mark.parametrize(("read", "severity"), [(0, ERROR), (1, ERROR), (2, WARN)])
def test_a_later_sync_that_nobody_recorded_is_no_loss(database: Path, read: int, severity: Any) -> None:
    """Records that were read after the job had ended are of another one: the numbers say nothing of it.

    A job's own end is known to the second, ``read`` are seconds after that.
    """
    with duckdb.connect(str(database)) as connection:
        connection.execute("ALTER TABLE users ADD COLUMN _airbyte_extracted_at TIMESTAMPTZ")
        connection.execute("UPDATE users SET _airbyte_extracted_at = ?", [NOON + dt.timedelta(seconds=read)])
        connection.execute("DELETE FROM users WHERE id = 0")
    ended = replace(job(REPORT), ended=NOON)

    found = evaluated(database, asset(USERS), history=Recorded({USERS: ended}))["users:row_count"]

    assert (found.passed, found.severity) == (False, severity)
    assert ("by a sync that is not recorded" in str(found.description)) is (severity is WARN)


def test_a_stream_whose_source_deletes_rows_is_known_by_its_fields(database: Path) -> None:
    """Its table need not have the column."""
    stream = Stream("users", sync_mode="incremental_deduped_history", primary_key=(("id",),))
    report = ReportedStats("users", stream.sync_mode, 3, 6, primary_key=("id",))
    plain = asset(USERS, stream)
    deleting = replace(plain, fields={stream.key: ("id", "_ab_cdc_deleted_at")})

    assert not evaluated(database, plain, history=Recorded({USERS: job(report)}))["users:row_count"].passed
    assert evaluated(database, deleting, history=Recorded({USERS: job(report)}))["users:row_count"].passed


def test_a_table_without_a_list_of_changes_has_no_check_of_it(database: Path) -> None:
    """It says neither that values were kept, nor that they were not."""
    assert set(evaluated(database, asset(USERS))) == {"users:row_count"}


def test_an_appended_table_that_had_rows_is_not_known_to_be_empty(database: Path) -> None:
    """A sync that brought nothing leaves it as it was: an empty one has lost its rows."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM users")
    checks = {"row_count": False, "fresh": {"within": "1d", "column": "seen"}}

    def severity(before: int) -> Any:
        recorded = job(ReportedStats("users", "incremental_append", 0, before))
        return evaluated(database, asset(USERS, checks=checks), history=Recorded({USERS: recorded}))[
            "users:fresh"
        ].severity

    assert (severity(3), severity(0)) == (ERROR, WARN)


def test_declared_columns_are_unique_where_rows_are_appended(database: Path) -> None:
    """Of the primary key each version of a row stays; what somebody declares is meant so."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("INSERT INTO users SELECT * FROM users")
    stream = Stream("users", sync_mode="incremental_append", primary_key=(("id",),))

    declared = evaluated(database, asset(USERS, stream, checks={"row_count": False, "unique_key": {"columns": "id"}}))
    by_key = evaluated(database, asset(USERS, stream, checks={"row_count": False, "unique_key": True}))

    assert not declared["users:unique_key"].passed
    assert by_key == {}


@pytest.fixture
def spoiled(database: Path) -> Path:
    """Two keys twice, one null; names beside them."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("ALTER TABLE users ADD COLUMN name VARCHAR")
        connection.execute("INSERT INTO users SELECT id, seen, 'again' FROM users WHERE id < 2")
        connection.execute("INSERT INTO users VALUES (NULL, NULL, 'nobody')")
    return database


def rows_of(result: dg.AssetCheckResult) -> list[dict[str, Any]]:
    samples: Any = result.metadata.get("samples")
    return [record.data for record in samples.records] if samples else []


@pytest.mark.parametrize("samples", ["keys", "rows", "none"])
def test_a_failure_shows_rows_and_the_query_that_finds_them(spoiled: Path, samples: str) -> None:
    """Keys alone by default; the query returns what is wrong, and nothing else."""
    checks = {
        "row_count": False,
        "unique_key": {"samples": samples},
        "not_null": {"samples": samples},
        "sql": {"again": {"query": "SELECT * FROM {table} WHERE name = 'again'", "samples": samples}},
    }
    stream = Stream("users", primary_key=(("id",),))

    found = evaluated(spoiled, asset(USERS, stream, checks=checks))

    counts = {name: len(rows_of(result)) for name, result in found.items()}
    whole = samples == "rows"
    assert counts == (
        {"users:unique_key": 0, "users:not_null": 0, "users:again": 0}
        if samples == "none"
        else {"users:unique_key": 4 if whole else 2, "users:not_null": 1, "users:again": 2}
    )
    shown = {tuple(row) for result in found.values() for row in rows_of(result)}
    if samples != "none":
        assert shown == ({("id", "seen", "name")} if whole else {("id", "rows"), ("id",)})
        assert rows_of(found["users:not_null"])[0]["id"] == "NULL"
    for name, result in found.items():
        query = str(result.metadata["query"].value).removeprefix("```sql\n").removesuffix("\n```")
        with duckdb.connect(str(spoiled), read_only=True) as connection:
            rows = connection.execute(query).fetchall()
        assert len(rows) == {"users:unique_key": 4 if whole else 2, "users:not_null": 1, "users:again": 2}[name]


def test_ten_rows_are_shown_of_many(database: Path) -> None:
    """However many there are; what is long is cut."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE OR REPLACE TABLE users AS SELECT i AS id, repeat('x', 999) AS t FROM range(50) t(i)")
    checks = {"row_count": False, "sql": {"all": {"query": "SELECT * FROM {table};", "samples": "rows"}}}

    rows = rows_of(evaluated(database, asset(USERS, checks=checks))["users:all"])

    assert len(rows) == 10
    assert len(rows[0]["t"]) == 201


def test_a_query_that_returns_no_key_shows_none(spoiled: Path) -> None:
    """It fails as it would without."""
    checks = {"row_count": False, "sql": {"count": "SELECT count(*) AS n FROM {table}"}}

    found = evaluated(spoiled, asset(USERS, Stream("users", primary_key=(("id",),)), checks=checks))["users:count"]

    assert (found.passed, rows_of(found)) == (False, [])
    assert "query" in found.metadata
