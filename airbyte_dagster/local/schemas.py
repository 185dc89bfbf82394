"""The bodies of requests. Unknown fields are ignored, as Airbyte does; the examples are those of ``/docs``."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_DEEPEST = 64


def _representable(value: Any, depth: int = 0) -> Any:
    """Refuse what can be read as JSON but not be written again: NaN, half characters, and endless nesting."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a JSON number")
    if isinstance(value, str) and not value.isprintable():
        value.encode()  # UnicodeEncodeError, for a lone surrogate, is a ValueError too
    if isinstance(value, dict):
        for key, child in value.items():
            _representable(key, depth)
            _representable(child, depth + 1)
    if isinstance(value, list):
        for child in value:
            _representable(child, depth + 1)
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_representable)]


class Body(BaseModel):
    """A body with camelCase names."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class TokenRequest(BaseModel):
    """What a client signs in with. ``grant_type`` is accepted and not looked at."""

    client_id: str
    client_secret: str = Field(repr=False)


class WorkspaceCreate(Body):
    """A new workspace."""

    name: str = Field(min_length=1, examples=["My second workspace"])
    notifications: JsonObject = Field(default_factory=dict)


class WorkspaceUpdate(Body):
    """Changes to a workspace."""

    name: str | None = Field(default=None, min_length=1)
    notifications: JsonObject | None = None


class ActorCreate(Body):
    """A new source or destination; ``configuration`` has the type key unless ``definitionId`` is given."""

    name: str = Field(min_length=1)
    workspace_id: UUID
    configuration: JsonObject = Field(repr=False)
    definition_id: UUID | None = None


class ActorPut(Body):
    """A source's or destination's new name and configuration; both replace what is there."""

    name: str = Field(min_length=1)
    configuration: JsonObject = Field(repr=False)


class ActorPatch(Body):
    """Changes to a source or destination; the configuration is merged into the stored one."""

    name: str | None = Field(default=None, min_length=1)
    configuration: JsonObject | None = Field(default=None, repr=False)


class SelectedField(Body):
    """A field to keep."""

    field_path: list[str] = Field(default_factory=list)


class StreamConfiguration(Body):
    """One stream of a connection."""

    name: str
    namespace: str | None = None
    sync_mode: str | None = None
    cursor_field: list[str] | None = None
    primary_key: list[list[str]] | None = None
    selected_fields: list[SelectedField] | None = None
    mappers: list[JsonObject] | None = None


class Streams(Body):
    """The streams of a connection."""

    streams: list[StreamConfiguration] | None = None


class Schedule(Body):
    """When a connection syncs by itself."""

    schedule_type: Literal["manual", "cron"]
    cron_expression: str | None = None


NamespaceDefinition = Literal["source", "destination", "custom_format"]
SchemaUpdates = Literal["ignore", "disable_connection", "propagate_columns", "propagate_fully"]
Status = Literal["active", "inactive", "deprecated"]


class Tag(Body):
    """A tag of a connection; its id says which, the rest of it is what the workspace has."""

    tag_id: UUID


class TagCreate(Body):
    """A new tag."""

    name: str = Field(examples=["nightly"])
    color: str = Field(examples=["75DCFF"])
    workspace_id: UUID


class TagChange(Body):
    """A tag's new name and colour."""

    name: str
    color: str


class PermissionCreate(Body):
    """A new permission."""

    permission_type: str
    user_id: UUID
    workspace_id: UUID | None = None
    organization_id: UUID | None = None


class PermissionChange(Body):
    """A permission's new type."""

    permission_type: str


class DefinitionCreate(Body):
    """A new connector definition."""

    name: str
    docker_repository: str
    docker_image_tag: str


class DefinitionChange(Body):
    """A definition's new name and version."""

    name: str
    docker_image_tag: str


class DeclarativeCreate(Body):
    """A new declarative source: a manifest of the Connector Builder, as JSON."""

    name: str
    manifest: Any


class DeclarativeChange(Body):
    """Another manifest for a declarative source."""

    manifest: Any


class ConnectionCreate(Body):
    """A new connection."""

    source_id: UUID
    destination_id: UUID
    name: str | None = None
    configurations: Streams | None = None
    schedule: Schedule | None = None
    namespace_definition: NamespaceDefinition | None = None
    namespace_format: str | None = None
    prefix: str | None = None
    non_breaking_schema_updates_behavior: SchemaUpdates | None = None
    status: Status | None = None
    tags: list[Tag] | None = None


class ConnectionPatch(Body):
    """Changes to a connection; absent fields stay as they are."""

    name: str | None = None
    configurations: Streams | None = None
    schedule: Schedule | None = None
    namespace_definition: NamespaceDefinition | None = None
    namespace_format: str | None = None
    prefix: str | None = None
    non_breaking_schema_updates_behavior: SchemaUpdates | None = None
    status: Status | None = None
    tags: list[Tag] | None = None


class JobCreate(Body):
    """A new job."""

    connection_id: UUID
    job_type: Literal["sync", "reset", "clear", "refresh"]
