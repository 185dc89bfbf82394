"""Options of local Airbyte that several commands take. Light: loaded by every command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from airbyte_dagster.local.settings import CONNECTOR_NAME

_CONNECTORS_VARIABLE = "AIRBYTE_DAGSTER_CONNECTORS"
_Command = TypeVar("_Command", bound=Callable[..., Any])
#: ``--home`` of the ``local`` commands.
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False),
    help="Where local Airbyte keeps its things. [default: $AIRBYTE_DAGSTER_HOME, else ~/.airbyte-dagster]",
)
MANIFEST_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class NamedConnector:
    """A connector that the user named.

    Args:
        name: Its short name: what ``sourceType`` says.
        path: An executable that speaks Airbyte's protocol, or a declarative manifest; absolute.
    """

    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name}={self.path}"


def named_connector(text: str) -> NamedConnector:
    """Read ``NAME=PATH``.

    Raises:
        click.BadParameter: It is something else, or there is no such program or manifest.
    """
    name, separator, rest = text.partition("=")
    if not separator or not CONNECTOR_NAME.fullmatch(name) or not rest:
        raise click.BadParameter(f"{text!r} is not NAME=/path/to/executable or NAME=/path/to/manifest.yaml")
    path = Path(rest).expanduser().absolute()
    if not path.is_file() or not (path.suffix in MANIFEST_SUFFIXES or os.access(path, os.X_OK)):
        raise click.BadParameter(f"{path} (connector {name}) is not an executable file, nor a manifest (.yaml)")
    return NamedConnector(name, path)


@dataclass(frozen=True)
class LocalOptions:
    """How a command that needs local Airbyte has it started.

    Args:
        port: Its port; 8006 or the next free one if ``None``.
        workers: How many syncs run at once; its own default if ``None``.
        connectors: Executables and manifests of the user's own.
        allow_paths: Directories besides the home that DuckDB files may be in.
    """

    port: int | None = None
    workers: int | None = None
    connectors: tuple[NamedConnector, ...] = ()
    allow_paths: tuple[Path, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The same as arguments of ``local serve``."""
        given: list[tuple[str, object]] = [
            *(() if self.port is None else (("--port", self.port),)),
            *(() if self.workers is None else (("--workers", self.workers),)),
            *(("--connector", connector) for connector in self.connectors),
            *(("--allow-path", path) for path in self.allow_paths),
        ]
        return [word for option, value in given for word in (option, str(value))]


def start_options(command: _Command) -> _Command:
    """Add ``--workers``, ``--connector`` and ``--allow-path`` to a command.

    It gets them as ``workers``, ``connectors`` and ``allow_paths``.
    """
    for option in (
        click.option(
            "--allow-path",
            "allow_paths",
            multiple=True,
            type=click.Path(file_okay=False, path_type=Path),
            help="A directory besides the home that local Airbyte may write DuckDB files in. Repeatable.",
        ),
        click.option(
            "--connector",
            "connectors",
            multiple=True,
            type=named_connector,
            metavar="NAME=PATH",
            help="For sources of type NAME, run this executable, or this manifest (.yaml) of the Connector Builder. "
            f"Repeatable; also ${_CONNECTORS_VARIABLE}, comma-separated.",
        ),
        click.option(
            "--workers", type=click.IntRange(1, 64), show_default="4", help="How many syncs local Airbyte runs at once."
        ),
    ):
        command = option(command)
    return command


def with_those_of_the_environment(given: Iterable[NamedConnector]) -> dict[str, Path]:
    """Connectors by name: those of ``AIRBYTE_DAGSTER_CONNECTORS`` and, before them, those that were given.

    Raises:
        click.BadParameter: One of the variable's is none.
    """
    listed = filter(None, (part.strip() for part in os.environ.get(_CONNECTORS_VARIABLE, "").split(",")))
    found = [*(named_connector(entry) for entry in listed), *given]
    return {connector.name: connector.path for connector in found}
