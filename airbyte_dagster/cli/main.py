"""The command ``airbyte-dagster``. The one module that may reach into `airbyte_dagster.local` besides its commands."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from airbyte_dagster.cli.options import FILE, HOME, MODULE, check_one_of
from airbyte_dagster.cli.webhook import webhook
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.local.options import LocalOptions, NamedConnector, start_options
from airbyte_dagster.logs import LogFormat, log_format_option
from airbyte_dagster.output import EXPECTED, Facts, FactsCommand, Failure

_AIRBYTE_PORT = click.option(
    "--airbyte-port",
    type=click.IntRange(0, 65535),
    default=None,
    show_default="8006, or the next free one",
    help="Port of local Airbyte.",
)

_SECONDS_BEFORE_INTERRUPTING_AGAIN = 0.01


def _absolute(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path.expanduser().absolute() for path in paths)


class _Commands(click.Group):
    """Loads the commands of local Airbyte only when one is used: they need the extra ``local``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "local"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "local":
            return super().get_command(ctx, cmd_name)
        if importlib.util.find_spec("fastapi") is None:
            return click.Command(
                "local",
                callback=_no_extra,
                params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
                context_settings={"ignore_unknown_options": True},
                short_help="Local Airbyte (needs the extra 'local').",
            )
        from airbyte_dagster.local.cli import local  # noqa: PLC0415

        command: click.Command = local
        return command


def _no_extra(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - whatever the arguments are
    raise ConfigurationError("Local Airbyte is not installed.", guidance="Run: pip install 'airbyte-dagster[local]'.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="airbyte-dagster")
def commands() -> None:
    """Airbyte pipelines as Dagster assets.

    With AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET (and AIRBYTE_SERVER_URL for a self-managed Airbyte) and
    MOTHERDUCK_APIKEY set, run and dev work with that Airbyte and MotherDuck. Without them, with local Airbyte and a
    DuckDB file.
    """


commands.add_command(webhook)


@commands.command(cls=FactsCommand)
@HOME
@_AIRBYTE_PORT
@start_options
def run(
    *,
    home: Path,
    airbyte_port: int | None,
    workers: int | None,
    connectors: tuple[NamedConnector, ...],
    allow_paths: tuple[Path, ...],
) -> Facts:
    """Run the pipeline once, and show what arrived.

    It is a real run in the Dagster instance that dev shows. Exit status is 0 only if every check passed.
    """
    from airbyte_dagster.cli.run import run as run_pipeline  # noqa: PLC0415
    from airbyte_dagster.cli.terminal import terminal_console  # noqa: PLC0415

    options = LocalOptions(airbyte_port, workers, connectors, _absolute(allow_paths))
    return run_pipeline(home.absolute(), options=options, console=terminal_console())


@commands.command()
@HOME
@_AIRBYTE_PORT
@start_options
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=None,
    show_default="3000, or the next free one",
    help="Port of Dagster's UI.",
)
@FILE
@MODULE
@log_format_option
def dev(
    *,
    home: Path,
    airbyte_port: int | None,
    workers: int | None,
    connectors: tuple[NamedConnector, ...],
    allow_paths: tuple[Path, ...],
    port: int | None,
    file: Path | None,
    module: str | None,
    log_format: LogFormat,
) -> None:
    """Start local Airbyte and Dagster's UI and daemon together, until Ctrl-C.

    Without -m or -f, Dagster loads the course's pipeline. In your own definitions, use AirbyteResource.from_env(): it
    finds local Airbyte, or the Airbyte that the environment names.
    """
    check_one_of(module, file)
    from airbyte_dagster.cli.dev import dev as run_dev  # noqa: PLC0415
    from airbyte_dagster.cli.terminal import LoggedProgress, Progress, terminal_console  # noqa: PLC0415

    code_location = ["-f", str(file.absolute())] if file else ["-m", module or "airbyte_dagster.definitions"]
    options = LocalOptions(airbyte_port, workers, connectors, _absolute(allow_paths))
    progress = Progress(terminal_console()) if log_format == "text" else LoggedProgress()
    sys.exit(run_dev(home.absolute(), port=port, options=options, code_location=code_location, progress=progress))


@commands.command(cls=FactsCommand)
@HOME
@MODULE
@FILE
@click.option(
    "--write",
    is_flag=True,
    help="Also try whether Airbyte lets these credentials write: create a source 'airbyte_dagster doctor', delete it.",
)
def doctor(*, home: Path, module: str | None, file: Path | None, write: bool) -> Facts:
    """Check your set-up step by step, and print what to do about what is wrong.

    It checks the environment's variables; whether Airbyte answers, accepts these credentials, and has what runs need;
    whether the warehouse can be read; what Airbyte has of the pipeline, and whether it writes where the checks look.
    Nothing is started and, without --write, nothing is changed. No secret is printed.

    By default this is about the pipeline that run and dev run. With -m or -f, about the Airbyte and warehouse resources
    of your own Dagster definitions, and their pipelines.

    Exit status is 1 if a step failed (✗); a warning (!) is no failure.
    """
    check_one_of(module, file)
    from airbyte_dagster.cli.doctor import doctor as examine  # noqa: PLC0415
    from airbyte_dagster.cli.terminal import terminal_console  # noqa: PLC0415

    return examine(home.absolute(), module=module, file=file, write=write, console=terminal_console())


@commands.command(name="export", cls=FactsCommand)
@click.argument("connections", nargs=-1, required=True, metavar="CONNECTION...")
@HOME
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write NAME/defs.yaml below this directory, such as the defs of a dg project, in place of printing it.",
)
@click.option("--force", is_flag=True, help="Replace existing files.")
@click.option("--workspace", help="Its id or name, if not that of the environment or the only one; kept in the files.")
def export_command(
    *, connections: tuple[str, ...], home: Path, output: Path | None, force: bool, workspace: str | None
) -> Facts:
    """Write existing connections as pipelines in YAML, so that they can be declared from now on.

    A CONNECTION is a name, an id, or a glob of names: 'shop *', or '*' for all. They are those of the Airbyte that the
    environment names, or of local Airbyte if it runs. Nothing is changed there, and planning what was written finds
    nothing to change.

    Secrets become references to variables of the environment, which are listed. What a pipeline can't declare is left
    as Airbyte has it, and is named at the top of each file.
    """
    from airbyte_dagster.cli.export import export_connections  # noqa: PLC0415

    return export_connections(connections, home=home.absolute(), output=output, force=force, workspace=workspace)


@commands.command(cls=FactsCommand)
@HOME
@MODULE
@FILE
def refresh(home: Path, module: str | None, file: Path | None) -> Facts:
    """Read a workspace from Airbyte again, and print what changed.

    Definitions that build_workspace_defs makes of the connections of a workspace load from what is stored, without
    Airbyte. This stores it again; reload the code location to see it in Dagster.

    With -m or -f, for each workspace of your definitions. Without, for the one that the environment names
    (AIRBYTE_SERVER_URL, AIRBYTE_CLIENT_ID, AIRBYTE_CLIENT_SECRET, AIRBYTE_WORKSPACE_ID).
    """
    check_one_of(module, file)
    from airbyte_dagster.cli.refresh import refresh as refresh_workspaces  # noqa: PLC0415
    from airbyte_dagster.cli.terminal import terminal_console  # noqa: PLC0415

    return refresh_workspaces(home.absolute(), module=module, file=file, console=terminal_console())


def main() -> None:
    """Entry point. Errors of this package end as one message and exit status 2, without a traceback."""
    # A shell starts what it puts in the background with Ctrl-C ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt_again)
    sys.unraisablehook = _notice_lost_interrupt
    try:
        sys.exit(commands.main(prog_name="airbyte-dagster", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EXPECTED as error:
        failure = Failure.of(error)
        ours = isinstance(error, AirbyteDagsterError | OSError)
        text = str(error) if isinstance(error, AirbyteDagsterError) else f"{failure.error} {failure.guidance}".rstrip()
        click.echo(f"Error: {text}" if ours else text, err=True)
        sys.exit(failure.status)


def _interrupt(signal_number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    """End on SIGTERM as on Ctrl-C, so that every block is left properly and nothing stays behind."""
    raise KeyboardInterrupt


def _notice_lost_interrupt(lost: sys.UnraisableHookArgs) -> None:
    """Interrupt again a moment after Python threw an interrupt away, as it does if one comes while it collects."""
    if lost.exc_type is KeyboardInterrupt or lost.exc_type.__name__ == "DagsterExecutionInterruptedError":
        signal.setitimer(signal.ITIMER_REAL, _SECONDS_BEFORE_INTERRUPTING_AGAIN)
    else:
        sys.__unraisablehook__(lost)


def _interrupt_again(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    signal.raise_signal(signal.SIGINT)  # as whoever handles it just now would have it
