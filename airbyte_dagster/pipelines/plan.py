"""What has to be done so that Airbyte has what a pipeline declares. Pure: calls nothing, writes nothing.

Everything is known by its name within the workspace, so running twice gives the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import (
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
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.connection_plan import connection_changes
from airbyte_dagster.pipelines.last_applied import AppliedStore
from airbyte_dagster.pipelines.names import by_name

Verb = Literal["create", "update", "replace", "none"]


@dataclass(frozen=True)
class DeclaredActor:
    """A declared source or destination, its environment references read. Never stored, never shown."""

    kind: ActorKind
    name: str
    type: str
    definition_id: str | None
    configuration: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, kind: ActorKind, declared: spec.Source | spec.Destination) -> DeclaredActor:
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
    declared: DeclaredActor
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


def plan_actor(
    declared: DeclaredActor, found: Sequence[records.Actor], applied: AppliedStore, *, key: str
) -> ActorAction:
    """Plan one source or destination.

    Args:
        found: All of the workspace's sources, or destinations.
        applied: Records of what was last sent.
        key: Key of those records' digests.

    Raises:
        AmbiguousName: Two have the declared name.
        ConfigurationError: The one that has it is of another connector, or Airbyte's mask would be sent as a secret.
    """
    existing = by_name(declared.kind, declared.name, found)
    if existing is None:
        _check_masks(declared, declared.configuration, {})
        return ActorAction("create", declared, configuration=declared.configuration)
    check_same_connector(declared.kind, declared, existing)
    differs = difference(declared.configuration, existing.configuration)
    record = applied.get(existing.id)
    changed = differs.changed
    if differs.masked and (record is None or not record.has_same_secrets(differs.masked, key=key)):
        changed = (*changed, *differs.masked)
    declared_paths = {path for path, _ in leaves(declared.configuration)}
    present = {path for path, _ in leaves(existing.configuration)}
    removed = tuple(path for path in record.paths if path in present - declared_paths) if record else ()
    if removed:
        kept = merged(without(existing.configuration, removed), declared.configuration)
        _check_masks(declared, kept, existing.configuration)
        return ActorAction("replace", declared, existing.id, tuple(map(dotted, (*changed, *removed))), kept)
    if changed:
        body = only(declared.configuration, changed)
        _check_masks(declared, body, existing.configuration)
        return ActorAction("update", declared, existing.id, tuple(map(dotted, changed)), body)
    return ActorAction("none", declared, existing.id)


def _check_masks(declared: DeclaredActor, body: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    """Refuse to send Airbyte's mask for a secret, but where Airbyte has one stored: there it keeps that.

    Within a list it is not certain to: lists are replaced as a whole.
    """
    lost = [
        dotted(path)
        for path, value in leaves(declared.configuration)
        if has_mask(value) and get_path(body, path) == value and get_path(shown, path) != SECRET_MASK
    ]
    if lost:
        raise ConfigurationError(
            f"The {declared.kind} {declared.name!r} would be sent with {', '.join(lost)}, but the secret in it is not "
            "known here, and Airbyte has none that could stay.",
            guidance="Set the environment variable that it is read from.",
        )


def check_same_connector(
    kind: ActorKind, declared: DeclaredActor | spec.Source | spec.Destination, existing: records.Actor
) -> None:
    """Raise `ConfigurationError` if what has a declared name is of another connector."""
    by_id = declared.definition_id and existing.definition_id
    same = declared.definition_id == existing.definition_id if by_id else declared.type == existing.type
    if (existing.type and declared.type and not same) or (by_id and not same):
        raise ConfigurationError(
            f"The {kind} {declared.name!r} ({existing.id}) is a {existing.type or existing.definition_id} in "
            f"Airbyte, but the pipeline declares {declared.type or declared.definition_id}.",
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
    """Compare a declaration with what a workspace has.

    Raises:
        AmbiguousName: See `names.by_name`.
        ConfigurationError: See `plan_actor` and `plan_connection`.
    """
    source = plan_actor(DeclaredActor.of("source", pipeline.source), sources, applied, key=key)
    destination = plan_actor(DeclaredActor.of("destination", pipeline.destination), destinations, applied, key=key)
    connection = plan_connection(
        pipeline.connection, connections, source_id=source.actor_id, destination_id=destination.actor_id
    )
    return Plan(workspace, source, destination, connection)
