"""What ``airbyte-dagster doctor`` found, one step at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from airbyte_dagster.airbyte.redaction import redact
from airbyte_dagster.errors import AirbyteDagsterError, SpecError

_Value = TypeVar("_Value")


class Status(str, Enum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """The result of one step.

    Attributes:
        about: What was checked, such as ``Airbyte``.
        step: What of it, such as ``credentials``.
        found: One line.
        advice: One line of what to do; empty where there is nothing to do.
    """

    about: str
    step: str
    status: Status
    found: str
    advice: str = ""


class NeedsAttention(AirbyteDagsterError):
    """A step found something that somebody should look at, but that is no failure."""


class Report:
    """Does steps, and collects what they found.

    Attributes:
        about: What the next steps are about.

    Args:
        show: Takes each finding.
        waiting: Takes a line on the step that is being done.
    """

    def __init__(self, show: Callable[[Finding], None], waiting: Callable[[str], None]) -> None:
        self.about = ""
        self.findings: list[Finding] = []
        self._show = show
        self._waiting = waiting
        self._secrets = {os.environ.get(name, "") for name in ("AIRBYTE_CLIENT_SECRET", "MOTHERDUCK_APIKEY")}

    @property
    def passed(self) -> bool:
        """Whether no step failed."""
        return all(finding.status is not Status.FAILED for finding in self.findings)

    def hide(self, *secrets: str) -> None:
        """Keep these values out of all later findings."""
        self._secrets.update(secrets)

    def step(self, name: str, check: Callable[[], _Value], describe: Callable[[_Value], str]) -> _Value | None:
        """Do one step: an error of this package is what it found.

        Args:
            name: Of the step.
            check: Returns a value, or raises: `NeedsAttention` makes a warning, anything else a failure.
            describe: Returns the line for the value; may raise in the same way.

        Returns:
            The value; ``None`` if the step failed, or if there is none.
        """
        self._waiting(f"{self.about}: {name} …")
        value: _Value | None = None
        try:
            value = check()
            self._add(name, Status.OK, describe(value))
        except NeedsAttention as error:
            self._add(name, Status.WARNING, error.message, error.guidance)
        except AirbyteDagsterError as error:
            problems = error.problems if isinstance(error, SpecError) else ()
            self._add(name, Status.FAILED, " ".join([error.message, "; ".join(problems)]), error.guidance)
            return None
        return value

    def _add(self, step: str, status: Status, found: str, advice: str = "") -> None:
        clean = (redact(" ".join(text.split()), filter(None, self._secrets)) for text in (found, advice))
        finding = Finding(self.about, step, status, *clean)
        self.findings.append(finding)
        self._show(finding)
