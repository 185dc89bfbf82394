"""A sensor that records the syncs of declared pipelines which no run of Dagster's started."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import dagster as dg

from airbyte_dagster.airbyte.records import Connection
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.asset_specs import stream_assets
from airbyte_dagster.pipelines.assets import connection_targets
from airbyte_dagster.runs.targets import ConnectionTargets, TargetsOf
from airbyte_dagster.sensors.sync_sensor import build_job_sensor


def build_airbyte_sync_sensor(
    pipelines: Sequence[spec.AirbytePipeline],
    *,
    name: str = "airbyte_syncs",
    airbyte_key: str = "airbyte",
    warehouse_key: str = "motherduck",
    minimum_interval_seconds: int = 30,
    poll_interval_seconds: int | None = None,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.SensorDefinition:
    """Build a sensor that records the syncs of some pipelines that no run of Dagster's started.

    A sync that succeeded becomes a materialization of each stream's asset, with the metadata that a run would have
    given it; then the asset's checks run. So do the complete streams of one that failed; else one that failed or was
    cancelled becomes an observation with the reason, and so does a reset. Each job is recorded once, whatever restarts
    in between; jobs of our own runs are left to these, and recorded only if a run ended without having done so.

    The first tick only notes where the server's jobs are. A tick costs one call per 100 jobs that changed, whatever
    the number of connections, and a few for each job of a pipeline.

    Args:
        pipelines: Their definitions have to be in the same code location.
        name: Letters, digits and underscores. The checks run in a job ``NAME_checks``, which is made with the sensor.
        airbyte_key: Key of the `AirbyteResource`, the same for all of the pipelines.
        warehouse_key: Key of the warehouse, the same for all of them.
        minimum_interval_seconds: Time between ticks.
        poll_interval_seconds: Time between two looks at Airbyte, where a webhook has syncs recorded when they end (see
            ``airbyte-dagster webhook``); it is looked at with every tick by default. The ticks between request the
            checks of what was recorded, and call nothing.
        default_status: Whether the sensor is on from the start; by default it is to be turned on in Dagster.
        executor: Of the checks; the in-process executor by default.

    Raises:
        ConfigurationError: There is no pipeline, or the name or the interval is not valid.
    """
    if not pipelines:
        raise ConfigurationError(f"The sensor {name!r} has no pipeline.")
    names = ", ".join(pipeline.name for pipeline in pipelines)
    return build_job_sensor(
        pipeline_targets(pipelines),
        [asset.key for pipeline in pipelines for asset in stream_assets(pipeline)],
        name=name,
        airbyte_key=airbyte_key,
        warehouse_key=warehouse_key,
        minimum_interval_seconds=minimum_interval_seconds,
        poll_interval_seconds=poll_interval_seconds,
        default_status=default_status,
        executor=executor,
        description=f"Records the syncs of {names} that Airbyte started by itself, and checks what they brought.",
    )


def pipeline_targets(pipelines: Sequence[spec.AirbytePipeline]) -> TargetsOf:
    """Return what finds the assets of declared pipelines; a connection is known by its name, as everywhere."""
    by_connection = defaultdict(list)
    for pipeline in pipelines:
        by_connection[pipeline.connection.name].append(pipeline)

    def targets_of(connection: Connection) -> ConnectionTargets:
        several = [connection_targets(pipeline, connection) for pipeline in by_connection.get(connection.name, ())]
        return ConnectionTargets(
            tuple(target for targets in several for target in targets.assets),
            tuple(key for targets in several for key in targets.missing),
        )

    return targets_of
