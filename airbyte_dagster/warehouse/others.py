"""Warehouses that a project has already: a `Warehouse`, what makes one, or a resource of one of Dagster's packages.

Those are known by what they have: none of their packages is needed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.warehouse.base import Warehouse
from airbyte_dagster.warehouse.dialects import BIGQUERY, SNOWFLAKE
from airbyte_dagster.warehouse.driver_warehouse import DriverWarehouse
from airbyte_dagster.warehouse.duckdb_warehouse import DuckDBWarehouse

_QUERY_TIMEOUT = 600.0


def warehouse_of(resource: Any) -> Warehouse:
    """Return the warehouse that a resource stands for.

    Args:
        resource: A resource of this package; a `Warehouse`; ``DuckDBResource``, ``SnowflakeResource`` or
            ``BigQueryResource`` of Dagster's; or anything with a method ``warehouse()`` that returns a `Warehouse`.

    Raises:
        ConfigurationError: It is none of these.
    """
    if callable(getattr(resource, "session", None)) and hasattr(resource, "database"):
        found: Warehouse = resource
        return found
    kind = kind_of_resource(resource)
    if kind == "duckdb":
        return _duckdb(resource)
    if kind == "snowflake":
        return _snowflake(resource)
    if kind == "bigquery":
        return _bigquery(resource)
    make = getattr(resource, "warehouse", None)
    if callable(make):
        made: Warehouse = make()
        return made
    raise ConfigurationError(
        f"{type(resource).__name__} is no warehouse that can be checked.",
        guidance="Give MotherDuckResource, PostgresWarehouseResource, SqlWarehouseResource, a DuckDBResource, "
        "SnowflakeResource or BigQueryResource of Dagster's, or what has a method warehouse() for a Warehouse.",
    )


def warehouse_at(resources: Any, key: str) -> Warehouse:
    """Return the warehouse of a resource of a context, ``context.resources``.

    Raises:
        ConfigurationError: As `warehouse_of`.
    """
    # Dagster attaches something else of its own packages' resources.
    originals = getattr(resources, "original_resource_dict", {})
    return warehouse_of(originals[key] if key in originals else getattr(resources, key))


def kind_of_resource(resource: Any) -> str | None:
    """Return which of Dagster's resources one is, by what it has: ``duckdb``, ``snowflake``, ``bigquery``."""
    connects, has_client = (callable(getattr(resource, name, None)) for name in ("get_connection", "get_client"))
    if connects and hasattr(resource, "account"):
        return "snowflake"
    if connects and hasattr(resource, "database") and hasattr(resource, "connection_config"):
        return "duckdb"
    return "bigquery" if has_client and hasattr(resource, "project") else None


def _duckdb(resource: Any) -> DuckDBWarehouse:
    """Read the same database read-only: the resource itself would open it to be written, and make what is not there."""
    path, _, options = str(resource.database).partition("?")
    given = dict(getattr(resource, "connection_config", None) or {})
    pairs = (pair.partition("=") for pair in options.split("&"))
    in_path = {name: value for name, _, value in pairs}
    token = given.get("motherduck_token") or in_path.get("motherduck_token")
    return DuckDBWarehouse(path, motherduck_token=str(token) if token else None)


def _snowflake(resource: Any) -> DriverWarehouse:
    database = getattr(resource, "database", None) or "its database"
    secrets = (getattr(resource, name, None) for name in ("password", "private_key", "private_key_password"))
    return DriverWarehouse(
        str(database),
        SNOWFLAKE,
        resource.get_connection,
        f"Snowflake's {database} of {resource.account}",
        tuple(str(secret) for secret in secrets if secret),
        _QUERY_TIMEOUT,
    )


def _bigquery(resource: Any) -> DriverWarehouse:
    project = str(resource.project or "its project")
    return DriverWarehouse(
        project,
        BIGQUERY,
        lambda: _bigquery_connection(resource),
        f"BigQuery's {project}",
        (str(resource.gcp_credentials),) if getattr(resource, "gcp_credentials", None) else (),
        _QUERY_TIMEOUT,
        lambda connection: [item.dataset_id for item in connection._client.list_datasets()],  # noqa: SLF001
    )


@contextmanager
def _bigquery_connection(resource: Any) -> Iterator[Any]:
    from google.cloud.bigquery import dbapi  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - theirs

    with resource.get_client() as client:
        yield dbapi.connect(client=client)
