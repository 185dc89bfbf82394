"""What a run would find of its pipeline in Airbyte, and whether it writes where the checks look. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import merged
from airbyte_dagster.airbyte.records import ActorKind
from airbyte_dagster.airbyte.redaction import secrets_of
from airbyte_dagster.cli.diagnosis.airbyte import Seen
from airbyte_dagster.cli.diagnosis.findings import Findings
from airbyte_dagster.cli.diagnosis.places import judge_places
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.last_applied import LastAppliedConfiguration
from airbyte_dagster.pipelines.plan import ActorAction, ConnectionAction, DeclaredActor, plan_actor, plan_connection
from airbyte_dagster.warehouse import Warehouse

_DECLARE = "Change the declaration, or what is in Airbyte."

STEPS = ("source", "destination", "connection", "same database")


class _SameSecrets(LastAppliedConfiguration):
    """Airbyte masks secrets, so that a changed one can't be seen; here they count as unchanged."""

    def has_same_secrets(self, secrets: object, *, key: str) -> bool:  # noqa: ARG002 - whatever they are
        """Say yes."""
        return True


@dataclass(frozen=True)
class _NothingRecorded:
    """An `AppliedStore` for plans that are only shown."""

    def get(self, actor_id: str) -> LastAppliedConfiguration:  # noqa: ARG002 - the same for all
        """Return a record that fits."""
        return _SameSecrets(salt="", digest="", paths=())

    def put(self, actor_id: str, applied: LastAppliedConfiguration) -> None:
        """Keep nothing."""


def examine_pipeline(
    pipeline: spec.AirbytePipeline, seen: Seen | None, warehouse: Warehouse | None, findings: Findings
) -> None:
    """Compare a declaration with what Airbyte has, and its destination with the warehouse.

    Args:
        seen: From `examine_airbyte`; ``None`` if that failed.
        warehouse: From `examine_warehouse`; ``None`` if there is none.
    """
    if seen is None:
        findings.skip(STEPS, "Airbyte's workspace was not reached")
        return
    source = _actor("source", pipeline.source, seen.sources, findings)
    destination = _actor("destination", pipeline.destination, seen.destinations, findings)
    _connection(pipeline.connection, seen.connections, source, destination, findings)
    _place(pipeline.destination, destination, seen, warehouse, findings)


def _actor(
    kind: ActorKind,
    declared: spec.Source | spec.Destination,
    found: Sequence[records.Actor] | None,
    findings: Findings,
) -> ActorAction | None:
    if found is None:
        findings.skip([kind], f"the {kind}s can't be read")
        return None
    try:
        wanted = DeclaredActor.of(kind, declared)
        findings.hide(*secrets_of(wanted.configuration))
        action = plan_actor(wanted, found, _NothingRecorded(), key="")
    except AirbyteDagsterError as error:
        findings.error(kind, error, _DECLARE)
        return None
    _tell(kind, declared.name, action, action.actor_id, findings)
    return action


def _connection(
    declared: spec.Connection,
    found: Sequence[records.Connection] | None,
    source: ActorAction | None,
    destination: ActorAction | None,
    findings: Findings,
) -> None:
    if found is None or source is None or destination is None:
        findings.skip(["connection"], "it, its source or its destination is not known")
        return
    try:
        action = plan_connection(declared, found, source_id=source.actor_id, destination_id=destination.actor_id)
    except AirbyteDagsterError as error:
        findings.error("connection", error, _DECLARE)
        return
    _tell("connection", declared.name, action, action.existing.id if action.existing else None, findings)


def _tell(
    step: str, name: str, action: ActorAction | ConnectionAction, existing_id: str | None, findings: Findings
) -> None:
    if existing_id is None:
        findings.ok(step, f"{name!r} does not exist yet; the first run creates it")
    elif action.verb == "none":
        findings.ok(step, f"{name!r} exists as declared ({existing_id})")
    else:
        findings.warn(
            step,
            f"{name!r} exists ({existing_id}), but differs from its declaration: {', '.join(action.changes)}",
            "The next run sets it to what is declared; if it was changed in Airbyte on purpose, declare it so.",
        )


def _place(
    declared: spec.Destination,
    action: ActorAction | None,
    seen: Seen,
    warehouse: Warehouse | None,
    findings: Findings,
) -> None:
    if action is None or warehouse is None:
        findings.skip(["same database"], "the destination or the warehouse is not known")
        return
    existing = next((item for item in seen.destinations or () if item.id == action.actor_id), None)
    after = merged(existing.configuration if existing else {}, action.declared.configuration)
    findings.add("same database", *judge_places(declared.type, after, warehouse, is_local=seen.is_local))
