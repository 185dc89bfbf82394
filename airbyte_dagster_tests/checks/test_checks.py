"""Checks, each proved by breaking the data for real: rows lost, doubled, nulled; columns and tables dropped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import AirbytePipeline, build_pipeline_defs
from airbyte_dagster.pipelines.assets import pipeline_op
from airbyte_dagster.runs.sync_op import build_sync_op, utc_now
from airbyte_dagster_tests.conftest import pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import ROWS, definitions_of, run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte

ALL = {
    "moved_something": True,
    "unique_key": True,
    "not_null": {"columns": ["name"]},
    "fresh": {"within": "1h"},
    "schema": True,
    "expected_range": {"min": 10, "max": 100},
    "sql": {"no_user_7": "SELECT * FROM {table} WHERE id = 7 AND name <> 'User 7';"},
}
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def users(server: RunningAirbyte, *, checks: Any = None, mode: str = "full_refresh_overwrite") -> AirbytePipeline:
    """A pipeline of one stream, with all checks unless told otherwise."""
    server.engine.add("faker", {"users": list(ROWS)})
    pipeline = pipeline_of(server, streams=({"name": "users", "sync_mode": mode},))
    return AirbytePipeline(**{**dict(pipeline), "checks": ALL if checks is None else checks})


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def run_checks(
    server: RunningAirbyte,
    instance: dg.DagsterInstance,
    pipeline: AirbytePipeline,
    *names: str,
    now: Callable[[], dt.datetime] = utc_now,
) -> dict[str, dg.AssetCheckEvaluation]:
    """Run checks by themselves, all or those named, as the UI does: no sync."""
    op = pipeline_op(pipeline, airbyte_key="airbyte", warehouse_key="motherduck", now=now)
    selection = (
        dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(["example", "users"]), name) for name in names))
        if names
        else dg.AssetSelection.all_asset_checks()
    )
    definitions = dg.Definitions(
        assets=[build_sync_op(op)],
        resources={"airbyte": resource_of(server), "motherduck": warehouse_of(server, lock_timeout=5)},
        jobs=[dg.define_asset_job("checks", selection=selection)],
    )
    job = definitions.resolve_job_def("checks")
    return evaluations(job.execute_in_process(instance=instance, raise_on_error=False))


def spoil(server: RunningAirbyte, *statements: str) -> None:
    with duckdb.connect(str(server.home.warehouse)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_all_pass_on_what_a_sync_brought(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The second time, when there are columns to compare with; each has its numbers and its rule."""
    pipeline = users(airbyte)
    definitions = definitions_of(airbyte, pipeline)
    run_sync(definitions, instance)

    found = evaluations(run_sync(definitions, instance))

    assert {name: check.passed for name, check in found.items()} == dict.fromkeys(
        (
            *("row_count", "moved_something", "unique_key", "not_null", "fresh", "schema", "values_kept"),
            *("expected_range", "no_user_7"),
        ),
        True,
    )
    assert [check.blocking for check in found.values() if check.check_name == "row_count"] == [True]
    numbers: dict[str, dict[str, Any]] = {
        name: {key: value.value for key, value in check.metadata.items() if key != "airbyte/job_id"}
        for name, check in found.items()
    }
    assert numbers["row_count"] == {
        "rows_in_warehouse": 10,
        "rows_reported": 10,
        "sync_mode": "full_refresh_overwrite",
    }
    assert numbers["moved_something"] == {"rows_reported": 10, "job_rows": 10, "min_rows_synced": 1}
    assert numbers["unique_key"] == {"rows_in_warehouse": 10, "distinct_keys": 10, "duplicate_rows": 0}
    assert numbers["not_null"] == {"rows_in_warehouse": 10, "nulls_in_id": 0, "nulls_in_name": 0}
    assert numbers["fresh"]["within_seconds"] == 3600
    assert 0 <= numbers["fresh"]["age_seconds"] < 3600
    assert numbers["expected_range"] == {"rows_in_warehouse": 10, "min": 10, "max": 100}
    assert numbers["no_user_7"] == {"violations": 0}


@pytest.mark.parametrize(
    ("statement", "failing"),
    [
        (
            "DELETE FROM users WHERE id > 6",
            {
                "row_count": "users has 6 rows, Airbyte reports 10: 4 missing.",
                "expected_range": "users has 6 rows; 10 to 100 expected.",
            },
        ),
        (
            "INSERT INTO users SELECT * FROM users",
            {
                "row_count": "users has 20 rows, Airbyte reports 10: 10 too many.",
                "unique_key": "users has 10 rows too many for 10 distinct keys (id).",
            },
        ),
        ("UPDATE users SET id = NULL WHERE id < 4", {"not_null": "users has nulls: 3 in id, of 10 rows."}),
        (
            "UPDATE users SET name = NULL",
            {
                "not_null": "users has nulls: 10 in name, of 10 rows.",
                "schema": "users: name had values and has only NULL now, as after a rename in the source.",
            },
        ),
        (
            "UPDATE users SET _airbyte_extracted_at = _airbyte_extracted_at - INTERVAL 2 HOUR",
            {"fresh": "The newest _airbyte_extracted_at of users is 2 h"},
        ),
        (
            "ALTER TABLE users DROP COLUMN name",
            {
                "not_null": "users has no column name.",
                "schema": "users: name is gone.",
                "no_user_7": "The query can't be run: ",
            },
        ),
        (
            "ALTER TABLE users ALTER updated_at TYPE DATE",
            {"schema": "users: updated_at was VARCHAR and is DATE."},
        ),
        ("UPDATE users SET name = 'somebody else' WHERE id = 7", {"no_user_7": "The query returns 1 rows, of 10"}),
        (
            "DROP TABLE users",
            dict.fromkeys(
                (
                    "row_count",
                    "unique_key",
                    "not_null",
                    "fresh",
                    "schema",
                    "values_kept",
                    "expected_range",
                    "no_user_7",
                ),
                "The table of users is missing from the warehouse.",
            ),
        ),
        (
            "DELETE FROM users",
            {
                "row_count": "users has 0 rows, Airbyte reports 10: 10 missing.",
                "fresh": "users has no rows.",
                "expected_range": "users has 0 rows",
            },
        ),
    ],
)
def test_broken_data_fails_the_checks_that_look_at_it(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, statement: str, failing: dict[str, str]
) -> None:
    """By themselves, with no sync; the others pass, and each says what it found."""
    pipeline = users(airbyte)
    run_sync(definitions_of(airbyte, pipeline), instance)
    spoil(airbyte, statement)

    found = run_checks(airbyte, instance, pipeline)

    assert {name for name, check in found.items() if not check.passed} == set(failing)
    for name, said in failing.items():
        assert found[name].severity is (WARN if name == "values_kept" or "had values" in said else ERROR)
        assert (found[name].description or "").startswith(said), found[name].description
    assert len(airbyte.engine.requests) == 1


def test_a_deduped_table_that_lost_rows_since_its_sync(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Checked alone, by the job made for it, it is held against what was counted right after the sync."""
    pipeline = users(airbyte, mode="incremental_deduped_history", checks={})
    definitions = definitions_of(airbyte, pipeline)
    first = evaluations(run_sync(definitions, instance))["row_count"]
    spoil(airbyte, "DELETE FROM users WHERE id < 8")

    again = definitions.resolve_job_def("check_example").execute_in_process(instance=instance, raise_on_error=False)

    found = evaluations(again)["row_count"]
    assert first.passed
    assert (found.passed, found.severity) == (False, ERROR)
    assert found.description == "users has 3 rows, but had 10 right after the sync: 7 missing."
    assert len(airbyte.engine.requests) == 1


def test_columns_that_are_new_warn(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Nothing that reads the table breaks."""
    pipeline = users(airbyte)
    run_sync(definitions_of(airbyte, pipeline), instance)
    spoil(airbyte, "ALTER TABLE users ADD COLUMN extra INTEGER")

    schema = run_checks(airbyte, instance, pipeline, "schema")["schema"]

    assert (schema.passed, schema.severity) == (False, WARN)
    assert schema.description == "users: extra is new."


def test_a_schema_that_the_sync_changed_is_held_against_the_one_before(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """The materialization of the same run has the new columns already; checked later again, the finding is the same."""
    pipeline = users(airbyte, checks={"schema": True, "row_count": False})
    definitions = definitions_of(airbyte, pipeline)
    first = evaluations(run_sync(definitions, instance))["schema"]
    stream = {"name": "users", "selected_fields": ["id", "updated_at"]}
    fewer = AirbytePipeline(**{**dict(pipeline), "connection": {"name": "faker to duck", "streams": [stream]}})

    second = evaluations(run_sync(definitions_of(airbyte, fewer), instance))["schema"]
    again = run_checks(airbyte, instance, pipeline)["schema"]

    assert first.passed
    assert (first.description or "").startswith("users has the ")
    assert (second.passed, second.severity) == (False, ERROR)
    assert second.description == again.description == "users: name is gone."


def test_a_source_that_returned_nothing(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The job succeeded, the counts agree: only the check that expects something tells."""
    pipeline = users(airbyte, checks={"moved_something": {"min_rows_synced": 5}})
    definitions = definitions_of(airbyte, pipeline)
    run_sync(definitions, instance)
    airbyte.engine.add("faker", {"users": ROWS[:0]})

    result = run_sync(definitions, instance)

    found = evaluations(result)
    assert found["row_count"].passed
    assert not found["moved_something"].passed
    assert found["moved_something"].description == (
        "The last sync brought 0 records of users; at least 5 are expected."
    )


def test_a_reset_is_no_sync_that_brought_nothing(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    pipeline = users(airbyte)
    definitions = definitions_of(airbyte, pipeline)
    run_sync(definitions, instance)
    reset = definitions.resolve_job_def("reset_example")
    reset.execute_in_process(instance=instance, run_config={"ops": {"reset": {"config": {"confirm": True}}}})

    found = run_checks(airbyte, instance, pipeline, "moved_something", "row_count")

    assert found["row_count"].passed
    assert (found["moved_something"].passed, found["moved_something"].severity) == (False, WARN)
    assert "the last job was a reset" in (found["moved_something"].description or "")


def test_before_the_first_sync_what_can_be_known_is_checked(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """A table that is there can be measured; what a job reports can't be known yet, and does not pass."""
    pipeline = users(airbyte)
    spoil(airbyte, "CREATE TABLE users AS SELECT i AS id, 'User ' || i AS name FROM range(1, 31) t(i)")

    found = run_checks(airbyte, instance, pipeline)

    assert found["expected_range"].passed
    assert found["no_user_7"].passed
    for name, said in {
        "row_count": "Unverified: no sync has been recorded for this asset yet.",
        "moved_something": "Unverified: no sync has been recorded for this asset yet.",
        "unique_key": "Unverified: no primary key of users is known; declare it, or the check's columns.",
        "schema": "Unverified: no materialization has recorded the columns of users yet.",
    }.items():
        assert (found[name].passed, found[name].severity, found[name].description) == (False, WARN, said)
    assert found["fresh"].description == "users has no column _airbyte_extracted_at."


def test_without_a_warehouse_nothing_is_verified(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Every check warns, with what to do."""
    found = run_checks(airbyte, instance, users(airbyte))

    assert {(check.passed, check.severity) for check in found.values()} == {(False, WARN)}
    said = (
        f"Unverified: There is no database file at {airbyte.home.warehouse}. It is made by the first sync; after that"
    )
    assert all((check.description or "").startswith(said) for check in found.values())


@pytest.mark.parametrize(
    ("severity", "blocking", "downstream_runs"), [("error", True, False), ("error", False, True), ("warn", False, True)]
)
def test_a_blocking_check_stops_what_is_downstream(
    airbyte: RunningAirbyte,
    instance: dg.DagsterInstance,
    severity: str,
    blocking: bool,
    downstream_runs: bool,
) -> None:
    """In the same run; one that does not block lets it go on, and a warning is only that."""
    check = {"max": 5, "severity": severity, "blocking": blocking}
    pipeline = users(airbyte, checks={"expected_range": check})

    @dg.asset(deps=[dg.AssetKey(["example", "users"])])
    def report() -> None: ...

    definitions = dg.Definitions.merge(
        build_pipeline_defs(pipeline, airbyte=resource_of(airbyte), warehouse=warehouse_of(airbyte)),
        dg.Definitions(assets=[report], jobs=[dg.define_asset_job("all", executor_def=dg.in_process_executor)]),
    )
    result = definitions.resolve_job_def("all").execute_in_process(instance=instance, raise_on_error=False)

    found = evaluations(result)["expected_range"]
    assert (found.passed, found.severity) == (False, ERROR if severity == "error" else WARN)
    materialized = {event.materialization.asset_key for event in result.get_asset_materialization_events()}
    assert (dg.AssetKey("report") in materialized) is downstream_runs


def test_freshness_is_told_by_the_clock_and_a_named_column(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """A date or timestamp of any kind; a text can't be known to be one."""
    pipeline = users(airbyte, checks={"row_count": False, "fresh": {"within": "2d", "column": "seen"}})
    noon = dt.datetime(2026, 1, 3, 12, tzinfo=dt.timezone.utc)

    def found(seen: str, now: dt.datetime = noon) -> tuple[bool, str | None]:
        spoil(airbyte, f"CREATE OR REPLACE TABLE users AS SELECT 1 AS id, {seen} AS seen")
        check = run_checks(airbyte, instance, pipeline, now=lambda: now)["fresh"]
        return check.passed, check.description

    assert found("DATE '2026-01-02'") == (True, "The newest seen of users is 1 day 12 h old (limit: 2 days).")
    assert found("TIMESTAMP '2026-01-01 12:00:00'")[0]
    assert not found("TIMESTAMP '2026-01-01 11:59:59'")[0]
    assert not found("TIMESTAMPTZ '2026-01-01 12:00:00+01'")[0]
    assert found("'yesterday'") == (
        False,
        "Unverified: seen of users is VARCHAR, with no date or timestamp in it.",
    )
    assert found("CAST(NULL AS DATE)")[1] == "Unverified: seen of users is DATE, with no date or timestamp in it."


def test_several_streams_of_one_asset_are_told_apart(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """A pipeline that names no streams has one asset: its checks look at each table, and say which is broken."""
    airbyte.engine.add("faker", {"users": list(ROWS), "products": list(ROWS[:4])})
    pipeline = pipeline_of(airbyte, streams=None)
    pipeline = AirbytePipeline(**{**dict(pipeline), "checks": {"unique_key": True, "schema": True}})
    result = run_sync(definitions_of(airbyte, pipeline), instance)
    spoil(airbyte, "INSERT INTO products SELECT * FROM products LIMIT 1")

    found = run_checks(airbyte, instance, pipeline)

    assert {name: check.passed for name, check in evaluations(result).items()} == {
        "row_count": True,
        "unique_key": True,
        "schema": False,
        "values_kept": True,
    }
    assert not found["unique_key"].passed
    assert "products has 1 rows too many for 4 distinct keys (id)." in (found["unique_key"].description or "")
    by_stream: Any = found["unique_key"].metadata["streams"]
    assert {row.data["stream"]: row.data["duplicate_rows"] for row in by_stream.records} == {"users": 0, "products": 1}


def test_a_composite_key_and_a_key_of_ones_own(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Keys are compared as a whole; rows with a null in the key are left to the check for nulls."""
    checks = {"unique_key": {"columns": ["name", "updated_at"]}, "row_count": False}
    pipeline = users(airbyte, checks=checks)
    run_sync(definitions_of(airbyte, pipeline), instance)
    spoil(airbyte, "UPDATE users SET name = 'one'", "UPDATE users SET updated_at = NULL WHERE id > 8")

    assert run_checks(airbyte, instance, pipeline)["unique_key"].passed
    spoil(airbyte, "UPDATE users SET updated_at = 'same' WHERE id IN (1, 2)")
    assert run_checks(airbyte, instance, pipeline)["unique_key"].description == (
        "users has 1 rows too many for 7 distinct keys (name, updated_at)."
    )


def test_tables_of_raw_records_are_checked_within_their_json(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """As Airbyte's own destination-duckdb writes them; a field of the JSON is a column to the checks."""
    pipeline = users(airbyte)
    run_sync(definitions_of(airbyte, pipeline), instance)
    spoil(
        airbyte,
        """CREATE TABLE _airbyte_raw_users AS SELECT _airbyte_raw_id AS _airbyte_ab_id,
           now()::TIMESTAMP AS _airbyte_emitted_at, to_json({'id': id, 'name': name}) AS _airbyte_data FROM users""",
        "DROP TABLE users",
    )
    names = ("row_count", "unique_key", "not_null", "fresh")
    good = run_checks(airbyte, instance, pipeline, *names)
    spoil(
        airbyte,
        """UPDATE _airbyte_raw_users SET _airbyte_data = '{"id": 1, "name": null}'
           WHERE _airbyte_data ->> 'id' IN ('2', '3')""",
    )
    bad = run_checks(airbyte, instance, pipeline, *names)

    assert {name: check.passed for name, check in good.items()} == dict.fromkeys(names, True)
    assert bad["unique_key"].description == "_airbyte_raw_users has 2 rows too many for 8 distinct keys (id)."
    assert bad["not_null"].description == "_airbyte_raw_users has nulls: 2 in name, of 10 rows."


def test_only_what_was_selected_is_asked(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, queries: list[str]
) -> None:
    """One look for the tables and one measurement for all checks of all streams, and one for each declared query."""
    airbyte.engine.add("faker", {name: list(ROWS) for name in ("users", "products", "orders")})
    pipeline = pipeline_of(airbyte, streams=("users", "products", "orders"))
    pipeline = AirbytePipeline(**{**dict(pipeline), "checks": ALL})
    run_sync(definitions_of(airbyte, pipeline), instance)
    queries.clear()
    run_checks(airbyte, instance, pipeline)
    everything = len(queries)
    found = run_checks(airbyte, instance, pipeline, "unique_key")

    assert everything == 2 + 3
    assert len(queries) == everything + 2
    assert set(found) == {"unique_key"}
    assert "extract(epoch" not in queries[-1]


def test_a_pipeline_may_have_no_checks(airbyte: RunningAirbyte) -> None:
    pipeline = users(airbyte, checks={"row_count": False, "values_kept": False})

    definitions = definitions_of(airbyte, pipeline)

    assert not definitions.resolve_asset_graph().asset_check_keys
    dg.Definitions.validate_loadable(definitions)


def test_what_a_check_wants_is_shown(airbyte: RunningAirbyte) -> None:
    """Its rule and its settings are its description."""
    op = build_sync_op(pipeline_op(users(airbyte), airbyte_key="airbyte", warehouse_key="motherduck"))

    described = {spec.name: spec.description for spec in op.check_specs}
    assert described["expected_range"] == "The number of rows lies within the declared bounds. (min: 10, max: 100)"
    assert described["unique_key"] == "No two rows have the same key."
    assert "within: PT1H" in str(described["fresh"])
