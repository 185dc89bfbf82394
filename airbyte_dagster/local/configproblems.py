"""The configuration API's own error bodies, which are older than the public API's problems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airbyte_dagster.local.problems import ApiError

_ERRORS = "io.airbyte.commons.server.errors"


def _known(status: int, kind: str, message: str, **more: Any) -> ApiError:
    body = {
        "message": message,
        "exceptionClassName": f"{_ERRORS}.{kind}",
        "exceptionStack": [],
        "rootCauseExceptionStack": [],
    }
    return ApiError(status, {**more, **body})


def not_found(resource_type: str, resource_id: str) -> ApiError:
    """404: no such thing."""
    message = f"Could not find configuration for {resource_type}: {resource_id}."
    return _known(404, "IdNotFoundKnownException", message, id=resource_id)


def sync_is_running() -> ApiError:
    """423: the state can't be replaced while it is in use."""
    message = "State cannot be updated while a sync is running for this connection."
    return _known(423, "SyncIsRunningException", message)


@contextmanager
def in_its_words() -> Iterator[None]:
    """Turn the public API's 404 into this API's."""
    try:
        yield
    except ApiError as error:
        data = error.body.get("data") or {}
        if error.status == 404 and "resourceId" in data:  # noqa: PLR2004 - not found
            raise not_found(data["resourceType"], data["resourceId"]) from None
        raise
