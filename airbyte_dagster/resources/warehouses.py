"""The warehouses that checks look into, as Dagster resources."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import dagster as dg
from pydantic import Field

from airbyte_dagster.destinations.databases import Database, duckdb_database, is_motherduck
from airbyte_dagster.destinations.databases import is_elsewhere as certainly_elsewhere
from airbyte_dagster.resources.secret_fields import SecretFieldsResource, given, plain
from airbyte_dagster.warehouse import DriverWarehouse, DuckDBWarehouse, Warehouse, kind_of_resource, sql_warehouse
from airbyte_dagster.warehouse.driver_warehouse import is_motherduck_endpoint

#: A `WarehouseResource`, or a resource of Dagster's own packages that `warehouse_of` knows.
AnyWarehouse: TypeAlias = "dg.ConfigurableResource[Any]"

_QUERY_TIMEOUT = Field(default=600.0, gt=0, description="Seconds that a query of a check may take; no limit if null.")
_CONNECT_TIMEOUT = Field(default=10, ge=1, description="Seconds to wait for the server.")
#: What SQLAlchemy calls a kind of database → what the destinations of Airbyte call it.
_ENGINES = {"postgresql": "postgres", "mariadb": "mysql", "clickhousedb": "clickhouse"}
#: Kinds whose addresses name no database but one of its schemas.
_NAMES_A_SCHEMA = ("mysql", "clickhouse")


class WarehouseResource(SecretFieldsResource, ABC):
    """Base of the warehouses that checks look into. To teach another, return a `Warehouse` of your own."""

    @abstractmethod
    def warehouse(self) -> Warehouse:
        """Return the reader of this warehouse."""

    @abstractmethod
    def is_elsewhere(self, destination_type: str, place: Mapping[str, object]) -> bool:
        """Whether a destination certainly writes to another database than this one.

        The same database may have several addresses, so where it can't be told, it is taken for this one.

        Args:
            destination_type: Airbyte's ``destinationType``; ``""`` where it is not known.
            place: Of its configuration: ``destination_path``, ``database``.
        """


class MotherDuckResource(WarehouseResource):
    """The warehouse that checks look into: MotherDuck, or a DuckDB file.

    Example:
        ``MotherDuckResource(database="md:lms", motherduck_token=EnvVar("MOTHERDUCK_APIKEY"))``
    """

    _secret_fields = ("motherduck_token", "snapshot_token")

    database: str = Field(description='"md:NAME" at MotherDuck, or the path of a DuckDB file.')
    motherduck_token: str | None = Field(default=None, repr=False, description="MotherDuck access token, for md:.")
    lock_timeout: float = Field(default=60.0, ge=0, description="Seconds to wait while somebody else holds the file.")
    query_timeout: float | None = _QUERY_TIMEOUT
    snapshot_token: str | None = Field(
        default=None,
        repr=False,
        description="A read/write token, where motherduck_token is a read-scaling one: takes a snapshot before the "
        "checks, so that they do not read a replica of the minute before.",
    )

    def warehouse(self) -> DuckDBWarehouse:
        """Return the reader of this warehouse."""
        database = str(given(self.database))
        if not is_motherduck(database):
            database = os.path.expanduser(database)  # noqa: PTH111 - stays text, as it may be a URL of DuckDB's
        return DuckDBWarehouse(
            database,
            motherduck_token=given(self.motherduck_token),
            lock_timeout=self.lock_timeout,
            query_timeout=self.query_timeout,
            snapshot_token=given(self.snapshot_token),
        )

    def is_elsewhere(self, destination_type: str, place: Mapping[str, object]) -> bool:
        """Whether it is no DuckDB, or one of another name: directories differ where Airbyte runs in a container."""
        return certainly_elsewhere(destination_type, place, duckdb_database(plain(self.database) or ""))


class SqlWarehouseResource(WarehouseResource):
    """A database that checks look into, of any kind for which SQLAlchemy has a dialect.

    Each kind is an extra of this package: ``snowflake``, ``bigquery``, ``redshift``, ``databricks``, ``mysql`` (for
    MariaDB, too), ``mssql``, ``clickhouse``, ``postgres``. A user that may read the tables is enough: nothing is ever
    written.

    Example:
        ``SqlWarehouseResource(url="snowflake://reader@account/RAW?warehouse=SMALL",
        connect_args={"password": EnvVar("SNOWFLAKE_PASSWORD")})``
    """

    _secret_fields = ("url", "connect_args")

    url: str = Field(
        repr=False, description="Address, as SQLAlchemy has it: KIND+DRIVER://USER:PASSWORD@HOST/DATABASE."
    )
    connect_args: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="For the driver's connect, besides what the address says: password, private_key, …",
    )
    query_timeout: float | None = _QUERY_TIMEOUT
    connect_timeout: int = _CONNECT_TIMEOUT

    def warehouse(self) -> DriverWarehouse:
        """Return the reader of this warehouse.

        Raises:
            ConfigurationError: The address is not valid, or of a kind that is not known.
        """
        arguments = {name: given(value) for name, value in self.connect_args.items()}
        return sql_warehouse(
            str(given(self.url) or ""),
            arguments,
            query_timeout=self.query_timeout,
            connect_timeout=self.connect_timeout,
        )

    def is_elsewhere(self, destination_type: str, place: Mapping[str, object]) -> bool:
        """Whether it is another kind of database, or one of another name: hosts differ where there are several."""
        from sqlalchemy import make_url  # noqa: PLC0415 - heavy
        from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

        try:
            url = make_url(str(plain(self.url) or ""))
        except ArgumentError:
            return False
        if is_motherduck_endpoint(url.host):
            return certainly_elsewhere(destination_type, place, duckdb_database(f"md:{url.database or ''}"))
        kind = url.get_backend_name()
        engine = _ENGINES.get(kind, kind)
        name = url.host if engine == "bigquery" else (url.database or "").split("/")[0]
        return certainly_elsewhere(
            destination_type, place, Database(engine, "" if engine in _NAMES_A_SCHEMA else name or "")
        )


class PostgresWarehouseResource(WarehouseResource):
    """A PostgreSQL database that checks look into; needs the extra ``postgres``.

    MotherDuck's PostgreSQL endpoint is one, too: its host, the database's name, the user ``postgres``, and an access
    token as the password.

    Example:
        ``PostgresWarehouseResource(host="db", database="raw", username="reader", password=EnvVar("PG_PASSWORD"))``
    """

    _secret_fields = ("password",)

    host: str = Field(description="Host name or address.")
    port: int = Field(default=5432, gt=0, lt=65536, description="Port.")
    database: str = Field(description="Name of the database.")
    username: str = Field(description="A role that may read the tables; nothing is ever written.")
    password: str | None = Field(default=None, repr=False, description="Its password.")
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="As in libpq's sslmode."
    )
    query_timeout: float | None = _QUERY_TIMEOUT
    connect_timeout: int = _CONNECT_TIMEOUT

    def warehouse(self) -> DriverWarehouse:
        """Return the reader of this warehouse."""
        from sqlalchemy import URL  # noqa: PLC0415 - heavy

        address = URL.create(
            "postgresql+psycopg",
            str(given(self.username)),
            given(self.password),
            str(given(self.host)),
            self.port,
            str(given(self.database)),
        )
        return sql_warehouse(
            address.render_as_string(hide_password=False),
            {"sslmode": self.ssl_mode},
            query_timeout=self.query_timeout,
            connect_timeout=self.connect_timeout,
        )

    def is_elsewhere(self, destination_type: str, place: Mapping[str, object]) -> bool:
        """Whether it is no PostgreSQL, or a database of another name: hosts differ where there are several networks."""
        database = plain(self.database) or ""
        if is_motherduck_endpoint(plain(self.host)):
            return certainly_elsewhere(destination_type, place, duckdb_database(f"md:{database}"))
        return certainly_elsewhere(destination_type, place, Database("postgres", database))


def is_elsewhere(resource: AnyWarehouse, destination_type: str, place: Mapping[str, object]) -> bool:
    """Whether a destination certainly writes to another database than that of a resource, of whatever package.

    Args:
        resource: The warehouse.
        destination_type: As of `WarehouseResource.is_elsewhere`.
        place: As of `WarehouseResource.is_elsewhere`.
    """
    if isinstance(resource, WarehouseResource):
        return resource.is_elsewhere(destination_type, place)
    kind = kind_of_resource(resource)
    name = plain(getattr(resource, "project" if kind == "bigquery" else "database", None))
    if kind is None:
        return False
    here = duckdb_database(str(name or "")) if kind == "duckdb" else Database(kind, str(name or ""))
    return certainly_elsewhere(destination_type, place, here)
