"""Whether Airbyte's destination writes where the checks look. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from airbyte_dagster.cli.diagnosis.findings import Status
from airbyte_dagster.destinations.databases import Database, database_of, duckdb_database
from airbyte_dagster.destinations.kinds import engine_of
from airbyte_dagster.warehouse import DuckDBWarehouse, PostgresWarehouse, Warehouse

Judgement = tuple[Status, str, str]

_SAME = "Give the destination and the warehouse the same database: the checks count where the warehouse says."
_LOOK = "Make sure that it is the same one."
_SHARE = "Make sure that it is the same file, on a disk that both have; or use MotherDuck."


def judge_places(
    destination_type: str, configuration: Mapping[str, Any], warehouse: Warehouse, *, is_local: bool
) -> Judgement:
    """Compare a destination's configuration with the warehouse.

    Args:
        destination_type: Airbyte's name, or ``""``.
        configuration: As it is in Airbyte after the next run; secrets in it are not looked at.
        is_local: Whether it is local Airbyte, whose paths are this machine's; any other runs connectors in containers.

    Returns:
        Status, what was found, what to do.
    """
    there, here = database_of(destination_type, configuration), _database(warehouse)
    if here is None or (there is None and engine_of(destination_type) is None):
        connector = destination_type or "a custom connector"
        read = warehouse.database if here is None else _shown(here, of="PostgreSQL's ")
        return Status.WARNING, f"the destination ({connector}) and the warehouse ({read}) can't be compared", _LOOK
    written = f"a {destination_type} database"
    if there is not None and (there.engine != "postgres" or here.engine == "postgres"):
        written = _shown(there)
    looked_into = _shown(here, of="PostgreSQL's ")
    differs = f"Airbyte writes to {written}, but the checks look into {looked_into}"
    if there is None or there.engine != here.engine:
        return Status.FAILED, differs, _SAME
    if here.engine == "duckdb" and not is_local:
        where = f"in the connector's container, and the checks read {here.name} on this machine"
        return Status.WARNING, f"Airbyte writes to {written} {where}", _SHARE
    names = (_real(there.name), _real(here.name)) if here.engine == "duckdb" else (there.name, here.name)
    if names[0] != names[1]:
        return Status.FAILED, differs, _SAME
    if (there.host.casefold(), there.port) != (here.host.casefold(), here.port):
        return Status.WARNING, differs, "Make sure that these are two addresses of one server."
    return Status.OK, f"Airbyte writes to {looked_into}, where the checks look", ""


def _database(warehouse: Warehouse) -> Database | None:
    if isinstance(warehouse, DuckDBWarehouse):
        return duckdb_database(warehouse.database)
    if isinstance(warehouse, PostgresWarehouse):
        return Database("postgres", warehouse.database, warehouse.host, str(warehouse.port))
    return None


def _shown(database: Database, *, of: str = "") -> str:
    if database.engine == "postgres":
        return f"{of}{database.name} at {database.host}:{database.port}"
    # A token may stand in the address after the question mark, where some put it.
    return f"md:{database.name}" if database.engine == "motherduck" else database.name.partition("?")[0]


def _real(path: str) -> str:
    return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - a path that need not exist
