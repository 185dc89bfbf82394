"""A step of ``airbyte-dagster doctor``: whether a warehouse's credentials may read Airbyte's tables, and no more."""

from __future__ import annotations

from functools import partial

from airbyte_dagster.cli.findings import NeedsAttention, Report
from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse import Warehouse
from airbyte_dagster.warehouse.rights import can_be_known, named, rights_of


def examine_rights(report: Report, warehouse: Warehouse) -> None:
    """Check what the credentials of a warehouse may do, where it reports that; nothing is tried."""
    if can_be_known(warehouse):
        report.step("rights", partial(_judge, warehouse), str)


def _judge(warehouse: Warehouse) -> str:
    try:
        rights = rights_of(warehouse)
    except WarehouseError as error:
        raise NeedsAttention(error.message, guidance=error.guidance) from None
    if rights.unreadable:
        raise NeedsAttention(
            f"Checks can't read {named(rights.unreadable, 'table')}, which Airbyte wrote.",
            guidance="Grant this user SELECT on the tables and USAGE on their schema, on those to come, too.",
        )
    if rights.writing:
        raise NeedsAttention(
            f"These credentials may {'; '.join(rights.writing)}. Checks only read.",
            guidance="Give the checks a user that may only read; docs/security.md has the grants.",
        )
    return "may read, and no more"
