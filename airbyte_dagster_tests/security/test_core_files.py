"""A process that has secrets and rows in its memory, and dies of a fault, leaves none of them behind."""

from __future__ import annotations

import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from airbyte_dagster_tests.local.processes import ServerProcess


@pytest.fixture
def core_files_allowed() -> Iterator[None]:
    """What starts the server would leave a core file, if the machine allows that at all."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def limit_of(process: psutil.Process) -> tuple[str, ...]:
    """Soft and hard limit of the size of a core file."""
    found = re.search(
        r"^Max core file size\s+(\S+)\s+(\S+)", Path(f"/proc/{process.pid}/limits").read_text(), re.MULTILINE
    )
    assert found
    return found.groups()


@pytest.mark.real
def test_server_worker_and_connector_leave_no_core_file(core_files_allowed: None, tmp_path: Path) -> None:
    """None of them may write one, nor allow itself to; one that aborts leaves nothing in the home."""
    home = tmp_path / "home"
    with ServerProcess(home) as server, server.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}]}, wait_for=str(tmp_path / "never"))
        job = api.sync(api.connection(source, api.destination(), ["items"]))
        api.until(job, lambda job: job.get("rowsSynced") == 1)
        processes = {" ".join(process.cmdline()): process for process in server.descendants()}
        limits = {line: limit_of(process) for line, process in processes.items()}
        (connector,) = (process for line, process in processes.items() if "tiny_connector" in line)
        connector.send_signal(signal.SIGABRT)
        assert api.finish(job)["status"] == "failed"

    assert set(limits.values()) == {("0", "0")}
    assert any("airbyte_dagster.local.work" in line for line in limits)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "core" in path.name] == []
