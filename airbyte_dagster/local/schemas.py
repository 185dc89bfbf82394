"""The bodies of requests. Unknown fields are ignored, as Airbyte does; the examples are those of ``/docs``."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from airbyte_dagster.local.guard import MOST_BYTES

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


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("blank")
    return value


JsonValue = Annotated[Any, AfterValidator(_representable)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_representable)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]


class Body(BaseModel):
    """A body with camelCase names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        # No body is that long; but a text with any limit is looked at, so that half characters are refused.
        str_max_length=MOST_BYTES,
    )


class TokenRequest(BaseModel):
    """What a client signs in with. ``grant_type`` is accepted and not looked at."""

    model_config = ConfigDict(str_max_length=MOST_BYTES)  # as in `Body`

    client_id: str
    client_secret: str = Field(repr=False)


class EmailNotification(Body):
    """Whether Airbyte writes an email; local Airbyte sends none."""

    enabled: StrictBool | None = None


class WebhookNotification(Body):
    """Where Airbyte sends a notice to."""

    enabled: StrictBool | None = None
    url: str | None = None


class Notification(Body):
    """How one kind of notice is sent."""

    email: EmailNotification | None = None
    webhook: WebhookNotification | None = None


class Notifications(Body):
    """The notices of a workspace, by what happened."""

    failure: Notification | None = None
    success: Notification | None = None
    connection_update: Notification | None = None
    connection_update_action_required: Notification | None = None
    sync_disabled: Notification | None = None
    sync_disabled_warning: Notification | None = None


class WorkspaceCreate(Body):
    """A new workspace."""

    name: Name = Field(examples=["My second workspace"])
    notifications: Annotated[Notifications, BeforeValidator(_representable)] = Field(default_factory=Notifications)


class WorkspaceUpdate(Body):
    """Changes to a workspace."""

    name: Name | None = None
    notifications: Annotated[Notifications | None, BeforeValidator(_representable)] = None


class ActorCreate(Body):
    """A new source or destination; ``configuration`` has the type key unless ``definitionId`` is given."""

    name: Name
    workspace_id: UUID
    configuration: JsonObject = Field(repr=False)
    definition_id: UUID | None = None


class ActorPut(Body):
    """A source's or destination's new name and configuration; both replace what is there."""

    name: Name
    configuration: JsonObject = Field(repr=False)


class ActorPatch(Body):
    """Changes to a source or destination; the configuration is merged into the stored one."""

    name: Name | None = None
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

    name: Name = Field(examples=["nightly"])
    color: str = Field(examples=["75DCFF"])
    workspace_id: UUID


class TagChange(Body):
    """A tag's new name and colour."""

    name: Name
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
    name: Name | None = None
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

    name: Name | None = None
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
