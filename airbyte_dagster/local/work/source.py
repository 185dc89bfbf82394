"""The connector's process: its lines, its log, and how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from airbyte_dagster.local.engine import Failure, Json, StreamPlan
from airbyte_dagster.local.work.reporting import Failed, Reporter, last_line

#: A connector that writes a longer line is ended; Airbyte's destinations take less.
MOST_BYTES_OF_A_LINE = 20_000_000
#: A connector that writes nothing for so long is ended, as Airbyte's heartbeat does.
SECONDS_OF_SILENCE = 10_800.0
#: A silence is in the job's log after so long, and again each time that it has become twice as long.
_SECONDS_UNTIL_SAID = 60.0
#: Between two looks whether a silent connector still runs; what it wrote before its end is there by then.
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_FOR_STDERR = 5.0
_BLOCK = 1 << 20
_MOST_OF_A_LOG_LINE = 10_000
_DESTINATION_MODES = {"replace": "overwrite", "append": "append", "merge": "append_dedup"}


class Source:
    """A connector that reads.

    Args:
        command: The program and its first arguments.
        scratch: A private directory for its configuration, catalog and states.
        reporter: Gets what it writes to stderr.
        silence: Seconds without a line after which it is ended.
        longest: Bytes of the longest line.
    """

    def __init__(
        self,
        command: Sequence[str],
        scratch: Path,
        reporter: Reporter,
        *,
        silence: float = SECONDS_OF_SILENCE,
        longest: int = MOST_BYTES_OF_A_LINE,
    ) -> None:
        self._command = list(command)
        self._scratch = scratch
        self._reporter = reporter
        self._silence = silence
        self._longest = longest
        self._errors: deque[str] = deque(maxlen=1)
        self.exit_code: int | None = None

    @property
    def last_error(self) -> str:
        """The last line that it wrote to stderr, which often says what happened; empty if there is none."""
        return self._errors[-1] if self._errors else ""

    def lines(self, config: Json, catalog: Json, states: Any) -> Iterator[list[bytes]]:
        """Start it and yield its lines, as many at a time as are there, without their ends.

        Raises:
            Failed: It can't be started, writes a line that is too long, or nothing for too long.
        """
        files = {"config": config, "catalog": catalog, **({"state": states} if states else {})}
        command = [*self._command, "read"]
        for name, content in files.items():
            path = self._scratch / f"{name}.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(content), encoding="utf-8")
            command += [f"--{name}", str(path)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self._scratch
            )
        except OSError as error:
            raise Failed(Failure(f"The connector can't be started: {error.strerror}", origin="source")) from error
        log = threading.Thread(target=self._keep_log, args=(process.stderr,), daemon=True)
        log.start()
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            # So that it need not wait for this process. Not all systems can, nor for any number of pipes.
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _BLOCK)
            yield from self._read(process, process.stdout.fileno())
            self.exit_code = process.wait()
            log.join(_SECONDS_FOR_STDERR)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _read(self, process: subprocess.Popen[bytes], descriptor: int) -> Iterator[list[bytes]]:
        pending = bytearray()
        while True:
            block = os.read(descriptor, _BLOCK) if self._has_more(process, descriptor) else b""
            end = block.rfind(b"\n")
            if end >= 0:
                pending += block[:end]
                whole, pending = bytes(pending), bytearray(block[end + 1 :])
                yield whole.split(b"\n")
            else:
                pending += block
            if len(pending) > self._longest:
                beginning = pending[:120].decode(errors="replace")
                message = f"The source wrote a line of more than {self._longest:,} bytes: {beginning}…"
                raise Failed(Failure(message, origin="source"))
            if not block:
                if pending:
                    yield [bytes(pending)]
                return

    def _has_more(self, process: subprocess.Popen[bytes], descriptor: int) -> bool:
        """Wait for the next bytes, or the end; one that ended may have left a process that holds its stdout open."""
        silent, said_at = 0.0, _SECONDS_UNTIL_SAID
        while silent < self._silence:
            step = min(_SECONDS_BETWEEN_LOOKS, self._silence - silent)
            has_ended = process.poll() is not None
            if select.select([descriptor], [], [], step)[0]:
                return True
            if has_ended:
                return False
            silent += step
            if silent >= said_at:
                self._reporter.log(f"The source has written nothing for {silent:.0f} s.")
                said_at *= 2
        message = f"The source wrote nothing for {self._silence:,.0f} s"
        raise Failed(Failure(message, origin="source", kind="heartbeat_timeout"))

    def _keep_log(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(_MOST_OF_A_LOG_LINE):  # bounded: it may never end one
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._errors.append(last_line(text))
                    with contextlib.suppress(OSError):
                        self._reporter.log(text)


def configured_catalog(streams: Sequence[StreamPlan], job_id: int) -> Json:
    """Return the catalog that the connector gets: sync modes, cursors, keys and selected fields of the connection."""
    return {"streams": [_configured(plan, job_id) for plan in streams]}


def _configured(plan: StreamPlan, job_id: int) -> Json:
    stream = dict(plan.stream)
    supported = stream.get("supported_sync_modes") or ["full_refresh"]
    wanted = "incremental" if plan.incremental else "full_refresh"
    if selected := {path[0] for path in plan.selected_fields}:
        schema = dict(stream["json_schema"])
        schema["properties"] = {key: value for key, value in schema["properties"].items() if key in selected}
        stream["json_schema"] = schema
    return {
        "stream": stream,
        "sync_mode": wanted if wanted in supported else supported[0],
        # The connector only hands these on; the strategy decides what happens in the warehouse.
        "destination_sync_mode": _DESTINATION_MODES[plan.strategy],
        "cursor_field": list(plan.cursor_field) or None,
        "primary_key": [list(path) for path in plan.primary_key] or None,
        "generation_id": plan.generation_id,
        "minimum_generation_id": plan.generation_id if plan.strategy == "replace" else 0,
        "sync_id": job_id,
    }
