"""Whether Airbyte's destination writes where the checks look. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from airbyte_dagster.cli.diagnosis.findings import Status
from airbyte_dagster.destinations.tables import MOTHERDUCK_PREFIXES
from airbyte_dagster.warehouse import DuckDBWarehouse, PostgresWarehouse, Warehouse

Judgement = tuple[Status, str, str]

_SAME = "Give the destination and the warehouse the same database: the checks count where the warehouse says."
_LOOK = "Make sure that it is the same one."


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
    if isinstance(warehouse, DuckDBWarehouse) and "destination_path" in configuration:
        return _paths(str(configuration["destination_path"]), warehouse.database, is_local=is_local)
    if isinstance(warehouse, PostgresWarehouse) and destination_type == "postgres":
        return _servers(configuration, warehouse)
    known = destination_type in ("duckdb", "motherduck", "postgres") or "destination_path" in configuration
    if known and isinstance(warehouse, DuckDBWarehouse | PostgresWarehouse):
        what = configuration.get("destination_path") or f"a {destination_type} database"
        return Status.FAILED, f"Airbyte writes to {what}, but the checks look into {_named(warehouse)}", _SAME
    connector = destination_type or "a custom connector"
    found = f"the destination ({connector}) and the warehouse ({_named(warehouse)}) can't be compared"
    return Status.WARNING, found, _LOOK


def _named(warehouse: Warehouse) -> str:
    if isinstance(warehouse, PostgresWarehouse):
        return f"PostgreSQL's {warehouse.database} at {warehouse.host}:{warehouse.port}"
    return warehouse.database


def _paths(written: str, read: str, *, is_local: bool) -> Judgement:
    # A token may stand in the address after the question mark, where some put it.
    shown = written.partition("?")[0]
    differs = f"Airbyte writes to {shown}, but the checks look into {read}"
    names = [_motherduck_name(path) for path in (written, read)]
    if any(names):
        same = names[0] == names[1]
        return (Status.OK, f"Airbyte writes to {read}, where the checks look", "") if same else _failed(differs)
    if not is_local:
        return (
            Status.WARNING,
            f"Airbyte writes to {shown} in the connector's container, and the checks read {read} on this machine",
            "Make sure that it is the same file, on a disk that both have; or use MotherDuck.",
        )
    if _real(written) == _real(read):
        return Status.OK, f"Airbyte writes to {read}, where the checks look", ""
    return _failed(differs)


def _failed(found: str) -> Judgement:
    return Status.FAILED, found, _SAME


def _motherduck_name(path: str) -> str | None:
    """Return the bare name of a database at MotherDuck, which has no case; ``None`` for a file."""
    if not path.startswith(MOTHERDUCK_PREFIXES):
        return None
    return path.partition(":")[2].partition("?")[0].casefold() or "my_db"


def _real(path: str) -> PurePath:
    return PurePath(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111 - a path that need not exist


def _servers(configuration: Mapping[str, Any], warehouse: PostgresWarehouse) -> Judgement:
    host, port = str(configuration.get("host", "")), str(configuration.get("port", 5432))
    database = str(configuration.get("database", ""))
    differs = f"Airbyte writes to {database} at {host}:{port}, but the checks look into {_named(warehouse)}"
    if database != warehouse.database:
        return _failed(differs)
    if (host.casefold(), port) != (warehouse.host.casefold(), str(warehouse.port)):
        return Status.WARNING, differs, "Make sure that these are two addresses of one server."
    return Status.OK, f"Airbyte writes to {_named(warehouse)}, where the checks look", ""
