"""Make Airbyte have what a pipeline declares: a pure plan first, then its application.

Everything is known by its name within the workspace, so running twice gives the same ids. A plan that finds nothing
to do writes nothing, and reads three lists: sources, destinations, connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.configuration import (
    TYPE_KEYS,
    Path,
    difference,
    dotted,
    get_path,
    has_mask,
    leaves,
    merged,
    only,
    resolve,
    without,
)
from airbyte_dagster.airbyte.records import SECRET_MASK, ActorKind, Workspace
from airbyte_dagster.errors import (
    AmbiguousName,
    ConfigurationError,
    OutcomeUnknown,
    RequestTimedOut,
    UnexpectedAnswer,
)
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.connection_plan import connection_changes, connection_payload, resolve_streams
from airbyte_dagster.pipelines.fingerprint import Applied, AppliedStore

Verb = Literal["create", "update", "replace", "none"]
Outcome = Literal["created", "updated", "unchanged"]
Log = Callable[[str], None]

#: How often, and with what wait (seconds), to look for something whose creation got no answer.
_LOOK_AFTERWARDS = 6
_LOOK_INTERVAL = 10.0


@dataclass(frozen=True)
class WantedActor:
    """A declared source or destination, its environment references read. Never stored, never shown."""

    kind: ActorKind
    name: str
    type: str
    definition_id: str | None
    configuration: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, kind: ActorKind, declared: spec.Source | spec.Destination) -> WantedActor:
        """Resolve a declaration.

        Raises:
            ConfigurationError: An environment variable that it needs is not set.
        """
        configuration = resolve(declared.configuration, declared.secrets, where=kind)
        return cls(kind, declared.name, declared.type, declared.definition_id, configuration)


@dataclass(frozen=True)
class ActorAction:
    """What to do about one source or destination.

    Attributes:
        verb: ``update`` is a PATCH of what changed; ``replace`` a PUT, needed to take keys out.
        actor_id: ``None`` for ``create``.
        changes: Dotted paths that change. Never values.
        configuration: Body to send; never shown.
    """

    verb: Verb
    wanted: WantedActor
    actor_id: str | None = None
    changes: tuple[str, ...] = ()
    configuration: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ConnectionAction:
    """What to do about the connection; see `ActorAction`."""

    verb: Verb
    declared: spec.Connection
    existing: records.Connection | None = None
    changes: tuple[str, ...] = ()
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What has to be done, in order: source and destination, then the connection."""

    workspace: Workspace
    source: ActorAction
    destination: ActorAction
    connection: ConnectionAction

    @property
    def empty(self) -> bool:
        """Whether Airbyte has all of it already."""
        return self.source.verb == self.destination.verb == self.connection.verb == "none"


@dataclass(frozen=True)
class Ensured:
    """A thing that is now as declared.

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
    """A whole pipeline, as it now is in Airbyte."""

    workspace: Workspace
    source: Ensured
    destination: Ensured
    connection: Ensured
    connection_record: records.Connection


_Named = TypeVar("_Named", records.Source, records.Destination, records.Connection, records.Actor)


def by_name(kind: str, name: str, found: Sequence[_Named]) -> _Named | None:
    """Return the one thing of a name, or ``None``.

    Raises:
        AmbiguousName: There are several; their ids are in the message.
    """
    same = [item for item in found if item.name == name]
    if len(same) > 1:
        raise AmbiguousName(
            f"The workspace has {len(same)} {kind}s named {name!r}: {', '.join(sorted(item.id for item in same))}.",
            guidance=f"A pipeline knows its {kind} by name: rename or delete all but one. Nothing was changed.",
        )
    return same[0] if same else None


def plan_actor(wanted: WantedActor, found: Sequence[records.Actor], applied: AppliedStore, *, key: str) -> ActorAction:
    """Plan one source or destination.

    Args:
        found: All of the workspace's sources, or destinations.
        applied: Records of what was last sent.
        key: Key of those records' digests.

    Raises:
        AmbiguousName: Two have the declared name.
        ConfigurationError: The one that has it is of another connector, or Airbyte's mask would be sent as a secret.
    """
    existing = by_name(wanted.kind, wanted.name, found)
    if existing is None:
        _check_masks(wanted, wanted.configuration, {})
        return ActorAction("create", wanted, configuration=wanted.configuration)
    _check_same_connector(wanted, existing)
    differs = difference(wanted.configuration, existing.configuration)
    record = applied.get(existing.id)
    changed = differs.changed
    if differs.masked and (record is None or not record.has_same_secrets(differs.masked, key=key)):
        changed = (*changed, *differs.masked)
    wanted_paths = {path for path, _ in leaves(wanted.configuration)}
    present = {path for path, _ in leaves(existing.configuration)}
    removed = tuple(path for path in record.paths if path in present - wanted_paths) if record else ()
    if removed:
        kept = merged(without(existing.configuration, removed), wanted.configuration)
        _check_masks(wanted, kept, existing.configuration)
        return ActorAction("replace", wanted, existing.id, tuple(map(dotted, (*changed, *removed))), kept)
    if changed:
        body = only(wanted.configuration, changed)
        _check_masks(wanted, body, existing.configuration)
        return ActorAction("update", wanted, existing.id, tuple(map(dotted, changed)), body)
    return ActorAction("none", wanted, existing.id)


def _check_masks(wanted: WantedActor, body: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    """Refuse to send Airbyte's mask for a secret, but where Airbyte has one stored: there it keeps that.

    Within a list it is not certain to: lists are replaced as a whole.
    """
    lost = [
        dotted(path)
        for path, value in leaves(wanted.configuration)
        if has_mask(value) and get_path(body, path) == value and get_path(shown, path) != SECRET_MASK
    ]
    if lost:
        raise ConfigurationError(
            f"The {wanted.kind} {wanted.name!r} would be sent with {', '.join(lost)}, but the secret in it is not "
            "known here, and Airbyte has none that could stay.",
            guidance="Set the environment variable that it is read from.",
        )


def _check_same_connector(wanted: WantedActor, existing: records.Actor) -> None:
    by_id = wanted.definition_id and existing.definition_id
    same = wanted.definition_id == existing.definition_id if by_id else wanted.type == existing.type
    if (existing.type and wanted.type and not same) or (by_id and not same):
        raise ConfigurationError(
            f"The {wanted.kind} {wanted.name!r} ({existing.id}) is a {existing.type or existing.definition_id} in "
            f"Airbyte, but the pipeline declares {wanted.type or wanted.definition_id}.",
            guidance="A connector can't be changed in place: give the declaration another name, or delete the old one.",
        )


def plan_connection(
    declared: spec.Connection,
    found: Sequence[records.Connection],
    *,
    source_id: str | None,
    destination_id: str | None,
) -> ConnectionAction:
    """Plan the connection; an id is ``None`` for a source or destination that is yet to be created.

    Raises:
        AmbiguousName: Two have the declared name.
        ConfigurationError: The one that has it joins another source or destination.
    """
    existing = by_name("connection", declared.name, found)
    if existing is None:
        return ConnectionAction("create", declared)
    if (existing.source_id, existing.destination_id) != (source_id, destination_id):
        raise ConfigurationError(
            f"The connection {declared.name!r} ({existing.id}) joins source {existing.source_id} and destination "
            f"{existing.destination_id}, not the declared ones ({source_id or 'new'}, {destination_id or 'new'}).",
            guidance="Airbyte can't move a connection: give the declaration another name, or delete the old one.",
        )
    changes, payload = connection_changes(declared, existing)
    return ConnectionAction("update" if changes else "none", declared, existing, changes, payload)


def plan(
    pipeline: spec.AirbytePipeline,
    workspace: Workspace,
    *,
    sources: Sequence[records.Actor],
    destinations: Sequence[records.Actor],
    connections: Sequence[records.Connection],
    applied: AppliedStore,
    key: str,
) -> Plan:
    """Compare a declaration with what a workspace has. Pure: calls nothing, writes nothing.

    Raises:
        AmbiguousName: See `by_name`.
        ConfigurationError: See `plan_actor` and `plan_connection`.
    """
    source = plan_actor(WantedActor.of("source", pipeline.source), sources, applied, key=key)
    destination = plan_actor(WantedActor.of("destination", pipeline.destination), destinations, applied, key=key)
    connection = plan_connection(
        pipeline.connection, connections, source_id=source.actor_id, destination_id=destination.actor_id
    )
    return Plan(workspace, source, destination, connection)


@dataclass(frozen=True)
class Reconciler:
    """Applies plans.

    Attributes:
        applied: Where records of what was sent are kept.
        key: Key of their digests; see `fingerprint`.
        log: Takes one line for people as each thing is done.
        sleep: Waits; replaced in tests.
    """

    client: AirbyteClient
    applied: AppliedStore
    key: str
    log: Log = lambda _line: None
    sleep: Callable[[float], None] = time.sleep

    def plan(self, pipeline: spec.AirbytePipeline, workspace: Workspace) -> Plan:
        """Read the workspace and plan; see the function `plan`."""
        return plan(
            pipeline,
            workspace,
            sources=self.client.actors("source", workspace.id),
            destinations=self.client.actors("destination", workspace.id),
            connections=self.client.connections(workspace.id),
            applied=self.applied,
            key=self.key,
        )

    def apply(self, todo: Plan) -> Reconciled:
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
        return Reconciled(todo.workspace, source, destination, connection, record)

    def reconcile(self, pipeline: spec.AirbytePipeline, workspace: Workspace) -> Reconciled:
        """Plan, then apply."""
        return self.apply(self.plan(pipeline, workspace))

    def apply_actor(self, action: ActorAction, workspace: Workspace) -> Ensured:
        """Create or update one source or destination, and record what was sent."""
        wanted, kind = action.wanted, action.wanted.kind
        if action.actor_id is None:
            actor = self._create(
                f"{kind} {wanted.name!r}",
                lambda: self.client.create_actor(
                    kind,
                    workspace_id=workspace.id,
                    name=wanted.name,
                    configuration=wanted.configuration,
                    definition_id=wanted.definition_id,
                ),
                lambda: by_name(kind, wanted.name, self.client.actors(kind, workspace.id)),
            )
            outcome: Outcome = "created"
        elif action.verb == "none":
            if self.applied.get(action.actor_id) is None:
                self._remember(action.actor_id, wanted, {})
            return self._done(Ensured(kind, action.actor_id, wanted.name, "unchanged"))
        else:
            outcome = "updated"
            if action.verb == "update":
                actor = self.client.patch_actor(kind, action.actor_id, configuration=action.configuration)
            else:
                actor = self.client.replace_actor(
                    kind, action.actor_id, name=wanted.name, configuration=_with_type(action.configuration, wanted)
                )
        self._remember(actor.id, wanted, difference(wanted.configuration, actor.configuration).masked)
        return self._done(Ensured(kind, actor.id, wanted.name, outcome, action.changes))

    def apply_connection(
        self, action: ConnectionAction, workspace: Workspace, *, source_id: str, destination_id: str
    ) -> tuple[Ensured, records.Connection]:
        """Create or update the connection; its streams are resolved through ``GET /streams`` when it is made."""
        name = action.declared.name
        if action.existing is None:
            self.log("Asking the source for its streams …")
            available = self.client.available_streams(source_id, destination_id)
            payload = {
                **connection_payload(action.declared, resolve_streams(action.declared, available)),
                "sourceId": source_id,
                "destinationId": destination_id,
            }
            connection = self._create(
                f"connection {name!r}",
                lambda: self.client.create_connection(payload),
                lambda: by_name("connection", name, self.client.connections(workspace.id)),
            )
            return self._done(Ensured("connection", connection.id, name, "created")), connection
        if action.verb == "none":
            return self._done(Ensured("connection", action.existing.id, name, "unchanged")), action.existing
        connection = self.client.patch_connection(action.existing.id, action.payload)
        return self._done(Ensured("connection", connection.id, name, "updated", action.changes)), connection

    def _create(self, what: str, create: Callable[[], _Named], look: Callable[[], _Named | None]) -> _Named:
        """Create something once. If the answer is lost, look whether it happened: a blind repeat makes a second one."""
        try:
            return create()
        except (RequestTimedOut, UnexpectedAnswer) as error:
            self.log(f"No answer about the new {what}; looking whether Airbyte has it …")
            for attempt in range(_LOOK_AFTERWARDS):
                if attempt:
                    self.sleep(_LOOK_INTERVAL)
                found = look()
                if found is not None:
                    return found
            raise OutcomeUnknown(
                f"Airbyte gave no answer when it was asked to create the {what}, and does not list it.",
                guidance="Run again: what exists by then is found by its name, and nothing is made twice.",
            ) from error

    def _remember(self, actor_id: str, wanted: WantedActor, secrets: Mapping[Path, Any]) -> None:
        paths = tuple(path for path, _ in leaves(without(wanted.configuration, [(key,) for key in TYPE_KEYS])))
        self.applied.put(actor_id, Applied.of(secrets, paths, key=self.key))

    def _done(self, ensured: Ensured) -> Ensured:
        self.log(str(ensured))
        return ensured


def _with_type(configuration: dict[str, Any], wanted: WantedActor) -> dict[str, Any]:
    key = f"{wanted.kind}Type"
    return {**configuration, key: wanted.type} if wanted.type else configuration
