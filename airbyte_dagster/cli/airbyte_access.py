"""Steps of ``airbyte-dagster doctor``: whether Airbyte answers, accepts the credentials, and has what a run needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Workspace
from airbyte_dagster.airbyte.roles import LEAST_ROLE, NEEDED_FOR, Right, right_of, roles_in
from airbyte_dagster.airbyte.workspaces import listed
from airbyte_dagster.cli.findings import NeedsAttention, Report
from airbyte_dagster.errors import AirbyteError, BadCredentials, PermissionDenied
from airbyte_dagster.export import Contents, read_contents
from airbyte_dagster.resources import AirbyteResource

_Value = TypeVar("_Value")

#: Name of the source that is created and deleted.
TRIAL = "airbyte_dagster doctor"


def examine_airbyte(
    report: Report, airbyte: AirbyteResource, *, write: bool, needed: Right = Right.EDIT
) -> tuple[Contents, bool] | None:
    """Check what a run needs of an Airbyte.

    Args:
        write: Also create a source and delete it.
        needed: The most that the definitions do there.

    Returns:
        What it has, and whether it is local Airbyte; ``None`` if a step failed that the next ones need.
    """
    client = report.step("address", airbyte.client, lambda it: it.settings.server_url)
    if client is None:
        return None
    # Without credentials: the address may be wrong, and what answers there is not to see them.
    is_local = report.step(
        "server", partial(_is_local, airbyte.tick_client()), lambda it: f"{'local ' if it else ''}Airbyte answers"
    )
    if is_local is None:
        return None
    signs_in = client.settings.signs_in_with or "no credentials"
    if report.step("credentials", partial(_visible_workspaces, client), f"{signs_in} accepted{{}}".format) is None:
        return None
    workspace = report.step("workspace", partial(airbyte.find_workspace, client), lambda it: f"{it.name!r} ({it.id})")
    if workspace is None:
        return None
    contents = report.step("contents", partial(_allowed, Right.READ, partial(read_contents, client, workspace)), _sizes)
    report.step(
        "jobs",
        partial(_allowed, Right.READ, partial(client.last_job, workspace.id)),
        lambda job: f"the last is job {job.id}, a {job.job_type}: {job.status}" if job else "there is none yet",
    )
    report.step("rows of each stream", partial(_reach_configuration_api, client, workspace), str)
    report.step("roles", partial(_rights, client, workspace, needed), str)
    if write:
        report.step("writing", partial(_allowed, Right.EDIT, partial(_create_and_delete, client, workspace)), str)
    return (contents, is_local) if contents else None


def _is_local(client: AirbyteClient) -> bool:
    try:
        return client.health()
    except (BadCredentials, PermissionDenied):
        return False  # something before Airbyte wants credentials for this, too: the next step shows whether ours do


def _visible_workspaces(client: AirbyteClient) -> str:
    try:
        visible = client.workspaces()
    except PermissionDenied:
        return ""  # signed in, but not to list these
    return f"; they see {listed(visible) or 'no workspace'}"


def _sizes(contents: Contents) -> str:
    return ", ".join(f"{len(getattr(contents, name))} {name}" for name in ("sources", "destinations", "connections"))


def _reach_configuration_api(client: AirbyteClient, workspace: Workspace) -> str:
    try:
        client.reach_configuration_api(workspace.id)
    except AirbyteError as error:
        raise NeedsAttention(
            f"The configuration API, which has them, can't be used: {error.message}",
            guidance="Checks can then verify row counts only where all streams of a connection are overwritten.",
        ) from None
    return "the configuration API, which has them, answers"


def _rights(client: AirbyteClient, workspace: Workspace, needed: Right) -> str:
    try:
        roles = roles_in(client.permissions(), workspace.id)
    except AirbyteError as error:
        found, right = f"can't be read: {error.message}", Right.NONE
    else:
        found, right = ", ".join(roles) or "none is listed", right_of(roles)
    if right >= needed:
        return f"{found}; enough for {NEEDED_FOR[needed]}"
    lacking = "; ".join(NEEDED_FOR[one] for one in NEEDED_FOR if right < one <= needed)
    tried = "--write tries it. If that fails, give" if needed is Right.EDIT else "Give"
    raise NeedsAttention(
        f"{found}; runs may not be allowed to do what they need: {lacking}.",
        guidance=f"{tried} the user whose application this is the role {LEAST_ROLE[needed]}, in this workspace.",
    )


def _allowed(right: Right, check: Callable[[], _Value]) -> _Value:
    """Do what needs a right; where it is refused, say which role has it."""
    try:
        return check()
    except PermissionDenied as error:
        raise PermissionDenied(
            error.message,
            status=error.status,
            guidance=f"This needs the role {LEAST_ROLE[right]} or more, for {NEEDED_FOR[right]}. {error.guidance}",
        ) from None


def _create_and_delete(client: AirbyteClient, workspace: Workspace) -> str:
    configuration = {"sourceType": "faker", "count": 1}
    try:
        client.create_actor("source", workspace_id=workspace.id, name=TRIAL, configuration=configuration)
    finally:
        # Also after a failure: without an answer it may have been created. Nothing else has this name.
        for source in client.actors("source", workspace.id):
            if source.name == TRIAL:
                client.delete_actor("source", source.id)
    return f"a source {TRIAL!r} was created and deleted"
