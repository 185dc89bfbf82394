"""What is made of the connector's messages: records go to the loader, and what may be committed is kept in mind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airbyte_dagster.local.engine import Failure, Json
from airbyte_dagster.local.work.loading import Commit, Load, Loader, Mark
from airbyte_dagster.local.work.messages import Garbage, RecordLine, classify
from airbyte_dagster.local.work.reporting import Failed, Reporter, StreamKey, first_line, last_line
from airbyte_dagster.local.work.states import SeenStates, key_of
from airbyte_dagster.local.work.tables import StreamTable

#: Bytes of records that are handed to the database at once.
CHUNK = 8_000_000
#: A state, or the end of a stream, leads to a commit after so much time or so many records: a long sync that dies need
#: not start again, and what is complete is written while the next stream is read.
SECONDS_BETWEEN_COMMITS = 30.0
RECORDS_BETWEEN_COMMITS = 50_000
_MOST_OF_A_LOG_LINE = 10_000
_SAYS_NOTHING = "Something went wrong in the connector"
_NOTHING = Mark(0, 0)


@dataclass
class _Stream:
    """What was read of a stream."""

    index: int
    table: StreamTable
    incremental: bool
    read: Mark = _NOTHING
    mark: Mark = _NOTHING
    """What of it may be committed: up to the last state, or all of it once it is complete."""
    committed: int = -1
    """Records of the last commit; -1 before the first, which makes the table."""
    status: str | None = None
    lines: list[bytes] = field(default_factory=list)
    longest: int = 0

    @property
    def may_commit(self) -> bool:
        """Whether there is something to commit; of a full refresh only the whole, be it nothing."""
        if self.status == "COMPLETE":
            return self.mark.records > self.committed
        return self.incremental and self.mark.records > max(self.committed, 0)


class Reading:
    """One read of a connector.

    Args:
        tables: One for each stream, in the order of the loader's.
        incremental: Streams that go on where they stopped.
        loader: Types and commits.
        reporter: Is told of counts, statuses and what belongs into the log.
        scratch: Where files of records are put for the loader.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        tables: Sequence[StreamTable],
        incremental: Collection[StreamKey],
        *,
        loader: Loader,
        reporter: Reporter,
        scratch: Path,
        clock: Callable[[], float],
    ) -> None:
        self._streams = {t.key: _Stream(i, t, t.key in incremental) for i, t in enumerate(tables)}
        self._incremental = incremental
        self._loader = loader
        self._reporter = reporter
        self._scratch = scratch
        self._clock = clock
        self._states = SeenStates()
        self._buffered = 0
        self._files = 0
        self._since_commit = 0
        self._last_commit = clock()
        self._failures: list[Failure] = []
        self._last_error = ""
        self._strangers: set[StreamKey] = set()
        for key in self._streams:
            reporter.update(key)

    def take(self, lines: Sequence[bytes]) -> None:
        """Take some lines of the connector.

        Raises:
            Failed: What was loaded before can't be.
        """
        for line in lines:
            if not line:
                continue
            found = classify(line)
            if isinstance(found, RecordLine):
                self._record(found)
            elif isinstance(found, Garbage):
                self._last_error = last_line(found.text) or self._last_error
                self._reporter.log(found.text[:_MOST_OF_A_LOG_LINE])
            else:
                self._message(found)
        for key, stream in self._streams.items():
            self._reporter.update(key, records_emitted=stream.read.records, bytes_emitted=stream.read.size)
        self._loader.check()

    def fail(self, failure: Failure) -> None:
        """Take note of a failure that the connector itself did not report."""
        self._failures.append(failure)

    def end(self, exit_code: int | None, last_error: str) -> None:
        """Commit what may be, and wait for it.

        Args:
            exit_code: The connector's; None if it was ended.
            last_error: The last line of its stderr.

        Raises:
            Failed: The job failed.
        """
        if exit_code:
            self._failures.append(_failure_of_exit(exit_code, last_error or self._last_error))
        self._failures += self._incomplete(last_error or self._last_error)
        if not self._failures:
            for stream in self._streams.values():
                stream.status, stream.mark = "COMPLETE", stream.read
        self._commit()
        self._loader.finish()
        if self._failures:
            raise Failed(self._failures[0])

    def _incomplete(self, last_error: str) -> list[Failure]:
        """Why streams that the connector could not read are incomplete, unless that is said already."""
        if self._failures:
            return []
        said = f": {last_error}" if last_error else ""
        return [
            Failure(f"The source could not read all of the stream {key[1]}{said}", origin="source", stream=key)
            for key, stream in self._streams.items()
            if stream.status == "INCOMPLETE"
        ]

    def _record(self, record: RecordLine) -> None:
        stream = self._streams.get(record.key)
        if stream is None:
            if record.key not in self._strangers:
                self._strangers.add(record.key)
                self._reporter.log(f"The source wrote records of {record.key[1]}, which is not selected: left out")
            return
        size = len(record.line)
        stream.lines.append(record.line)
        stream.longest = max(stream.longest, size)
        stream.read = Mark(stream.read.records + 1, stream.read.size + size)
        self._since_commit += 1
        self._buffered += size
        if self._buffered >= CHUNK:
            self._flush()

    def _message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        content = message.get(kind.lower())
        if not isinstance(content, dict):
            return
        if kind == "STATE":
            self._state(content)
        elif kind == "LOG":
            text = str(content.get("message"))
            if content.get("level") in {"ERROR", "FATAL"}:
                self._last_error = last_line(text) if "Traceback" in text else first_line(text)
            self._reporter.log(f"{content.get('level')} {text}"[:_MOST_OF_A_LOG_LINE])
        elif kind == "TRACE":
            self._trace(content)

    def _state(self, state: Json) -> None:
        key = self._states.add(state)
        for stream_key in self._incremental if key is None else {key} & set(self._incremental):
            stream = self._streams[stream_key]
            stream.mark = stream.read
        self._commit_now_and_then()

    def _commit_now_and_then(self) -> None:
        late = self._clock() - self._last_commit >= SECONDS_BETWEEN_COMMITS
        if late or self._since_commit >= RECORDS_BETWEEN_COMMITS:
            self._commit()

    def _trace(self, trace: Json) -> None:
        error, status = trace.get("error"), trace.get("stream_status")
        if isinstance(error, dict):
            failure = _reported(error)
            self._failures.append(failure)
            self._reporter.log(f"ERROR {failure.message}\n{failure.internal}"[:_MOST_OF_A_LOG_LINE])
        if isinstance(status, dict):
            stream = self._streams.get(key_of(status))
            if stream is not None:
                stream.status = str(status.get("status"))
                if stream.status == "COMPLETE":
                    stream.mark = stream.read
                    self._commit_now_and_then()
                self._reporter.update(stream.table.key, status=stream.status)

    def _flush(self) -> None:
        """Hand the buffered records to the loader."""
        for stream in self._streams.values():
            if not stream.lines:
                continue
            self._files += 1
            file = self._scratch / f"records-{self._files}.jsonl"
            file.write_bytes(b"\n".join(stream.lines))
            self._loader.put(Load(stream.index, file, len(stream.lines), stream.longest))
            stream.lines, stream.longest = [], 0
        self._buffered = 0

    def _commit(self) -> None:
        """Have all committed that may be, and keep the states that speak of it."""
        self._flush()
        ready = [stream for stream in self._streams.values() if stream.may_commit]
        marks = {stream.index: stream.mark for stream in ready}
        states = self._states.latest(self._incremental)
        if marks or states:
            self._loader.put(Commit(marks, states))
        for stream in ready:
            stream.committed = stream.mark.records
        self._since_commit, self._last_commit = 0, self._clock()


def _reported(error: Json) -> Failure:
    """The failure that a connector reports."""
    message = str(error.get("message") or "The source failed")
    details = [str(error[key]) for key in ("internal_message", "stack_trace") if error.get(key)]
    if message.startswith(_SAYS_NOTHING) and details:
        message = f"{message.partition('.')[0]}: {last_line(details[-1])}"
    descriptor = {"stream_descriptor": error.get("stream_descriptor")}
    return Failure(
        message,
        "\n".join(details),
        origin="source",
        kind=str(error.get("failure_type") or "system_error"),
        stream=key_of(descriptor) if isinstance(descriptor["stream_descriptor"], dict) else None,
    )


def _failure_of_exit(exit_code: int, last_error: str) -> Failure:
    """Why a connector that ended with another exit code than 0 failed."""
    how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
    said = f": {last_error}" if last_error else " without saying why"
    return Failure(f"The source connector {how}{said}", origin="source")
