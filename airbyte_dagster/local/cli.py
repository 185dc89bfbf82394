"""The ``local`` commands."""

from __future__ import annotations

import json
import os
import shlex
import threading
from pathlib import Path

import click

from airbyte_dagster.local import joblogs, overview, settings
from airbyte_dagster.local.cli_delete import delete

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


def _connectors(given: tuple[str, ...]) -> dict[str, Path]:
    from airbyte_dagster.local.environments import NAME  # noqa: PLC0415 - `env` need not load it

    found: dict[str, Path] = {}
    variable = os.environ.get("AIRBYTE_DAGSTER_CONNECTORS", "")
    for entry in [*filter(None, (part.strip() for part in variable.split(","))), *given]:
        name, separator, path = entry.partition("=")
        if not separator or not NAME.fullmatch(name) or not path:
            raise click.ClickException(f"{entry!r} is not NAME=/path/to/executable")
        executable = Path(path).expanduser().absolute()
        if not os.access(executable, os.X_OK) or not executable.is_file():
            raise click.ClickException(f"{executable} (connector {name}) is not an executable file")
        found[name] = executable
    return found


@local.command()
@_HOME
@click.option("--host", default=settings.DEFAULT_HOST, show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"The port; 0 takes any free one. [default: {settings.DEFAULT_PORT}, or the next free one]",
)
@click.option("--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="How many syncs run at once.")
@click.option("--strict", is_flag=True, help="Leave the type key out of configurations, as the real server does.")
@click.option(
    "--connector",
    "connectors",
    multiple=True,
    metavar="NAME=PATH",
    help="Run this executable for sources of type NAME. Repeatable; also $AIRBYTE_DAGSTER_CONNECTORS, comma-separated.",
)
@click.option(
    "--allow-path",
    "allow_paths",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A directory besides the home that DuckDB files may be in. Repeatable.",
)
@click.option(
    "--prepare", multiple=True, metavar="NAME", help="Install the engine and this connector before serving. Repeatable."
)
@click.option("--started-by", hidden=True, default="airbyte-dagster local serve", help="For messages: what users type.")
@click.option("--exit-with-stdin", is_flag=True, help="End when stdin ends, so that a parent takes the server along.")
def serve(
    *,
    home: str | None,
    host: str,
    port: int | None,
    workers: int,
    connectors: tuple[str, ...],
    allow_paths: tuple[Path, ...],
    prepare: tuple[str, ...],
    strict: bool,
    started_by: str,
    exit_with_stdin: bool,
) -> None:
    """Serve Airbyte's API until Ctrl-C."""
    from airbyte_dagster.local import server  # noqa: PLC0415 - heavy

    where = settings.resolve_home(home)
    if prepare:
        _install(where, prepare)
    options = server.Options(
        host=host,
        port=port,
        workers=workers,
        strict=strict,
        connectors=_connectors(connectors),
        allow_paths=[path.expanduser().absolute() for path in allow_paths],
        command=started_by,
    )
    try:
        server.serve(where, options, click.echo, exit_with_stdin=exit_with_stdin)
    except server.CannotServe as error:
        raise click.ClickException(str(error)) from None


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
    except server.CannotServe as error:
        raise click.ClickException(f"{error}: end it first") from None
    click.echo(f"Forgotten: {where.database} and the logs of its jobs.")


@local.group()
def connectors() -> None:
    """Connectors, and the engine that runs them."""


@connectors.command()
@_HOME
@click.argument("names", nargs=-1, required=True)
def install(home: str | None, names: tuple[str, ...]) -> None:
    """Install the engine and the connectors NAMES, such as faker, ahead of their first use."""
    _install(settings.resolve_home(home), names)


@connectors.command("list")
@_HOME
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_connectors(home: str | None, *, as_json: bool) -> None:
    """Show what is installed. Any airbyte-source-NAME package can be."""
    from airbyte_dagster.local.environments import ENGINE, Environments, pinned  # noqa: PLC0415 - heavy

    found = Environments(settings.resolve_home(home).environments).installed()
    rows = {
        name: {"version": found[name].version if name in found else None, "installed": name in found}
        for name in sorted({ENGINE, *pinned(), *found})
    }
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for name, row in rows.items():
        click.echo(f"{name:<24}{row['version'] or 'not installed'}")


@connectors.command()
@_HOME
@click.argument("names", nargs=-1, required=True)
def remove(home: str | None, names: tuple[str, ...]) -> None:
    """Delete the environments of the connectors NAMES; the next use installs them again."""
    from airbyte_dagster.local.environments import Environments  # noqa: PLC0415 - heavy

    environments = Environments(settings.resolve_home(home).environments)
    for name in names:
        if not environments.remove(name):
            raise click.ClickException(f"{name} is not installed")
        click.echo(f"Removed {name}.")


def _install(home: settings.Home, names: tuple[str, ...]) -> None:
    from airbyte_dagster.local.environments import NAME, EnvironmentFailed, prepare  # noqa: PLC0415 - heavy

    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise click.ClickException(f"{wrong[0]!r} is not a connector's name: lower-case letters, digits and dashes")
    try:
        prepare(home.environments, names, click.echo)
    except EnvironmentFailed as error:
        raise click.ClickException(str(error)) from None
