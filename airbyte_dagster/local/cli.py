"""The ``local`` commands."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from airbyte_dagster import logs
from airbyte_dagster.local import joblogs, overview, settings
from airbyte_dagster.local.cli_connectors import connectors
from airbyte_dagster.local.cli_delete import delete
from airbyte_dagster.local.options import (
    NamedConnector,
    home_option,
    start_options,
    with_those_of_the_environment,
)
from airbyte_dagster.local.redaction import Redactor
from airbyte_dagster.logs import LogFormat, log_format_option
from airbyte_dagster.output import Facts, FactsCommand

_SECONDS_BETWEEN_LOOKS = 0.3


@click.group()
def local() -> None:
    """Local Airbyte: Airbyte's API and real connectors on this machine, without an account."""


local.add_command(delete)
local.add_command(connectors)


@local.command()
@home_option
@click.option("--host", default=settings.DEFAULT_HOST, show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"The port; 0 takes any free one. [default: {settings.DEFAULT_PORT}, or the next free one]",
)
@click.option("--strict", is_flag=True, help="Leave the type key out of configurations, as the real server does.")
@start_options
@click.option(
    "--prepare",
    multiple=True,
    metavar="NAME",
    default=[settings.COURSE_CONNECTOR],
    show_default=True,
    help="Have this connector ready before requests are accepted: it is installed now if need be. Repeatable.",
)
@click.option("--no-prepare", is_flag=True, help="Install connectors only when they are needed.")
@log_format_option
@click.option("--started-by", hidden=True, default="airbyte-dagster local serve", help="For messages: what users type.")
@click.option("--exit-with-stdin", is_flag=True, help="End when stdin ends, so that a parent takes the server along.")
def serve(
    *,
    home: str | None,
    host: str,
    port: int | None,
    workers: int | None,
    connectors: tuple[NamedConnector, ...],
    allow_paths: tuple[Path, ...],
    prepare: tuple[str, ...],
    no_prepare: bool,
    strict: bool,
    log_format: LogFormat,
    started_by: str,
    exit_with_stdin: bool,
) -> None:
    """Serve Airbyte's API until Ctrl-C."""
    from airbyte_dagster.local import server  # noqa: PLC0415 - heavy

    options = server.Options(
        host=host,
        port=port,
        workers=workers or server.DEFAULT_WORKERS,
        strict=strict,
        connectors=with_those_of_the_environment(connectors),
        allow_paths=[path.expanduser().absolute() for path in allow_paths],
        prepare=() if no_prepare else prepare,
        command=started_by,
    )
    where = settings.resolve_home(home)
    say = click.echo if log_format == "text" else _log_as_json(where)
    try:
        server.serve(where, options, say, exit_with_stdin=exit_with_stdin)
    except server.CannotServe as error:
        raise click.ClickException(str(error)) from None
    sys.stdout.flush()
    os._exit(0)  # all is closed; taking the interpreter apart would take as long as starting it


def _log_as_json(home: settings.Home) -> Callable[[str], None]:
    """Have all that this process says written as JSON; return what says a line."""
    logs.log_as_json(Redactor([settings.ensure_credentials(home).client_secret]).text)
    log = logging.getLogger("airbyte_dagster.local")
    return lambda line: log.info(line.removeprefix(settings.PROGRESS_MARK))


@local.command(cls=FactsCommand)
@home_option
def env(home: str | None) -> Facts:
    """Print the variables that point a client here: eval "$(airbyte-dagster local env)"."""
    where = settings.resolve_home(home)
    url = settings.running_server(where)
    if url is None:
        click.echo("Local Airbyte isn't running; `airbyte-dagster local serve` starts it.", err=True)
        url = f"http://{settings.DEFAULT_HOST}:{settings.DEFAULT_PORT}"
    variables = settings.environment(where, url)
    lines = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    return Facts(variables, lambda: click.echo(lines))


@local.command(cls=FactsCommand)
@home_option
def status(home: str | None) -> Facts:
    """Show whether local Airbyte runs, where, and what it has. Ends with 0 either way."""
    found = overview.status(settings.resolve_home(home))
    return Facts(found, lambda: _show_status(found))


def _show_status(found: Mapping[str, Any]) -> None:
    where = (
        f"running at {found['url']}{settings.PUBLIC_API} (pid {found['pid']})" if found["running"] else "not running"
    )
    click.echo(f"Local Airbyte {found['version']}: {where}")
    click.echo(f"Home: {found['home']}")
    click.echo(
        f"Workspaces: {found['workspaces']}, connections: {found['connections']}, active jobs: {found['activeJobs']}"
    )
    for job in found["lastJobs"]:
        line = f"job {job['jobId']}  {job['jobType']:<6}{job['status']:<10}{job['startTime']}"
        click.echo(f"{line}  connection {job['connectionId']}")


@local.command("logs")
@home_option
@click.argument("job", type=click.IntRange(min=1))
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
def logs_command(home: str | None, job: int, *, follow: bool) -> None:
    """Print the log of the job number JOB; the server need not run."""
    where = settings.resolve_home(home)
    state, path = overview.job_status(where, job), where.job_log(job)
    if state is None:
        raise click.ClickException(f"there is no job {job} in {where.root}")
    if follow:
        pause = threading.Event()
        for piece in joblogs.follow(path, lambda: overview.has_ended(where, job), lambda: _pause(pause)):
            click.echo(piece, nl=False)
        return
    text = joblogs.read(path)
    if not text:
        click.echo(f"Job {job} is {state} and has no log (any more).", err=True)
    click.echo(text, nl=False)


def _pause(event: threading.Event) -> None:
    event.wait(_SECONDS_BETWEEN_LOOKS)


@local.command("reset-state", cls=FactsCommand)
@home_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset_state(home: str | None, *, yes: bool) -> Facts:
    """Forget all workspaces, sources, destinations, connections, jobs and logs.

    Credentials, connectors and warehouse files stay. Refused while the server runs.
    """
    from airbyte_dagster.local import server  # noqa: PLC0415 - heavy

    where = settings.resolve_home(home)
    try:
        with server.only_server(where):
            if not yes:
                click.confirm(f"Forget everything that local Airbyte has in {where.state_dir}?", abort=True)
            for file in (where.database, *where.state_dir.glob(f"{where.database.name}-*"), *where.logs.iterdir()):
                file.unlink(missing_ok=True)
            shutil.rmtree(where.definitions, ignore_errors=True)
    except server.CannotServe as error:
        raise click.ClickException(f"{error}: end it first") from None
    line = f"Forgotten: {where.database} and the logs of its jobs."
    return Facts({"home": str(where.root), "database": str(where.database)}, lambda: click.echo(line))
