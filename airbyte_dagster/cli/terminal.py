"""What ``run`` shows in the terminal: steps as they happen, then what arrived."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import IO, TypeAlias

from rich.console import Console
from rich.status import Status
from rich.table import Table
from typing_extensions import Self

from airbyte_dagster import logs
from airbyte_dagster.airbyte.redaction import redact, secrets_of

#: What has been ended may have printed something that is still to be read.
_SECONDS_FOR_THE_REST = 5.0
_LOG = logging.getLogger("airbyte_dagster.dev")
_PREVIEW_ROWS = 3
_PREVIEW_COLUMNS = 5


@dataclass(frozen=True)
class CheckOutcome:
    """How a check of a stream's table ended."""

    name: str
    passed: bool
    description: str | None


@dataclass(frozen=True)
class StreamResult:
    """One row of the closing table; ``None`` shows as a dash."""

    stream: str
    reported: int | None
    in_warehouse: int | None
    checks: Sequence[CheckOutcome]
    seconds: float | None

    @property
    def passed(self) -> bool:
        """Whether there were checks, and all passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def summary(self) -> str:
        """How many checks passed, or what those found that did not."""
        if not self.checks:
            return "did not run"
        others = [f"{check.name}: {check.description or 'failed'}" for check in self.checks if not check.passed]
        return "\n".join(others) or f"{len(self.checks)} passed"

    @property
    def record(self) -> dict[str, object]:
        """The same for ``--json``."""
        return {
            "stream": self.stream,
            "passed": self.passed,
            "rowsReported": self.reported,
            "rowsInWarehouse": self.in_warehouse,
            "checks": [asdict(check) for check in self.checks],
            "seconds": self.seconds,
        }


def terminal_console() -> Console:
    """Return a console on the standard output as it is now: Dagster redirects it while a step runs, to capture it."""
    return Console(file=os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace"))


class Progress:
    """Prints each step once; a running job's numbers stay in one line that moves, where the terminal can do that.

    Attributes:
        log_format: For ``dagster dev``.
        takes: What its output is connected to; ``None`` for the terminal.
    """

    log_format = "colored"
    takes: int | None = None

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("Starting …", console=console)

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the line that moves; steps can still be printed."""
        self._status.stop()

    def step(self, line: str) -> None:
        """Print a step that is done or begins."""
        self._console.print(f"[green]•[/] {_escaped(line)}", highlight=False, soft_wrap=True)

    def warning(self, line: str) -> None:
        """Print something odd."""
        self._console.print(f"[yellow]![/] {_escaped(line)}", highlight=False, soft_wrap=True)

    def error(self, line: str) -> None:
        """Print a failure."""
        self._console.print(f"[red]✗[/] {_escaped(line)}", highlight=False, soft_wrap=True)

    def waiting(self, line: str) -> None:
        """Show what is waited for, only where the line can be replaced by the next."""
        self._status.update(_escaped(line))

    def moving(self, line: str) -> None:
        """Show where a running job is."""
        if self._console.is_terminal:
            self._status.update(_escaped(line))
        else:
            self.step(line)

    def passing_on(self, process: subprocess.Popen[bytes]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Pass on what a process prints, which it does by itself here."""
        return nullcontext()


class LoggedProgress:
    """The same steps as lines of JSON, with what Dagster's processes print."""

    log_format = "json"
    takes: int | None = subprocess.PIPE

    def __enter__(self) -> Self:
        logs.log_as_json(lambda text: redact(text, secrets_of(dict(os.environ))))
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is to be closed."""

    def stop(self) -> None:
        """No line moves."""

    def step(self, line: str) -> None:
        """Log a step that is done or begins."""
        _LOG.info(line)

    def waiting(self, line: str) -> None:
        """Log what is waited for."""
        _LOG.debug(line)

    @contextmanager
    def passing_on(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Log what a process prints, until it and its children have ended."""
        reader = threading.Thread(target=self._pass_on, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            reader.join(_SECONDS_FOR_THE_REST)

    def _pass_on(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                logs.log_line_of_dagster(line.decode(errors="replace").rstrip("\r\n"))


AnyProgress: TypeAlias = Progress | LoggedProgress


def results_table(results: Sequence[StreamResult]) -> Table:
    """Build the closing table."""
    table = Table(title="What arrived", title_justify="left", title_style="bold")
    table.add_column("stream")
    table.add_column("rows reported", justify="right")
    table.add_column("rows in warehouse", justify="right")
    table.add_column("checks")
    table.add_column("seconds", justify="right")
    for result in results:
        table.add_row(
            _escaped(result.stream),
            _number(result.reported),
            _number(result.in_warehouse),
            f"[{'green' if result.passed else 'red'}]{_escaped(result.summary)}[/]",
            "–" if result.seconds is None else f"{result.seconds:.1f}",
        )
    return table


def preview_table(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Build a look at the first rows and columns of a table."""
    table = Table(title=f"A look into {_escaped(name)}", title_justify="left", title_style="bold")
    for column in columns[:_PREVIEW_COLUMNS]:
        table.add_column(_escaped(column), overflow="ellipsis", max_width=25, no_wrap=True)
    for row in rows[:_PREVIEW_ROWS]:
        table.add_row(*(_escaped(str(value)) for value in row[:_PREVIEW_COLUMNS]))
    return table


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
