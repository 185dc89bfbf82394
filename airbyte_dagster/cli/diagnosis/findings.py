"""What was found, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from airbyte_dagster.airbyte.redaction import redact
from airbyte_dagster.errors import AirbyteDagsterError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Status(str, Enum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One step.

    Attributes:
        about: What was looked at, such as ``Airbyte``.
        step: What of it, such as ``credentials``.
        found: One line.
        advice: One line of what to do; empty where there is nothing to do.
    """

    about: str
    step: str
    status: Status
    found: str
    advice: str = ""


class Findings:
    """Collects the steps of all that is looked at, and tells each as it is done.

    Attributes:
        all: The steps so far.

    Args:
        tell: Takes each finding.
        wait: Takes a line on what is being done, if that may take a while.
    """

    def __init__(
        self, tell: Callable[[Finding], None] = lambda _finding: None, wait: Callable[[str], None] = lambda _line: None
    ) -> None:
        self.all: list[Finding] = []
        self._tell = tell
        self._wait = wait
        self._about = ""
        self._secrets: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether any step failed."""
        return any(finding.status is Status.FAILED for finding in self.all)

    def hide(self, *secrets: str | None) -> None:
        """Keep these values out of all that is told from now on, whoever words it."""
        self._secrets.update(secret for secret in secrets if secret)

    @contextmanager
    def about(self, what: str) -> Iterator[None]:
        """Say what the steps within the block are about."""
        self._about = what
        yield
        self._about = ""

    def waiting(self, line: str) -> None:
        """Say what is being done."""
        self._wait(line)

    def add(self, step: str, status: Status, found: str, advice: str = "") -> bool:
        """Record a step; return whether what builds on it can go on."""
        finding = Finding(self._about, step, status, self._clean(found), self._clean(advice))
        self.all.append(finding)
        self._tell(finding)
        return status in (Status.OK, Status.WARNING)

    def ok(self, step: str, found: str) -> bool:
        """Record that a step is as it should be."""
        return self.add(step, Status.OK, found)

    def warn(self, step: str, found: str, advice: str) -> bool:
        """Record something odd, or something that can't be looked at."""
        return self.add(step, Status.WARNING, found, advice)

    def fail(self, step: str, found: str, advice: str) -> bool:
        """Record a failure."""
        return self.add(step, Status.FAILED, found, advice)

    def error(self, step: str, error: AirbyteDagsterError, otherwise: str, *, status: Status = Status.FAILED) -> bool:
        """Record an error of this package.

        Args:
            otherwise: What to do, if the error itself does not say.
        """
        problems = error.problems if isinstance(error, SpecError) else ()
        return self.add(step, status, " ".join([error.message, "; ".join(problems)]), error.guidance or otherwise)

    def skip(self, steps: Sequence[str], because: str) -> None:
        """Record steps that were not done, each by itself, and tell of them together."""
        skipped = [
            Finding(self._about, step, Status.SKIPPED, self._clean(f"not looked at: {because}")) for step in steps
        ]
        self.all += skipped
        self._tell(replace(skipped[0], step=", ".join(steps)))

    def _clean(self, text: str) -> str:
        return redact(" ".join(text.split()), self._secrets)
