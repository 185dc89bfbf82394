"""Look into the warehouse, read-only where that can be: a DuckDB file, a MotherDuck database, or PostgreSQL.

This is what the checks rest on: it counts what is there, whatever a job says. A missing table is a finding (``None``),
not an error; errors are for a warehouse that can't be read at all, each with one plain sentence. Its modules build on
each other in this order: `tables`, `measuring`, `problems`, `base`, then `duckdb_warehouse` and `postgres_warehouse`.
"""

from airbyte_dagster.warehouse.base import QueryFailed, Warehouse, WarehouseSession
from airbyte_dagster.warehouse.duckdb_warehouse import DuckDBWarehouse
from airbyte_dagster.warehouse.postgres_warehouse import PostgresWarehouse
from airbyte_dagster.warehouse.tables import META, Inspection, KeyCount, Sample, Table, quoted

__all__ = [
    "META",
    "DuckDBWarehouse",
    "Inspection",
    "KeyCount",
    "PostgresWarehouse",
    "QueryFailed",
    "Sample",
    "Table",
    "Warehouse",
    "WarehouseSession",
    "quoted",
]
