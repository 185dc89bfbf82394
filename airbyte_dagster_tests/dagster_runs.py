"""Runs of a pipeline's jobs in this process, and what came of them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg
import duckdb

from airbyte_dagster import AirbytePipeline, build_pipeline_defs
from airbyte_dagster.airbyte import records
from airbyte_dagster_tests.conftest import resource_of, warehouse_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte, ScriptedEngine, ScriptedRun

ROWS = [{"id": i, "name": f"User {i}", "updated_at": f"2026-01-{i:02}"} for i in range(1, 11)]


def definitions_of(server: RunningAirbyte, pipeline: AirbytePipeline, **settings: Any) -> dg.Definitions:
    return build_pipeline_defs(
        pipeline, airbyte=resource_of(server, **settings), warehouse=warehouse_of(server, lock_timeout=5)
    )


def a_job(job_id: int = 1, **changes: Any) -> records.Job:
    """A job that succeeded."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    fields = {"id": job_id, "connection_id": "c", "job_type": "sync", "status": "succeeded", "start_time": start}
    return records.Job(**{**fields, **changes})


def run_sync(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    selection: list[str] | None = None,
    tags: dict[str, str] | None = None,
    job: str = "sync_example",
    run_config: dict[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    keys = [dg.AssetKey(["example", name]) for name in selection] if selection else None
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=keys, tags=tags, run_config=run_config
    )


def with_job(definitions: dg.Definitions, job: Any) -> dg.Definitions:
    return dg.Definitions(
        asset_checks=definitions.asset_checks,
        assets=definitions.assets,
        resources=definitions.resources,
        jobs=[job],
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.materialization.asset_key.path[-1]: {
            name: int(str(value.value)) if name == "airbyte/job_id" else value.value
            for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """By asset, of all checks but that of changed values, which is on by default, too."""
    return {
        evaluation.asset_key.path[-1]: evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name != "values_kept"
    }


def log_of(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> list[str]:
    return [record.event_log_entry.user_message for record in instance.get_records_for_run(result.run_id).records]


def failures_of(result: dg.ExecuteInProcessResult) -> list[str]:
    texts = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            failure = data.user_failure_data
            texts.append((failure.description if failure else None) or str(data.error))
    return texts


def outputs_of(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.node_name: {name: value.value for name, value in event.step_output_data.metadata.items()}
        for event in result.all_events
        if event.is_successful_output
    }


class LosingRun(ScriptedRun):
    """Reports all rows, but the destination keeps one less of each stream."""

    def _write(self, connection: duckdb.DuckDBPyConnection, plan: Any) -> Any:
        stats = super()._write(connection, plan)
        connection.execute(f'DELETE FROM "{plan.schema}"."{plan.table}" WHERE id = 1')  # noqa: S608
        return stats


class LosingEngine(ScriptedEngine):
    def start(self, request: Any) -> ScriptedRun:
        self.requests.append(request)
        return LosingRun(self, request, None, None)
