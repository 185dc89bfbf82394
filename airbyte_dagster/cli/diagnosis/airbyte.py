"""Whether Airbyte can be reached, lets these credentials in, and shows what runs need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.airbyte.workspaces import listed
from airbyte_dagster.cli.diagnosis.findings import Findings
from airbyte_dagster.cli.diagnosis.roles import judge_roles, unknown_roles
from airbyte_dagster.cli.diagnosis.variables import named_server
from airbyte_dagster.errors import (
    AirbyteError,
    BadCredentials,
    ConfigurationError,
    PermissionDenied,
    RequestTimedOut,
    UnexpectedAnswer,
    WorkspaceError,
)
from airbyte_dagster.resources import AirbyteResource

STEPS = (
    "server",
    "credentials",
    "workspace",
    "sources",
    "destinations",
    "connections",
    "jobs",
    "rows of each stream",
    "roles",
)
#: Name of the source that is created and deleted.
TRIAL = "airbyte_dagster doctor"
_WITHOUT_ROWS = (
    "Checks then compare the total of a job, for connections whose streams are all overwritten; for others they say "
    "that they could not verify."
)
_LOCAL = "local Airbyte"
_SETTINGS = "Set them as the page on pipelines says."
_WELL = "See that Airbyte is up and well, and what its log says; if it is, look at what is between it and this machine."
_ROLE = "An application acts as the user who made it: give that user the role of an editor in this workspace."
_DELETE = f"Delete the source {TRIAL!r} in Airbyte, if it is there."

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Seen:
    """What Airbyte showed; ``None`` for a list that could not be read.

    Attributes:
        is_local: Whether it is local Airbyte, whose files are this machine's.
    """

    client: AirbyteClient
    is_local: bool
    workspace: records.Workspace
    sources: Sequence[records.Source] | None
    destinations: Sequence[records.Destination] | None
    connections: Sequence[records.Connection] | None


def examine_airbyte(airbyte: AirbyteResource, findings: Findings, *, write: bool) -> Seen | None:
    """Go through the steps; what can't be reached ends them.

    Args:
        write: Also create a source and delete it.

    Returns:
        What was read, or ``None`` if not even the workspace was found.
    """
    steps = (*STEPS, "writing") if write else STEPS
    try:
        probe, client = airbyte.tick_client(), airbyte.client()
    except ConfigurationError as error:
        findings.error("server", error, _SETTINGS)
        findings.skip(steps[1:], "its settings are not valid")
        return None
    findings.waiting(f"Asking {client.settings.server_url} …")
    server = _server(probe, findings)
    if server is None:
        findings.skip(steps[1:], "the server does not answer")
        return None
    if not _credentials(client, findings):
        findings.skip(steps[2:], "signing in failed")
        return None
    workspace = _workspace(airbyte, client, findings)
    if workspace is None:
        findings.skip(steps[3:], "there is no workspace")
        return None
    seen = Seen(
        client,
        server == _LOCAL,
        workspace,
        sources=_list("sources", lambda: client.actors("source", workspace.id), findings),
        destinations=_list("destinations", lambda: client.actors("destination", workspace.id), findings),
        connections=_list("connections", lambda: client.connections(workspace.id), findings),
    )
    _rows(client, workspace, _jobs(client, workspace, findings), findings)
    _roles(client, workspace, findings)
    if write:
        _try_to_write(client, workspace, findings)
    return seen


def _server(client: AirbyteClient, findings: Findings) -> str | None:
    """Return what answers, or ``None`` if nothing does that can be gone on with."""
    url = client.settings.server_url
    try:
        name = _LOCAL if client.health() else named_server(url)
    except (BadCredentials, PermissionDenied) as error:
        findings.warn(
            "server",
            f"{url} answers {error.status} to the one request that Airbyte answers to anyone",
            "A proxy before it asks for something of its own; it may need extra_headers.",
        )
        return named_server(url)
    except AirbyteError as error:
        findings.error("server", error, _WELL)
        return None
    findings.ok("server", f"{name} answers at {url}")
    return name


def _credentials(client: AirbyteClient, findings: Findings) -> bool:
    given = client.settings.signs_in_with
    try:
        visible = client.workspaces()
    except PermissionDenied:
        return findings.ok("credentials", f"{given or 'no credentials'} accepted")
    except AirbyteError as error:
        return findings.error("credentials", error, _WELL)
    seen = f"they see {listed(visible)}" if visible else "they see no workspace"
    return findings.ok("credentials", f"{given} accepted; {seen}" if given else f"none are given, or needed; {seen}")


def _workspace(airbyte: AirbyteResource, client: AirbyteClient, findings: Findings) -> records.Workspace | None:
    try:
        workspace = airbyte.find_workspace(client)
    except (AirbyteError, WorkspaceError, ConfigurationError) as error:
        findings.error("workspace", error, "Set the id of a workspace that these credentials see.")
        return None
    findings.ok("workspace", f"{workspace.name!r} ({workspace.id})")
    return workspace


def _list(step: str, read: Callable[[], Sequence[_Record]], findings: Findings) -> Sequence[_Record] | None:
    try:
        found = read()
    except AirbyteError as error:
        findings.error(step, error, _WELL)
        return None
    findings.ok(step, f"can be read: {len(found)}")
    return found


def _jobs(client: AirbyteClient, workspace: records.Workspace, findings: Findings) -> records.Job | None:
    try:
        job = client.last_job(workspace.id)
    except AirbyteError as error:
        findings.error("jobs", error, _WELL)
        return None
    last = f"the last is job {job.id}, a {job.job_type} that is {job.status}" if job else "there is none yet"
    findings.ok("jobs", f"can be read: {last}")
    return job


def _rows(client: AirbyteClient, workspace: records.Workspace, job: records.Job | None, findings: Findings) -> None:
    stats = client.job_stream_stats(job.id) if job else None
    if job and stats is not None:
        findings.ok("rows of each stream", f"the configuration API has them: {len(stats)} streams in job {job.id}")
        return
    try:
        client.reach_configuration_api(workspace.id)
    except AirbyteError as error:
        findings.warn(
            "rows of each stream", f"the configuration API does not tell them: {error.message}", _WITHOUT_ROWS
        )
    else:
        findings.ok("rows of each stream", "the configuration API, which has them, answers")


def _roles(client: AirbyteClient, workspace: records.Workspace, findings: Findings) -> None:
    try:
        judgement = judge_roles(client.permissions(), workspace.id)
    except AirbyteError as error:
        judgement = unknown_roles(error.message)
    findings.add("roles", *judgement)


def _try_to_write(client: AirbyteClient, workspace: records.Workspace, findings: Findings) -> None:
    configuration = {"sourceType": "faker", "count": 1}
    try:
        made = client.create_actor("source", workspace_id=workspace.id, name=TRIAL, configuration=configuration)
    except (RequestTimedOut, UnexpectedAnswer) as error:
        findings.error("writing", error, _WELL)
        # It may be there all the same; nothing else has this name.
        _delete_all(client, workspace, findings)
        return
    except PermissionDenied as error:
        findings.fail("writing", error.message, _ROLE)
        return
    except AirbyteError as error:
        findings.error("writing", error, _WELL)
        return
    if _delete(client, made.id, findings):
        findings.ok("writing", f"a source {TRIAL!r} was created and deleted")


def _delete_all(client: AirbyteClient, workspace: records.Workspace, findings: Findings) -> None:
    try:
        found = client.actors("source", workspace.id)
    except AirbyteError as error:
        findings.fail("writing", f"whether it was created can't be seen: {error.message}", _DELETE)
        return
    for source in found:
        if source.name == TRIAL:
            _delete(client, source.id, findings)


def _delete(client: AirbyteClient, source_id: str, findings: Findings) -> bool:
    try:
        client.delete_actor("source", source_id)
    except AirbyteError as error:
        return findings.fail(
            "writing", f"the source {source_id} was created, but not deleted: {error.message}", _DELETE
        )
    return True
