"""One Dagster asset per stream; materialising them runs the whole pipeline once.

An asset's materialization carries what the job claims and what the warehouse shows right after it. Judging the two
against each other is left to the checks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.destinations.tables import TableRef
from airbyte_dagster.errors import (
    AirbyteDagsterError,
    ConfigurationError,
    SyncError,
    WarehouseError,
)
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.apply import Reconciled
from airbyte_dagster.pipelines.asset_specs import StreamAsset, asset_spec, stream_assets, table_ref
from airbyte_dagster.pipelines.reconcile import reconcile_pipeline
from airbyte_dagster.resources import AirbyteResource, WarehouseResource
from airbyte_dagster.runs.checkpoints import RunJobMemory
from airbyte_dagster.runs.config import SyncConfig, triggered
from airbyte_dagster.runs.events import job_events, synced_metadata, unsuccessful
from airbyte_dagster.runs.reported import (
    needs_count,
    progress_line,
    reported_size,
    reported_streams,
    rows_before,
    stream_claims,
)
from airbyte_dagster.sync.runner import Succeeded, SyncRunner, SyncSettings
from airbyte_dagster.warehouse import Table, Warehouse


def sync_op_name(pipeline: spec.AirbytePipeline) -> str:
    """Return the name of the op that syncs, which run config goes by."""
    return f"{pipeline.name}_airbyte_sync"


def build_assets(pipeline: spec.AirbytePipeline, *, airbyte_key: str, warehouse_key: str) -> dg.AssetsDefinition:
    """Build the multi-asset of a pipeline: one op, one asset per stream, any subset of them.

    Args:
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the `WarehouseResource`.
    """
    assets = stream_assets(pipeline)

    @dg.multi_asset(
        name=sync_op_name(pipeline),
        specs=[asset_spec(pipeline, asset) for asset in assets],
        can_subset=True,
        group_name=None,
        required_resource_keys={airbyte_key, warehouse_key},
        description=f"Makes sure that Airbyte has '{pipeline.name}' as declared, syncs it, and reads what arrived.",
    )
    def sync(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[dg.MaterializeResult[Any]]:
        selected = [asset for asset in assets if asset.key in context.selected_asset_keys]
        if len(selected) < len(assets):
            names = ", ".join(asset.key.path[-1] for asset in selected)
            context.log.info(f"Only {names} selected, but Airbyte syncs the whole connection: all streams move.")
        airbyte: AirbyteResource = getattr(context.resources, airbyte_key)
        settings = config.over(triggered(airbyte.sync_settings(), context.run.tags))
        run = _PipelineRun(context, pipeline, airbyte, getattr(context.resources, warehouse_key), settings)
        yield from run.results(selected)

    return sync


@dataclass
class _PipelineRun:
    """One materialization: reconcile, sync, read the warehouse."""

    context: dg.AssetExecutionContext
    pipeline: spec.AirbytePipeline
    airbyte: AirbyteResource
    warehouse: WarehouseResource
    settings: SyncSettings

    def results(self, selected: Sequence[StreamAsset]) -> Iterator[dg.MaterializeResult[Any]]:
        log = self.context.log
        reconciled = reconcile_pipeline(self.context, self.pipeline, self.airbyte)
        streams = {asset.key: asset.matching(reconciled.connection_record) for asset in selected}
        refs = {stream.key: table_ref(self.pipeline, stream) for several in streams.values() for stream in several}
        warehouse = self.warehouse.warehouse()
        before = self._rows_before(warehouse, streams, refs)
        memory = RunJobMemory(
            self.context.instance,
            self.context.run.run_id,
            is_used_up=lambda connection_id, job_id: self._was_recorded_for_us(selected, connection_id, job_id),
        )
        done = self._sync(reconciled, memory)
        stats = self._reported(done.job)
        reported = {key: item.rows for key, item in stats.items()}
        try:
            tables: dict[StreamKey, Table | None] | None = warehouse.inspect(refs)
        except (WarehouseError, ConfigurationError) as error:
            log.warning(f"The sync succeeded, but what arrived could not be read: {error}")
            tables = None
        links = self._links(reconciled)
        for asset in selected:
            claims = stream_claims(streams[asset.key], reported, before if done.origin == "new" else {})
            found = None if tables is None else [tables[stream.key] for stream in streams[asset.key]]
            metadata = synced_metadata(claims, found, done.job, links, size=reported_size(claims, stats))
            yield dg.MaterializeResult(asset_key=asset.key, metadata=metadata)
        memory.done(reconciled.connection.id)

    def _sync(self, reconciled: Reconciled, memory: RunJobMemory) -> Succeeded:
        runner = sync_runner(self.context, self.airbyte.client(), memory, self.settings)
        connection_id, links = reconciled.connection.id, self._links(reconciled)
        try:
            return runner.run(connection_id)
        except SyncError as error:
            # Airbyte moves all streams of a connection, and fails all of them, whichever were selected.
            for asset in stream_assets(self.pipeline):
                self.context.log_event(
                    unsuccessful(
                        asset.key,
                        str(error),
                        job_id=error.job_id,
                        status=error.status,
                        connection_id=connection_id,
                        links=links,
                    )
                )
            raise dg.Failure(
                description=str(error),
                metadata={
                    "airbyte/job_id": error.job_id,
                    "airbyte/job_status": error.status,
                    "airbyte/job": dg.MetadataValue.url(links.job(connection_id, error.job_id)),
                },
            ) from error

    def _was_recorded_for_us(self, selected: Sequence[StreamAsset], connection_id: str, job_id: int) -> bool:
        """Whether a sensor recorded a job of the run that this one retries: then a new sync is wanted."""
        instance = self.context.instance
        found = [
            [
                event
                for event in job_events(instance, asset.key, connection_id=connection_id, since_job=job_id)
                if event.job_id == job_id and event.status == "succeeded"
            ]
            for asset in selected
        ]
        return all(found) and any(not event.run_id for events in found for event in events)

    def _links(self, reconciled: Reconciled) -> Links:
        return Links(self.airbyte.client().settings.server_url, reconciled.workspace.id)

    def _rows_before(
        self,
        warehouse: Warehouse,
        streams: Mapping[dg.AssetKey, Sequence[records.Stream]],
        refs: Mapping[StreamKey, TableRef],
    ) -> dict[StreamKey, int]:
        counted = {
            stream.key: refs[stream.key] for several in streams.values() for stream in several if needs_count(stream)
        }
        return rows_before(warehouse, counted, warn=self.context.log.warning)

    def _reported(self, job: records.Job) -> dict[StreamKey, records.StreamStats]:
        try:
            return reported_streams(self.airbyte.client(), job)
        except AirbyteDagsterError as error:
            self.context.log.warning(f"Airbyte did not tell the rows of each stream: {error}")
            return {}


def sync_runner(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    client: AirbyteClient,
    memory: RunJobMemory,
    settings: SyncSettings,
) -> SyncRunner:
    """Return a runner that remembers its job in the run's tags and logs progress to the run."""
    return SyncRunner(
        client,
        settings,
        memory=memory,
        log=context.log.info,
        warn=context.log.warning,
        on_progress=lambda job: context.log.info(progress_line(job)),
    )
