"""Connectors that misbehave: each ends in the job's reason or in a line of its log, and nothing is half written."""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from airbyte_dagster.local.engine import Warehouse
from airbyte_dagster.local.work import reading
from airbyte_dagster.local.work import source as source_module
from airbyte_dagster.local.work.messages import Garbage, RecordLine, classify
from airbyte_dagster.local.work.reporting import Failed, Reporter
from airbyte_dagster.local.work.source import MOST_BYTES_OF_A_LINE, Source
from airbyte_dagster.local.work.sync import Job, run_sync
from airbyte_dagster_tests.local.work.worker import CONNECTOR, Worker, plan, record, state, status

V = {"v": {"type": "integer"}}
ONE = record("s", {"v": 1})


def test_what_is_no_message_goes_to_the_log(worker: Worker) -> None:
    """Lines of text, of other JSON, of no JSON, and empty ones; the records between them arrive."""
    garbage = [b"downloading", b"", b"[1, 2]", b'{"type": "RECORD"}', b'{"type": 5}', b"\xff\xfe", b'{"no": "type"}']
    result = worker.run([plan("s", V)], [ONE, *garbage, ONE])
    assert result.failure is None
    assert worker.query("SELECT count(*) FROM s") == [(2,)]
    assert "downloading" in result.log
    assert '{"type": "RECORD"}' in result.log


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"RECORD","record":{"stream":"s","data":{"v":1,"emitted_at":1}}',
        b'{"type":"RECORD","record":{"stream":"s","data":{"v":"\xff"},"emitted_at":1}}',
        b'{"type":"RECORD","record":{"stream":"s","data":{"v":1}{"type":"LOG"}',
    ],
)
def test_a_record_that_is_no_json_fails_the_job(line: bytes, worker: Worker) -> None:
    """A record that can't be read is a row that would be missing: the job fails and says how many there are."""
    failure = worker.run([plan("s", V, strategy="replace")], [ONE, line]).failure
    assert failure is not None
    assert failure["message"] == "1 records of the stream s are no valid JSON"
    assert not worker.file.exists()


def test_records_of_streams_that_are_not_selected_are_left_out(worker: Worker) -> None:
    """They are named once in the log."""
    result = worker.run([plan("s", V)], [ONE, *(record("other", {"v": i}) for i in range(3))])
    assert result.failure is None
    assert result.log.count("other, which is not selected") == 1
    assert set(result.streams) == {"s"}
    assert worker.query("SELECT table_name FROM duckdb_tables()") == [("s",)]


def test_a_source_without_a_record_and_without_an_error_succeeds(worker: Worker) -> None:
    """Exit 0 and nothing said: the tables are there, empty."""
    assert worker.run([plan("s", V), plan("t", V, strategy="replace")]).failure is None
    assert worker.query("SELECT (SELECT count(*) FROM s), (SELECT count(*) FROM t)") == [(0, 0)]


@pytest.mark.parametrize(
    ("lines", "stderr", "exit_code", "message"),
    [
        ([], "", 3, "The source connector ended with exit code 3 without saying why"),
        (
            [],
            "Traceback …\n\nValueError: bad key\n",
            1,
            "The source connector ended with exit code 1: ValueError: bad key",
        ),
        (
            [{"type": "LOG", "log": {"level": "FATAL", "message": "Traceback (most recent)\n  x\nOSError: gone"}}],
            "",
            1,
            "The source connector ended with exit code 1: OSError: gone",
        ),
        (
            [
                {
                    "type": "TRACE",
                    "trace": {
                        "type": "ERROR",
                        "error": {
                            "message": "Something went wrong in the connector. See the logs for more details.",
                            "internal_message": "[Errno 2]",
                            "stack_trace": "Traceback\nFileNotFoundError: orders.csv\n",
                        },
                    },
                }
            ],
            "",
            1,
            "Something went wrong in the connector: FileNotFoundError: orders.csv",
        ),
        ([status("s", "INCOMPLETE")], "", 0, "The source could not read all of the stream s"),
    ],
)
def test_the_reason_is_what_the_connector_said_last(
    lines: list[Any], stderr: str, exit_code: int, message: str, worker: Worker
) -> None:
    """Its error message; where that says nothing, the last line of its traceback, its log or its stderr."""
    failure = worker.run([plan("s", V)], lines, stderr=stderr, exit_code=exit_code).failure
    assert failure is not None
    assert (failure["message"], failure["origin"]) == (message, "source")


def test_a_source_that_went_on_after_it_was_complete_loses_nothing(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records after COMPLETE are added to what replaced the table, not put in its place."""
    monkeypatch.setattr(reading, "RECORDS_BETWEEN_COMMITS", 1)
    run_here(worker, [plan("s", V, strategy="replace")], [ONE, status("s", "COMPLETE"), ONE])
    assert worker.query("SELECT count(*) FROM s") == [(2,)]


def test_a_long_sync_commits_at_its_states(worker: Worker) -> None:
    """Half a minute after the last commit the next state leads to one, so that a worker that dies loses little."""
    lines = [ONE, state("s", 1), ONE, state("s", 2), ONE, state("s", 3)]
    often = run_here(worker, [plan("s", V, incremental=True)], lines, clock=itertools.count(0.0, 31.0).__next__)
    assert [entry["stream"]["stream_state"]["cursor"] for entry in often] == [1, 2, 3, 3]
    rarely = run_here(worker, [plan("s", V, incremental=True)], lines, clock=lambda: 0.0)
    assert [entry["stream"]["stream_state"]["cursor"] for entry in rarely] == [3]
    assert worker.query("SELECT count(*) FROM s") == [(6,)]


def run_here(
    worker: Worker, streams: list[Any], lines: list[Any], clock: Callable[[], float] = lambda: 0.0
) -> list[dict[str, Any]]:
    """Run a job in this process; the states that were kept, in order."""
    message = worker.message(streams, lines)
    channel = io.StringIO()
    job = Job(
        id=1,
        type="sync",
        executable=Path(message["executable"]),
        arguments=tuple(message["arguments"]),
        config=message["config"],
        warehouse=Warehouse(**message["warehouse"]),
        streams=tuple(streams),
        states=[],
        scratch=Path(message["scratch"]),
        lock_timeout=1,
    )
    run_sync(job, Reporter(channel), clock)
    said = map(json.loads, channel.getvalue().splitlines())
    return [entry for line in said for entry in line.get("states", [])]


def test_a_connector_that_is_killed_fails_the_job(worker: Worker) -> None:
    """A signal is no success, though there is no exit code that would say so."""
    killed = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    failure = worker.run([plan("s", V)], [ONE], stderr="", connector=killed).failure
    assert failure is not None
    assert failure["message"] == "The source connector was killed by signal 9 without saying why"


def test_a_connector_that_leaves_a_process_behind_ends_nevertheless(worker: Worker) -> None:
    """The process holds stdout and stderr open, yet what the connector wrote is all that there is: it is stored."""
    left = "import threading; threading.Event().wait()"
    leaves = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {left!r}])\n"
    result = worker.run([plan("s", V)], [ONE], connector=leaves + CONNECTOR)
    assert result.failure is None
    assert worker.query("SELECT v FROM s") == [(1,)]


def test_a_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    """The source is ended, with the beginning of the line as the reason, long before memory is used up."""
    (tmp_path / "endless.py").write_text("import sys\nwhile True: sys.stdout.write('x' * 100_000)\n")
    source = Source(
        [sys.executable, str(tmp_path / "endless.py")], tmp_path, Reporter(io.StringIO()), longest=1_000_000
    )
    with pytest.raises(Failed, match="a line of more than 1,000,000 bytes: xxx"):
        list(source.lines({}, {}, None))
    assert not [
        c for c in psutil.process_iter(["cmdline"]) if str(tmp_path / "endless.py") in (c.info["cmdline"] or [])
    ]


def test_a_silent_source_is_ended(tmp_path: Path) -> None:
    """One that writes nothing for as long as Airbyte's heartbeat allows fails the job, which a new try may mend."""
    (tmp_path / "silent.py").write_text("import threading\nthreading.Event().wait()\n")
    source = Source([sys.executable, str(tmp_path / "silent.py")], tmp_path, Reporter(io.StringIO()), silence=0.2)
    with pytest.raises(Failed, match="wrote nothing") as caught:
        list(source.lines({}, {}, None))
    assert caught.value.failure.kind == "heartbeat_timeout"


def test_a_silence_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever looks at a job that does not move sees that its source is what it waits for; each time twice as late."""
    monkeypatch.setattr(source_module, "_SECONDS_BETWEEN_LOOKS", 0.001)
    monkeypatch.setattr(source_module, "_SECONDS_UNTIL_SAID", 0.01)
    (tmp_path / "silent.py").write_text("import threading\nthreading.Event().wait()\n")
    source = Source([sys.executable, str(tmp_path / "silent.py")], tmp_path, Reporter(io.StringIO()), silence=0.05)
    with pytest.raises(Failed):
        list(source.lines({}, {}, None))
    assert capsys.readouterr().err.splitlines() == ["The source has written nothing for 0 s."] * 3


def test_a_record_near_the_limit_is_stored(worker: Worker) -> None:
    """One long value arrives whole; a line beyond the limit fails the job and names the beginning of it."""
    text = "x" * (MOST_BYTES_OF_A_LINE - 1_000_000)
    types = {"v": {"type": "string"}}
    assert worker.run([plan("s", types)], [record("s", {"v": text})]).failure is None
    assert worker.query("SELECT length(v) FROM s") == [(len(text),)]
    failure = worker.run([plan("s", types)], [record("s", {"v": text + "x" * 2_000_000})]).failure
    assert failure is not None
    assert "a line of more than 20,000,000 bytes" in failure["message"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"type":"RECORD","record":{"stream":"s","data":{},"emitted_at":1}}', (None, "s")),
        (b'{"type": "RECORD", "record": {"namespace": "n", "stream": "s", "data": {}, "emitted_at": 1}}', ("n", "s")),
        (b'{"type":"RECORD","record":{"namespace":null,"stream":"s","emitted_at":1,"data":{}}}', (None, "s")),
        (b'{"type":"RECORD","record":{"stream":"s","data":{"namespace":"x"},"emitted_at":1}}', (None, "s")),
        (b'{"type":"RECORD","record":{"stream":"s","data":{"namespace":"x"},"namespace":"n"}}', ("n", "s")),
        (b'{"record":{"data":{"stream":"x"},"stream":"s"},"type":"RECORD"}', (None, "s")),
        (rb'{"type":"RECORD","record":{"stream":"\u00e4\"","data":{}}}', (None, 'ä"')),
        ('{"type":"RECORD","record":{"stream":"税","data":{}}}'.encode(), (None, "税")),
    ],
)
def test_the_stream_of_a_record_is_found_wherever_it_stands(line: bytes, key: Any) -> None:
    """Before its data, which is the fast way, or after it; never what only looks like it within the data."""
    found = classify(line)
    assert isinstance(found, RecordLine)
    assert (found.key, found.line) == (key, line)


def test_deeply_nested_lines_are_garbage() -> None:
    """Brackets without end are no message; they end no worker."""
    assert isinstance(classify(b'{"type":' + b"[" * 200_000), Garbage)
