"""A sensor that shows in Dagster what Airbyte synced by itself: on its schedule, from its pages, for other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.runs.targets import TargetsOf
from airbyte_dagster.sensors.cursor import digest
from airbyte_dagster.sensors.job_recorder import JobRecorder
from airbyte_dagster.sensors.noted import NotedJobs
from airbyte_dagster.sensors.target import check_declaration
from airbyte_dagster.warehouse import warehouse_at


@dataclass(frozen=True)
class SyncSensor:
    """What the sync sensor of definitions records, for those who record the same for another reason.

    Attributes:
        name: Of the sensor.
        targets_of: Finds the assets of a connection.
        keys: All assets that it may find.
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the warehouse; ``None`` if there is none to look into.
    """

    name: str
    targets_of: TargetsOf
    keys: Sequence[dg.AssetKey]
    airbyte_key: str
    warehouse_key: str | None

    def notes(self, instance: dg.DagsterInstance) -> NotedJobs:
        """Return what is noted for the sensor in an instance."""
        return NotedJobs(instance, self.name, self.keys)


def sync_sensors(definitions: dg.Definitions) -> list[SyncSensor]:
    """Return what the sync sensors of definitions record, in the process that has built them."""
    found = [sensor.metadata.get(_METADATA) for sensor in definitions.get_repository_def().sensor_defs]
    objects = [value.instance for value in found if isinstance(value, ObjectMetadataValue)]
    return [item for item in objects if isinstance(item, SyncSensor)]


_METADATA = "airbyte_dagster/SyncSensor"


def build_job_sensor(
    targets_of: TargetsOf,
    keys: Sequence[dg.AssetKey],
    *,
    name: str,
    airbyte_key: str,
    warehouse_key: str | None,
    minimum_interval_seconds: int,
    poll_interval_seconds: int | None = None,
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
        poll_interval_seconds: Time between looks at Airbyte; with every tick by default.
        default_status: Whether it is on from the start.
        executor: Of the checks.
        description: Shown in Dagster.
    """
    check_declaration(name, minimum_interval_seconds)
    if poll_interval_seconds is not None and poll_interval_seconds < minimum_interval_seconds:
        raise ConfigurationError(
            f"poll_interval_seconds of the sensor {name!r} is {poll_interval_seconds}, less than the "
            f"{minimum_interval_seconds} s between its ticks.",
            guidance="Leave it out: then Airbyte is looked at with every tick.",
        )
    declared = SyncSensor(name, targets_of, keys, airbyte_key, warehouse_key)
    recorder = JobRecorder(targets_of, poll_interval=poll_interval_seconds)
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
        metadata={_METADATA: ObjectMetadataValue(declared)},
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _evaluated(context, recorder, declared)

    return tick


def _evaluated(
    context: dg.SensorEvaluationContext, recorder: JobRecorder, declared: SyncSensor
) -> dg.SensorResult | dg.SkipReason:
    key = declared.warehouse_key
    try:
        outcome = recorder.tick(
            getattr(context.resources, declared.airbyte_key),
            partial(warehouse_at, context.resources, key) if key else None,
            context.instance,
            context.cursor,
            warn=context.log.warning,
            notes=declared.notes(context.instance),
        )
    except AirbyteDagsterError as error:
        return dg.SkipReason(str(error))
    # The events are written already: the daemon would write them later, when another writer may have been faster.
    requests = _check_requests(context, declared.name, outcome.to_check)
    return dg.SensorResult(
        run_requests=requests or None,
        skip_reason=None if requests else dg.SkipReason(outcome.summary),
        cursor=outcome.cursor.to_json(),
    )


def _check_requests(
    context: dg.SensorEvaluationContext, name: str, to_check: Mapping[dg.AssetKey, int]
) -> list[dg.RunRequest]:
    """Return the request of one run for all checks of some assets; none if they have none.

    The events are written before the run is launched. If the daemon ends in between, the next tick asks for the same.
    """
    repository: Any = context.repository_def
    if not to_check or repository is None:
        return []
    checks = dg.AssetSelection.checks_for_assets(*to_check).resolve_checks(repository.asset_graph)
    reasons = sorted(f"{key.to_user_string()}={job_id}" for key, job_id in to_check.items())
    run_key = f"{name}:{max(to_check.values())}:{digest(' '.join(reasons))}"
    return [dg.RunRequest(run_key=run_key, asset_check_keys=sorted(checks))] if checks else []
