"""The Dagster resources: an authenticated Airbyte, and the warehouses that checks look into."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import dagster as dg
from pydantic import Field

from airbyte_dagster.airbyte import CLOUD_SERVER_URL, AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.records import Workspace
from airbyte_dagster.declaration import did_you_mean
from airbyte_dagster.destinations.databases import Database, duckdb_database, is_elsewhere, is_motherduck
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster.warehouse import DuckDBWarehouse, PostgresWarehouse, Warehouse

if TYPE_CHECKING:
    from airbyte_api import AirbyteAPI

_T = TypeVar("_T")

_variables: dict[str, str] = {}


class SecretFieldsResource(dg.ConfigurableResource[Any]):
    """A resource some of whose fields are secrets."""

    _secret_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **data: Any) -> None:
        for name in data:
            if name not in type(self).model_fields:
                accepted = list(type(self).model_fields)
                near = did_you_mean(name, accepted)
                raise ConfigurationError(
                    f"{type(self).__name__} has no setting {name!r}.",
                    guidance=f"{near[:1].upper()}{near[1:]}Accepted: {', '.join(accepted)}.",
                )
        secrets = {name: _referenced(data[name]) for name in self._secret_fields if data.get(name)}
        super().__init__(**{**data, **secrets})


def plain(value: _T) -> _T:
    """Return the value of a field, whether Dagster has read its ``EnvVar`` already or not."""
    return value.get_value() if isinstance(value, dg.EnvVar) else value  # type: ignore[return-value]


def _referenced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _referenced(item) for key, item in value.items()}
    if isinstance(value, dg.EnvVar) or not isinstance(value, str):
        return value
    # Numbered, so that names say nothing about values and are the same in each process that loads the same code.
    name = _variables.setdefault(value, f"AIRBYTE_DAGSTER_SECRET_{len(_variables) + 1}")
    os.environ[name] = value
    return dg.EnvVar(name)


_TICK_REQUEST_SECONDS = 10.0
_TICK_ATTEMPTS = 2


class AirbyteResource(SecretFieldsResource):
    """An Airbyte: Cloud, self-managed or local.

    Sign in with a client id and secret, or a bearer token, or a user name and password, or, where the server asks for
    nothing, with none of them. Secrets may be plain text or ``EnvVar``; neither reaches Dagster's database.

    Example:
        ``AirbyteResource(client_id=EnvVar("AIRBYTE_CLIENT_ID"), client_secret=EnvVar("AIRBYTE_CLIENT_SECRET"))``
    """

    _secret_fields = ("client_secret", "bearer_token", "password", "extra_headers")

    server_url: str = Field(
        default=CLOUD_SERVER_URL,
        description="Base of the public API. Airbyte Cloud by default; self-managed: http(s)://HOST/api/public/v1.",
    )
    client_id: str | None = Field(default=None, description="Id of an Airbyte application.")
    client_secret: str | None = Field(default=None, repr=False, description="Secret of that application.")
    bearer_token: str | None = Field(default=None, repr=False, description="A token that is sent as it is.")
    username: str | None = Field(default=None, description="For servers behind basic authentication.")
    password: str | None = Field(default=None, repr=False, description="For servers behind basic authentication.")
    workspace_id: str | None = Field(default=None, description="The workspace; the only one if neither is given.")
    workspace_name: str | None = Field(default=None, description="The workspace, by its name.")
    request_timeout: float = Field(default=30.0, gt=0, description="Seconds that an ordinary call may take.")
    slow_request_timeout: float = Field(
        default=300.0, gt=0, description="Seconds for calls that make Airbyte work: creates, job starts, discovery."
    )
    max_attempts: int = Field(default=5, ge=1, description="Attempts of a call that may be repeated.")
    ca_bundle: str | None = Field(default=None, description="Path of a PEM file with the CAs to trust.")
    extra_headers: dict[str, str] = Field(default_factory=dict, repr=False, description="Sent with each request.")
    sync_timeout: float | None = Field(
        default=None, gt=0, description="Seconds that a sync may take; no limit if unset."
    )
    poll_ceiling: float = Field(
        default=10.0, ge=0.5, description="Longest wait between two polls, in seconds; shorter for young jobs."
    )
    poll_failure_tolerance: float = Field(
        default=300.0, ge=0, description="Seconds for which polling may fail in a row before the job is given up."
    )
    on_running: Literal["attach", "fail", "wait"] = Field(
        default="attach",
        description="If the connection syncs already: watch that job, fail, or wait and start another.",
    )
    cancel_on_timeout: bool = Field(default=True, description="Whether sync_timeout cancels the job in Airbyte.")
    cancel_on_termination: bool = Field(default=True, description="Whether terminating the run cancels the job.")

    @classmethod
    def from_env(cls, **settings: Any) -> AirbyteResource:
        """Take from the environment what it has of ``AIRBYTE_SERVER_URL``, ``AIRBYTE_CLIENT_ID``,
        ``AIRBYTE_CLIENT_SECRET`` and ``AIRBYTE_WORKSPACE_ID``.

        Their presence is looked at now, their values are read when a run needs them.

        Args:
            settings: Other fields, and those that are to override the environment.
        """  # noqa: D205
        fields = ("server_url", "client_id", "client_secret", "workspace_id")
        found = {
            name: dg.EnvVar(f"AIRBYTE_{name.upper()}") for name in fields if os.environ.get(f"AIRBYTE_{name.upper()}")
        }
        return cls(**{**found, **settings})

    def get_client(self) -> AirbyteAPI:
        """Return the official SDK's client, signed in, with retries and timeouts that fit Airbyte.

        Every endpoint of the SDK can be called through it: ``get_client().workspaces.list_workspaces()``.

        Raises:
            ConfigurationError: Credentials are half given, or of two kinds.
        """
        return self.client().sdk()

    def client(self) -> AirbyteClient:
        """Return this package's own client, shared by everything in the process that has the same settings.

        Raises:
            ConfigurationError: Credentials are half given, or of two kinds.
        """
        return self._client(request_timeout=self.request_timeout, max_attempts=self.max_attempts)

    def tick_client(self) -> AirbyteClient:
        """Return a client for ticks of schedules and sensors: Dagster gives a tick 60 s in all, and another follows.

        Raises:
            ConfigurationError: As `client`.
        """
        return self._client(
            request_timeout=min(self.request_timeout, _TICK_REQUEST_SECONDS),
            max_attempts=min(self.max_attempts, _TICK_ATTEMPTS),
        )

    def _client(self, *, request_timeout: float, max_attempts: int) -> AirbyteClient:
        headers = {name: str(plain(value)) for name, value in self.extra_headers.items()}
        return _shared_client(
            server_url=plain(self.server_url),
            client_id=plain(self.client_id),
            client_secret=plain(self.client_secret),
            bearer_token=plain(self.bearer_token),
            username=plain(self.username),
            password=plain(self.password),
            workspace_id=plain(self.workspace_id),
            request_timeout=request_timeout,
            slow_request_timeout=self.slow_request_timeout,
            max_attempts=max_attempts,
            ca_bundle=plain(self.ca_bundle),
            extra_headers=tuple(sorted(headers.items())),
        )

    def find_workspace(self, client: AirbyteClient | None = None) -> Workspace:
        """Return the workspace that is configured, or the only one.

        Args:
            client: Asks with this; with `client` by default.

        Raises:
            WorkspaceError: There is none such, or there are several and none is configured.
        """
        workspace_id, name = plain(self.workspace_id), plain(self.workspace_name)
        if workspace_id and name:
            raise ConfigurationError("Give workspace_id or workspace_name, not both.")
        return (client or self.client()).find_workspace(workspace_id=workspace_id, name=name)

    def fingerprint_key(self) -> str:
        """Key for digests of what was applied: a credential that lasts, so that the digests say nothing without it."""
        return plain(self.client_secret) or plain(self.password) or ""

    def sync_settings(self) -> SyncSettings:
        """Return how jobs are to be run."""
        return SyncSettings(
            timeout=self.sync_timeout,
            poll_ceiling=self.poll_ceiling,
            poll_failure_tolerance=self.poll_failure_tolerance,
            on_running=self.on_running,
            cancel_on_timeout=self.cancel_on_timeout,
            cancel_on_termination=self.cancel_on_termination,
        )


@lru_cache(maxsize=32)
def _shared_client(*, extra_headers: tuple[tuple[str, str], ...], **settings: Any) -> AirbyteClient:
    return AirbyteClient(ClientSettings(extra_headers=dict(extra_headers), **settings))


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
