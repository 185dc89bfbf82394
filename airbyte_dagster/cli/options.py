"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from airbyte_dagster.paths import home_directory

HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=home_directory,
    show_default="AIRBYTE_DAGSTER_HOME, or ~/.airbyte-dagster",
    help="Where local Airbyte, the Dagster instance and the default DuckDB file live.",
)
MODULE = click.option("-m", "--module-name", "module", help="Module with your own definitions.")
FILE = click.option(
    "-f",
    "--python-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with your own definitions.",
)


def check_one_of(module: str | None, file: Path | None) -> None:
    """Refuse a module together with a file.

    Raises:
        click.UsageError: Both are given.
    """
    if module and file:
        raise click.UsageError("Give a module or a file, not both.")
