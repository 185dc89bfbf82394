"""Hundreds of connections: one op in one process, and a step for each in processes, which share a pool."""

from __future__ import annotations

from airbyte_dagster_tests.production.conftest import number
from airbyte_dagster_tests.production.deployment import Deployment, Size
from airbyte_dagster_tests.production.ledger import Request, check, checks_passed, last_run, most_at_once
from airbyte_dagster_tests.production.network import eventually

_SHOP = number("PRODUCTION_CONNECTIONS", 300)
_CRM = number("PRODUCTION_PROCESSES", 8)
SIZE = Size(shop=_SHOP, crm=_CRM, streams=1, job_seconds=2.0)
#: As the example's dagster.yaml has it.
_POOL = 20


def test_each_is_synced_once_and_the_pool_holds_for_all_runs(deployment: Deployment) -> None:
    """300 connections in one process and some in a process each, at once: a job each, materialized and checked once."""
    shop = Request(deployment.launch("shop"), tuple(range(_SHOP)), "shop")
    crm = Request(deployment.launch("crm"), tuple(range(_SHOP, _SHOP + _CRM)), "crm")
    for request in (shop, crm):
        eventually(lambda request=request: last_run(deployment, request), f"the end of {request.name}", 900, 1.0)  # type: ignore[misc]

    check(deployment, [shop, crm])
    jobs = deployment.truth()
    assert most_at_once(jobs) <= _POOL
    for request in (shop, crm):
        assert checks_passed(deployment, request.run_id) == {True: 2 * len(request.connections)}
