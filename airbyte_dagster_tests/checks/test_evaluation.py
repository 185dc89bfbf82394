"""The evaluation of checks over a real DuckDB file, with what was recorded before given directly."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.checks.evaluation import Evaluation
from airbyte_dagster.checks.history import RecordedJob
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.table_rules import RecordedColumns
from airbyte_dagster.checks.targets import CheckedAsset, checks_of
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.pipelines.spec import Connection
from airbyte_dagster.warehouse import DuckDBWarehouse

NOON = dt.datetime(2026, 1, 3, 12, tzinfo=dt.timezone.utc)
USERS, ORDERS = dg.AssetKey("users"), dg.AssetKey("orders")


@dataclass
class Recorded:
    """What was recorded of assets; a key of ``broken`` can't be read."""

    jobs: Mapping[dg.AssetKey, RecordedJob] = field(default_factory=dict)
    recorded_columns: list[RecordedColumns] = field(default_factory=list)
    broken: dg.AssetKey | None = None

    def last_job(self, key: dg.AssetKey) -> RecordedJob | None:
        if key == self.broken:
            raise KeyError("sync_mode")
        return self.jobs.get(key)

    def columns(self, key: dg.AssetKey) -> list[RecordedColumns]:
        del key  # there is one
        return self.recorded_columns[:2]


def asset(key: dg.AssetKey, *streams: Stream, checks: Any = None, **connection: Any) -> CheckedAsset:
    known = streams or (Stream(key.to_user_string()),)
    settings = Connection(name="c", **connection)
    places = TablePlaces.of("duckdb", {}, settings, known)
    return CheckedAsset(key, known, Checks.of(checks), places.ref, "c", len(known))


def job(*reports: ReportedStats, **settings: Any) -> RecordedJob:
    return RecordedJob(reports, settings.pop("total", None), None, is_reset=False, job_id=7, **settings)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "lms.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name in ("users", "orders"):
            rows = "SELECT i AS id, TIMESTAMP '2026-01-03' AS seen FROM range(3) t(i)"
            connection.execute(f"CREATE TABLE {name} AS {rows}")
    return path


def evaluated(
    database: Path,
    *assets: CheckedAsset,
    history: Recorded | None = None,
    just_ended: Mapping[dg.AssetKey, RecordedJob] | None = None,
) -> dict[str, dg.AssetCheckResult]:
    """Evaluate all checks of some assets; ``ASSET:CHECK`` → result."""
    evaluation = Evaluation(history or Recorded(), checks_of(assets), NOON, just_ended)
    results = evaluation.run(DuckDBWarehouse(str(database)))
    return {
        f"{result.asset_key.to_user_string()}:{result.check_name}": result for result in results if result.asset_key
    }


def test_the_job_that_a_check_is_about_is_in_its_metadata(database: Path) -> None:
    """Whether it is recorded or has just ended; without a job there is no number."""
    report = ReportedStats("users", "full_refresh_overwrite", 3)
    recorded = evaluated(database, asset(USERS), history=Recorded({USERS: job(report)}))["users:row_count"]
    ended = evaluated(database, asset(USERS), just_ended={USERS: replace(job(report), job_id=8)})["users:row_count"]
    never = evaluated(database, asset(USERS))["users:row_count"]

    assert (recorded.passed, recorded.metadata["airbyte/job_id"].value) == (True, "7")
    assert ended.metadata["airbyte/job_id"].value == "8"
    assert (never.passed, "airbyte/job_id" in never.metadata) == (False, False)


def test_a_value_beyond_the_year_9999_stops_no_other_check(database: Path) -> None:
    """The check says what it saw; all others are evaluated."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE users SET seen = TIMESTAMP '12000-01-01'")
    checks = {"row_count": False, "fresh": {"within": "1d", "column": "seen"}, "expected_range": {"min": 3}}

    found = evaluated(database, asset(USERS, checks=checks), asset(ORDERS, checks=checks))

    assert {name: result.passed for name, result in found.items()} == {
        "users:fresh": False,
        "users:expected_range": True,
        "orders:fresh": True,
        "orders:expected_range": True,
    }
    assert found["users:fresh"].severity is dg.AssetCheckSeverity.WARN
    assert "newest seen of users is 12000-01-01 00:00:00" in str(found["users:fresh"].description)


def test_what_is_recorded_wrongly_of_one_asset_stops_no_other(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its checks are unverified, with the error, which is logged."""
    found = evaluated(
        database,
        asset(USERS),
        asset(ORDERS),
        history=Recorded({ORDERS: job(ReportedStats("orders", "full_refresh_overwrite", 3))}, broken=USERS),
    )

    assert found["orders:row_count"].passed
    assert found["users:row_count"].description == (
        "Unverified: something unexpected was raised: KeyError: 'sync_mode'"
    )
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_rule_that_raises_stops_no_other(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That check alone is unverified."""
    monkeypatch.setattr("airbyte_dagster.checks.table_rules._length", lambda time: 1 / 0 if time else "")
    checks = {"row_count": False, "fresh": {"within": "1d", "column": "seen"}, "expected_range": {"min": 3}}

    found = evaluated(database, asset(USERS, checks=checks))

    assert found["users:expected_range"].passed
    assert (found["users:fresh"].passed, found["users:fresh"].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "ZeroDivisionError" in str(found["users:fresh"].description)


def test_a_namesake_lends_neither_rows_nor_a_key(database: Path) -> None:
    """Two streams of one name in two namespaces: each has its own table and numbers, or is unverified."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA schema1")
        connection.execute("CREATE TABLE schema1.account AS SELECT 1 AS id FROM range(2)")
        connection.execute("CREATE TABLE account AS SELECT 1 AS code")
    one = Stream("account", "schema1", primary_key=(("id",),))
    two = Stream("account", "schema2", primary_key=(("code",),))
    whole = asset(USERS, one, two, checks={"unique_key": True, "moved_something": True}, namespace_definition="source")
    reports = (
        ReportedStats("account", one.sync_mode, 2, namespace="schema1"),
        ReportedStats("account", two.sync_mode, None, namespace="schema2"),
    )

    found = evaluated(database, whole, history=Recorded({USERS: job(*reports)}))

    table: Any = found["users:row_count"].metadata["streams"]
    assert [record.data["stream"] for record in table.records] == ["schema1.account", "schema2.account"]
    assert found["users:row_count"].description == (
        "account has 2 rows, Airbyte reports 2. Unverified: account: main.account may be the table of another stream "
        "of the connection."
    )
    assert "account has 1 rows too many for 1 distinct keys (id)." in str(found["users:unique_key"].description)
    assert "(code)" not in str(found["users:unique_key"].description)
    assert "Unverified: Airbyte does not report" in str(found["users:moved_something"].description)


def test_a_stream_without_a_namespace_is_the_one_of_its_name(database: Path) -> None:
    """If the job has one; of two it can't be told which."""
    reports = [ReportedStats("users", "full_refresh_overwrite", 3, namespace=namespace) for namespace in ("a", "b")]

    one = evaluated(database, asset(USERS), history=Recorded({USERS: job(reports[0])}))["users:row_count"]
    two = evaluated(database, asset(USERS), history=Recorded({USERS: job(*reports)}))["users:row_count"]

    assert one.passed
    assert (two.passed, two.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert two.description == (
        "Unverified: the last job has several streams named users: a.users, b.users. "
        "Declare the stream with its namespace."
    )


@pytest.mark.parametrize("is_recorded_first", [True, False])
def test_a_change_of_the_columns_fails_once(database: Path, *, is_recorded_first: bool) -> None:
    """The same where the job is recorded before its checks run, as in a pipeline, and where it is after."""
    history, passed = Recorded(), list[bool]()
    for change in ("", "", "ALTER TABLE users ALTER id TYPE VARCHAR", "", ""):
        with duckdb.connect(str(database)) as connection:
            if change:
                connection.execute(change)
            columns = {row[0]: row[1] for row in connection.execute("DESCRIBE users").fetchall()}
        if is_recorded_first:
            history.recorded_columns.insert(0, RecordedColumns(columns))
        report = ReportedStats("users", "full_refresh_overwrite", 3)
        found = evaluated(
            database,
            asset(USERS, checks={"schema": True}),
            history=history,
            just_ended=None if is_recorded_first else {USERS: job(report)},
        )
        passed.append(found["users:schema"].passed)
        if not is_recorded_first:
            history.recorded_columns.insert(0, RecordedColumns(columns))

    assert passed == [True, True, False, True, True]


def test_the_total_of_a_job_is_no_part_of_it(database: Path) -> None:
    """It is held against all tables of the connection together, and decides nothing while one is not looked at."""
    unknown = {
        key: job(ReportedStats(key.to_user_string(), "full_refresh_overwrite", None), total=6)
        for key in (USERS, ORDERS)
    }
    history = Recorded({**unknown, USERS: replace(unknown[USERS], total=3)})
    users, orders = (replace(asset(key), streams_of_connection=2) for key in (USERS, ORDERS))

    alone = evaluated(database, users, history=history)["users:row_count"]
    both = evaluated(database, users, orders, history=Recorded(unknown))

    assert not alone.passed
    assert "Airbyte reports no rows of the single stream" in str(alone.description)
    assert [both[f"{name}:row_count"].passed for name in ("users", "orders")] == [True, True]


def test_the_total_of_a_job_is_of_its_connection(database: Path) -> None:
    """It is not held against tables of another one, nor at all where the single stream has a number."""
    unknown = {
        key: job(ReportedStats(key.to_user_string(), "full_refresh_overwrite", None), total=3)
        for key in (USERS, ORDERS)
    }
    known = {USERS: job(ReportedStats("users", "full_refresh_overwrite", 3), total=99)}

    found = evaluated(database, asset(USERS), replace(asset(ORDERS), connection="another"), history=Recorded(unknown))

    assert [found[f"{name}:row_count"].passed for name in ("users", "orders")] == [True, True]
    assert evaluated(database, asset(USERS), history=Recorded(known))["users:row_count"].passed


def test_the_rows_of_several_streams_together_are_those_of_none(database: Path) -> None:
    """What was counted right after the sync is one number of an asset: by it, neither of two tables has lost rows."""
    mode = "incremental_deduped_history"
    both = asset(USERS, *(Stream(name, sync_mode=mode) for name in ("users", "orders")))
    recorded = replace(job(*(ReportedStats(name, mode, 3, 0) for name in ("users", "orders"))), row_count=6)

    assert evaluated(database, both, history=Recorded({USERS: recorded}))["users:row_count"].passed
