"""The client: what this package asks of Airbyte, as methods that take and return records."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, overload

import httpx

from airbyte_dagster.airbyte.calls import PAGE_SIZE, parsed
from airbyte_dagster.airbyte.configuration_api import ConfigurationApi
from airbyte_dagster.airbyte.job_changes import JobChanges, read_changes
from airbyte_dagster.airbyte.parse import (
    parse_actor,
    parse_available_streams,
    parse_connection,
    parse_job,
    parse_permissions,
    parse_workspace,
)
from airbyte_dagster.airbyte.policy import classify
from airbyte_dagster.airbyte.problems import Explainer
from airbyte_dagster.airbyte.reasons import is_html
from airbyte_dagster.airbyte.records import (
    ActorKind,
    AvailableStream,
    Connection,
    Destination,
    Job,
    JobType,
    Permission,
    Source,
    Workspace,
)
from airbyte_dagster.airbyte.times import time_text
from airbyte_dagster.airbyte.workspaces import choose_workspace, means_missing, missing_workspace
from airbyte_dagster.errors import ApiError, WorkspaceError


class AirbyteClient(ConfigurationApi):
    """A client of one Airbyte's public API; safe to use from several threads.

    Every method raises an `AirbyteError` of the kind that fits. Calls that may be repeated are, as `ClientSettings`
    says; a create is repeated only if it surely never reached Airbyte, and ends in `RequestTimedOut` where that is not
    known: then look before trying again.
    """

    # The server

    def health(self) -> bool:
        """Ask whether the server is there and well. Nothing is signed: Airbyte answers this to anyone.

        Returns:
            Whether it is local Airbyte, which names its process in the answer.

        Raises:
            AirbyteError: It can't be reached, is not Airbyte's public API, or is not well; 401 and 403 come from
                something before it.
        """
        url = httpx.URL(f"{self.settings.server_url}/health")
        call, explainer = classify("GET", url, self.settings), Explainer(self.settings)
        try:
            response = self.http.get(url, auth=None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise explainer.of_exception(error, call) from None  # a header may be quoted in it
        if not response.is_success or is_html(response):
            raise explainer.of_response(response, call)
        return "X-Local-Airbyte-Pid" in response.headers

    def permissions(self) -> list[Permission]:
        """Return the roles of the user that signs in; those that come through a group are not among them."""
        return self._caller.record(parse_permissions, "GET", "/permissions")

    # Workspaces

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces that the credentials can see."""
        return self._caller.read_all("/workspaces", parse_workspace, params={"includeDeleted": "false"})

    def workspace(self, workspace_id: str) -> Workspace:
        """Return one workspace."""
        return self._caller.record(parse_workspace, "GET", f"/workspaces/{workspace_id}", workspace_id=workspace_id)

    def find_workspace(self, *, workspace_id: str | None = None, name: str | None = None) -> Workspace:
        """Return the workspace with an id or a name or, if neither is given, the only one there is.

        Raises:
            WorkspaceError: There is none, or more than one; the message lists what there is, names with ids.
        """
        if not workspace_id:
            return choose_workspace(self.workspaces(), name=name, server_url=self.settings.server_url)
        try:
            workspace = self.workspace(workspace_id)
        except ApiError as error:
            if not means_missing(error):
                raise
            raise missing_workspace(workspace_id, self.workspaces()) from error
        if name and workspace.name != name:
            raise WorkspaceError(
                f"The workspace {workspace_id} has the name {workspace.name!r}, not {name!r}.",
                guidance="Give its id or its name; one is enough.",
            )
        return workspace

    def set_notifications(
        self, workspace_id: str, notifications: Mapping[str, Any], *, secrets: Collection[str] = ()
    ) -> Workspace:
        """Change where notices of a workspace's events go; those of events that are not given stay.

        Args:
            workspace_id: The workspace.
            notifications: By event, in Airbyte's keys.
            secrets: Kept out of messages: an address may be one.
        """
        body = {"notifications": dict(notifications)}
        path = f"/workspaces/{workspace_id}"
        return self._caller.record(
            parse_workspace, "PATCH", path, json=body, workspace_id=workspace_id, secrets=secrets
        )

    # Sources and destinations

    @overload
    def actors(
        self, kind: Literal["source"], workspace_id: str, *, wanted: Collection[str] | None = None
    ) -> list[Source]: ...
    @overload
    def actors(
        self, kind: Literal["destination"], workspace_id: str, *, wanted: Collection[str] | None = None
    ) -> list[Destination]: ...
    @overload
    def actors(
        self, kind: ActorKind, workspace_id: str, *, wanted: Collection[str] | None = None
    ) -> list[Source] | list[Destination]: ...

    def actors(self, kind: ActorKind, workspace_id: str, *, wanted: Collection[str] | None = None) -> list[Any]:
        """Return all sources, or all destinations, of a workspace.

        Args:
            kind: Which of the two.
            workspace_id: The workspace.
            wanted: Ids; the list is read only until all of these are found.
        """
        params = {"workspaceIds": workspace_id, "includeDeleted": "false"}
        return self._caller.read_all(
            f"/{kind}s", _actor_parser(kind), params=params, workspace_id=workspace_id, wanted=wanted
        )

    def create_actor(
        self,
        kind: ActorKind,
        *,
        workspace_id: str,
        name: str,
        configuration: Mapping[str, Any],
        definition_id: str | None = None,
    ) -> Source | Destination:
        """Create a source or a destination.

        Args:
            kind: Which of the two.
            workspace_id: Where.
            name: Its name; Airbyte does not mind if there is one of that name already.
            configuration: With its type key, unless `definition_id` is given. Secrets in it stay out of messages.
            definition_id: Of the connector; needed for those that Airbyte has no type name for.

        Raises:
            InvalidConfiguration: The connector's specification refuses the configuration.
            RequestTimedOut: It may have been created.
        """
        body: dict[str, Any] = {"name": name, "workspaceId": workspace_id, "configuration": dict(configuration)}
        if definition_id:
            body["definitionId"] = definition_id
        return self._caller.record(_actor_parser(kind), "POST", f"/{kind}s", json=body, workspace_id=workspace_id)

    def patch_actor(
        self, kind: ActorKind, actor_id: str, *, name: str | None = None, configuration: Mapping[str, Any] | None = None
    ) -> Source | Destination:
        """Change a name, or parts of a configuration: what is not given stays as it is."""
        body: dict[str, Any] = {}
        if name is not None:
            body["name"] = name
        if configuration is not None:
            body["configuration"] = dict(configuration)
        return self._caller.record(_actor_parser(kind), "PATCH", f"/{kind}s/{actor_id}", json=body)

    def replace_actor(
        self, kind: ActorKind, actor_id: str, *, name: str, configuration: Mapping[str, Any]
    ) -> Source | Destination:
        """Set a name and a whole configuration; where it holds Airbyte's mask, the stored secret is kept."""
        body = {"name": name, "configuration": dict(configuration)}
        return self._caller.record(_actor_parser(kind), "PUT", f"/{kind}s/{actor_id}", json=body)

    def delete_actor(self, kind: ActorKind, actor_id: str) -> None:
        """Delete a source or a destination, and with it its connections."""
        self._caller.call("DELETE", f"/{kind}s/{actor_id}")

    # Connections

    def connections(self, workspace_id: str) -> list[Connection]:
        """Return all connections of a workspace, without deleted ones."""
        params = {"workspaceIds": workspace_id, "includeDeleted": "false"}
        return self._caller.read_all("/connections", parse_connection, params=params, workspace_id=workspace_id)

    def connection(self, connection_id: str) -> Connection:
        """Return one connection; a deleted one too, with the status ``deprecated``."""
        return self._caller.record(parse_connection, "GET", f"/connections/{connection_id}")

    def create_connection(self, payload: Mapping[str, Any]) -> Connection:
        """Create a connection; Airbyte runs the source's discover for it, which may take minutes.

        Args:
            payload: In Airbyte's own keys (``sourceId``, ``destinationId``, ``configurations``, …).

        Raises:
            InvalidRequest: A stream, key, cursor or schedule does not fit; Airbyte's reason says which.
            RequestTimedOut: It may have been created.
        """
        return self._caller.record(parse_connection, "POST", "/connections", json=payload)

    def patch_connection(self, connection_id: str, payload: Mapping[str, Any]) -> Connection:
        """Change parts of a connection; its list of streams, where given, is replaced as a whole."""
        return self._caller.record(parse_connection, "PATCH", f"/connections/{connection_id}", json=payload)

    def delete_connection(self, connection_id: str) -> None:
        """Delete a connection; a job that runs on it is cancelled."""
        self._caller.call("DELETE", f"/connections/{connection_id}")

    def available_streams(
        self, source_id: str, destination_id: str | None = None, *, ignore_cache: bool = False
    ) -> list[AvailableStream]:
        """Return the streams that a source offers; Airbyte runs discover for it, which may take minutes.

        Args:
            source_id: The source.
            destination_id: If given, the sync modes are those that both sides can do; without it there are none.
            ignore_cache: Discover again, even if the configuration is as it was the last time.
        """
        params = {"sourceId": source_id, "ignoreCache": str(ignore_cache).lower()}
        if destination_id:
            params["destinationId"] = destination_id
        return self._caller.record(parse_available_streams, "GET", "/streams", params=params)

    # Jobs

    def create_job(self, connection_id: str, job_type: JobType) -> Job:
        """Start a job; Airbyte answers when it has an id, which may take a minute.

        Raises:
            SyncAlreadyRunning: The connection has an active sync.
            RequestTimedOut: The answer was lost; the job may have been started.
        """
        body = {"connectionId": connection_id, "jobType": job_type}
        return self._caller.record(parse_job, "POST", "/jobs", json=body)

    def job(self, job_id: int) -> Job:
        """Return one job. For an id that it doesn't know Airbyte answers 409, which is `Conflict`."""
        return self._caller.record(parse_job, "GET", f"/jobs/{job_id}")

    def jobs(self, connection_id: str, *, limit: int = 20) -> list[Job]:
        """Return the last `limit` jobs of a connection, newest first."""
        params = {"connectionId": connection_id, "orderBy": "createdAt|DESC"}
        found: dict[int, Job] = {}
        for page in self._caller.pages("/jobs", params=params, page_size=max(1, min(limit, 100))):
            before = len(found)
            for job in (parsed(parse_job, item, "GET /jobs") for item in page):
                found.setdefault(job.id, job)
            if len(found) >= limit or len(found) == before:
                break
        return sorted(found.values(), key=lambda job: job.id, reverse=True)[:limit]

    def last_job(self, workspace_id: str) -> Job | None:
        """Return the newest job of all connections of a workspace, if there is one."""
        params = {"workspaceIds": workspace_id, "orderBy": "createdAt|DESC"}
        for page in self._caller.pages("/jobs", params=params, page_size=1, workspace_id=workspace_id):
            return parsed(parse_job, page[0], "GET /jobs") if page else None
        return None

    def changed_jobs(self, workspace_id: str, since: dt.datetime | None, *, max_pages: int = 10) -> JobChanges:
        """Return the jobs of all connections of a workspace that changed at or after a time; 100 with each call.

        Args:
            workspace_id: The workspace.
            since: From when, inclusive; ``None`` for all that there are.
            max_pages: About how many calls to make at most; see `JobChanges.complete`.
        """
        params = {"workspaceIds": workspace_id, "orderBy": "updatedAt|ASC"}

        def get_page(start: dt.datetime | None, offset: int) -> list[Job]:
            bound = {} if start is None else {"updatedAtStart": time_text(start)}
            pages = self._caller.pages("/jobs", params={**params, **bound}, offset=offset, workspace_id=workspace_id)
            return [parsed(parse_job, item, "GET /jobs") for item in next(pages)]

        return read_changes(get_page, since, page_size=PAGE_SIZE, max_pages=max_pages)

    def newest_jobs(self, workspace_id: str) -> list[Job]:
        """Return the 100 jobs of a workspace that changed last, last changed first."""
        params = {"workspaceIds": workspace_id, "orderBy": "updatedAt|DESC"}
        page = next(self._caller.pages("/jobs", params=params, workspace_id=workspace_id))
        return [parsed(parse_job, item, "GET /jobs") for item in page]

    def cancel_job(self, job_id: int) -> Job:
        """Cancel a job. Ask first whether it is still active: Airbyte stops *whatever* runs on the job's connection.

        For the same reason it is never sent a second time by itself.

        Raises:
            RequestTimedOut: The answer was lost; the job may have been cancelled.
        """
        cancelled = self._caller.record(
            lambda answer: None if answer is None else parse_job(answer), "DELETE", f"/jobs/{job_id}"
        )
        return cancelled or self.job(job_id)


def _actor_parser(kind: ActorKind) -> Callable[[Any], Source | Destination]:
    return functools.partial(parse_actor, kind)
