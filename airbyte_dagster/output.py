"""How commands print facts: as text for people or, with ``--json``, as JSON for programs. One place does either.

A command of the class `FactsCommand` returns `Facts`. With ``--json`` the standard output has one JSON document and
nothing else: what the command prints on its way goes to the standard error, and an error is
``{"error": …, "guidance": …}``. The exit status is the same as without.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from airbyte_dagster.errors import AirbyteDagsterError, SpecError
from airbyte_dagster.paths import HOME_VARIABLE

_OPTION = "--json"
_KEY = "airbyte_dagster.as_json"
_NO_HOME = f"Give a directory that can be written, by {HOME_VARIABLE} or --home."
#: What ends a command with a message, not with a traceback.
EXPECTED = (click.ClickException, click.Abort, KeyboardInterrupt, OSError, AirbyteDagsterError)


def _nothing() -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Facts:
    """What a command has found or done.

    Attributes:
        record: Of values that JSON has; its keys are documented in ``docs/operations.md``.
        show: Prints it for people.
        status: Exit status of the command.
        ends_process: Whether the process ends as soon as it is printed: taking Dagster apart takes as long as loading
            it.
    """

    record: Mapping[str, Any]
    show: Callable[[], object] = _nothing
    status: int = 0
    ends_process: bool = False


@dataclass(frozen=True)
class Failure:
    """What ended a command.

    Attributes:
        error: What happened, in one line.
        guidance: What to do next; empty where nothing helps.
        status: Exit status.
    """

    error: str
    guidance: str
    status: int

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe one of `EXPECTED`."""
        if isinstance(error, SpecError):
            return cls(" ".join([error.message, "; ".join(error.problems)]).strip(), error.guidance, 2)
        if isinstance(error, AirbyteDagsterError):
            return cls(error.message, error.guidance, 2)
        if isinstance(error, click.ClickException):
            return cls(error.format_message(), "", error.exit_code)
        if isinstance(error, OSError):
            # Files and ports of this machine: a home that can't be written, say. What else goes wrong has its own.
            is_of_home = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and bool(error.filename)
            text = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
            return cls(text, _NO_HOME if is_of_home else "", 2)
        return cls("Interrupted.", "", 130)


class FactsCommand(click.Command):
    """A command that returns `Facts`; it has the option ``--json``."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(
            click.Option(
                [_OPTION],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Print JSON on the standard output, and nothing else there.",
            )
        )

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments. What is wrong with them is an error of the command, too."""
        with _errors_as_json() if _OPTION in args else contextlib.nullcontext():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and print its facts."""
        if ctx.meta.get(_KEY):
            # Whatever prints on the way does so on the standard error, without knowing of it.
            with _errors_as_json(), contextlib.redirect_stdout(sys.stderr):
                facts: Facts = super().invoke(ctx)
            click.echo(_dumped(facts.record))
        else:
            facts = super().invoke(ctx)
            facts.show()
        if facts.ends_process:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(facts.status)
        if facts.status:
            ctx.exit(facts.status)


def _remember(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's way
    context.meta[_KEY] = value


@contextlib.contextmanager
def _errors_as_json() -> Iterator[None]:
    output = sys.stdout
    try:
        yield
    except EXPECTED as error:
        failure = Failure.of(error)
        click.echo(_dumped({"error": failure.error, "guidance": failure.guidance}), file=output)
        raise click.exceptions.Exit(failure.status) from error


def _dumped(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False)
