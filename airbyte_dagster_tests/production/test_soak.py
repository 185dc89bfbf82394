"""A deployment that works for hours, on a bad network: nothing grows, nothing gets slower, no sync is lost."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict

import httpx
import pytest
from dagster import DagsterRunStatus, RunsFilter
from rich.console import Console

from airbyte_dagster_tests.production import local_airbyte_host
from airbyte_dagster_tests.production.conftest import number
from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import materializations
from airbyte_dagster_tests.production.network import eventually
from airbyte_dagster_tests.production.soak import Soak, resident_mb, turn_off, turn_on
from benchmarks.simulated_airbyte.inventory import connection_id

_SHOP = 20
SIZE = Size(shop=_SHOP, crm=1, streams=2, job_seconds=5.0, variables={"SHOP_CRON": "* * * * *"}, others=("local",))
_FAULTS = ("rate_limited", "bad_gateway", "unavailable", "gateway_timeout", "dropped", "answer_lost")
_SAMPLE_SECONDS = 10.0


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """`SOAK_MINUTES` of a schedule each minute, foreign syncs that the sensor records, and 5 % of calls that fail."""
    minutes, seed = number("SOAK_MINUTES", 120), number("PRODUCTION_SEED", random.randrange(10**6))
    console = Console(width=110)
    with capsys.disabled():
        console.print(f"{minutes} minutes, PRODUCTION_SEED={seed}")
    chance = random.Random(seed)
    deployment.set_faults(0.05, seed, _FAULTS)
    turn_on(deployment, sensor="shop_syncs", schedule="shop_schedule")
    # What ended before the sensor's first look is not recorded.
    eventually(lambda: _has_ticked(deployment, "shop_syncs"), "the first tick of the sensor", 120, 1.0)
    local = deployment.others["local"].start("airbyte", "python", "-m", local_airbyte_host.__name__, "/tmp/airbyte")
    soak = Soak(deployment, {"local Airbyte": lambda: resident_mb([local.pid])})
    while time.time() - soak.began < minutes * 60:
        _sync_as_others(deployment, chance)
        soak.sample()
        assert local.exit_code is None, local.log.read_text()[-3000:]
        time.sleep(_SAMPLE_SECONDS)

    with capsys.disabled():
        soak.report(console)
    turn_off(deployment, "shop_schedule")
    deployment.set_faults(0.0, seed, _FAULTS)
    eventually(lambda: _is_quiet(deployment), "the end of all runs", 300, 1.0)
    eventually(lambda: not _not_recorded(deployment), "the record of all jobs", 300, 5.0)
    twice = _recorded_twice(deployment)
    assert not twice, f"recorded twice: {twice[:5]}"
    failed = deployment.instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))
    assert not failed, "\n".join(deployment.log_of(run.run_id) for run in failed[:3])
    assert not soak.breaches, soak.breaches


def _sync_as_others(deployment: Deployment, chance: random.Random) -> None:
    """Somebody else syncs a connection, if Airbyte lets him."""
    try:
        deployment.foreign_sync(connection_id(chance.randrange(_SHOP)))
    except httpx.HTTPError:
        return


def _has_ticked(deployment: Deployment, name: str) -> bool:
    states = [state for state in deployment.instance.all_instigator_state() if state.name == name]
    ticks = [deployment.instance.get_ticks(state.instigator_origin_id, state.selector_id) for state in states]
    return any(tick.end_timestamp for of_state in ticks for tick in of_state)


def _is_quiet(deployment: Deployment) -> bool:
    runs = deployment.instance.get_runs(limit=50)
    return all(run.is_finished for run in runs) and all(job["ended"] for job in deployment.truth())


def _not_recorded(deployment: Deployment) -> set[int]:
    """Jobs that have succeeded and that Dagster has not in full."""
    succeeded = {job["id"] for job in deployment.truth() if job["status"] == "succeeded"}
    streams = Counter(job for job, _ in {(item.job_id, item.key) for item in materializations(deployment)})
    return {job for job in succeeded if streams[job] != SIZE.streams}


def _recorded_twice(deployment: Deployment) -> list[tuple[int, tuple[str, ...]]]:
    """What the sensor recorded beside a run, or one of them twice. Runs that joined one sync record it each."""
    recorded: defaultdict[tuple[int, tuple[str, ...]], list[str]] = defaultdict(list)
    for item in materializations(deployment):
        recorded[item.job_id, item.key].append(item.run_id)
    by_sensor = ""
    return [
        pair
        for pair, run_ids in recorded.items()
        if len(set(run_ids)) != len(run_ids) or (by_sensor in run_ids and len(run_ids) > 1)
    ]
