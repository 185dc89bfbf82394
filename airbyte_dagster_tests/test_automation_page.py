"""The page on automation, followed from top to bottom as a reader would, with the real daemon and real connectors."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import RunsFilter
from dagster._core.scheduler.instigation import TickStatus

from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.test_docs import Shell, blocks

PAGE = "automation.md"


@pytest.fixture
def reader(real_home: Path) -> Iterator[Reader]:
    """Somebody who has saved the example and typed the first command, which goes on until the end."""
    [example] = [text for page, text in blocks("python") if page == PAGE]
    (real_home / "automation.py").write_text(example)
    reader = Reader(real_home)
    log = real_home / "dev.log"
    # Into a file: what Dagster says in minutes is more than a pipe holds that nobody reads, and then all of it waits.
    with log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "airbyte_dagster", "dev", "-f", str(real_home / "automation.py")]
        dev = subprocess.Popen(command, env=reader.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        # By then Dagster's database is made: two that make it at once break it.
        wait_for((real_home / "local" / "server.json").exists, log.read_text)
        with dg.DagsterInstance.from_config(str(real_home / "dagster")) as instance:
            reader.instance = instance
            yield reader
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait()
        reader.wait_until_none_is_left()


class Reader(Shell):
    """Types the commands of the page in a terminal, and looks at what comes of them.

    Attributes:
        prelude: What was typed first, for the variables that it sets.
    """

    instance: dg.DagsterInstance
    prelude = ""

    def types(self, block: str) -> str:
        return self.block(f"cd '{self.home}'\n{self.prelude}\n{block}")

    def materializations(self, *key: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Tags of the run and metadata of each, newest first; no tags where a sensor reported it."""
        found = []
        for record in self.instance.fetch_materializations(dg.AssetKey(key), limit=50).records:
            run = self.instance.get_run_by_id(record.run_id) if record.run_id else None
            event = record.asset_materialization
            assert event is not None
            found.append((dict(run.tags) if run else {}, {name: item.value for name, item in event.metadata.items()}))
        return found

    def has_ticked(self, sensor: str) -> bool:
        """Whether a tick of a sensor has ended."""
        return any(
            tick.status in (TickStatus.SUCCESS, TickStatus.SKIPPED)
            for state in self.instance.all_instigator_state()
            if state.instigator_name == sensor
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        )

    def sees(self, what: str, is_there: Callable[[], Any]) -> None:
        wait_for(is_there, lambda: f"{what} never came; runs: {self._runs()}", every=0.5)

    def _runs(self) -> list[str]:
        return [f"{run.job_name} {run.status.value} {run.tags}" for run in self.instance.get_runs()]

    def succeeded(self, tags: dict[str, str]) -> bool:
        """Whether a run with these tags has."""
        return bool(self.instance.get_runs(RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])))

    def ticks_of(self, sensor: str) -> list[str]:
        """Why the ticks of a sensor did nothing, in their words."""
        states = [state for state in self.instance.all_instigator_state() if state.instigator_name == sensor]
        return [
            tick.skip_reason or ""
            for state in states
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=50)
        ]


@pytest.mark.real
@pytest.mark.timeout(1800)  # each of its waits has a bound of its own
@pytest.mark.xdist_group("automation")
def test_automation_can_be_followed(reader: Reader) -> None:
    """Each thing that the page promises happens."""
    start, lists, materialize, files, database, elsewhere = [block for page, block in blocks("sh") if page == PAGE]
    assert start == "airbyte-dagster dev -f automation.py\n"

    listed = reader.types(lists)
    assert all(
        name in listed for name in ("sync_shop_schedule", "new_returns", "new_sales", "airbyte_syncs", "upstream")
    )
    reader.prelude = "\n".join(lists.splitlines()[:2])

    # A condition can't tell that something was materialized after it was first evaluated if that comes later.
    reader.sees("the first tick of upstream", lambda: reader.has_ticked("upstream"))
    reader.types(materialize)
    reader.sees("revenue", lambda: reader.materializations("revenue"))
    assert reader.materializations("revenue")[0][1] == {"revenue": 50.0}

    reader.sees("the first tick on files", lambda: reader.ticks_of("new_returns"))
    reader.types(files)
    reader.sees("the run on a file", lambda: reader.materializations("returns", "returns"))
    tags, metadata = reader.materializations("returns", "returns")[0]
    assert tags["airbyte_dagster/file_count"] == "1"
    assert tags["airbyte_dagster/files"].endswith('/inbox/returns.csv"]')
    assert metadata["dagster/row_count"] == 2

    reader.types(database)
    reader.sees("the first value", lambda: any("1" in why and "ecorded" in why for why in reader.ticks_of("new_sales")))
    reader.types(database)
    # To its end: a run that is about to sync joins a sync that was started elsewhere, and records it as its own.
    reader.sees("the run on a higher number", lambda: reader.succeeded({"dagster/sensor_name": "new_sales"}))

    reader.sees("the scheduled sync", lambda: reader.succeeded({"dagster/schedule_name": "sync_shop_schedule"}))
    # Whether a scheduled sync is running just now, nobody knows: a second one is refused meanwhile.
    reader.sees("a free connection", lambda: "jobId" in reader.types(elsewhere))
    reader.sees("the foreign sync", lambda: any(not tags for tags, _ in reader.materializations("shop", "users")))
    reader.sees("its checks", lambda: reader.instance.get_runs(RunsFilter(job_name="airbyte_syncs_checks")))
