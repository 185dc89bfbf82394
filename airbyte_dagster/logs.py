"""``--log-format json`` of processes that run: each line of their standard output is one JSON object.

Keys: ``time`` (ISO 8601, UTC), ``level`` (as Python names it), ``logger``, ``message``; where they are known
``connection_id``, ``job_id`` and ``run_id``; and ``exception``, a traceback.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeAlias

import click

LogFormat: TypeAlias = Literal["text", "json"]
#: What a record may have besides, as ``extra`` of a call of a logger.
FIELDS = ("connection_id", "job_id", "run_id")

#: ``--log-format`` of a command; it gets it as ``log_format``.
log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one JSON object a line on the standard output, for programs that collect logs.",
)
#: As Dagster writes what happens in a run: time, logger, level, job, run, and the rest.
_DAGSTER_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) [+-]\d{4} - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<message>.*)$"
)
#: Where Dagster names a run, and no other id: after the job in a run's log, and after the word.
_RUN_ID = re.compile(r"(?:^\S+ - |\brun )(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class JsonFormatter(logging.Formatter):
    """Turns records into lines of JSON.

    Args:
        redact: Takes each text, and returns it without secrets.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        time = dt.datetime.fromtimestamp(record.created, dt.timezone.utc).isoformat(timespec="milliseconds")
        fields = {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        exception = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return self.line(
            {
                "time": time,
                "level": record.levelname,
                "logger": record.name,
                "message": record.getMessage(),
                **fields,
                **({"exception": exception} if exception else {}),
            }
        )

    def line(self, record: Mapping[str, Any]) -> str:
        """Return a record that has its keys already as a line."""
        clean = {key: self._redact(value) if isinstance(value, str) else value for key, value in record.items()}
        return json.dumps(clean, ensure_ascii=False, default=str)


def log_as_json(redact: Callable[[str], str], *, level: int = logging.INFO) -> None:
    """Write all log records of this process, its warnings and what ends it as JSON to the standard output.

    Args:
        redact: Takes each text, and returns it without secrets.
        level: The least level that is written.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # One line of its own for each request to Airbyte would hide the rest.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_exception
    threading.excepthook = _log_exception_of_thread


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("airbyte_dagster").critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))


def _log_exception_of_thread(lost: threading.ExceptHookArgs) -> None:
    if lost.exc_value is not None:
        _log_exception(lost.exc_type, lost.exc_value, lost.exc_traceback)


def log_line_of_dagster(text: str) -> None:
    """Log a line that a process of Dagster has printed: its JSON, a line of a run's log, or any text.

    Args:
        text: Without the end of the line.
    """
    text = _COLOURS.sub("", text)
    if not text.strip():
        return
    logger, level, message, exception = "dagster", "INFO", text, None
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if isinstance(record, dict) and "event" in record:
        logger, level = str(record.get("logger", logger)), str(record.get("level", level)).upper()
        message, exception = str(record["event"]), record.get("exception")
    elif found := _DAGSTER_LINE.match(text):
        logger, level, message = found["logger"], found["level"], found["message"]
    run = _RUN_ID.search(message)
    number = logging.getLevelName(level)
    made = logging.LogRecord(logger, number if isinstance(number, int) else logging.INFO, "", 0, message, None, None)
    made.exc_text = exception
    made.run_id = run["id"] if run else None
    logging.getLogger().handle(made)
