"""Run a query in the warehouse, or in any database that SQLAlchemy knows, and fetch two rows at most."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from airbyte_dagster.airbyte.redaction import redact, secrets_of
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources import plain
from airbyte_dagster.sensors.tick import SkipTick
from airbyte_dagster.warehouse import DuckDBWarehouse, QueryFailed, Warehouse, WarehouseSession

if TYPE_CHECKING:
    from sqlalchemy import URL

_MOST_ROWS = 2
_LOCK_SECONDS = 10.0


class Query(ABC):
    """A query that can be ended early.

    Attributes:
        text: The SQL.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._connection: Any = None

    @abstractmethod
    def rows(self) -> Sequence[Sequence[Any]]:
        """Run it, and return the first two rows at most.

        Raises:
            AirbyteDagsterError: The database can't be reached, or refuses.
        """

    def stop(self) -> None:
        """End it early, from another thread, if the driver can do that."""
        for name in ("interrupt", "cancel"):
            end = getattr(self._connection, name, None)
            if end is not None:
                # It may have ended by itself just now.
                with contextlib.suppress(Exception):
                    end()


class WarehouseQuery(Query):
    """A query of the warehouse.

    Args:
        warehouse: Where to run it. Waits for a locked file no longer than a tick may.
        text: The SQL.
    """

    def __init__(self, warehouse: Warehouse, text: str) -> None:
        super().__init__(text)
        if isinstance(warehouse, DuckDBWarehouse):
            warehouse = replace(warehouse, lock_timeout=min(warehouse.lock_timeout, _LOCK_SECONDS))
        self._warehouse = warehouse
        self._session: WarehouseSession | None = None

    def rows(self) -> Sequence[Sequence[Any]]:
        """Run it where the data is, and return the first two rows at most."""
        with self._warehouse.session() as session:
            self._session = session
            try:
                return session.sample(self.text, _MOST_ROWS).rows
            except QueryFailed as error:
                raise SkipTick(f"The query failed: {error}") from None

    def stop(self) -> None:
        """End it early, from another thread, if the warehouse can do that."""
        if self._session is not None:
            self._session.stop()


class DatabaseQuery(Query):
    """A query of a database that SQLAlchemy knows.

    Args:
        url: From `database_url`.
        text: The SQL.
    """

    def __init__(self, url: URL, text: str) -> None:
        super().__init__(text)
        self._url = url

    def rows(self) -> Sequence[Sequence[Any]]:
        """Run it, and return the first two rows at most."""
        import sqlalchemy  # noqa: PLC0415 - heavy
        from sqlalchemy.pool import NullPool  # noqa: PLC0415

        try:
            engine = sqlalchemy.create_engine(self._url, poolclass=NullPool)
        except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
            raise SkipTick(
                f"There is no driver for {shown(self._url)}: {self._message(error)}.",
                guidance="Install the driver's package where Dagster runs.",
            ) from None
        try:
            with engine.connect() as connection:
                self._connection = connection.connection.dbapi_connection
                # As it is: a % or a colon in the query stands for nothing else.
                found = connection.execution_options(no_parameters=True).exec_driver_sql(self.text)
                return found.fetchmany(_MOST_ROWS) if found.returns_rows else []
        except Exception as error:  # noqa: BLE001 - each driver has errors of its own
            raise SkipTick(f"{shown(self._url)} gave no value: {self._message(error)}") from None
        finally:
            engine.dispose()

    def _message(self, error: Exception) -> str:
        """Return the driver's message without SQLAlchemy's text around it, and without secrets."""
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        return redact(lines[0] if lines else type(error).__name__, _secrets(self._url))


def database_url(url: str | dg.EnvVar) -> URL:
    """Read the address of a database.

    Raises:
        ConfigurationError: It is not set, or SQLAlchemy does not understand it. It is not in the message: it may hold
            a password.
    """
    from sqlalchemy import make_url  # noqa: PLC0415 - heavy
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    text = plain(url)
    if not text:
        name = f"The environment variable {url.env_var_name}" if isinstance(url, dg.EnvVar) else "url"
        raise ConfigurationError(f"{name} is not set; it holds the address of the database.")
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "url is no address of a database that SQLAlchemy understands.",
            guidance="It looks like postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE; special characters of the "
            "password are to be percent-encoded.",
        ) from None


def shown(url: URL) -> str:
    """Return an address for people: no user, no password, none of the options, which may hold secrets, too."""
    from sqlalchemy import URL  # noqa: PLC0415 - heavy

    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def _secrets(url: URL) -> list[str]:
    options = {name: [value] if isinstance(value, str) else list(value) for name, value in url.query.items()}
    # ODBC has a whole connection string in one option: DRIVER=…;UID=…;PWD=….
    parts = [part.split("=", 1) for values in options.values() for value in values for part in value.split(";")]
    nested = {part[0]: part[1] for part in parts if len(part) > 1}
    return [secret for secret in (url.password, *secrets_of(options), *secrets_of(nested)) if secret]
