"""The Dagster resource of an Airbyte: how to reach it, and how syncs are run there."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from airbyte_dagster.airbyte import CLOUD_SERVER_URL, AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.records import JobType, Workspace
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources.secret_fields import SecretFieldsResource, given
from airbyte_dagster.runs.single import CompletedSync, run_job
from airbyte_dagster.sync.settings import OnRunning, SyncSettings

if TYPE_CHECKING:
    from airbyte_api import AirbyteAPI

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
    on_running: OnRunning = Field(
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
            ConfigurationError: Credentials are half given, or of two kinds, or a variable is not set.
        """
        return self.client().sdk()

    def client(self) -> AirbyteClient:
        """Return this package's own client, shared by everything in the process that has the same settings.

        Raises:
            ConfigurationError: Credentials are half given, or of two kinds, or a variable is not set.
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
        headers = {name: str(given(value)) for name, value in self.extra_headers.items()}
        client = _shared_client(
            server_url=given(self.server_url),
            client_id=given(self.client_id),
            client_secret=given(self.client_secret),
            bearer_token=given(self.bearer_token),
            username=given(self.username),
            password=given(self.password),
            workspace_id=given(self.workspace_id),
            request_timeout=request_timeout,
            slow_request_timeout=self.slow_request_timeout,
            max_attempts=max_attempts,
            ca_bundle=given(self.ca_bundle),
            extra_headers=tuple(sorted(headers.items())),
        )
        signs_in = client.settings.signs_in_with or any(name.lower() == "authorization" for name in headers)
        if client.settings.server_url == CLOUD_SERVER_URL and not signs_in:
            raise ConfigurationError(
                "Neither an address nor credentials of an Airbyte are given, so Airbyte Cloud was assumed, "
                "which needs credentials.",
                guidance="Set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET, and AIRBYTE_SERVER_URL for a self-managed "
                "Airbyte. For local Airbyte start `airbyte-dagster dev`; or start `airbyte-dagster local serve`, and "
                'run eval "$(airbyte-dagster local env)" in the shell that starts Dagster.',
            )
        return client

    def find_workspace(self, client: AirbyteClient | None = None) -> Workspace:
        """Return the workspace that is configured, or the only one.

        Args:
            client: Asks with this; with `client` by default.

        Raises:
            WorkspaceError: There is none such, or there are several and none is configured.
        """
        workspace_id, name = given(self.workspace_id), given(self.workspace_name)
        if workspace_id and name:
            raise ConfigurationError("Give workspace_id or workspace_name, not both.")
        return (client or self.client()).find_workspace(workspace_id=workspace_id, name=name)

    def sync(
        self,
        connection_id: str,
        *,
        context: dg.OpExecutionContext | dg.AssetExecutionContext | None = None,
        job_type: JobType = "sync",
        workspace_id: str | None = None,
    ) -> CompletedSync:
        """Run a sync in an op or asset of one's own, and wait for its end.

        Args:
            connection_id: The connection's id; its name is none.
            context: Of the Dagster run. With it, a step that is tried again, and a run that resumes this one, go on
                with the job that was requested, instead of starting another; and the run's log has the progress.
                A second call in a step, or one in another step, requests a job of its own.
            job_type: ``sync``, or ``reset`` to empty the tables.
            workspace_id: Of the connection; the resource's by default, which takes a call to find.

        Returns:
            The job, and what it reports of each stream.

        Raises:
            ConfigurationError: It is no id of a connection, or the context is of no run.
            SyncFailed: The job failed; with the reason, where the server gives one.
            SyncCancelled: Somebody cancelled it.
            SyncTimedOut: It took longer than `sync_timeout`.
            AirbyteDagsterError: It could not be started, or not be watched for `poll_failure_tolerance`.
        """
        workspace_id = workspace_id or given(self.workspace_id) or self.find_workspace().id
        settings = self.sync_settings()
        return run_job(self.client(), workspace_id, connection_id, settings, job_type=job_type, context=context)

    def fingerprint_key(self) -> str:
        """Key for digests of what was applied: a credential that lasts, so that the digests say nothing without it."""
        return given(self.client_secret) or given(self.password) or ""

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
