"""One Dagster asset per stream; materialising them runs the whole pipeline once.

An asset's materialization carries what the job claims and what the warehouse shows right after it. Judging the two
against each other is left to the checks.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field

from airbyte_dagster import models, spec
from airbyte_dagster.client import AirbyteClient
from airbyte_dagster.dagster_state import InstanceAppliedStore, RunJobMemory
from airbyte_dagster.errors import (
    AirbyteDagsterError,
    ConfigurationError,
    SyncError,
    WarehouseError,
    WarehouseMissing,
)
from airbyte_dagster.links import Links
from airbyte_dagster.naming import key_columns, table_ref
from airbyte_dagster.reconcile import Reconciled, Reconciler
from airbyte_dagster.recorded import job_events, synced_metadata, unsuccessful
from airbyte_dagster.resource import AirbyteResource
from airbyte_dagster.stream_assets import StreamAsset, asset_spec, stream_assets
from airbyte_dagster.sync import Succeeded, SyncRunner, SyncSettings
from airbyte_dagster.verify import Claim
from airbyte_dagster.warehouse import Table, TableRef, Warehouse
from airbyte_dagster.warehouse_resource import WarehouseResource

_Key = tuple[str | None, str]
_Name = TypeVar("_Name", bound=Hashable)


#: Run tag that says for one run what `SyncSettings.on_running` is.
ON_RUNNING_TAG = "airbyte_dagster/on_running"
_AUTOMATION_TAG = "dagster/from_automation_condition"


class OnRunning(Enum):
    """What to do if the connection syncs already; Dagster's launchpad offers these."""

    attach = "attach"
    fail = "fail"
    wait = "wait"


class SyncConfig(dg.Config):
    """Configuration of a sync, for one run."""

    on_running: OnRunning | None = Field(
        default=None,
        description="If the connection syncs already: watch that job (attach), fail, or wait and start another. "
        "What the resource says, if left out.",
    )
    sync_timeout: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which the job is cancelled. What the resource says, if left out.",
    )

    def over(self, settings: SyncSettings) -> SyncSettings:
        """Return the settings of the resource with what is said here in their place."""
        return replace(
            settings,
            on_running=self.on_running.value if self.on_running else settings.on_running,
            timeout=self.sync_timeout or settings.timeout,
        )


def sync_op_name(pipeline: spec.AirbytePipeline) -> str:
    """Return the name of the op that syncs, which run config goes by."""
    return f"{pipeline.name}_airbyte_sync"


def triggered(settings: SyncSettings, tags: Mapping[str, str]) -> SyncSettings:
    """Return the settings of a run that something new upstream asked for.

    A sync that began before the change brings what was there before it: such a run waits for it and starts its own.
    """
    said = tags.get(ON_RUNNING_TAG) or ("wait" if _AUTOMATION_TAG in tags else None)
    if settings.on_running != "attach" or said not in ("attach", "fail", "wait"):
        return settings
    return replace(settings, on_running=OnRunning(said).value)


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
            tables: dict[_Key, Table | None] | None = warehouse.inspect(refs)
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
        streams: Mapping[dg.AssetKey, Sequence[spec.Stream]],
        refs: Mapping[_Key, TableRef],
    ) -> dict[_Key, int]:
        counted = {
            stream.key: refs[stream.key] for several in streams.values() for stream in several if needs_count(stream)
        }
        return rows_before(warehouse, counted, warn=self.context.log.warning)

    def _reported(self, job: models.Job) -> dict[_Key, models.StreamStats]:
        try:
            return reported_streams(self.airbyte.client(), job)
        except AirbyteDagsterError as error:
            self.context.log.warning(f"Airbyte did not tell the rows of each stream: {error}")
            return {}


def needs_count(stream: spec.Stream) -> bool:
    """Whether the rule of a stream's sync mode needs the rows before the sync."""
    return not stream.sync_mode.startswith("full_refresh_overwrite")


def rows_before(
    warehouse: Warehouse, refs: Mapping[_Name, TableRef], *, warn: Callable[[str], None]
) -> dict[_Name, int]:
    """Count the rows of tables, all in one query; nothing where that can't be.

    Args:
        warehouse: Where they are; one that is missing has no rows.
        refs: The tables, by any name.
        warn: Takes one line for people.
    """
    try:
        found = warehouse.inspect(refs)
    except WarehouseMissing:
        return dict.fromkeys(refs, 0)
    except (WarehouseError, ConfigurationError) as error:
        warn(f"Rows before the sync could not be counted: {error}")
        return {}
    return {name: table.rows if table else 0 for name, table in found.items()}


def reported_streams(client: AirbyteClient, job: models.Job) -> dict[_Key, models.StreamStats]:
    """Return what a job says of each stream, as far as it says it, by namespace and name.

    Streams are there without their namespace, too, for declarations that give none.
    """
    reported: dict[_Key, models.StreamStats] = {}
    for item in client.job_stream_stats(job.id) or ():
        reported[(item.namespace, item.name)] = item
        reported.setdefault((None, item.name), item)
    return reported


def reported_size(claims: Sequence[Claim], stats: Mapping[_Key, models.StreamStats]) -> int | None:
    """Return the bytes that a job reports of some streams together; ``None`` where those of one are not known.

    Args:
        stats: From `reported_streams`.
    """
    found = [stats.get(claim.key, stats.get((None, claim.stream))) for claim in claims]
    known = [item.bytes for item in found if item is not None and item.bytes is not None]
    return sum(known) if known and len(known) == len(found) else None


def stream_claims(
    streams: Sequence[spec.Stream], reported: Mapping[_Key, int], before: Mapping[_Key, int]
) -> list[Claim]:
    """Return what a job claims of some streams.

    Args:
        reported: Rows that the job reports, by the keys of `reported_streams`.
        before: Rows in the tables before the job, where they are known.
    """
    return [
        Claim(
            stream.name,
            stream.sync_mode,
            reported.get(stream.key, reported.get((None, stream.name))),
            before.get(stream.key),
            stream.namespace,
            key_columns(stream),
        )
        for stream in streams
    ]


def reconcile_pipeline(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, pipeline: spec.AirbytePipeline, airbyte: AirbyteResource
) -> Reconciled:
    """Make Airbyte have a pipeline as declared, telling each step in the run's log."""
    workspace = airbyte.find_workspace()
    context.log.info(f"Workspace {workspace.name!r} ({workspace.id})")
    return reconciler(context, airbyte).reconcile(pipeline, workspace)


def reconciler(context: dg.AssetExecutionContext | dg.OpExecutionContext, airbyte: AirbyteResource) -> Reconciler:
    """Return a reconciler that keeps its records in the instance and logs to the run."""
    return Reconciler(
        airbyte.client(),
        InstanceAppliedStore(context.instance),
        key=airbyte.fingerprint_key(),
        log=context.log.info,
    )


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


def progress_line(job: models.Job) -> str:
    """Say in one line where a job is."""
    parts = [f"Job {job.id} {job.status}"]
    if job.rows is not None:
        parts.append(f"{job.rows:,} rows")
    if job.bytes is not None:
        parts.append(f"{job.bytes:,} bytes")
    if job.duration:
        parts.append(f"{job.duration:.0f} s")
    return " · ".join(parts)
