"""The bodies of requests to the configuration API."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from airbyte_dagster.local.schemas import Body, JsonObject, JsonValue, Name, SelectedField, Status


class JobId(Body):
    """A job."""

    id: int


class AttemptOfJob(Body):
    """One attempt of a job; the first has the number 0."""

    job_id: int
    attempt_number: int


class ConnectionId(Body):
    """A connection."""

    connection_id: UUID


class WebConnectionGet(ConnectionId):
    """A connection, and whether its source is to be asked for its streams again."""

    with_refreshed_catalog: bool = False


class CatalogStream(Body):
    """A stream as its source describes it; what is not named here is kept, too."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: str
    namespace: str | None = None
    json_schema: JsonObject = Field(default_factory=dict)
    supported_sync_modes: list[str] | None = None
    source_defined_cursor: bool | None = None
    default_cursor_field: list[str] | None = None
    source_defined_primary_key: list[list[str]] | None = None


class CatalogConfig(Body):
    """What a connection does with a stream."""

    sync_mode: Literal["full_refresh", "incremental"] = "full_refresh"
    destination_sync_mode: Literal["overwrite", "append", "append_dedup", "overwrite_dedup"] = "overwrite"
    cursor_field: list[str] | None = None
    primary_key: list[list[str]] | None = None
    selected: bool = True
    field_selection_enabled: bool | None = None
    selected_fields: list[SelectedField] | None = None
    mappers: list[JsonObject] | None = None


class CatalogEntry(Body):
    """A stream of a catalog."""

    stream: CatalogStream
    config: CatalogConfig = Field(default_factory=CatalogConfig)


class SyncCatalog(Body):
    """A catalog."""

    streams: list[CatalogEntry]


class WebConnectionUpdate(ConnectionId):
    """Changes to a connection; absent fields stay as they are."""

    name: Name | None = None
    namespace_definition: Literal["source", "destination", "customformat"] | None = None
    namespace_format: str | None = None
    prefix: str | None = None
    status: Status | None = None
    non_breaking_changes_preference: Literal["ignore", "disable", "propagate_columns", "propagate_fully"] | None = None
    sync_catalog: SyncCatalog | None = None


class StreamDescriptor(Body):
    """A stream's name."""

    name: str
    namespace: str | None = None


class StreamState(Body):
    """Where a stream stopped."""

    stream_descriptor: StreamDescriptor
    stream_state: JsonObject | None = None


class GlobalState(Body):
    """Where all streams stopped together."""

    shared_state: JsonObject | None = None
    stream_states: list[StreamState] = Field(default_factory=list)


class ConnectionState(Body):
    """A connection's state; the field of its type holds it."""

    state_type: Literal["stream", "global", "legacy", "not_set"]
    state: JsonObject | None = None
    stream_state: list[StreamState] | None = None
    global_state: GlobalState | None = None


class StateReplace(ConnectionId):
    """A connection's new state."""

    connection_state: ConnectionState


class SourceId(Body):
    """A source."""

    source_id: UUID


class SourceDiscover(SourceId):
    """A source, and whether it is to be asked even if it was asked before. Airbyte's own name has the underscore."""

    disable_cache: bool = Field(default=False, alias="disable_cache")


class DestinationId(Body):
    """A destination."""

    destination_id: UUID


class OrganizationId(Body):
    """An organization."""

    organization_id: UUID


class WorkspaceId(Body):
    """A workspace."""

    workspace_id: UUID


class Pagination(Body):
    """A part of a list."""

    page_size: int = Field(default=100, ge=1, le=1000)
    row_offset: int = Field(default=0, ge=0)


class WorkspaceConnections(WorkspaceId):
    """A workspace, and which of its connections."""

    source_id: list[UUID] | None = None
    destination_id: list[UUID] | None = None
    cursor: UUID | None = None
    """The last connection of the page before."""
    page_size: int = Field(default=100, ge=1, le=1000)


class ConnectionIds(Body):
    """Some connections."""

    connection_ids: list[UUID] = Field(max_length=1000)


class ConnectionStream(Body):
    """A stream of a connection."""

    stream_name: str
    stream_namespace: str | None = None


class ConnectionStreams(ConnectionId):
    """Some streams of a connection."""

    streams: list[ConnectionStream]


class ConnectionRefresh(ConnectionId):
    """A refresh; no streams mean all."""

    refresh_mode: Literal["Truncate", "Merge"]
    streams: list[ConnectionStream] = Field(default_factory=list)


class StreamStatuses(WorkspaceId):
    """Which statuses of streams to list."""

    pagination: Pagination
    connection_id: UUID | None = None
    job_id: int | None = None
    job_type: Literal["SYNC", "RESET"] | None = None
    attempt_number: int | None = None
    stream_name: str | None = None
    stream_namespace: str | None = None


class OrganizationWorkspaces(OrganizationId):
    """An organization, and which of its workspaces."""

    name_contains: str | None = None
    pagination: Pagination | None = None
