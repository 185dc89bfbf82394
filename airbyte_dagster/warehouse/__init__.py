"""Look into a warehouse, read-only where that can be: DuckDB, MotherDuck, or whatever SQLAlchemy has a dialect for.

This is what the checks rest on: it counts what is there, whatever a job says. A missing table is a finding (``None``),
not an error; errors are for a warehouse that can't be read at all, each with one plain sentence.

`base` says what a warehouse is: others can implement it. `dialects` says in what their SQL differs; `finding` and
`measuring` have the statements, which `sql_session` runs. `duckdb_warehouse` and `driver_warehouse` open databases, and
`others` takes the resources that a project has already.
"""

from airbyte_dagster.warehouse.base import QueryFailed, Warehouse, WarehouseSession
from airbyte_dagster.warehouse.dialects import DIALECTS, Dialect
from airbyte_dagster.warehouse.driver_warehouse import DriverWarehouse, sql_warehouse
from airbyte_dagster.warehouse.duckdb_warehouse import DuckDBWarehouse
from airbyte_dagster.warehouse.others import kind_of_resource, warehouse_at, warehouse_of
from airbyte_dagster.warehouse.tables import META, FoundTable, Inspection, KeyCount, Sample, Table

__all__ = [
    "DIALECTS",
    "META",
    "Dialect",
    "DriverWarehouse",
    "DuckDBWarehouse",
    "FoundTable",
    "Inspection",
    "KeyCount",
    "QueryFailed",
    "Sample",
    "Table",
    "Warehouse",
    "WarehouseSession",
    "kind_of_resource",
    "sql_warehouse",
    "warehouse_at",
    "warehouse_of",
]
