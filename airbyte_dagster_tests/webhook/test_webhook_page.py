"""The page on the webhook, followed as a reader would: real commands in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import httpx
import psutil
import pytest

from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.test_docs import ROOT, Shell, blocks

USERS = dg.AssetKey(["shop", "users"])


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path / "home")
    made.home.mkdir()
    (example, _) = [text for page, text in blocks("python") if page == "webhook.md"]
    (made.home / "noticed.py").write_text(example)
    yield made
    made.wait_until_none_is_left()


@contextmanager
def typed(reader: Shell, block: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Type a block that goes on until Ctrl-C; its process, and the port that it listens on."""
    log = reader.home / "receiver.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-euc", f"cd '{reader.home}'\n{block}"],
            cwd=ROOT,
            env=reader.variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        wait_for(lambda: process.poll() is not None or "Listens for" in log.read_text(), log.read_text)
        assert process.poll() is None, log.read_text()
        found = re.search(r"Listens for .* at http://127\.0\.0\.1:(\d+)", log.read_text())
        assert found, log.read_text()
        yield process, found[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait()


def test_the_page_can_be_followed(reader: Shell) -> None:
    """A foreign sync is in Dagster; the secret of the address is in no output and on no command line."""
    serve, register, unregister = [block for page, block in blocks("sh") if page == "webhook.md"]
    prelude = "\n".join(serve.splitlines()[:2])

    def types(block: str) -> str:
        return reader.block(f"cd '{reader.home}'\n{prelude}\n{block}".replace("8010", port))

    with reader.scripted() as api:
        warehouse = str(reader.home / "noticed.duckdb")
        streams = ["users", "purchases"]
        connection = api.connection(api.source(count=9), api.destination(warehouse), streams, name="shop")
        with typed(reader, f"{serve.rstrip()} --port 0") as (receiver, port):
            secret = (reader.home / "webhook-secret").read_text().strip()
            assert (reader.home / "webhook-secret").stat().st_mode & 0o077 == 0
            registered, shown = types(register.splitlines()[0]), types(register.splitlines()[1])
            assert registered == shown
            assert f"success: to the receiver at http://127.0.0.1:{port}\n" in shown
            with dg.DagsterInstance.from_config(str(reader.home / "dagster")) as instance:
                job = api.finish(api.sync(connection))["jobId"]
                wait_for(lambda: instance.get_latest_materialization_event(USERS), lambda: "nothing was recorded")
            tree = [psutil.Process(receiver.pid), *psutil.Process(receiver.pid).children(recursive=True)]
            assert not any(secret in " ".join(process.cmdline()) for process in tree)
            assert httpx.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}
            removed = types(unregister)
            assert "success: nowhere\n" in removed
    log = (reader.home / "receiver.log").read_text()
    assert f"INFO Job {job}: recorded (airbyte_syncs)." in log
    assert not re.search(re.escape(secret), registered + removed + log)
    assert receiver.returncode == 0
