"""A sensor that shows in Dagster what Airbyte synced by itself: on its schedule, from its pages, for other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg

from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.runs.targets import TargetsOf
from airbyte_dagster.sensors.cursor import digest
from airbyte_dagster.sensors.job_recorder import JobRecorder
from airbyte_dagster.sensors.target import check_declaration
from airbyte_dagster.warehouse import warehouse_at


def build_job_sensor(
    targets_of: TargetsOf,
    keys: Sequence[dg.AssetKey],
    *,
    name: str,
    airbyte_key: str,
    warehouse_key: str | None,
    minimum_interval_seconds: int,
    default_status: dg.DefaultSensorStatus,
    executor: dg.ExecutorDefinition | None,
    description: str,
) -> dg.SensorDefinition:
    """Build the sensor for whatever assets there are for connections; see `build_airbyte_sync_sensor`.

    Args:
        targets_of: Finds the assets of a connection.
        keys: All assets that it may find.
        name: Of the sensor.
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the warehouse; ``None`` if there is none to look into.
        minimum_interval_seconds: Time between ticks.
        default_status: Whether it is on from the start.
        executor: Of the checks.
        description: Shown in Dagster.
    """
    check_declaration(name, minimum_interval_seconds)
    recorder = JobRecorder(targets_of)
    checks = dg.define_asset_job(
        f"{name}_checks",
        selection=dg.AssetSelection.checks_for_assets(*keys),
        executor_def=executor or dg.in_process_executor,
        description=f"The checks of the assets that the sensor {name} records syncs of.",
    )

    @dg.sensor(
        name=name,
        job=checks,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys={airbyte_key, warehouse_key} if warehouse_key else {airbyte_key},
        description=description,
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _evaluated(context, recorder, name, airbyte_key, warehouse_key)

    return tick


def _evaluated(
    context: dg.SensorEvaluationContext, recorder: JobRecorder, name: str, airbyte_key: str, warehouse_key: str | None
) -> dg.SensorResult | dg.SkipReason:
    try:
        outcome = recorder.tick(
            getattr(context.resources, airbyte_key),
            partial(warehouse_at, context.resources, warehouse_key) if warehouse_key else None,
            context.instance,
            context.cursor,
            warn=context.log.warning,
        )
    except AirbyteDagsterError as error:
        return dg.SkipReason(str(error))
    requests = _check_requests(context, name, outcome.to_check)
    return dg.SensorResult(
        asset_events=list(outcome.events),
        run_requests=requests or None,
        skip_reason=None if requests else dg.SkipReason(outcome.summary),
        cursor=outcome.cursor.to_json(),
    )


def _check_requests(
    context: dg.SensorEvaluationContext, name: str, to_check: Mapping[dg.AssetKey, int]
) -> list[dg.RunRequest]:
    """Return the request of one run for all checks of some assets; none if they have none.

    The daemon writes the events before it launches the run. If it ends in between, the next tick asks for the same.
    """
    repository: Any = context.repository_def
    if not to_check or repository is None:
        return []
    checks = dg.AssetSelection.checks_for_assets(*to_check).resolve_checks(repository.asset_graph)
    reasons = sorted(f"{key.to_user_string()}={job_id}" for key, job_id in to_check.items())
    run_key = f"{name}:{max(to_check.values())}:{digest(' '.join(reasons))}"
    return [dg.RunRequest(run_key=run_key, asset_check_keys=sorted(checks))] if checks else []
