"""Processes, hosts and cables that fail at any moment, while runs sync on the default launcher."""

from __future__ import annotations

import random

import pytest

from airbyte_dagster_tests.production.conftest import number
from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.faults import Chaos
from airbyte_dagster_tests.production.ledger import check

_GROUPS, _EACH = 5, 3
SIZE = Size(shop=_GROUPS * _EACH, crm=1, streams=2, job_seconds=5.0)


def test_each_request_is_one_sync_whatever_fails(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """Seeded schedules of faults, as many of `PRODUCTION_SCHEDULES` as fit into `PRODUCTION_FAULT_SECONDS`."""
    seed = number("PRODUCTION_SEED", random.randrange(10**6))
    groups = [tuple(range(first, first + _EACH)) for first in range(0, _GROUPS * _EACH, _EACH)]
    chaos = Chaos(deployment, seed, groups, say=lambda line: _say(capsys, line))
    _say(capsys, f"PRODUCTION_SEED={seed}")
    chaos.run(number("PRODUCTION_SCHEDULES", 200), number("PRODUCTION_FAULT_SECONDS", 150))
    _say(capsys, f"{len(chaos.requests)} schedules, {chaos.faults} faults, {chaos.by_hand} runs re-executed by hand")
    check(deployment, chaos.requests)


def _say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(line, flush=True)
