"""A secret stays in its field: planted everywhere, and looked for in everything that is written."""

from __future__ import annotations

import base64
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import AirbyteResource, MotherDuckResource, build_pipeline_defs
from airbyte_dagster_tests.conftest import pipeline_of, resource_of
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.local.fakes import RunningAirbyte

PLANTED = "PLANTED-in-this-field"
BASIC = base64.b64encode(f"someone:{PLANTED}".encode()).decode()


def texts_of(directory: Path) -> Iterator[tuple[Path, str]]:
    """Everything readable below a directory; what databases hold compressed too."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield path, content.decode("latin-1")
            if content.startswith(b"SQLite format 3"):
                yield from ((path, text) for text in _cells(path))


def _cells(path: Path) -> Iterator[str]:
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608
                for value in row:
                    if isinstance(value, bytes):
                        yield _unpacked(value).decode("latin-1")


def _unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def assert_nowhere(secrets: list[str], directory: Path, *texts: str) -> None:
    found = [(str(path), secret) for path, text in texts_of(directory) for secret in secrets if secret in text] + [
        ("output", secret) for text in texts for secret in secrets if secret in text
    ]
    assert found == []


def test_the_search_would_find_a_secret(tmp_path: Path) -> None:
    """Plain, and compressed in a database, as Dagster stores its snapshots."""
    (tmp_path / "plain").write_text(f"x{PLANTED}x")
    with sqlite3.connect(tmp_path / "some.db") as connection:
        connection.execute("CREATE TABLE t (v BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", [zlib.compress(PLANTED.encode())])

    assert {path.name for path, text in texts_of(tmp_path) if PLANTED in text} == {"plain", "some.db"}


@pytest.mark.parametrize("reference", [False, True], ids=["plain text", "EnvVar"])
def test_secrets_are_in_nothing_that_a_run_writes(
    airbyte: RunningAirbyte,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    reference: bool,
) -> None:
    """Logs, events, run config, metadata, snapshots, digests: through provision, sync, checks, reset, and a failure."""

    def secret(name: str) -> Any:
        monkeypatch.setenv(name, f"{PLANTED}-{name}")
        return dg.EnvVar(name) if reference else f"{PLANTED}-{name}"

    resource = resource_of(airbyte, extra_headers={"X-Gateway-Key": secret("HEADER")})
    warehouse = MotherDuckResource(database=str(airbyte.home.warehouse), motherduck_token=secret("TOKEN"))
    pipeline = pipeline_of(airbyte, source={"api_key": secret("API_KEY")})
    definitions = build_pipeline_defs(pipeline, airbyte=resource, warehouse=warehouse)

    config = {"ops": {"reset": {"config": {"confirm": True}}}}
    for job, run_config in (("provision_example", None), ("sync_example", None), ("reset_example", config)):
        result = definitions.resolve_job_def(job).execute_in_process(instance=instance, run_config=run_config)
        assert result.success
    airbyte.engine.fail_next(f"refused {PLANTED[:7]}")
    definitions.resolve_job_def("sync_example").execute_in_process(instance=instance, raise_on_error=False)

    assert airbyte.engine.requests[0].source_config["api_key"] == f"{PLANTED}-API_KEY"
    captured = capfd.readouterr()
    assert "Job 1 succeeded" in captured.err
    assert_nowhere(
        [PLANTED, airbyte.client_secret],
        tmp_path / "dagster",
        captured.out,
        captured.err,
        repr(resource),
        repr(warehouse),
        repr(pipeline),
        repr(resource.client()),
        repr(resource.get_client()),
        repr(warehouse.warehouse()),
    )


@pytest.mark.parametrize(
    "credentials",
    [
        {"client_id": "id", "client_secret": PLANTED},
        {"bearer_token": PLANTED},
        {"username": "someone", "password": PLANTED},
    ],
    ids="/".join,
)
def test_refused_credentials_are_not_repeated(
    credentials: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that echoes what it was sent, in an answer that a user is shown."""
    with HttpServer() as server:
        echo = f"unknown: {PLANTED}, Basic {BASIC if 'password' in credentials else ''}"
        for path in ("/api/public/v1/applications/token", "/api/v1/applications/token"):
            server.on("POST", path, Reply(400, {"message": echo}))
        server.on("GET", "/api/public/v1/workspaces", Reply(401, {"data": {"message": echo}}))
        airbyte = AirbyteResource(server_url=f"{server.url}/api/public/v1", **credentials)
        definitions = build_pipeline_defs(
            _some_pipeline(), airbyte=airbyte, warehouse=MotherDuckResource(database=str(tmp_path / "x.duckdb"))
        )
        result = definitions.resolve_job_def("sync_example").execute_in_process(instance=instance, raise_on_error=False)

    assert not result.success
    captured = capfd.readouterr()
    assert_nowhere([PLANTED, BASIC], tmp_path / "dagster", captured.out, captured.err)


def _some_pipeline() -> Any:
    from airbyte_dagster import AirbytePipeline  # noqa: PLC0415

    return AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "faker"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users"]},
    )


def test_plain_secrets_reach_other_processes_of_the_same_code() -> None:
    """A step in a process of its own loads the same code, and finds the same value behind the same name."""
    code = (
        "from airbyte_dagster import AirbyteResource\n"
        "a = AirbyteResource(bearer_token='one'); b = AirbyteResource(bearer_token='two')\n"
        "print(a.client().settings.bearer_token, b.client().settings.bearer_token, a.bearer_token.env_var_name)"
    )

    command = [sys.executable, "-c", code]
    outputs = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}

    assert outputs == {"one two AIRBYTE_DAGSTER_SECRET_1\n"}
