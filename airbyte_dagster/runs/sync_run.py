"""One execution of a sync op: find the connections, sync them, record what arrived, as each ends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dagster as dg
import tenacity
from dagster._core.errors import DagsterExecutionInterruptedError

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import Connection, Job, StreamKey
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError, SyncFailed
from airbyte_dagster.runs.background import BackgroundSyncs
from airbyte_dagster.runs.blocking import BlockingChecks
from airbyte_dagster.runs.checkpoints import RunCheckpoints, recorded
from airbyte_dagster.runs.counting import counted_before
from airbyte_dagster.runs.event_storage import open_connections
from airbyte_dagster.runs.events import InstanceHistory
from airbyte_dagster.runs.failures import Failures, is_terminated
from airbyte_dagster.runs.partial import PartOfJob
from airbyte_dagster.runs.progress import ProgressLog
from airbyte_dagster.runs.recorded_jobs import recorded_results
from airbyte_dagster.runs.recording import Recorder, SyncedConnection
from airbyte_dagster.runs.reported import JobDetails, job_details, progress_line
from airbyte_dagster.runs.targets import ConnectionTargets, FoundConnection, TargetsOf, inactive
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster.sync.results import SyncResult
from airbyte_dagster.sync.settings import SyncSettings, SyncSlots
from airbyte_dagster.sync.tracing import SyncSpans
from airbyte_dagster.warehouse import Warehouse

#: Up to so many connections, each that ends has a line in the run's log.
_FEW = 50
_INTERRUPTS = (DagsterExecutionInterruptedError, KeyboardInterrupt)


@dataclass
class SyncRun:
    """One execution of the op.

    Attributes:
        client: Of the Airbyte.
        workspace_id: Where the connections are.
        settings: Of each sync.
        warehouse: Where their destinations write; ``None`` if nothing is to be looked into.
        targets_of: Returns the assets of a connection.
        checks_of_asset: Returns the checks of an asset.
        max_concurrent: How many syncs may be on their way at once; all if ``None``.
        slots: Of the op's pool, if it has a limit.
        now: Returns the time.
    """

    context: dg.AssetExecutionContext
    client: AirbyteClient
    workspace_id: str
    settings: SyncSettings
    warehouse: Warehouse | None
    targets_of: TargetsOf
    checks_of_asset: Callable[[dg.AssetKey], Checks]
    now: Callable[[], dt.datetime]
    max_concurrent: int | None = None
    slots: SyncSlots | None = None

    def __post_init__(self) -> None:
        self._checkpoints = RunCheckpoints(self.context.instance, self.context.run)
        self._names: dict[str, str] = {}
        self._failures = Failures(self._names, Links(self.client.settings.server_url, self.workspace_id))
        self._connections: dict[str, Connection] = {}
        self._targets: dict[str, ConnectionTargets] = {}
        self._parts: dict[str, PartOfJob] = {}
        self._blocking = BlockingChecks(self.context, self.checks_of_asset)
        self._spans = SyncSpans({"dagster.run_id": self.context.run.run_id, "airbyte.workspace_id": self.workspace_id})

    def run(
        self, found: Sequence[FoundConnection], until: Literal["ended", "started"]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Sync the connections of the selected assets, and record each as it ends.

        What a run that this one resumes has recorded is not synced again, but measured, checked and materialized again.

        Args:
            found: The connections.
            until: ``started``: leave it to the sync sensor to record the ends.

        Raises:
            dg.Failure: Some did not succeed; it names each.
        """
        self._stop_if_terminated()
        self._look_at(found)
        checkpoints = self._checkpoints.load(self._connections)
        known = {key: item for key, item in checkpoints.items() if item.is_recorded}
        if until == "ended":
            yield from self._again(known)
        yield from self._sync([key for key in self._connections if key not in known], until)
        self._failures.raise_all(len(found))
        self._blocking.raise_if_all()

    def _sync(
        self, connection_ids: Sequence[str], until: Literal["ended", "started"]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        recorder = self._recorder()
        started = 0
        syncs = BackgroundSyncs(self._engine(len(connection_ids)), connection_ids, until)
        try:
            for batch in syncs.batches():
                for result in batch:
                    self._note(result)
                good = [result for result in batch if result.error is None]
                if until == "ended":
                    yield from self._record(recorder, [self._synced(result) for result in good])
                    yield from self._record(recorder, self._complete_parts(batch))
                else:
                    started += len(good)
                    self._save_recorded([result.connection_id for result in good])
        except BaseException as error:
            # Otherwise Dagster, which then closes this generator, or the run could not record. That is no reason to
            # stop the others: whoever resumes this run goes on with their jobs.
            syncs.stop(cancel=isinstance(error, _INTERRUPTS) or is_terminated(self.context))
            raise
        finally:
            self._spans.close()
        if until == "started":
            self.context.log.info(f"{started:,} syncs are on their way; the sync sensor records how they end.")

    # Before the syncs

    def _stop_if_terminated(self) -> None:
        """Do nothing more in a run that is being terminated: a retry policy would start the step again."""
        if is_terminated(self.context):
            raise dg.Failure("The run is being terminated.", allow_retries=False)

    def _look_at(self, found: Sequence[FoundConnection]) -> None:
        """Hold the connections as they are now against the assets that are selected."""
        selected = self.context.selected_asset_keys
        partly = []
        for item in found:
            self._names[item.id] = item.name
            if item.connection is None:
                self._fail(item.id, item.error or ConfigurationError(f"There is no connection {item.name!r}."))
                continue
            if item.connection.status == "inactive":
                self._fail(item.id, inactive(item.connection))
                continue
            targets = self._targets[item.id] = self.targets_of(item.connection)
            self._connections[item.id] = item.connection
            self._tell_of_changes(item, targets, selected)
            if any(target.is_defined and target.key not in selected for target in targets.assets):
                partly.append(item.id)
            if not any(target.key in selected for target in targets.assets):
                del self._connections[item.id]  # nothing of what is wanted is there any more
        if partly:
            self.context.log.info(
                f"Of {self._failures.named(partly)} only some streams are selected, but Airbyte syncs whole "
                "connections: all streams move, and all are recorded."
            )

    def _tell_of_changes(
        self, item: FoundConnection, targets: ConnectionTargets, selected: Collection[dg.AssetKey]
    ) -> None:
        missing = [key for key in targets.missing if key in selected]
        if missing:
            names = ", ".join(key.to_user_string() for key in missing)
            self._fail(
                item.id,
                ConfigurationError(
                    f"The connection has no such streams any more, so these were not materialized: {names}.",
                    guidance="Select the streams again in Airbyte, or refresh the definitions and reload them.",
                ),
            )
        extra = [target.key for target in targets.assets if not target.is_defined]
        if extra:
            names = ", ".join(key.to_user_string() for key in extra)
            self.context.log.warning(f"New streams of '{item.name}', materialized without a definition: {names}.")

    def _engine(self, connections: int) -> SyncEngine:
        log = self.context.log
        is_few = connections <= _FEW
        is_alone = len(self._names) == 1
        return SyncEngine(
            self.client,
            self.workspace_id,
            self.settings,
            self._checkpoints,
            max_concurrent=self.max_concurrent,
            slots=self.slots,
            count_rows=self._rows_before,
            describe=self._describe,
            log=log.info,
            warn=log.warning,
            on_job=lambda job: log.info(
                progress_line(job) if is_alone else f"{self._failures.named([job.connection_id])}: {progress_line(job)}"
            ),
            on_progress=(lambda _progress: None) if is_few else ProgressLog(log.info),
            spans=self._spans,
        )

    def _rows_before(self, connection_ids: Sequence[str]) -> Mapping[str, Mapping[StreamKey, int]]:
        """Count the rows of the streams whose rule needs it, all in one query."""
        if self.warehouse is None:
            return {}
        targets = {connection_id: self._targets[connection_id] for connection_id in connection_ids}
        return counted_before(self.warehouse, targets, warn=self.context.log.warning)

    def _describe(self, job: Job) -> JobDetails:
        """Ask for what the events and the checks of a job need, in a thread."""
        wanted = self.context.op_execution_context.selected_asset_check_keys
        schemas = {key.asset_key for key in wanted if self._is_of_columns(key)}
        with_fields = any(target.key in schemas for target in self._targets[job.connection_id].assets)
        return job_details(self.client, job, self._connections[job.connection_id].streams, with_fields=with_fields)

    def _is_of_columns(self, key: dg.AssetCheckKey) -> bool:
        return key.name == "schema" and self.checks_of_asset(key.asset_key).schema_ is not None

    # As they end

    def _recorder(self) -> Recorder:
        return Recorder(
            self.warehouse,
            InstanceHistory(self.context.instance),
            self._failures.links,
            self.context.selected_asset_keys,
            self.context.op_execution_context.selected_asset_check_keys,
            self.checks_of_asset,
            self.context.log.warning,
            self.now,
        )

    def _again(self, known: Mapping[str, Checkpoint]) -> Iterator[dg.MaterializeResult[Any]]:
        """Record again what the run that this one resumes has synced: what is there now decides whether it is green."""
        if not known:
            return
        self.context.log.info(
            f"Synced already by the run that this one resumes: {self._failures.named(list(known))}. "
            "What arrived is measured and checked again, without a new sync."
        )
        results = recorded_results(self.client, known, self._describe)
        for result in results:
            if result.origin == "attached" and result.job is not None:
                name = self._failures.named([result.connection_id])
                self.context.log.info(f"{name}: synced since by job {result.job.id} of others.")
            self._note(result)
        yield from self._record(self._recorder(), [self._synced(item) for item in results if item.error is None])

    def _complete_parts(self, results: Sequence[SyncResult]) -> list[SyncedConnection]:
        """Return those assets of failed jobs whose streams are all complete; the connections failed nevertheless."""
        found = []
        for result in results:
            part = self._parts.get(result.connection_id)
            if part is not None and part.complete:
                found.append(replace(self._synced(result), assets=part.complete, details=part.details))
        return found

    def _record(self, recorder: Recorder, synced: Sequence[SyncedConnection]) -> Iterator[Any]:
        """Yield the materializations of connections whose jobs have ended; one that is odd stops no other."""
        if not synced:
            return
        try:
            events = list(recorder.events(synced))
        except Exception as error:  # noqa: BLE001 - one of them is odd: which, is seen one by one
            self.context.log.warning(
                f"What arrived is read connection by connection, since reading all failed: {error!r}"
            )
            events = [pair for item in synced for pair in self._events_of_one(recorder, item)]
        with open_connections(self.context.instance):
            for event in (event for _, several in events for event in several):
                if isinstance(event, dg.AssetMaterialization):
                    self.context.log_event(event)
                else:
                    yield from self._blocking.pass_on(event)
        done = [item.connection_id for item, _ in events if item.job.status == "succeeded"]
        self._save_recorded(done)
        self._spans.recorded(done)

    def _events_of_one(self, recorder: Recorder, item: SyncedConnection) -> list[Any]:
        try:
            return list(recorder.events([item]))
        except Exception as error:  # noqa: BLE001 - named, and the others go on
            self._fail(
                item.connection_id,
                AirbyteDagsterError(
                    f"Job {item.job.id} has {item.job.status}, but what arrived could not be recorded: {error!r}",
                    guidance="Re-execute the run from its failure: it records the same job, without a new sync.",
                ),
            )
            return []

    def _synced(self, result: SyncResult) -> SyncedConnection:
        connection = self._connections[result.connection_id]
        assert result.job is not None  # noqa: S101 - a result without an error has one
        return SyncedConnection(
            connection.id,
            self._names[connection.id],
            len(connection.streams),
            self._targets[connection.id].assets,
            result.job,
            result.details or JobDetails(),
            result.rows_before,
        )

    def _save_recorded(self, connection_ids: Sequence[str]) -> None:
        """Keep that these are done. Dagster has recorded what was yielded before this is called."""
        if not connection_ids:
            return
        trying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_exponential(0.2), reraise=True
        )
        try:
            for attempt in trying:
                with attempt:
                    known = self._checkpoints.load(connection_ids)
                    self._checkpoints.save({key: recorded(item) for key, item in known.items()})
        except Exception as error:  # noqa: BLE001 - the others go on, and the run fails at its end
            for connection_id in connection_ids:
                self._fail(
                    connection_id,
                    AirbyteDagsterError(f"It was synced and recorded, but that could not be kept: {error!r}"),
                )

    def _note(self, result: SyncResult) -> None:
        error = result.error
        if error is None:
            return
        if isinstance(error, SyncFailed) and result.job is not None and error.status == "failed":
            targets = self._targets[result.connection_id].assets
            part = self._parts[result.connection_id] = PartOfJob.of(
                self.client, self.workspace_id, result.job, targets, self._describe
            )
            error = part.named(error)
        self._fail(result.connection_id, error)

    def _fail(self, connection_id: str, error: AirbyteDagsterError) -> None:
        self._spans.failed(connection_id, error)
        targets = self._targets.get(connection_id, ConnectionTargets())
        part = self._parts.get(connection_id)
        complete = {target.key for target in part.complete} if part else set()
        keys = [target.key for target in targets.assets if target.key not in complete]
        self._failures.add(self.context, connection_id, error, keys, part.reasons if part else {})
