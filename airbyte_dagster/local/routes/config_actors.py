"""Sources and destinations in the configuration API: trying them out, and asking what they have."""

from __future__ import annotations

import time
import uuid
from typing import Any

from fastapi import APIRouter

from airbyte_dagster.local import configproblems, configviews, definitions, destinations, drift, suggestions
from airbyte_dagster.local.configschemas import DestinationId, SourceDiscover, SourceId
from airbyte_dagster.local.deps import Context, Ctx
from airbyte_dagster.local.engine import ConnectorFailed, Json, UnknownConnector
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Actor

router = APIRouter(tags=["Configuration API"])


@router.post("/sources/check_connection", summary="Try a source's configuration")
def check_source(context: Ctx, body: SourceId) -> dict[str, Any]:
    """Asks the connector. A configuration that doesn't work is an answer, too: `status` is `failed`."""
    source = _actor(context, "source", str(body.source_id))
    started = time.time()
    try:
        reason = context.engine.check(source.type, source.configuration)
    except ConnectorFailed as error:
        reason = str(error)
    except UnknownConnector:
        reason = definitions.unknown_source(source.type)
    return _checked(source, reason, started)


@router.post("/destinations/check_connection", summary="Try a destination's configuration")
def check_destination(context: Ctx, body: DestinationId) -> dict[str, Any]:
    """Whether its file can be written, or its server be reached. Nothing is written, and nobody signs in."""
    destination = _actor(context, "destination", str(body.destination_id))
    started = time.time()
    try:
        where = destinations.warehouse(destination.type, destination.configuration, context.places)
        reason = destinations.reason_against(where)
    except ApiError as error:
        reason = str((error.body.get("data") or {}).get("message"))
    return _checked(destination, reason, started)


@router.post("/sources/discover_schema", summary="Ask a source for its streams")
def discover_schema(context: Ctx, body: SourceDiscover) -> dict[str, Any]:
    """`disable_cache` asks again even if the configuration is the same. A failure is in `jobInfo`."""
    source = _actor(context, "source", str(body.source_id))
    started = time.time()
    try:
        found = context.engine.discover(source.type, source.configuration, refresh=body.disable_cache)
    except (ConnectorFailed, UnknownConnector) as error:
        reason = definitions.unknown_source(source.type) if isinstance(error, UnknownConnector) else str(error)
        return {"jobInfo": _job_info(source, "discover_schema", started, reason)}
    if body.disable_cache:
        drift.note(context.store, source.id, found)
    return {
        "catalog": configviews.discovered_catalog(found, suggestions.suggested(source.type, found)),
        "catalogId": str(uuid.uuid5(uuid.UUID(source.id), repr(found))),
        "jobInfo": _job_info(source, "discover_schema", started, None),
    }


def _actor(context: Context, kind: str, actor_id: str) -> Actor:
    with configproblems.in_its_words():
        return context.store.actor(kind, actor_id)


def _checked(actor: Actor, reason: str | None, started: float) -> Json:
    shown: Json = {"status": "succeeded" if reason is None else "failed"}
    if reason is not None:
        shown["message"] = reason
    # The job that asked has succeeded in either case.
    return {**shown, "jobInfo": _job_info(actor, f"check_connection_{actor.kind}", started, None)}


def _job_info(actor: Actor, kind: str, started: float, reason: str | None) -> Json:
    info: Json = {
        "id": str(uuid.uuid4()),
        "configType": kind,
        "configId": actor.definition_id,
        "createdAt": int(started * 1000),
        "endedAt": int(time.time() * 1000),
        "succeeded": reason is None,
        "connectorConfigurationUpdated": False,
        "logType": "formatted",
        "logs": {"logLines": []},
    }
    if reason is not None:
        failure = {"failureOrigin": actor.kind, "failureType": "config_error", "externalMessage": reason}
        info["failureReason"] = {**failure, "timestamp": info["endedAt"]}
    return info
