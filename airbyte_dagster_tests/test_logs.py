"""``--log-format json``: every line of the standard output is one JSON object, in real processes."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from airbyte_dagster import logs
from airbyte_dagster_tests.cli.test_dev import Dev
from airbyte_dagster_tests.command_line import Commands
from airbyte_dagster_tests.local.fakes import running_local_airbyte
from airbyte_dagster_tests.local.processes import ServerProcess

RUN = "3f3a6b1e-6a40-4a4b-9d38-1f1d8e5d0c11"


@pytest.fixture
def root_logger() -> Iterator[None]:
    """The hooks and the handlers of this process as they were."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(capture=False)


def test_line_of_a_record(root_logger: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, logger, message, the known fields, a traceback; no other field, and no secret in any."""
    logs.log_as_json(lambda text: text.replace("planted", "[hidden]"))
    log = logging.getLogger("some.logger")
    try:
        int("planted")
    except ValueError:
        log.exception("It is %s", "planted", extra={"job_id": 3, "connection_id": "c-1", "password": "planted"})
    log.debug("nobody wants to know")
    sys.excepthook(KeyError, KeyError("planted"), None)

    output = capsys.readouterr().out
    first, second = map(json.loads, output.splitlines())
    assert "planted" not in output
    assert set(first) == {"time", "level", "logger", "message", "job_id", "connection_id", "exception"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first["time"])
    assert (first["level"], first["logger"], first["message"]) == ("ERROR", "some.logger", "It is [hidden]")
    assert first["exception"].endswith("with base 10: '[hidden]'")
    assert (second["level"], second["message"]) == ("CRITICAL", "KeyError: '[hidden]'")


@pytest.mark.parametrize(
    ("line", "logger", "level", "message", "run_id"),
    [
        (f'{{"event": "Completed launch of run {RUN}.", "logger": "dagster.daemon", "level": "info"}}',
         "dagster.daemon", "INFO", f"Completed launch of run {RUN}.", RUN),
        (f"\x1b[32m2026-11-29 11:26:44 +0000 - dagster - DEBUG - my_job - {RUN} - 51 - RUN_START - Started.\x1b[0m",
         "dagster", "DEBUG", f"my_job - {RUN} - 51 - RUN_START - Started.", RUN),
        (f"Connection {RUN} is odd", "dagster", "INFO", f"Connection {RUN} is odd", None),
        ('["no", "record"]', "dagster", "INFO", '["no", "record"]', None),
    ],
)  # fmt: skip
def test_line_of_dagster(
    root_logger: None, capsys: pytest.CaptureFixture[str], line: str, logger: str, level: str, message: str,
    run_id: str | None,
) -> None:  # fmt: skip
    """Its own JSON, a line of a run's log, or anything; an id that is not said to be a run's is none."""
    logs.log_as_json(str)
    logs.log_line_of_dagster(line)
    logs.log_line_of_dagster("  ")

    record = json.loads(capsys.readouterr().out)
    assert (record["logger"], record["level"], record["message"]) == (logger, level, message)
    assert record.get("run_id") == run_id


def records_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_local_airbyte(tmp_path: Path) -> None:
    """Where it is, and each job with its connection, from a server in a process of its own."""
    with ServerProcess(tmp_path, "--log-format", "json") as server, server.api() as api:
        connection = api.connection(api.source("tiny", streams={"users": [{"id": 1}]}), api.destination(), ["users"])
        api.finish(api.sync(connection))
    records = records_of("".join(server.output))

    assert any(f"ready at {server.url}" in record["message"] for record in records)
    jobs = [(item["message"], item["connection_id"]) for item in records if item.get("job_id") == 1]
    assert jobs == [("Job 1, a sync: running", connection), ("Job 1, a sync: succeeded", connection)]


def test_dev(tmp_path: Path) -> None:
    """Its own steps and Dagster's lines; what its web server says is in there, and no secret."""
    commands = Commands(tmp_path / "home")
    with running_local_airbyte(tmp_path / "airbyte", allow_paths=[tmp_path]) as server:
        variables = {
            "AIRBYTE_SERVER_URL": server.server_url,
            "AIRBYTE_CLIENT_ID": server.client_id,
            "AIRBYTE_CLIENT_SECRET": server.client_secret,
        }
        commands.environment.update(variables)
        with Dev(commands, "--log-format", "json") as dev:
            dev.url()
    records = records_of(dev.output)

    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, records))
    assert any(record["logger"] == "dagster-webserver" for record in records), dev.output
    assert any("Dagster UI at" in record["message"] for record in records)
    assert server.client_secret not in dev.output


def test_webhook_serve(tmp_path: Path) -> None:
    """What it listens on; its log, and no secret, of the environment's or of its address."""
    secret = "planted-in-the-address-of-the-receiver"
    (tmp_path / "home").mkdir()
    commands = Commands(tmp_path / "home")
    with running_local_airbyte(tmp_path / "airbyte", allow_paths=[tmp_path]) as server:
        commands.environment |= {
            "AIRBYTE_SERVER_URL": server.server_url,
            "AIRBYTE_CLIENT_ID": server.client_id,
            "AIRBYTE_CLIENT_SECRET": server.client_secret,
            "AIRBYTE_WEBHOOK_SECRET": secret,
        }
        process = commands.start("webhook", "serve", "--port", "0", "--log-format", "json")
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Listens for" in line:
                url = line.split(" at ")[1].split('"')[0]
                assert httpx.post(f"{url}/notices/{secret}", content=b"no notice").is_client_error
                process.send_signal(signal.SIGINT)
        process.wait()
    records = records_of("".join(lines))

    assert any("Listens for Airbyte's notices at http://127.0.0.1:" in record["message"] for record in records)
    assert process.returncode == 0
    assert not {text for text in (secret, server.client_secret) if text in "".join(lines)}
