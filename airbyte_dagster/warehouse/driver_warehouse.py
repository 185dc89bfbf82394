"""A database that a driver of Python connects to: through SQLAlchemy, or through a resource that a project has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbyte_dagster.airbyte.redaction import secrets_of
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.warehouse.base import Warehouse
from airbyte_dagster.warehouse.dialects import BIGQUERY, DIALECTS, DUCKDB, Dialect
from airbyte_dagster.warehouse.driver_errors import missing_file, own_words, plain_error
from airbyte_dagster.warehouse.sql_session import SqlSession, StatementFailed

if TYPE_CHECKING:
    from sqlalchemy import URL

#: Names of all schemas, by a connection.
Schemas = Callable[[Any], Collection[str]]

#: The extra of this package that brings the driver, where it is not called as the database is.
_EXTRAS = {"postgresql": "postgres", "mariadb": "mysql", "clickhousedb": "clickhouse"}


@dataclass(frozen=True)
class DriverWarehouse(Warehouse):
    """A database that a driver connects to.

    Attributes:
        database: What it is called, for people.
        dialect: Its SQL.
        connect: Opens a connection of the driver (PEP 249), closed at the end of the block.
        where: What errors call it: ``PostgreSQL's raw at db:5432``.
        secrets: What must be in no error.
        query_timeout: Seconds that a query may take; no limit if ``None``.
        schemas: Returns the names of all schemas; needed for BigQuery.
    """

    database: str
    dialect: Dialect
    connect: Callable[[], AbstractContextManager[Any]] = field(repr=False)
    where: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    query_timeout: float | None = None
    schemas: Schemas = field(default=lambda _connection: (), repr=False)

    @contextmanager
    def session(self) -> Iterator[SqlSession]:
        """Open it for several questions.

        Raises:
            WarehouseError: It can't be reached, or refuses.
            ConfigurationError: The driver is not installed.
        """
        opened = self.connect()
        try:
            connection = opened.__enter__()
        except AirbyteDagsterError:
            raise
        except Exception as error:  # noqa: BLE001 - each driver has errors of its own
            raise plain_error(self.where, self._said(error)) from None
        try:
            session = SqlSession(
                self.dialect,
                connection,
                said=self._said,
                timeout=self.query_timeout,
                schemas=lambda: self.schemas(connection),
            )
            session.prepare()
            yield session
        except StatementFailed as error:
            raise plain_error(self.where, error.said) from None
        finally:
            opened.__exit__(None, None, None)

    def _said(self, error: Exception) -> str:
        return own_words(error, self.secrets)


def sql_warehouse(
    url: str, connect_args: Mapping[str, Any], *, query_timeout: float | None, connect_timeout: int
) -> DriverWarehouse:
    """Return the database of an address that SQLAlchemy understands.

    Args:
        url: ``KIND+DRIVER://USER:PASSWORD@HOST/DATABASE?…``.
        connect_args: For the driver's ``connect``, besides what the address says.
        query_timeout: Seconds that a query may take.
        connect_timeout: Seconds to wait for the server, for drivers whose setting for that is known.

    Raises:
        ConfigurationError: The address is not valid, or its kind of database is not known here. It is not in the
            message: it may hold a password.
    """
    address = _address(url)
    dialect = DIALECTS.get(address.get_backend_name())
    if dialect is None:
        raise ConfigurationError(
            f"Warehouses of the kind {address.get_backend_name()!r} can't be checked.",
            guidance=f"These can: {', '.join(sorted(DIALECTS))}. Others can be taught: implement Warehouse.",
        )
    if is_motherduck_endpoint(address.host):
        return _motherduck_endpoint(address, {"connect_timeout": connect_timeout, **connect_args}, query_timeout)
    arguments = {**_timeouts(address.drivername, query_timeout, connect_timeout), **connect_args}
    place = f"{address.host}:{address.port}" if address.port else address.host
    database = str(address.database or address.host or dialect.product)
    named = f"{dialect.product}'s {address.database}" if address.database else dialect.product
    secrets = (str(address.password or ""), *secrets_of(dict(address.query)), *secrets_of(dict(connect_args)))
    return DriverWarehouse(
        database,
        dialect,
        lambda: _connected(address, arguments, dialect),
        f"{named} at {place}" if place else named,
        tuple(secret for secret in secrets if secret),
        query_timeout,
        _datasets if dialect is BIGQUERY else lambda _connection: (),
    )


def is_motherduck_endpoint(host: str | None) -> bool:
    """Whether a host is MotherDuck's PostgreSQL endpoint, ``pg.REGION-CLOUD.motherduck.com``."""
    return bool(host) and str(host).lower().endswith(".motherduck.com")


def _motherduck_endpoint(address: URL, connect_args: Mapping[str, Any], query_timeout: float | None) -> DriverWarehouse:
    """Return a database of MotherDuck behind its PostgreSQL endpoint: any client of PostgreSQL, but DuckDB's SQL."""
    given = {name: value for name, value in {**address.query, **connect_args}.items() if value != "prefer"}
    arguments = {
        "host": address.host,
        "port": address.port or 5432,
        "dbname": address.database or "md:",
        "user": address.username or "postgres",
        "password": address.password,
        # As its documentation recommends; it takes no connection that is not encrypted.
        "sslmode": "verify-full",
        "sslrootcert": "system",
        **given,
    }
    secrets = (str(address.password or ""), *secrets_of(dict(connect_args)))
    return DriverWarehouse(
        str(address.database or "md:"),
        DUCKDB,
        lambda: _psycopg(arguments),
        f"MotherDuck's {address.database or 'default database'} at {address.host}",
        tuple(secret for secret in secrets if secret),
        query_timeout,
    )


@contextmanager
def _psycopg(arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Connect without SQLAlchemy, which asks a server of PostgreSQL's what that endpoint need not know."""
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError(
            "The driver of PostgreSQL is not installed.",
            guidance="Install it where Dagster runs: pip install 'airbyte-dagster[postgres]'.",
        ) from None
    with closing(psycopg.connect(autocommit=True, **arguments)) as connection:
        yield connection


def _address(url: str) -> URL:
    from sqlalchemy import make_url  # noqa: PLC0415 - heavy
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "url is no address of a database that SQLAlchemy understands.",
            guidance="It looks like postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE; special characters of the "
            "password are to be percent-encoded, or give it as connect_args={'password': …}.",
        ) from None


@contextmanager
def _connected(address: URL, arguments: Mapping[str, Any], dialect: Dialect) -> Iterator[Any]:
    import sqlalchemy  # noqa: PLC0415 - heavy
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    kind = address.get_backend_name()
    if kind == "sqlite" and address.database and not Path(address.database).is_file():
        raise missing_file(address.database)
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if dialect.autocommit else {}
    try:
        engine = sqlalchemy.create_engine(address, connect_args=dict(arguments), poolclass=NullPool, **options)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError):
        raise ConfigurationError(
            f"The driver of {address.drivername} is not installed.",
            guidance=f"Install it where Dagster runs: pip install 'airbyte-dagster[{_EXTRAS.get(kind, kind)}]'.",
        ) from None
    try:
        with closing(engine.raw_connection()) as connection:
            yield connection.driver_connection
    finally:
        engine.dispose()


def _timeouts(driver: str, query_timeout: float | None, connect_timeout: int) -> dict[str, Any]:
    """Return what the drivers call their timeouts, where a statement does not set them."""
    if driver in {"postgresql", "postgresql+psycopg", "postgresql+psycopg2", "redshift", "redshift+psycopg2"}:
        return {"connect_timeout": connect_timeout}
    if driver in {"mysql+pymysql", "mariadb+pymysql"}:
        return {"connect_timeout": connect_timeout}
    if driver == "mssql+pymssql":
        return {"login_timeout": connect_timeout, "timeout": round(query_timeout or 0)}
    if driver == "snowflake":
        return {"login_timeout": connect_timeout}
    return {}


def _datasets(connection: Any) -> list[str]:
    """Return BigQuery's datasets: a list of its API, which costs nothing."""
    return [item.dataset_id for item in connection._client.list_datasets()]  # noqa: SLF001 - it has no other way
