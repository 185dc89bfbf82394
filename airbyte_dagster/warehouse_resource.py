"""The Dagster resources of the warehouses that checks look into."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from pydantic import Field

from airbyte_dagster.secret_fields import SecretFieldsResource, plain
from airbyte_dagster.warehouse import Warehouse


class WarehouseResource(SecretFieldsResource, ABC):
    """Base of the warehouses that checks look into."""

    @abstractmethod
    def warehouse(self) -> Warehouse:
        """Return the reader of this warehouse."""


class MotherDuckResource(WarehouseResource):
    """The warehouse that checks look into: MotherDuck, or a DuckDB file.

    Example:
        ``MotherDuckResource(database="md:lms", motherduck_token=EnvVar("MOTHERDUCK_APIKEY"))``
    """

    _secret_fields = ("motherduck_token",)

    database: str = Field(description='"md:NAME" at MotherDuck, or the path of a DuckDB file.')
    motherduck_token: str | None = Field(default=None, repr=False, description="MotherDuck access token, for md:.")
    lock_timeout: float = Field(default=60.0, ge=0, description="Seconds to wait while another process holds the file.")

    def warehouse(self) -> Warehouse:
        """Return the reader of this warehouse."""
        database = str(plain(self.database))
        if not database.startswith(("md:", "motherduck:")):
            database = os.path.expanduser(database)  # noqa: PTH111 - stays text, as it may be a URL of DuckDB's
        return Warehouse(database, motherduck_token=plain(self.motherduck_token), lock_timeout=self.lock_timeout)
