"""The warehouses that checks look into, as Dagster resources."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from airbyte_dagster.destinations.databases import Database, duckdb_database, is_elsewhere, is_motherduck
from airbyte_dagster.resources.secret_fields import SecretFieldsResource, plain
from airbyte_dagster.warehouse import DuckDBWarehouse, PostgresWarehouse, Warehouse


class WarehouseResource(SecretFieldsResource, ABC):
    """Base of the warehouses that checks look into."""

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

    _secret_fields = ("motherduck_token",)

    database: str = Field(description='"md:NAME" at MotherDuck, or the path of a DuckDB file.')
    motherduck_token: str | None = Field(default=None, repr=False, description="MotherDuck access token, for md:.")
    lock_timeout: float = Field(default=60.0, ge=0, description="Seconds to wait while another process holds the file.")

    def warehouse(self) -> DuckDBWarehouse:
        """Return the reader of this warehouse."""
        database = str(plain(self.database))
        if not is_motherduck(database):
            database = os.path.expanduser(database)  # noqa: PTH111 - stays text, as it may be a URL of DuckDB's
        return DuckDBWarehouse(database, motherduck_token=plain(self.motherduck_token), lock_timeout=self.lock_timeout)

    def is_elsewhere(self, destination_type: str, place: Mapping[str, object]) -> bool:
        """Whether it is no DuckDB, or one of another name: directories differ where Airbyte runs in a container."""
        database = plain(self.database)
        return is_elsewhere(destination_type, place, duckdb_database(database or ""))


class PostgresWarehouseResource(WarehouseResource):
    """A PostgreSQL database that checks look into, through DuckDB's extension for it.

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
    connect_timeout: int = Field(default=10, ge=1, description="Seconds to wait for the server.")
    extension_directory: str | None = Field(
        default=None,
        description="Where DuckDB keeps its extensions, if not where it does by default: for machines that can't "
        "download the extension postgres.",
    )

    def warehouse(self) -> PostgresWarehouse:
        """Return the reader of this warehouse."""
        return PostgresWarehouse(
            database=str(plain(self.database)),
            host=str(plain(self.host)),
            port=self.port,
            username=str(plain(self.username)),
            password=plain(self.password),
            ssl_mode=self.ssl_mode,
            connect_timeout=self.connect_timeout,
            extension_directory=self.extension_directory,
        )

    def is_elsewhere(self, destination_type: str, place: Mapping[str, object]) -> bool:
        """Whether it is no PostgreSQL, or a database of another name: hosts differ where there are several networks."""
        database = plain(self.database)
        return is_elsewhere(destination_type, place, Database("postgres", database or ""))
