"""The program that the engine's Python runs, one process per job: reads a connector into a warehouse with PyAirbyte.

It is started by path in an environment that has PyAirbyte and not this package, so it imports the standard library
and ``airbyte`` only. The request, secrets included, comes as one line of JSON on stdin; stdin then stays open, and its
end means that the server is gone, upon which the worker ends its whole process group. Answers are lines of JSON on
stdout; everything that PyAirbyte or the connector prints goes to stderr, which the server keeps as the job's log.
"""

# PyAirbyte is imported where it is used, since it takes seconds and a request must be read first; and several of its
# private parts are used, which the exact pin of its version makes safe.
# ruff: noqa: PLC0415, SLF001

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_REPORTS = 0.5
SECONDS_BETWEEN_TRIES = 0.3


class Failure(Exception):
    """Why the job failed.

    Args:
        message: One sentence for the user.
        internal: Details for whoever debugs it.
        origin: ``source``, ``destination`` or ``airbyte_platform``, as Airbyte's ``failureOrigin``.
        kind: ``config_error``, ``system_error`` or ``transient_error``, as Airbyte's ``failureType``.
    """

    def __init__(self, message: str, internal: str = "", *, origin: str, kind: str = "system_error") -> None:
        super().__init__(message)
        self.message, self.internal, self.origin, self.kind = message, internal, origin, kind


class Reporter:
    """Counts rows and bytes per stream over all reads of the job and reports them twice a second, if they changed."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._changed = False
        self._streams: dict[tuple[str, str | None], dict[str, int]] = {}
        threading.Thread(target=self._report, daemon=True).start()

    def _report(self) -> None:
        # A thread of its own, since a source that stalls would otherwise leave its last rows unreported.
        while True:
            if self._changed:
                self._changed = False
                self.say(type="progress")
            time.sleep(SECONDS_BETWEEN_REPORTS)

    def say(self, **message: Any) -> None:
        """Send a message, with the counts so far in the shape of Airbyte's ``streamAggregatedStats``."""
        with self._lock:
            streams = [
                {"streamName": name, "streamNamespace": namespace, **counts}
                for (name, namespace), counts in self._streams.items()
            ]
            self._channel.write(json.dumps({**message, "streams": streams}) + "\n")
            self._channel.flush()

    def log(self, text: str) -> None:
        """Write a line to the job's log."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the log

    def read(self, stream: str, namespace: str | None, rows: int, size: int) -> None:
        """Note how much was read of a stream so far."""
        with self._lock:
            entry = self._entry(stream, namespace)
            entry["recordsEmitted"], entry["bytesEmitted"] = rows, max(size, 0)
            self._changed = True

    def commit(self, stream: str, namespace: str | None) -> None:
        """Note that all that was read of a stream is in the warehouse."""
        with self._lock:
            entry = self._entry(stream, namespace)
            entry["recordsCommitted"], entry["bytesCommitted"] = entry["recordsEmitted"], entry["bytesEmitted"]
            self._changed = True

    def _entry(self, stream: str, namespace: str | None) -> dict[str, int]:
        empty = {"recordsEmitted": 0, "bytesEmitted": 0, "recordsCommitted": 0, "bytesCommitted": 0}
        return self._streams.setdefault((stream, namespace), empty)


def make_cache(request: dict[str, Any], group: dict[str, Any], reporter: Reporter) -> Any:
    """Open the warehouse as a PyAirbyte cache."""
    arguments = {
        "schema_name": group["schema"],
        "table_prefix": request["prefix"],
        "cache_dir": str(Path(request["scratch"]) / "cache"),
        "cleanup": True,
    }
    return patiently(request, reporter, lambda: open_cache(request["destination"], arguments))


def patiently(request: dict[str, Any], reporter: Reporter, open_warehouse: Callable[[], Any]) -> Any:
    """Open the warehouse; while another process holds it, try again for up to ``lockTimeout`` seconds."""
    deadline = time.monotonic() + request["lockTimeout"]
    told = False
    while True:
        try:
            return open_warehouse()
        except Exception as error:
            text = str(error)
            if "Could not set lock on file" not in text:
                raise explain(error, "The warehouse can't be opened: ") from error
            if time.monotonic() >= deadline:
                message = f"Another process has held the warehouse file for {request['lockTimeout']:.0f} s"
                raise Failure(message, text, origin="destination", kind="transient_error") from error
            if not told:
                reporter.log(f"Waiting for another process to let go of {request['destination']['path']}")
                told = True
            time.sleep(SECONDS_BETWEEN_TRIES)


def open_cache(destination: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """Open a ``duckdb`` or ``motherduck`` destination; ``destination`` has ``kind`` and ``path`` or ``database``."""
    if destination["kind"] == "motherduck":
        from airbyte.caches import MotherDuckCache
        from airbyte.secrets import SecretString

        return MotherDuckCache(
            database=destination["database"], api_key=SecretString(destination["apiKey"]), **arguments
        )
    from airbyte.caches import DuckDBCache

    return DuckDBCache(db_path=destination["path"], **arguments)


def make_source(request: dict[str, Any], reporter: Reporter, errors: list[Failure]) -> Any:
    """A PyAirbyte source whose connector's own errors, exit code and stderr are all noticed."""
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
                yield from process.stdout
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
            if message.state is not None and getattr(message.state.type, "value", None) in {"GLOBAL", "LEGACY"}:
                reporter.log("This source has one state for all streams, which isn't kept: the next sync reads it all")
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
                "destination_sync_mode": {"replace": "overwrite", "append": "append", "merge": "append_dedup"}[
                    group["strategy"]
                ],
                "cursor_field": entry["cursorField"] or None,
                "primary_key": entry["primaryKey"] or None,
            }
        )
    return ConfiguredAirbyteCatalog.model_validate({"streams": streams})


@contextlib.contextmanager
def careful_processor(cache: Any, group: dict[str, Any]) -> Iterator[None]:
    """Let the cache write with a processor that mends what PyAirbyte's own gets wrong.

    It merges what was read with what is there, but not the new rows with each other, so a key that comes twice in one
    sync would be there twice; and it leaves some names unquoted, so streams and columns named like SQL's words fail.
    """
    cursors = {entry["stream"]["name"]: entry["cursorField"] for entry in group["streams"]}
    base = type(cache)._sql_processor_class

    class Careful(base):  # type: ignore[misc, unused-ignore, valid-type]
        def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
            table = str(super()._write_files_to_new_table(files, stream_name, batch_id))
            keys = self.catalog_provider.get_primary_keys(stream_name) if group["dedupe"] else []
            if keys:
                order = ["_airbyte_extracted_at DESC", "rowid DESC"]
                if cursors[stream_name]:
                    cursor = self._quote_identifier(self.normalizer.normalize(cursors[stream_name][0]))
                    order.insert(0, f"{cursor} DESC NULLS LAST")
                name, partition = self._fully_qualified(table), ", ".join(self._quote_identifier(key) for key in keys)
                self._execute_sql(
                    f"DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} QUALIFY "  # noqa: S608 - quoted
                    f"row_number() OVER (PARTITION BY {partition} ORDER BY {', '.join(order)}) > 1)"
                )
            return table

        def _swap_temp_table_with_final_table(
            self, stream_name: str, temp_table_name: str, final_table_name: str
        ) -> None:
            del stream_name  # PyAirbyte's signature
            final, temporary = self._fully_qualified(final_table_name), self._fully_qualified(temp_table_name)
            new_name = self._quote_identifier(final_table_name)
            self._execute_sql(f"DROP TABLE {final};\nALTER TABLE {temporary} RENAME TO {new_name};")

        def _add_column_to_table(self, table: Any, column_name: str, column_type: Any) -> None:
            name = self._quote_identifier(column_name)
            self._execute_sql(f"ALTER TABLE {self._fully_qualified(table.name)} ADD COLUMN {name} {column_type}")

    type(cache)._sql_processor_class = Careful
    try:
        yield
    finally:
        type(cache)._sql_processor_class = base


def run_group(request: dict[str, Any], group: dict[str, Any], reporter: Reporter) -> None:
    """Read the streams of one group, which share a schema, a write strategy and a way of reading."""
    from airbyte.progress import ProgressStyle, ProgressTracker
    from airbyte.shared.catalog_providers import CatalogProvider
    from airbyte.shared.state_writers import NoOpStateWriter
    from airbyte.strategies import WriteStrategy

    names = [entry["stream"]["name"] for entry in group["streams"]]
    namespaces = {entry["stream"]["name"]: entry["stream"].get("namespace") for entry in group["streams"]}
    errors: list[Failure] = []
    source = make_source(request, reporter, errors)
    cache = make_cache(request, group, reporter)

    class Tracker(ProgressTracker):  # type: ignore[misc, unused-ignore]
        def _update_display(self, **_: Any) -> None:
            self._last_update_time = time.time()
            for name in list(self.stream_read_counts):
                reporter.read(name, namespaces.get(name), self.stream_read_counts[name], self.stream_bytes_read[name])

        def tally_records_read(self, messages: Any, *, auto_close_streams: bool = False) -> Iterator[Any]:
            # The file is let go while the source is read, so that others can look into it meanwhile.
            cache.dispose_engine()
            yield from super().tally_records_read(messages, auto_close_streams=auto_close_streams)
            if errors:
                raise errors[0]  # a failed connector must not reach the writing of what came before its failure
            patiently(request, reporter, lambda: cache.get_sql_engine().connect().close())

    try:
        # State belongs to the connection and its sync mode: another connection, or another mode, starts anew. Without
        # the table the state says nothing, as after the user removed it.
        if group["incremental"]:
            forget_state_without_table(cache, names)
        state = cache.get_state_provider(source_name=group["stateKey"]) if group["incremental"] else None
        writer = cache.get_state_writer(source_name=group["stateKey"]) if group["incremental"] else NoOpStateWriter()
        tracker = Tracker(ProgressStyle.NONE, source=source, cache=cache, destination=None, expected_streams=names)
        for name in names:
            reporter.read(name, namespaces[name], 0, 0)
        try:
            with careful_processor(cache, group):
                source._read_to_cache(
                    cache=cache,
                    catalog_provider=CatalogProvider(configured_catalog(group)),
                    stream_names=names,
                    state_provider=state,
                    state_writer=writer,
                    write_strategy=WriteStrategy(group["strategy"]),
                    force_full_refresh=not group["incremental"],
                    skip_validation=True,
                    progress_tracker=tracker,
                )
        except Exception as error:
            raise (errors[0] if errors else explain(error)) from error
        finally:
            tracker._update_display(force_refresh=True)
        if group["strategy"] == "replace":
            # PyAirbyte leaves a table as it is when nothing was read; a full refresh of nothing is an empty table.
            empty_tables(cache, [name for name in names if not tracker.stream_read_counts.get(name)])
        if not group["incremental"]:
            delete_state(cache, names)
        for name in names:
            reporter.commit(name, namespaces[name])
    finally:
        cache.close()


def run_reset(request: dict[str, Any], group: dict[str, Any], reporter: Reporter) -> None:
    """Empty the tables of one group's streams and forget where the last sync stopped."""
    cache = make_cache(request, group, reporter)
    try:
        names = [entry["stream"]["name"] for entry in group["streams"]]
        empty_tables(cache, names)
        delete_state(cache, names)
        cache.processor._do_checkpoint()
    finally:
        cache.close()


def empty_tables(cache: Any, streams: list[str]) -> None:
    """Delete all rows of the streams' tables that exist."""
    processor = cache.processor
    for stream in streams:
        table = processor.get_sql_table_name(stream)
        if processor._table_exists(table):
            processor._execute_sql(f"DELETE FROM {processor._fully_qualified(table)}")  # noqa: S608 - quoted by PyAirbyte


def delete_state(cache: Any, streams: list[str]) -> None:
    """Forget the state of these streams."""
    from sqlalchemy import text

    cache._state_backend._ensure_internal_tables()
    with cache.processor.get_sql_connection() as connection:
        for stream in streams:
            connection.execute(
                text(f'DELETE FROM "{cache.schema_name}"."_airbyte_state" WHERE table_name = :name'),  # noqa: S608
                {"name": (cache.table_prefix or "") + stream},
            )


def forget_state_without_table(cache: Any, streams: list[str]) -> None:
    """Forget the state of streams whose table is gone."""
    processor = cache.processor
    delete_state(cache, [name for name in streams if not processor._table_exists(processor.get_sql_table_name(name))])


def explain(error: BaseException, prefix: str = "") -> Failure:
    """Turn what PyAirbyte raised into a reason; ``prefix`` goes before a message that says too little by itself."""
    chain = [error]
    while (following := chain[-1].__cause__ or getattr(chain[-1], "original_exception", None)) is not None:
        chain.append(following)
    for link in chain:
        if isinstance(link, Failure):
            return link
    text = "\n".join(f"{type(link).__name__}: {link}" for link in chain)
    if "No space left on device" in text or any(getattr(link, "errno", None) == errno.ENOSPC for link in chain):
        return Failure("The disk is full: no space left on device", text, origin="destination")
    code = next((c["exit_code"] for link in chain if (c := getattr(link, "context", None)) and "exit_code" in c), None)
    if code is not None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Failure(f"The source connector {how} without saying why", text, origin="source")
    of_source = any(type(link).__name__.startswith("AirbyteConnector") for link in chain)
    message = prefix + (first_line(str(chain[-1])) or type(error).__name__)
    return Failure(message, text, origin="source" if of_source else "destination")


def first_line(text: str) -> str:
    """The first line of a text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def end_with_server(scratch: str) -> None:
    """Wait for the end of stdin, then end this process and all it started."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    shutil.rmtree(scratch, ignore_errors=True)  # it has the connector's configuration
    os.killpg(os.getpgrp(), signal.SIGKILL)


def read_request() -> dict[str, Any]:
    """Read the one line of the request, byte by byte-block, leaving stdin open."""
    received = b""
    while not received.endswith(b"\n"):
        block = os.read(0, 65536)
        if not block:
            raise SystemExit("no request")
        received += block
    request: dict[str, Any] = json.loads(received)
    return request


def main() -> None:
    """Run the job of the request and report how it went."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever is printed from here on belongs to the log
    request = read_request()
    threading.Thread(target=end_with_server, args=(request["scratch"],), daemon=True).start()
    reporter = Reporter(channel)
    work = run_reset if request["jobType"] == "reset" else run_group
    try:
        for group in request["groups"]:
            work(request, group, reporter)
    except Failure as failure:
        report_failure(reporter, failure)
    except Exception as error:  # noqa: BLE001 - whatever it is becomes the job's reason
        report_failure(reporter, explain(error))
    else:
        reporter.say(type="done")
    channel.flush()
    os._exit(0)  # PyAirbyte's threads and exit hooks have nothing left to do


def report_failure(reporter: Reporter, failure: Failure) -> None:
    """Send the reason, with the counts up to it."""
    reporter.log(f"Failed: {failure.message}\n{failure.internal}")
    reporter.say(
        type="failed",
        message=failure.message,
        internal=failure.internal,
        origin=failure.origin,
        kind=failure.kind,
    )


if __name__ == "__main__":
    main()
