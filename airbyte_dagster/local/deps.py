"""What the routes share: the parts of the running server, signing in, and paging."""

from __future__ import annotations

import functools
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from airbyte_dagster.local import problems
from airbyte_dagster.local.declarative import OwnConnectors
from airbyte_dagster.local.destinations import Places
from airbyte_dagster.local.engine import Engine, Json
from airbyte_dagster.local.forms import Forms
from airbyte_dagster.local.jobs import JobRunner
from airbyte_dagster.local.jobstore import JobStore
from airbyte_dagster.local.records import Connection
from airbyte_dagster.local.schedules import Scheduler
from airbyte_dagster.local.settings import PUBLIC_API, Credentials, Home
from airbyte_dagster.local.statestore import StateStore, StreamKey
from airbyte_dagster.local.store import Store
from airbyte_dagster.local.tagstore import TagStore

TOKEN_SECONDS = 900
_MOST_TOKENS = 10_000


class Tokens:
    """The access tokens that were given out; they live in memory and as long as the server.

    Args:
        credentials: What a client has to show.
        clock: Monotonic seconds.
    """

    def __init__(self, credentials: Credentials, clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._expiry: dict[str, float] = {}

    def issue(self, client_id: str, client_secret: str) -> str:
        """A new token, good for 15 minutes as with Airbyte.

        Raises:
            ApiError: 400, in Airbyte Community's words, for wrong credentials.
        """
        known = hmac.compare_digest(client_id.encode(), self._credentials.client_id.encode())
        if not known or not hmac.compare_digest(client_secret.encode(), self._credentials.client_secret.encode()):
            raise problems.invalid_credentials()
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            if len(self._expiry) >= _MOST_TOKENS:
                self._expiry = {key: expiry for key, expiry in self._expiry.items() if expiry > now}
            self._expiry[token] = now + TOKEN_SECONDS
        return token

    def valid(self, token: str) -> bool:
        """Whether this token was given out and has not expired."""
        with self._lock:
            return self._expiry.get(token, 0.0) > self._clock()


@dataclass
class Context:
    """The parts of a running server.

    Args:
        home: Its directories.
        store: Workspaces, sources, destinations and connections.
        jobs: Jobs.
        states: Where the incremental reads of connections stopped.
        runner: Runs the jobs.
        schedules: Starts syncs by themselves.
        engine: Runs connectors.
        tokens: Who is signed in.
        places: Where warehouse files may be.
        connectors: Those that are no packages: named by the user, or defined over the API.
        strict: Leave the type key out of configurations, as the real server does.
        forms: What tells the pages' own forms from others'.
    """

    home: Home
    store: Store
    jobs: JobStore
    states: StateStore
    runner: JobRunner
    schedules: Scheduler
    engine: Engine
    tokens: Tokens
    places: Places
    connectors: OwnConnectors
    strict: bool = False
    forms: Forms = field(default_factory=Forms)

    @functools.cached_property
    def tags(self) -> TagStore:
        """The tags, which are in the store's database."""
        return TagStore(self.store)

    def change_connection(self, before: Connection, **changes: Any) -> Connection:
        """Change some columns of a connection; a stream whose sync mode changed starts from its beginning.

        Raises:
            ApiError: As `Store.change_connection`.
        """
        after = self.store.change_connection(before.id, **changes)
        old, new = (dict(zip(map(_key, record.catalog), record.streams, strict=True)) for record in (before, after))
        moved = {key for key in old.keys() & new.keys() if old[key]["syncMode"] != new[key]["syncMode"]}
        if moved:
            self.states.forget_streams(before.id, moved)
        return after

    def close(self) -> None:
        """End jobs, and whatever else runs for this server. May be called again."""
        self.schedules.close()
        self.runner.close()
        self.engine.close()


def _key(stream: Json) -> StreamKey:
    return (stream.get("namespace"), stream["name"])


def get_context(request: Request) -> Context:
    """The parts of the server that this request came to."""
    context: Context = request.app.state.context
    return context


async def require_token(
    request: Request,
    credentials: Annotated[
        HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, scheme_name="token"))
    ],
) -> None:
    """Let only requests with a valid token through.

    Raises:
        ApiError: 401.
    """
    if credentials is None or not get_context(request).tokens.valid(credentials.credentials):
        raise problems.unauthorized(request.url.path)


Ctx = Annotated[Context, Depends(get_context)]
Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=2**62)]
WorkspaceIds = Annotated[list[str] | None, Query(alias="workspaceIds")]
IncludeDeleted = Annotated[bool, Query(alias="includeDeleted")]


def uuids(values: Sequence[str] | None) -> list[str]:
    """The ids of a query parameter: repeated keys, comma-joined, or both.

    Raises:
        ApiError: 400 for something that is no UUID.
    """
    found: list[str] = []
    for value in ",".join(values or []).split(","):
        if not value.strip():
            continue
        try:
            found.append(str(UUID(value.strip())))
        except ValueError:
            raise problems.error_id(400, "not a UUID in the query") from None
    return found


def kept_filters(workspace_ids: Sequence[str], *, include_deleted: bool) -> list[tuple[str, str]]:
    """Of a list's filters those that links to its other pages repeat; others are lost (``*sResponseMapper.kt``)."""
    kept = [("includeDeleted", str(include_deleted).lower())]
    if workspace_ids:
        kept.append(("workspaceIds", ",".join(workspace_ids)))
    return kept


def base_url(request: Request) -> str:
    """The URL of the public API as this client reaches it."""
    return f"{str(request.base_url).rstrip('/')}{PUBLIC_API}"
