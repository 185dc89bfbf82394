"""Whether the warehouse that the checks look into can be opened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

from airbyte_dagster.cli.diagnosis.findings import Findings, Status
from airbyte_dagster.cli.diagnosis.tokens import judge_token
from airbyte_dagster.errors import AirbyteDagsterError, WarehouseMissing
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster.warehouse import DuckDBWarehouse, PostgresWarehouse, Warehouse

_COMPARE = "Check that this is what the destination writes to, and whether DuckDB alone can open it."

Now = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.timezone.utc)


def examine_warehouse(resource: WarehouseResource, findings: Findings, *, now: Now = utc_now) -> Warehouse:
    """Go through the steps of its kind: a file, MotherDuck, or PostgreSQL.

    Args:
        now: The time, for the expiry of tokens.
    """
    import duckdb  # noqa: PLC0415 - heavy

    warehouse = resource.warehouse()
    findings.ok("DuckDB", f"version {duckdb.__version__}")
    if isinstance(warehouse, DuckDBWarehouse) and warehouse.is_motherduck:
        _motherduck(warehouse, findings, now())
    elif isinstance(warehouse, DuckDBWarehouse):
        # A lock is told at once; checks wait for it as long as their resource says.
        _open(replace(warehouse, lock_timeout=0.0), "file", findings)
    elif isinstance(warehouse, PostgresWarehouse):
        if _extension("postgres", warehouse, findings, directory=warehouse.extension_directory):
            _open(warehouse, "connection", findings)
        else:
            findings.skip(["connection"], "the extension is not there")
    else:
        _open(warehouse, "connection", findings)
    return warehouse


def _motherduck(warehouse: DuckDBWarehouse, findings: Findings, now: dt.datetime) -> None:
    token = warehouse.motherduck_token
    if not token:
        there = findings.fail(
            "token",
            f"there is none, but {warehouse.database} is at MotherDuck",
            "Make one in MotherDuck's settings, under Access Tokens, and set MOTHERDUCK_APIKEY to it.",
        )
    else:
        there = findings.add("token", *judge_token(token, now))
    if not there:
        findings.skip(["extension", "connection"], "there is no token that can be used")
    elif _extension("motherduck", warehouse, findings):
        findings.waiting("Connecting to MotherDuck …")
        _open(warehouse, "connection", findings)
    else:
        findings.skip(["connection"], "the extension is not there")


def _extension(name: str, warehouse: Warehouse, findings: Findings, *, directory: str | None = None) -> bool:
    """Install an extension of DuckDB as the first connection would; where it is installed already, nothing is asked."""
    import duckdb  # noqa: PLC0415 - heavy

    findings.waiting(f"Looking for DuckDB's extension {name} …")
    try:
        with duckdb.connect(":memory:", config={"extension_directory": directory} if directory else {}) as connection:
            connection.execute(f"INSTALL {name}")
            row = connection.execute(
                "SELECT extension_version FROM duckdb_extensions() WHERE extension_name = $name OR $name IN aliases",
                {"name": name},
            ).fetchone()
    except duckdb.Error as error:
        return findings.error(
            "extension", warehouse.plain_error(str(error)), "See whether DuckDB alone can install it."
        )
    return findings.ok("extension", f"{name} {row[0] if row and row[0] else ''} is installed")


def _open(warehouse: Warehouse, step: str, findings: Findings) -> None:
    import duckdb  # noqa: PLC0415 - heavy

    try:
        with warehouse.connect() as connection:
            warehouse.run(connection, "SELECT 1")
    except duckdb.Error as error:
        findings.error(step, warehouse.plain_error(str(error)), _COMPARE)
    except WarehouseMissing as error:
        is_file = isinstance(warehouse, DuckDBWarehouse) and not warehouse.is_motherduck
        findings.error(step, error, _COMPARE, status=Status.WARNING if is_file else Status.FAILED)
    except AirbyteDagsterError as error:
        findings.error(step, error, _COMPARE)
    else:
        findings.ok(step, f"{warehouse.database} can be opened and asked")
