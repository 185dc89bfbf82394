"""The ``local`` commands."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airbyte_dagster.local import joblogs, overview, settings
from airbyte_dagster.local.cli_delete import delete
from airbyte_dagster.local.options import NamedConnector, start_options, with_those_of_the_environment

if TYPE_CHECKING:
    from airbyte_dagster.local.cache import Cached

_SECONDS_BETWEEN_LOOKS = 0.3
_HOME = click.option(
    "--home",
    type=click.Path(file_okay=False),
    help="Where local Airbyte keeps its things. [default: $AIRBYTE_DAGSTER_HOME, else ~/.airbyte-dagster]",
)


@click.group()
def local() -> None:
    """Local Airbyte: Airbyte's API and real connectors on this machine, without an account."""


local.add_command(delete)


@local.command()
@_HOME
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
    try:
        server.serve(settings.resolve_home(home), options, click.echo, exit_with_stdin=exit_with_stdin)
    except server.CannotServe as error:
        raise click.ClickException(str(error)) from None
    sys.stdout.flush()
    os._exit(0)  # all is closed; taking the interpreter apart would take as long as starting it


@local.command()
@_HOME
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of export lines.")
def env(home: str | None, *, as_json: bool) -> None:
    """Print the variables that point a client here: eval "$(airbyte-dagster local env)"."""
    where = settings.resolve_home(home)
    url = settings.running_server(where)
    if url is None:
        click.echo("Local Airbyte isn't running; `airbyte-dagster local serve` starts it.", err=True)
        url = f"http://{settings.DEFAULT_HOST}:{settings.DEFAULT_PORT}"
    variables = settings.environment(where, url)
    if as_json:
        click.echo(json.dumps(variables, indent=2))
    else:
        for name, value in variables.items():
            click.echo(f"export {name}={shlex.quote(value)}")


@local.command()
@_HOME
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(home: str | None, *, as_json: bool) -> None:
    """Show whether local Airbyte runs, where, and what it has. Ends with 0 either way."""
    found = overview.status(settings.resolve_home(home))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
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


@local.command()
@_HOME
@click.argument("job", type=click.IntRange(min=1))
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
def logs(home: str | None, job: int, *, follow: bool) -> None:
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


@local.command("reset-state")
@_HOME
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset_state(home: str | None, *, yes: bool) -> None:
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
    click.echo(f"Forgotten: {where.database} and the logs of its jobs.")


@local.group()
def connectors() -> None:
    """Connectors in the cache that all homes of this user share."""


@connectors.command()
@_HOME
@click.argument("names", nargs=-1, required=True)
def install(home: str | None, names: tuple[str, ...]) -> None:
    """Install the connectors NAMES, such as faker, ahead of their first use."""
    from airbyte_dagster.local.environments import NAME, EnvironmentFailed, prepare  # noqa: PLC0415 - heavy

    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise click.ClickException(f"{wrong[0]!r} is not a connector's name: lower-case letters, digits and dashes")
    try:
        prepare(settings.resolve_home(home).environments, names, click.echo)
    except EnvironmentFailed as error:
        raise click.ClickException(str(error)) from None


@connectors.command("list")
@_HOME
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_connectors(home: str | None, *, as_json: bool) -> None:
    """Show what is in the cache: version, size, last use. Any airbyte-source-NAME package can be installed."""
    from airbyte_dagster.local.cache import cached  # noqa: PLC0415 - heavy

    root = settings.resolve_home(home).environments
    found = cached(root)
    if as_json:
        click.echo(json.dumps({"directory": str(root), "connectors": [_row(entry) for entry in found]}, indent=2))
        return
    for entry in found:
        row = _row(entry)
        note = "" if entry.current or entry.version is None else "  of another version of airbyte-dagster"
        line = f"{entry.name:<24}{entry.version or 'unfinished':<12}{entry.size / 1e6:>8,.0f} MB  {row['lastUsed']}"
        click.echo(f"{line}{note}")
    total = sum(entry.size for entry in found) / 1e6
    click.echo(f"{len(found)} in {root}, {total:,.0f} MB")


def _row(entry: Cached) -> dict[str, object]:
    used = datetime.fromtimestamp(entry.last_used, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "name": entry.name,
        "version": entry.version,
        "bytes": entry.size,
        "lastUsed": used,
        "current": entry.current,
        "path": str(entry.path),
    }


@connectors.command()
@_HOME
@click.argument("names", nargs=-1, required=True)
def remove(home: str | None, names: tuple[str, ...]) -> None:
    """Delete the environments of the connectors NAMES; the next use installs them again."""
    from airbyte_dagster.local import cache  # noqa: PLC0415 - heavy

    found = cache.cached(settings.resolve_home(home).environments)
    for name in names:
        paths = [entry.path for entry in found if entry.name == name]
        if not paths:
            raise click.ClickException(f"{name} is not installed")
        for path in paths:
            cache.remove(path)
        click.echo(f"Removed {name}.")


@connectors.command()
@_HOME
@click.option(
    "--unused-for",
    type=click.FloatRange(0),
    metavar="DAYS",
    help="Also those that no job, check or discovery has used for so many days; 0 for all.",
)
def clean(home: str | None, *, unused_for: float | None) -> None:
    """Delete what is left of interrupted installations and of other versions of airbyte-dagster."""
    from airbyte_dagster.local import cache  # noqa: PLC0415 - heavy

    found = cache.superfluous(cache.cached(settings.resolve_home(home).environments), unused_days=unused_for)
    for entry in found:
        cache.remove(entry.path)
        click.echo(f"Removed {entry.name} {entry.version or '(unfinished)'}, {entry.size / 1e6:,.0f} MB.")
    if not found:
        click.echo("There is nothing to remove.")
