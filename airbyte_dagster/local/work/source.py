"""The connector, as PyAirbyte reads it: its errors, its exit code and its states are all noticed."""

# PyAirbyte is imported where it is used, since that takes seconds; and several of its private parts are used, which
# the exact pin of its version makes safe.
# ruff: noqa: PLC0415

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from airbyte_dagster.local.work.reporting import Failure, Reporter

_DESTINATION_MODES = {"replace": "overwrite", "append": "append", "merge": "append_dedup"}


def make_source(
    request: dict[str, Any], reporter: Reporter, errors: list[Failure], on_line: Callable[[str], None]
) -> Any:
    """A PyAirbyte source.

    Args:
        request: The job.
        reporter: Gets what PyAirbyte and the connector say.
        errors: Gets what the connector reports as errors.
        on_line: Told of each line that the connector writes.
    """
    from airbyte import exceptions
    from airbyte._executors.local import PathExecutor
    from airbyte.sources.base import Source

    class Executor(PathExecutor):  # type: ignore[misc, unused-ignore]
        """Runs the connector; any exit code but 0 is a failure.

        PyAirbyte's own takes an exit by SIGTERM for success, and would replace a table with half of its rows.
        """

        def execute(self, args: list[str], **_: Any) -> Iterator[str]:
            process = subprocess.Popen(
                [str(self.path), *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sys.stderr,
                text=True,
                encoding="utf-8",
            )
            try:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                for line in process.stdout:
                    on_line(line)
                    yield line
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if code != 0:
                raise exceptions.AirbyteSubprocessFailedError(run_args=args[:1], exit_code=code)

    class WatchedSource(Source):  # type: ignore[misc, unused-ignore]
        """Remembers the errors that the connector reports; PyAirbyte only prints them."""

        def _peek_airbyte_message(self, message: Any, **_: Any) -> None:
            trace = message.trace
            if trace is not None and trace.error is not None:
                error = trace.error
                kind = getattr(error.failure_type, "value", error.failure_type) or "system_error"
                internal = "\n".join(part for part in (error.internal_message, error.stack_trace) if part)
                errors.append(Failure(error.message, internal, origin="source", kind=str(kind)))
            status = trace.stream_status if trace is not None else None
            if status is not None and getattr(status.status, "value", status.status) == "INCOMPLETE":
                name = status.stream_descriptor.name
                errors.append(Failure(f"The source could not read all of the stream {name}", origin="source"))
            super()._peek_airbyte_message(message, raise_on_error=False)

        def _print_info_message(self, message: str) -> None:
            reporter.log(message.rstrip())

        def _print_error_message(self, message: str) -> None:
            reporter.log(message.rstrip())

    source = request["source"]
    return WatchedSource(
        executor=Executor(name=source["name"], path=Path(source["executable"])),
        name=source["name"],
        config=source["config"],
    )


def configured_catalog(group: dict[str, Any]) -> Any:
    """The catalog that the connector gets: sync modes, cursors, keys and selected fields as the connection says."""
    from airbyte_protocol.models import ConfiguredAirbyteCatalog  # type: ignore[import-not-found, unused-ignore]

    streams = []
    for entry in group["streams"]:
        stream = dict(entry["stream"])
        supported = stream.get("supported_sync_modes") or ["full_refresh"]
        wanted = "incremental" if group["incremental"] else "full_refresh"
        selected = {path[0] for path in entry["selectedFields"]}
        if selected:
            schema = dict(stream["json_schema"])
            schema["properties"] = {key: value for key, value in schema["properties"].items() if key in selected}
            stream["json_schema"] = schema
        streams.append(
            {
                "stream": stream,
                "sync_mode": wanted if wanted in supported else supported[0],
                # The connector only hands these on; the write strategy decides what happens in the warehouse.
                "destination_sync_mode": _DESTINATION_MODES[group["strategy"]],
                "cursor_field": entry["cursorField"] or None,
                "primary_key": entry["primaryKey"] or None,
            }
        )
    return ConfiguredAirbyteCatalog.model_validate({"streams": streams})
