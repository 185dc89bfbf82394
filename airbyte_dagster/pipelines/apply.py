"""Do what a plan says, and keep a record of what was sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.configuration import TYPE_KEYS, Path, difference, leaves, without
from airbyte_dagster.airbyte.records import ActorKind, Workspace
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.connection_plan import connection_payload, resolve_streams, without_source_defined
from airbyte_dagster.pipelines.last_applied import AppliedStore, LastAppliedConfiguration
from airbyte_dagster.pipelines.names import LOOKS_FOR_OTHERS, OTHERS_INTERVAL, NameRace, by_name, is_being_settled
from airbyte_dagster.pipelines.plan import (
    ActorAction,
    ConnectionAction,
    DeclaredActor,
    Plan,
    check_same_connector,
    plan,
    plan_actor,
    plan_connection,
)

Outcome = Literal["created", "updated", "unchanged"]
Log = Callable[[str], None]


@dataclass(frozen=True)
class ApplyResult:
    """A source, destination or connection that is there now.

    Attributes:
        outcome: ``created``, ``updated`` or ``unchanged``.
        changes: Dotted paths that an update changed.
    """

    kind: Literal["source", "destination", "connection"]
    id: str
    name: str
    outcome: Outcome
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        changed = f": {', '.join(self.changes)}" if self.changes else ""
        return f"{self.kind.capitalize()} {self.name!r} {self.outcome} ({self.id}){changed}"


@dataclass(frozen=True)
class Reconciled:
    """The connection of a pipeline, as it now is in Airbyte."""

    workspace: Workspace
    connection: ApplyResult
    connection_record: records.Connection


@dataclass(frozen=True)
class ReconciledPipeline(Reconciled):
    """A whole pipeline, as it now is in Airbyte."""

    source: ApplyResult
    destination: ApplyResult


@dataclass(frozen=True)
class Reconciler:
    """Makes Airbyte have what pipelines declare.

    Attributes:
        applied: Where records of what was sent are kept.
        key: Key of their digests; see `last_applied`.
        log: Takes one line for people as each thing is done.
        sleep: Waits; replaced in tests.
        now: Tells the time, seconds since the epoch; the same.
    """

    client: AirbyteClient
    applied: AppliedStore
    key: str
    log: Log = lambda _line: None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def plan(self, pipeline: spec.AirbytePipeline, workspace: Workspace) -> Plan:
        """Read the workspace's sources, destinations and connections, and plan; see the function `plan`.

        Where others have just made two things of one name, wait for them to delete one; see `names`.
        """
        for look in range(LOOKS_FOR_OTHERS + 1):
            sources = self.client.actors("source", workspace.id)
            destinations = self.client.actors("destination", workspace.id)
            connections = self.client.connections(workspace.id)
            declared = (
                (pipeline.source, sources),
                (pipeline.destination, destinations),
                (pipeline.connection, connections),
            )
            if look == LOOKS_FOR_OTHERS or not any(
                is_being_settled(one.name, found, self.now()) for one, found in declared
            ):
                break
            self.sleep(OTHERS_INTERVAL)
        return plan(
            pipeline,
            workspace,
            sources=sources,
            destinations=destinations,
            connections=connections,
            applied=self.applied,
            key=self.key,
        )

    def apply(self, todo: Plan) -> ReconciledPipeline:
        """Do what a plan says: source and destination side by side, then the connection.

        Raises:
            AirbyteError: Airbyte refused something; what was done before it stays, and a rerun goes on from there.
            OutcomeUnknown: A create got no answer, and what it should have made did not turn up.
        """
        with ThreadPoolExecutor(2) as pool:
            source, destination = pool.map(
                lambda action: self.apply_actor(action, todo.workspace), (todo.source, todo.destination)
            )
        connection, record = self.apply_connection(
            todo.connection, todo.workspace, source_id=source.id, destination_id=destination.id
        )
        return ReconciledPipeline(todo.workspace, connection, record, source, destination)

    def reconcile(self, pipeline: spec.AirbytePipeline, workspace: Workspace) -> ReconciledPipeline:
        """Plan, then apply."""
        return self.apply(self.plan(pipeline, workspace))

    def find(self, pipeline: spec.AirbytePipeline, workspace: Workspace) -> Reconciled | None:
        """Find the connection by its name; ``None`` if there is none. Nothing is written, no secret is needed.

        Raises:
            AmbiguousName: There are several.
        """
        name = pipeline.connection.name
        found = by_name("connection", name, self.client.connections(workspace.id))
        if found is None:
            return None
        return Reconciled(workspace, self._done(ApplyResult("connection", found.id, name, "unchanged")), found)

    def find_or_create(self, pipeline: spec.AirbytePipeline, workspace: Workspace) -> Reconciled:
        """Create what is missing, and change nothing: no secret is needed of what is there.

        Raises:
            ConfigurationError: There is a source or destination of the name, of another connector.
            AirbyteError: As `apply`.
        """
        found = self.find(pipeline, workspace)
        if found is not None:
            return found
        source = self._find_or_create_actor("source", pipeline.source, workspace)
        destination = self._find_or_create_actor("destination", pipeline.destination, workspace)
        connection, record = self.apply_connection(
            ConnectionAction("create", pipeline.connection),
            workspace,
            source_id=source.id,
            destination_id=destination.id,
        )
        return ReconciledPipeline(workspace, connection, record, source, destination)

    def _find_or_create_actor(
        self, kind: ActorKind, declared: spec.Source | spec.Destination, workspace: Workspace
    ) -> ApplyResult:
        found = self.client.actors(kind, workspace.id)
        existing = by_name(kind, declared.name, found)
        if existing is not None:
            check_same_connector(kind, declared, existing)
            return self._done(ApplyResult(kind, existing.id, declared.name, "unchanged"))
        action = plan_actor(DeclaredActor.of(kind, declared), found, self.applied, key=self.key)
        return self.apply_actor(action, workspace)

    def apply_actor(self, action: ActorAction, workspace: Workspace) -> ApplyResult:
        """Create or update one source or destination, and record what was sent."""
        declared, kind = action.declared, action.declared.kind
        if action.actor_id is None:
            actor, is_ours = self._create_actor(declared, workspace)
            if not is_ours:
                return self.apply_actor(plan_actor(declared, [actor], self.applied, key=self.key), workspace)
            outcome: Outcome = "created"
        elif action.verb == "none":
            if self.applied.get(action.actor_id) is None:
                self._record(action.actor_id, declared, {})
            return self._done(ApplyResult(kind, action.actor_id, declared.name, "unchanged"))
        else:
            outcome = "updated"
            if action.verb == "update":
                actor = self.client.patch_actor(kind, action.actor_id, configuration=action.configuration)
            else:
                actor = self.client.replace_actor(
                    kind, action.actor_id, name=declared.name, configuration=_with_type(action.configuration, declared)
                )
        self._record(actor.id, declared, difference(declared.configuration, actor.configuration).masked)
        return self._done(ApplyResult(kind, actor.id, declared.name, outcome, action.changes))

    def _create_actor(self, declared: DeclaredActor, workspace: Workspace) -> tuple[records.Actor, bool]:
        kind = declared.kind

        def is_used(actor_id: str) -> bool:
            connections = self.client.connections(workspace.id)
            return any(actor_id in (item.source_id, item.destination_id) for item in connections)

        race = NameRace[records.Actor](
            kind,
            declared.name,
            found=lambda: self.client.actors(kind, workspace.id),
            is_used=is_used,
            delete=lambda actor_id: self.client.delete_actor(kind, actor_id),
            log=self.log,
            sleep=self.sleep,
        )
        return race.create(
            lambda: self.client.create_actor(
                kind,
                workspace_id=workspace.id,
                name=declared.name,
                configuration=declared.configuration,
                definition_id=declared.definition_id,
            )
        )

    def apply_connection(
        self, action: ConnectionAction, workspace: Workspace, *, source_id: str, destination_id: str
    ) -> tuple[ApplyResult, records.Connection]:
        """Create or update the connection; its streams are resolved through ``GET /streams`` when they are sent."""
        declared, name = action.declared, action.declared.name
        if action.existing is None:
            self.log("Reading the streams of the source …")
            available = self.client.available_streams(source_id, destination_id)
            payload = {
                **connection_payload(declared, resolve_streams(declared, available)),
                "sourceId": source_id,
                "destinationId": destination_id,
            }
            connection, is_ours = self._create_connection(name, payload, workspace)
            if is_ours:
                return self._done(ApplyResult("connection", connection.id, name, "created")), connection
            again = plan_connection(declared, [connection], source_id=source_id, destination_id=destination_id)
            return self.apply_connection(again, workspace, source_id=source_id, destination_id=destination_id)
        if action.verb == "none":
            return self._done(ApplyResult("connection", action.existing.id, name, "unchanged")), action.existing
        payload = action.payload
        if "configurations" in payload:
            available = self.client.available_streams(source_id, destination_id)
            payload = {**payload, "configurations": {"streams": without_source_defined(declared, payload, available)}}
        connection = self.client.patch_connection(action.existing.id, payload)
        return self._done(ApplyResult("connection", connection.id, name, "updated", action.changes)), connection

    def _create_connection(
        self, name: str, payload: Mapping[str, Any], workspace: Workspace
    ) -> tuple[records.Connection, bool]:
        race = NameRace[records.Connection](
            "connection",
            name,
            found=lambda: self.client.connections(workspace.id),
            is_used=lambda connection_id: bool(self.client.jobs(connection_id, limit=1)),
            delete=self.client.delete_connection,
            log=self.log,
            sleep=self.sleep,
        )
        return race.create(lambda: self.client.create_connection(payload))

    def _record(self, actor_id: str, declared: DeclaredActor, secrets: Mapping[Path, Any]) -> None:
        paths = tuple(path for path, _ in leaves(without(declared.configuration, [(key,) for key in TYPE_KEYS])))
        self.applied.put(actor_id, LastAppliedConfiguration.of(secrets, paths, key=self.key))

    def _done(self, result: ApplyResult) -> ApplyResult:
        self.log(str(result))
        return result


def _with_type(configuration: dict[str, Any], declared: DeclaredActor) -> dict[str, Any]:
    key = f"{declared.kind}Type"
    return {**configuration, key: declared.type} if declared.type else configuration
