"""What each call of the API does: functions of the world and the call, one for each route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.simulated_airbyte import views
from benchmarks.simulated_airbyte.inventory import WORKSPACE_ID, ConnectionRow, Kind
from benchmarks.simulated_airbyte.lists import chosen_jobs, page
from benchmarks.simulated_airbyte.views import problem
from benchmarks.simulated_airbyte.world import World

CLIENT_ID, CLIENT_SECRET = "simulated-id", "simulated-secret"


@dataclass(frozen=True)
class Answer:
    """An answer; `json` is text for what is no JSON, ``None`` for no body."""

    status: int
    json: Any = None


@dataclass(frozen=True)
class Call:
    """A call.

    Attributes:
        now: When it arrived, in seconds since the epoch.
        wanted: The id in its path.
    """

    now: float
    query: Mapping[str, str]
    body: Mapping[str, Any]
    wanted: str


Handler = Callable[[World, Call], Answer]


def token(world: World, call: Call) -> Answer:
    """Sign in."""
    if (call.body.get("client_id"), call.body.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        return Answer(401, {"errorId": "00000000-0000-4000-8000-00000000dead"})
    value = world.make_token(call.now)
    return Answer(200, {"access_token": value, "token_type": "Bearer", "expires_in": world.token_seconds})


def health(_world: World, _call: Call) -> Answer:
    """Say that all is well."""
    return Answer(200, "Successful operation")


def workspaces(_world: World, call: Call) -> Answer:
    """List the one workspace."""
    return Answer(200, page("/workspaces", call.query, [views.workspace()], lambda view: view))


def workspace(_world: World, call: Call) -> Answer:
    """Show the workspace."""
    return Answer(200, views.workspace()) if call.wanted == WORKSPACE_ID else _missing("WORKSPACE", call.wanted)


def actors(kind: Kind) -> Handler:
    """Make what lists sources, or destinations."""

    def handler(world: World, call: Call) -> Answer:
        rows = world.inventory.actors(kind) if _is_ours(call.query) else []
        return Answer(200, page(f"/{kind}s", call.query, rows, views.actor))

    return handler


def actor(kind: Kind) -> Handler:
    """Make what shows a source, or a destination."""

    def handler(world: World, call: Call) -> Answer:
        row = next((row for row in world.inventory.actors(kind) if row.id == call.wanted), None)
        return Answer(200, views.actor(row)) if row else _missing(f"{kind.upper()}_CONNECTION", call.wanted)

    return handler


def connections(world: World, call: Call) -> Answer:
    """List connections, without deleted ones unless they are asked for."""
    with_deleted = call.query.get("includeDeleted") == "true"
    rows = world.inventory.connections if _is_ours(call.query) else []
    shown = [row for row in rows if with_deleted or not row.deleted]
    return Answer(200, page("/connections", call.query, shown, views.connection))


def connection(world: World, call: Call) -> Answer:
    """Show a connection, a deleted one too."""
    row = world.inventory.connection(call.wanted)
    return Answer(200, views.connection(row)) if row else _missing("STANDARD_SYNC", call.wanted)


def delete_connection(world: World, call: Call) -> Answer:
    """Delete a connection."""
    row = world.inventory.connection(call.wanted)
    if row is None:
        return _missing("STANDARD_SYNC", call.wanted)
    world.delete(row, call.now)
    return Answer(204)


def connection_with_catalog(world: World, call: Call) -> Answer:
    """Show a connection in the words of the configuration API."""
    wanted = str(call.body.get("connectionId"))
    row = world.inventory.connection(wanted)
    return Answer(200, views.connection_of_configuration_api(row)) if row else _missing("STANDARD_SYNC", wanted)


def streams(world: World, call: Call) -> Answer:
    """Show what a source offers: the streams of its connection."""
    wanted = call.query.get("sourceId", "")
    row = next((row for row in world.inventory.connections if row.source_id == wanted), None)
    if row is None:
        return _missing("SOURCE_CONNECTION", wanted)
    return Answer(200, [views.available_stream(name) for name in row.streams])


def jobs(world: World, call: Call) -> Answer:
    """List jobs; a connection overrides the workspace."""
    wanted = call.query.get("connectionId")
    rows = world.jobs.rows if _is_ours(call.query) else []
    if wanted is not None:
        rows = world.jobs.of(wanted)
    found = chosen_jobs(rows, call.query, call.now, newest_tie_first=world.newest_tie_first)
    return Answer(200, page("/jobs", call.query, found, lambda row: views.job(row, call.now)))


def job(world: World, call: Call) -> Answer:
    """Show a job."""
    row = world.jobs.get(int(call.wanted))
    return Answer(200, views.job(row, call.now)) if row else _not_running()


def create_job(world: World, call: Call) -> Answer:
    """Start a sync or a reset."""
    wanted, job_type = str(call.body.get("connectionId")), str(call.body.get("jobType"))
    row = world.inventory.connection(wanted)
    if row is None:
        return _missing("STANDARD_SYNC", wanted)
    if job_type == "sync":
        return _sync(world, row, call.now)
    if job_type in ("reset", "clear"):
        world.cancel(wanted, call.now)
        return Answer(200, views.job(world.make_job(row, "reset", call.now), call.now, with_stats=False))
    message = {"message": "Refreshes are not supported in the public API"}
    return Answer(422, problem(422, "unprocessable-entity", message))


def _sync(world: World, row: ConnectionRow, now: float) -> Answer:
    if row.status != "active":
        return Answer(409, problem(409, "state-conflict", {"message": "Could not fulfill request"}))
    active = world.jobs.active(row.id, now)
    if active is None:
        return Answer(200, views.job(world.make_job(row, "sync", now), now, with_stats=False))
    if active.status(now) == "pending":
        active.asked += 1
        return Answer(200, views.job(active, now, with_stats=False))
    active.refused += 1
    message = {"message": f"A sync is already running for: {row.id}"}
    return Answer(409, problem(409, "try-again-later", message))


def cancel_job(world: World, call: Call) -> Answer:
    """Stop whatever runs on the job's connection, as the real one does, and show the job."""
    row = world.jobs.get(int(call.wanted))
    owner = None if row is None else world.inventory.connection(row.connection_id)
    if row is None or owner is None or owner.deleted:
        return _not_running()
    world.cancel(row.connection_id, call.now)
    return Answer(200, views.job(row, call.now, with_stats=False))


def job_with_stats(world: World, call: Call) -> Answer:
    """Show a job in the words of the configuration API."""
    row = world.jobs.get(int(call.body.get("id", 0)))
    return Answer(200, views.job_of_configuration_api(row, call.now)) if row else _not_running()


def _missing(kind: str, wanted: str) -> Answer:
    return Answer(404, problem(404, "resource-not-found", {"resourceType": kind, "resourceId": wanted}))


def _not_running() -> Answer:
    message = {"message": "Job is not currently running"}
    return Answer(409, problem(409, "state-conflict", message, kind="409-state-conflict"))


def _is_ours(query: Mapping[str, str]) -> bool:
    wanted = query.get("workspaceIds")
    return not wanted or WORKSPACE_ID in wanted.split(",")
