"""One Dagster asset per stream; materialising them runs the whole pipeline once.

An asset's materialization carries what the job claims and what the warehouse shows right after it. Judging the two
against each other is left to the checks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg

from airbyte_dagster import models, spec
from airbyte_dagster.configuration import declared_value
from airbyte_dagster.dagster_state import InstanceAppliedStore, RunJobMemory
from airbyte_dagster.errors import (
    AirbyteDagsterError,
    ConfigurationError,
    SpecError,
    SyncError,
    WarehouseError,
    WarehouseMissing,
)
from airbyte_dagster.links import Links
from airbyte_dagster.naming import dagster_name, table_ref
from airbyte_dagster.reconcile import Reconciled, Reconciler
from airbyte_dagster.resource import AirbyteResource, MotherDuckResource
from airbyte_dagster.sync import Succeeded, SyncRunner
from airbyte_dagster.verify import Claim
from airbyte_dagster.warehouse import MOTHERDUCK_PREFIXES, Table, TableRef, Warehouse

_Key = tuple[str | None, str]

#: Materialization metadata that the checks read: one entry per stream, see `claims_to_json`.
STREAMS_METADATA = "airbyte/streams"
#: Rows that the whole job reports.
JOB_ROWS_METADATA = "airbyte/job_rows"


@dataclass(frozen=True)
class StreamAsset:
    """An asset of a pipeline.

    Attributes:
        streams: The stream that it stands for; empty where the declaration names none: then one asset stands for the
            whole connection, since the streams are known only to Airbyte.
    """

    key: dg.AssetKey
    streams: tuple[spec.Stream, ...]

    def matching(self, connection: models.Connection) -> tuple[spec.Stream, ...]:
        """Return the streams, taken from the connection where the declaration names none."""
        if self.streams:
            return self.streams
        return tuple(
            spec.Stream.model_construct(
                name=stream.name,
                namespace=stream.namespace,
                sync_mode=cast("spec.SyncMode", stream.sync_mode or "full_refresh_overwrite"),
                primary_key=stream.primary_key,
            )
            for stream in connection.streams
        )


def stream_assets(pipeline: spec.AirbytePipeline) -> tuple[StreamAsset, ...]:
    """Return the assets of a pipeline, keyed ``PIPELINE/STREAM`` (``PIPELINE/NAMESPACE/STREAM`` with a namespace).

    Raises:
        SpecError: Two streams would have one key.
    """
    if pipeline.connection.streams is None:
        return (StreamAsset(dg.AssetKey([pipeline.name]), ()),)
    assets: dict[dg.AssetKey, StreamAsset] = {}
    for stream in pipeline.connection.streams:
        parts = [stream.namespace, stream.name] if stream.namespace else [stream.name]
        key = dg.AssetKey([pipeline.name, *map(dagster_name, parts)])
        if key in assets:
            raise SpecError(
                f"The streams {assets[key].streams[0].name!r} and {stream.name!r} of pipeline {pipeline.name!r} "
                f"would both be the asset {key.to_user_string()!r}.",
                guidance="Give them to two pipelines.",
            )
        assets[key] = StreamAsset(key, (stream,))
    return tuple(assets.values())


def build_assets(pipeline: spec.AirbytePipeline, *, airbyte_key: str, warehouse_key: str) -> dg.AssetsDefinition:
    """Build the multi-asset of a pipeline: one op, one asset per stream, any subset of them.

    Args:
        airbyte_key: Key of the `AirbyteResource`.
        warehouse_key: Key of the `MotherDuckResource`.
    """
    assets = stream_assets(pipeline)

    @dg.multi_asset(
        name=f"{pipeline.name}_airbyte_sync",
        specs=[_asset_spec(pipeline, asset) for asset in assets],
        can_subset=True,
        group_name=None,
        required_resource_keys={airbyte_key, warehouse_key},
        description=f"Makes sure that Airbyte has {pipeline.name} as declared, syncs it, and reads what arrived.",
    )
    def sync(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        selected = [asset for asset in assets if asset.key in context.selected_asset_keys]
        if len(selected) < len(assets):
            names = ", ".join(asset.key.path[-1] for asset in selected)
            context.log.info(f"Only {names} selected, but Airbyte syncs the whole connection: all streams move.")
        run = _PipelineRun(
            context, pipeline, getattr(context.resources, airbyte_key), getattr(context.resources, warehouse_key)
        )
        yield from run.results(selected)

    return sync


def _asset_spec(pipeline: spec.AirbytePipeline, asset: StreamAsset) -> dg.AssetSpec:
    stream = asset.streams[0] if asset.streams else None
    what = f"Stream `{stream.name}`" if stream else "All streams"
    warehouse_kind = "motherduck" if _is_motherduck(pipeline) else pipeline.destination.type
    kinds = ["airbyte", pipeline.source.type, warehouse_kind]
    metadata: dict[str, Any] = {"airbyte/connection_name": pipeline.connection.name}
    if stream:
        metadata["airbyte/sync_mode"] = stream.sync_mode
    return dg.AssetSpec(
        asset.key,
        description=pipeline.description
        or f"{what} of `{pipeline.source.name}`, brought to `{pipeline.destination.name}` by Airbyte.",
        group_name=pipeline.group_name or pipeline.name,
        owners=list(pipeline.owners),
        tags=dict(pipeline.tags),
        kinds={dagster_name(kind) for kind in kinds if kind},
        metadata=metadata,
    )


def _is_motherduck(pipeline: spec.AirbytePipeline) -> bool:
    path = declared_value(pipeline.destination.configuration, "destination_path")
    return pipeline.destination.type == "motherduck" or (isinstance(path, str) and path.startswith(MOTHERDUCK_PREFIXES))


@dataclass
class _PipelineRun:
    """One materialization: reconcile, sync, read the warehouse."""

    context: dg.AssetExecutionContext
    pipeline: spec.AirbytePipeline
    airbyte: AirbyteResource
    motherduck: MotherDuckResource

    def results(self, selected: Sequence[StreamAsset]) -> Iterator[dg.MaterializeResult[Any]]:
        log = self.context.log
        reconciled = reconcile_pipeline(self.context, self.pipeline, self.airbyte)
        streams = {asset.key: asset.matching(reconciled.connection_record) for asset in selected}
        refs = {stream.key: table_ref(self.pipeline, stream) for several in streams.values() for stream in several}
        warehouse = self.motherduck.warehouse()
        before = self._rows_before(warehouse, streams, refs)
        memory = RunJobMemory(self.context.instance, self.context.run.run_id)
        done = self._sync(reconciled, memory)
        reported = self._reported(done.job)
        try:
            tables: dict[_Key, Table | None] | None = warehouse.inspect(refs)
        except (WarehouseError, ConfigurationError) as error:
            log.warning(f"The sync succeeded, but what arrived could not be read: {error}")
            tables = None
        links = Links(self.airbyte.client().settings.server_url, reconciled.workspace.id)
        for asset in selected:
            claims = [
                Claim(
                    stream.name,
                    stream.sync_mode,
                    reported.get(stream.key, reported.get((None, stream.name))),
                    before.get(stream.key) if done.origin == "new" else None,
                    stream.namespace,
                )
                for stream in streams[asset.key]
            ]
            found = None if tables is None else [tables[stream.key] for stream in streams[asset.key]]
            yield dg.MaterializeResult(
                asset_key=asset.key, metadata=_metadata(claims, found, done.job, connection_metadata(links, reconciled))
            )
        memory.done(reconciled.connection.id)

    def _sync(self, reconciled: Reconciled, memory: RunJobMemory) -> Succeeded:
        runner = sync_runner(self.context, self.airbyte, memory)
        try:
            return runner.run(reconciled.connection.id)
        except SyncError as error:
            links = Links(self.airbyte.client().settings.server_url, reconciled.workspace.id)
            raise dg.Failure(
                description=str(error),
                metadata={
                    "airbyte/job_id": error.job_id,
                    "airbyte/job_status": error.status,
                    "airbyte/jobs": dg.MetadataValue.url(links.jobs(reconciled.connection.id)),
                },
            ) from error

    def _rows_before(
        self,
        warehouse: Warehouse,
        streams: Mapping[dg.AssetKey, Sequence[spec.Stream]],
        refs: Mapping[_Key, TableRef],
    ) -> dict[_Key, int]:
        """Count before the sync, for the modes whose rule needs it; nothing where that can't be."""
        keys = [
            stream.key
            for several in streams.values()
            for stream in several
            if not stream.sync_mode.startswith("full_refresh_overwrite")
        ]
        try:
            found = warehouse.inspect({key: refs[key] for key in keys})
        except WarehouseMissing:
            return dict.fromkeys(keys, 0)
        except (WarehouseError, ConfigurationError) as error:
            self.context.log.warning(f"Rows before the sync could not be counted: {error}")
            return {}
        return {key: table.rows if table else 0 for key, table in found.items()}

    def _reported(self, job: models.Job) -> dict[_Key, int]:
        """What the job says of each stream; the namespace-less key serves declarations without one."""
        try:
            stats = self.airbyte.client().job_stream_stats(job.id)
        except AirbyteDagsterError as error:
            self.context.log.warning(f"Airbyte did not tell the rows of each stream: {error}")
            stats = None
        reported: dict[_Key, int] = {}
        for item in stats or ():
            reported[(item.namespace, item.name)] = item.rows
            reported.setdefault((None, item.name), item.rows)
        return reported


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
    context: dg.AssetExecutionContext | dg.OpExecutionContext, airbyte: AirbyteResource, memory: RunJobMemory
) -> SyncRunner:
    """Return a runner that remembers its job in the run's tags and logs progress to the run."""
    return SyncRunner(
        airbyte.client(),
        airbyte.sync_settings(),
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


def connection_metadata(links: Links, reconciled: Reconciled) -> dict[str, Any]:
    """Return the metadata entries that lead to Airbyte's pages."""
    return {
        "airbyte/connection_id": reconciled.connection.id,
        "airbyte/connection": dg.MetadataValue.url(links.connection(reconciled.connection.id)),
        "airbyte/jobs": dg.MetadataValue.url(links.jobs(reconciled.connection.id)),
    }


def _metadata(
    claims: Sequence[Claim], tables: Sequence[Table | None] | None, job: models.Job, links: Mapping[str, Any]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "airbyte/job_id": job.id,
        STREAMS_METADATA: dg.MetadataValue.json(claims_to_json(claims)),
        **links,
    }
    numbers = {
        "airbyte/rows_reported": sum(claim.reported for claim in claims if claim.reported is not None)
        if any(claim.reported is not None for claim in claims)
        else None,
        JOB_ROWS_METADATA: job.rows,
        "airbyte/job_bytes": job.bytes,
        "airbyte/duration_seconds": duration(job),
    }
    metadata |= {name: value for name, value in numbers.items() if value is not None}
    present = [table for table in tables or () if table is not None]
    if present:
        metadata["dagster/row_count"] = sum(table.rows for table in present)
    if len(present) == len(claims) == 1:
        metadata["dagster/table_name"] = present[0].full_name
        metadata["dagster/column_schema"] = dg.TableSchema(
            columns=[dg.TableColumn(name, type=type_) for name, type_ in present[0].columns]
        )
    return metadata


def duration(job: models.Job) -> float | None:
    """Return how many seconds a finished job took, by its own times where they are given."""
    if job.last_updated is not None:
        return max(0.0, (job.last_updated - job.start_time).total_seconds())
    return job.duration


def claims_to_json(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """Write claims as metadata."""
    return [
        {
            "stream": claim.stream,
            "namespace": claim.namespace,
            "sync_mode": claim.sync_mode,
            "rows_reported": claim.reported,
            "rows_before": claim.before,
        }
        for claim in claims
    ]


def claims_from_json(data: Any) -> list[Claim]:
    """Read what `claims_to_json` wrote."""
    return [
        Claim(item["stream"], item["sync_mode"], item["rows_reported"], item["rows_before"], item["namespace"])
        for item in data
    ]
