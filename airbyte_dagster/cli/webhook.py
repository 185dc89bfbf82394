"""``airbyte-dagster webhook``: have Airbyte report syncs when they end, and record them then."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airbyte_dagster.cli.environment import find_airbyte, names_an_airbyte, prepare_dagster_home
from airbyte_dagster.cli.local_server import running_local_environment
from airbyte_dagster.cli.options import FILE, HOME, MODULE, check_one_of
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.logs import LogFormat, log_as_json, log_format_option
from airbyte_dagster.output import Facts, FactsCommand
from airbyte_dagster.paths import HOME_VARIABLE

if TYPE_CHECKING:
    from airbyte_dagster.airbyte import AirbyteClient
    from airbyte_dagster.airbyte.records import Workspace
    from airbyte_dagster.resources import AirbyteResource
    from airbyte_dagster.webhook.registration import EventStatus

_OWN_MODULE = "airbyte_dagster.definitions"
_SECRET_FILE = click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the secret of the address. [default: AIRBYTE_WEBHOOK_SECRET_FILE, or the secret itself in "
    "AIRBYTE_WEBHOOK_SECRET]",
)


@click.group()
def webhook() -> None:
    """Syncs noticed when they end: Airbyte posts a notice, a receiver records the sync in Dagster.

    The address that Airbyte posts to ends in a secret. All of these commands read it from the environment or a file,
    never from the command line. The sync sensor finds syncs without notices, too; with them it may look rarely.
    """


@webhook.command()
@HOME
@MODULE
@FILE
@_SECRET_FILE
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8010, show_default=True, help="The port; 0 takes a free one."
)
@log_format_option
def serve(
    *,
    home: Path,
    module: str | None,
    file: Path | None,
    secret_file: Path | None,
    host: str,
    port: int,
    log_format: LogFormat,
) -> None:
    """Receive notices, and record their syncs, until Ctrl-C.

    It records for the assets of the sync sensors (build_airbyte_sync_sensor, or sync_sensor=True of a workspace) in
    your definitions, given by -m or -f; without, in those of the course's pipeline, which run and dev use. DAGSTER_HOME
    says where. The sensor should be on: it has the checks run, and finds syncs whose notices were lost.

    Several receivers may share one Dagster instance. /health answers 200 while there is room for further notices.
    """
    check_one_of(module, file)
    from airbyte_dagster.webhook.secret import find_secret  # noqa: PLC0415 - loads Dagster

    secret = find_secret(secret_file)
    _prepare(home.absolute(), is_own=not (module or file))
    from airbyte_dagster.airbyte.redaction import redact, secrets_of  # noqa: PLC0415
    from airbyte_dagster.cli.code_location import load_valid_definitions  # noqa: PLC0415 - loads Dagster
    from airbyte_dagster.webhook import build_webhook_app, serving  # noqa: PLC0415 - loads Dagster

    if log_format == "json":
        hidden = [*secrets_of(dict(os.environ)), secret]
        log_as_json(lambda text: redact(text, hidden))
        say: Callable[[str], None] = logging.getLogger("airbyte_dagster.webhook").info
    else:
        serving.log_to_terminal()
        say = click.echo
    definitions = load_valid_definitions(module or (None if file else _OWN_MODULE), file)
    app = build_webhook_app(definitions, secret=secret)
    serving.serve(app, host, port, say=say)


@webhook.command(cls=FactsCommand)
@click.argument("url", metavar="URL")
@HOME
@MODULE
@FILE
@_SECRET_FILE
@click.option("--forward", is_flag=True, help="Have the receiver hand each notice on to where they went before.")
def register(
    *, url: str, home: Path, module: str | None, file: Path | None, secret_file: Path | None, forward: bool
) -> Facts:
    """Have Airbyte post the notices of syncs to a receiver.

    URL is the receiver's address as Airbyte reaches it, without the secret, such as https://hooks.example.com. The
    receiver has to run already: it is tried first.

    The workspace is that of the Airbyte resource in your definitions, given by -m or -f; without, the one that the
    environment names, or that of local Airbyte. Airbyte has one address for each event. If notices go elsewhere
    already, nothing is changed, unless --forward is given.
    """
    from airbyte_dagster.webhook import registration  # noqa: PLC0415 - loads Dagster
    from airbyte_dagster.webhook.secret import find_secret  # noqa: PLC0415

    secret = find_secret(secret_file)
    found = [
        (workspace, *registration.register(client, workspace, url, secret, forward=forward))
        for client, workspace in _workspaces(home.absolute(), module, file)
    ]

    def show() -> None:
        for workspace, events, untried in found:
            _show(workspace, events)
            if untried:
                click.echo(f"! The receiver can't be tried from here: {untried} Airbyte has to reach it.")

    return _facts([{**_record(workspace, events), "untried": untried} for workspace, events, untried in found], show)


@webhook.command(cls=FactsCommand)
@HOME
@MODULE
@FILE
@_SECRET_FILE
def status(*, home: Path, module: str | None, file: Path | None, secret_file: Path | None) -> Facts:
    """Show where the notices of a workspace's syncs go. Secrets of addresses are left out."""
    from airbyte_dagster.webhook import registration  # noqa: PLC0415 - loads Dagster
    from airbyte_dagster.webhook.secret import FILE_VARIABLE, SECRET_VARIABLE, find_secret  # noqa: PLC0415

    is_given = secret_file or any(os.environ.get(name) for name in (SECRET_VARIABLE, FILE_VARIABLE))
    secret = find_secret(secret_file) if is_given else None
    found = [
        (workspace, registration.status(workspace, secret))
        for _, workspace in _workspaces(home.absolute(), module, file)
    ]

    def show() -> None:
        for workspace, events in found:
            _show(workspace, events)

    return _facts([_record(*item) for item in found], show)


@webhook.command(cls=FactsCommand)
@HOME
@MODULE
@FILE
@_SECRET_FILE
def unregister(*, home: Path, module: str | None, file: Path | None, secret_file: Path | None) -> Facts:
    """Take a receiver's address out of Airbyte; what it handed notices on to gets them by itself again."""
    from airbyte_dagster.webhook import registration  # noqa: PLC0415 - loads Dagster
    from airbyte_dagster.webhook.secret import find_secret  # noqa: PLC0415

    secret = find_secret(secret_file)
    found = [
        (workspace, registration.unregister(client, workspace, secret))
        for client, workspace in _workspaces(home.absolute(), module, file)
    ]

    def show() -> None:
        for workspace, events in found:
            if events is None:
                click.echo(
                    f"Workspace {workspace.name!r} ({workspace.id}): no notices go to a receiver with this secret."
                )
            else:
                _show(workspace, events)

    records = [
        {
            **_record(workspace, registration.status(workspace, secret) if events is None else events),
            "removed": events is not None,
        }
        for workspace, events in found
    ]
    return _facts(records, show)


def _facts(records: Sequence[Mapping[str, object]], show: Callable[[], object]) -> Facts:
    return Facts({"workspaces": records}, show)


def _record(workspace: Workspace, events: Sequence[EventStatus]) -> dict[str, object]:
    told = [
        {
            "event": item.event,
            "receiver": item.receiver,
            "address": item.address,
            "forwardsTo": item.forwards_to,
        }
        for item in events
    ]
    return {"workspaceId": workspace.id, "events": told}


def _prepare(home: Path, *, is_own: bool) -> None:
    """Set the environment for the definitions, as `dev` has it."""
    os.environ[HOME_VARIABLE] = str(home)
    prepare_dagster_home(home)
    if is_own and not names_an_airbyte(os.environ):
        local = running_local_environment(home)
        if local is None:
            raise ConfigurationError(
                f"The environment names no Airbyte, and no local Airbyte runs for {home}.",
                guidance="Start `airbyte-dagster dev`; or give your definitions with -m or -f.",
            )
        os.environ.update(local)


def _workspaces(home: Path, module: str | None, file: Path | None) -> Sequence[tuple[AirbyteClient, Workspace]]:
    """Return the workspaces of the Airbyte resources of definitions, or of the environment, each once."""
    check_one_of(module, file)
    os.environ[HOME_VARIABLE] = str(home)
    prepare_dagster_home(home)
    if module or file:
        resources = _resources(module, file)
    else:
        resources = [find_airbyte(home, otherwise="give your definitions with -m or -f")]
    found = {}
    for resource in resources:
        client = resource.client()
        workspace = resource.find_workspace(client)
        found[client.settings.server_url, workspace.id] = (client, workspace)
    return list(found.values())


def _resources(module: str | None, file: Path | None) -> list[AirbyteResource]:
    from airbyte_dagster.cli.code_location import load_definitions  # noqa: PLC0415 - loads Dagster
    from airbyte_dagster.resources import AirbyteResource  # noqa: PLC0415

    there = (load_definitions(module, file).resources or {}).values()
    resources = [item for item in there if isinstance(item, AirbyteResource)]
    if not resources:
        raise ConfigurationError(f"The definitions of {file or module} have no AirbyteResource among their resources.")
    return resources


def _show(workspace: Workspace, events: Sequence[EventStatus]) -> None:
    click.echo(f"Workspace {workspace.name!r} ({workspace.id}):")
    words = {
        "this": "to the receiver at {}",
        "other secret": "to a receiver at {}, whose secret is not the one given here",
        "unknown secret": "to a receiver at {}; whether its secret is yours is seen if you give that",
        "other": "elsewhere, to {}",
        "none": "nowhere",
    }
    for item in events:
        forwarded = f", which hands them on to {item.forwards_to}" if item.forwards_to else ""
        click.echo(f"  {item.event}: {words[item.receiver].format(item.address)}{forwarded}")
