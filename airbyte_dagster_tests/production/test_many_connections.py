"""Hundreds of connections: one op in one process, and a step for each in processes, which share a pool."""

from __future__ import annotations

from airbyte_dagster_tests.production.conftest import number
from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import check, checks_passed, ended, launch, most_at_once

_SHOP = number("PRODUCTION_CONNECTIONS", 300)
_CRM = number("PRODUCTION_PROCESSES", 8)
SIZE = Size(shop=_SHOP, crm=_CRM, streams=1, job_seconds=2.0)
#: As the example's dagster.yaml has it.
_POOL = 20


def test_each_is_synced_once_and_the_pool_holds_for_all_runs(deployment: Deployment) -> None:
    """300 connections in one process and some in a process each, at once: a job each, materialized and checked once."""
    shop = launch(deployment, "shop", range(_SHOP), "shop")
    crm = launch(deployment, "crm", range(_SHOP, _SHOP + _CRM), "crm")
    for request in (shop, crm):
        ended(deployment, request, 900)

    check(deployment, [shop, crm])
    jobs = deployment.truth()
    assert most_at_once(jobs) <= _POOL
    for request in (shop, crm):
        assert checks_passed(deployment, request.run_id) == {True: 2 * len(request.connections)}
