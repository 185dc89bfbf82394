"""What streams a source has."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from airbyte_dagster.local import streams
from airbyte_dagster.local.deps import Ctx
from airbyte_dagster.local.routes.connections import discovered

router = APIRouter(prefix="/streams", tags=["5. Connections"])


@router.get("", summary="Discover the streams of a source")
def list_streams(
    context: Ctx,
    source_id: Annotated[UUID, Query(alias="sourceId")],
    destination_id: Annotated[UUID | None, Query(alias="destinationId")] = None,
    ignore_cache: Annotated[bool, Query(alias="ignoreCache")] = False,  # noqa: FBT002 - a query parameter
) -> list[dict[str, Any]]:
    """Asks the connector, unless it was asked before with this configuration."""
    source = context.store.actor("source", str(source_id))
    if destination_id is not None:
        context.store.actor("destination", str(destination_id))
    found = discovered(context, source, refresh=ignore_cache)
    return [streams.view(stream, with_modes=destination_id is not None) for stream in found]
