"""What a user declares: a source, a destination, and the connection between them.

Everything here is checked when it is written, with no call to anything: unknown keys, wrong types and unknown sync
modes raise `SpecError` with the dotted path, the accepted values and the nearest match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from airbyte_dagster.airbyte.configuration import check_environment_references, declared_value, without_none
from airbyte_dagster.airbyte.records import Stream as StreamRecord
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.specs import Checks, ChecksOrPreset, Fresh
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.pipelines.schedule_spec import Schedule as Schedule  # noqa: PLC0414 - part of what is declared here
from airbyte_dagster.pipelines.schedule_spec import as_schedule

#: The public API's names (``ConnectionSyncModeEnum``).
SyncMode = Literal[
    "full_refresh_overwrite",
    "full_refresh_overwrite_deduped",
    "full_refresh_append",
    "full_refresh_update",
    "full_refresh_soft_delete",
    "incremental_append",
    "incremental_deduped_history",
    "incremental_update",
    "incremental_soft_delete",
]


#: What a run does about a pipeline in Airbyte before it syncs: make all of it as declared; create what is missing and
#: change nothing; or find the connection, and nothing else.
Reconcile: TypeAlias = Literal["always", "if_missing", "never"]

_QUARTZ_FIELDS = (6, 7)


def _as_path(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_key(value: Any) -> Any:
    """Take ``"id"`` and ``["id", "region"]`` for keys of top-level fields, as people write them."""
    parts = _as_path(value)
    return [_as_path(part) for part in parts] if isinstance(parts, Sequence) else parts


class Stream(Declaration):
    """A stream to sync.

    Args:
        name: As the source names it.
        sync_mode: One of Airbyte's names; ``full_refresh_overwrite`` by default, as in Airbyte.
        cursor_field: A field name, or the path to a nested one.
        primary_key: A field name, a list of them, or a list of paths.
        selected_fields: Names of top-level fields; all if left out.
        checks: What differs from the pipeline's checks; see `Checks`.
    """

    name: str = Field(min_length=1, description="The stream, as the source names it.")
    namespace: str | None = Field(
        default=None, description="Needed only where a source has the same name in two namespaces."
    )
    sync_mode: SyncMode = Field(
        default="full_refresh_overwrite", description="How Airbyte brings the stream; one of its own names."
    )
    cursor_field: Annotated[
        tuple[str, ...], BeforeValidator(_as_path, json_schema_input_type=str | tuple[str, ...])
    ] = Field(
        default=(),
        description="A field, or the path to a nested one. For incremental modes, unless the source defines it.",
    )
    primary_key: Annotated[
        tuple[tuple[str, ...], ...],
        BeforeValidator(_as_key, json_schema_input_type=str | tuple[str | tuple[str, ...], ...]),
    ] = Field(
        default=(),
        description="A field, a list of fields, or a list of paths. For deduped modes, unless the source defines it.",
    )
    selected_fields: tuple[str, ...] = Field(default=(), description="Top-level fields to bring; all if left out.")
    checks: ChecksOrPreset | None = Field(
        default=None, description="What differs from the pipeline's checks for this stream."
    )

    @property
    def key(self) -> StreamKey:
        """Namespace and name: what a stream is known by within its connection."""
        return StreamKey(self.namespace, self.name)

    def record(self) -> StreamRecord:
        """Return it as the rest of this package knows streams."""
        return StreamRecord(
            self.name,
            self.namespace,
            self.sync_mode,
            cursor_field=self.cursor_field,
            primary_key=self.primary_key,
            selected_fields=self.selected_fields,
        )

    @model_validator(mode="after")
    def _key_and_cursor_are_selected(self) -> Stream:
        if self.selected_fields:
            needed = {path[0] for path in (self.cursor_field, *self.primary_key) if path}
            missing = sorted(needed - set(self.selected_fields))
            if missing:
                raise ValueError(f"selected_fields leaves out {', '.join(missing)}, which the key or cursor needs")
        return self


_Name = Annotated[str, Field(min_length=1)]


def _as_stream(value: Any) -> Any:
    return Stream(name=value) if isinstance(value, str) else value


def _as_configuration(value: Any) -> Any:
    """Copy a mapping, keep an SDK model; both are resolved only when they are applied."""
    if isinstance(value, BaseModel):
        check_environment_references(value)
        return value
    if isinstance(value, Mapping):
        return without_none(value)
    raise ValueError(
        "expected a model of the Airbyte SDK, such as SourceFaker(count=35), or a mapping, "
        f"such as {{'sourceType': 'faker', 'count': 35}}; got {type(value).__name__}"
    )


class _Actor(Declaration):
    name: str = Field(min_length=1, description="Its name in Airbyte, by which it is known within the workspace.")
    configuration: Annotated[Any, BeforeValidator(_as_configuration, json_schema_input_type=dict[str, Any])] = Field(
        repr=False, description="What the connector is configured with, and its type: sourceType or destinationType."
    )
    secrets: Mapping[str, Any] = Field(
        default_factory=dict, repr=False, description="Dotted path → value, laid over the configuration."
    )
    definition_id: str | None = Field(
        default=None, description="Connector definition, for connectors that have no type name."
    )

    _type_key: str = ""

    @property
    def type(self) -> str:
        """Airbyte's ``sourceType`` or ``destinationType``; ``""`` if only a definition id is given."""
        value = declared_value(self.configuration, self._type_key)
        return str(getattr(value, "value", value) or "")

    @model_validator(mode="after")
    def _has_a_type(self) -> _Actor:
        if not self.type and not self.definition_id:
            raise ValueError(f"configuration names no connector: add {self._type_key!r} to it, or give definition_id")
        return self


class Source(_Actor):
    """A source, known in its workspace by its name.

    Args:
        configuration: An SDK model (``SourceFaker(count=35)``) or a mapping with ``sourceType``. Values in a mapping,
            at any depth, may be Dagster ``EnvVar``; they are read when the source is applied.
        secrets: Dotted path → value or ``EnvVar``, laid over `configuration`. For SDK models, which turn an
            ``EnvVar`` into plain text.
    """

    _type_key = "sourceType"


class Destination(_Actor):
    """A destination, in the shape of `Source` (``destinationType`` in place of ``sourceType``)."""

    _type_key = "destinationType"


class Connection(Declaration):
    """How the source's streams reach the destination.

    Args:
        streams: Names or `Stream` objects. Left out: every stream that the source offers when the connection is made.
        namespace_definition: ``destination`` (default), ``source`` or ``custom_format``.
        namespace_format: For ``custom_format``, such as ``"raw_${SOURCE_NAMESPACE}"``.
        schedule: Airbyte's own: ``manual`` (default) or a Quartz cron expression in UTC, such as ``"0 0 6 * * ?"``.
            ``None`` leaves the one that Airbyte has, for those that only its own pages can set.
        status: ``active`` (default) or ``inactive``; ``None`` leaves the one that Airbyte has.
    """

    name: str = Field(min_length=1, description="Its name in Airbyte, by which it is known within the workspace.")
    streams: (
        tuple[Annotated[Stream, BeforeValidator(_as_stream, json_schema_input_type=Stream | _Name)], ...] | None
    ) = Field(
        default=None,
        description="Names of streams, or streams with their settings: an asset each. Left out: every stream that "
        "the source offers when the connection is made, as one asset.",
    )
    namespace_definition: Literal["destination", "source", "custom_format"] = Field(
        default="destination", description="Which schema the tables are put into: see Airbyte's namespaces."
    )
    namespace_format: str | None = Field(
        default=None, description='The schema for custom_format, such as "raw_${SOURCE_NAMESPACE}".'
    )
    prefix: str = Field(default="", description="Put before each table's name.")
    schedule: str | None = Field(
        default="manual",
        description="Airbyte's own: manual, or a Quartz cron expression in UTC, such as 0 0 6 * * ?; null: as it is.",
    )
    status: Literal["active", "inactive"] | None = Field(
        default="active",
        description="Whether Airbyte syncs it: an inactive one neither by its schedule nor when asked; null: as it is.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Connection:
        if (self.namespace_definition == "custom_format") != (self.namespace_format is not None):
            raise ValueError("namespace_definition 'custom_format' and namespace_format go together")
        schedule = self.schedule or "manual"
        if schedule != "manual" and len(schedule.removesuffix("UTC").split()) not in _QUARTZ_FIELDS:
            raise ValueError(
                f"schedule {self.schedule!r} is neither 'manual' nor a Quartz cron expression, which has 6 or 7 fields "
                "('0 0 6 * * ?'); a schedule of Dagster's, with 5 fields, goes to build_pipeline_defs"
            )
        if self.streams is not None:
            if not self.streams:
                raise ValueError("streams is empty: name at least one, or leave it out to sync all")
            keys = [stream.key for stream in self.streams]
            twice = sorted({stream.name for stream, key in zip(self.streams, keys, strict=True) if keys.count(key) > 1})
            if twice:
                raise ValueError(f"streams names {', '.join(twice)} more than once")
        return self


def _as_asset_path(value: Any) -> Any:
    """Take ``"raw/orders"``, a Dagster ``AssetKey``, and what has one: ``AssetSpec``, a decorated asset."""
    key = getattr(value, "key", value)
    if hasattr(key, "to_user_string"):
        return key.to_user_string()
    return "/".join(key) if isinstance(key, list | tuple) else key


class AirbytePipeline(Declaration):
    """A source, a destination and the connection between them, as one thing that Dagster can run.

    Args:
        name: Letters, digits and underscores; prefix of the assets' keys and of the jobs' names.
        group_name: Dagster asset group; the pipeline's name by default.
        owners: Dagster owners: e-mail addresses or ``team:NAME``.
        deps: Dagster assets that the source reads, by key (``"raw/orders"``, ``AssetKey``, an asset): upstream of all
            streams.
        automation_condition: Dagster's ``AutomationCondition`` for all streams, such as ``eager()``.
        schedule: A cron expression, or a `Schedule`.
        checks: See `Checks`; the row count alone by default.
        reconcile: What a run does in Airbyte before it syncs. ``always`` (default) creates what is missing and updates
            what differs. ``if_missing`` creates what is missing and changes nothing: what somebody has changed in
            Airbyte stays, and no secret is needed of what is there. ``never`` finds the connection by its name.

    Raises:
        SpecError: Something in it is wrong; every problem is listed with its dotted path.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9_]+$",
        description="Letters, digits and underscores; prefix of the assets' keys and of the jobs' names.",
    )
    source: Source = Field(description="Where the data comes from.")
    destination: Destination = Field(description="Where Airbyte writes it.")
    connection: Connection = Field(description="How the source's streams reach the destination.")
    description: str | None = Field(default=None, description="Shown in Dagster.")
    group_name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_]+$", description="Dagster asset group; the pipeline's name by default."
    )
    owners: tuple[str, ...] = Field(default=(), description="Dagster owners: e-mail addresses or team:NAME.")
    tags: Mapping[str, str] = Field(default_factory=dict, description="Dagster asset tags.")
    deps: tuple[Annotated[str, BeforeValidator(_as_asset_path, json_schema_input_type=str)], ...] = Field(
        default=(), description="Dagster assets that the source reads, such as raw/orders: upstream of all streams."
    )
    automation_condition: Any = Field(
        default=None, description="Dagster's AutomationCondition for all streams, such as eager()."
    )
    schedule: Annotated[Schedule | None, BeforeValidator(as_schedule, json_schema_input_type=Schedule | str | None)] = (
        Field(default=None, description="When Dagster syncs: a cron expression in UTC, or its settings.")
    )
    checks: ChecksOrPreset = Field(
        default=Checks(), description="What to check after each sync; the row count by default."
    )
    reconcile: Reconcile = Field(
        default="always",
        description="What a run does in Airbyte before it syncs: create what is missing and update what differs "
        "(always), only create what is missing (if_missing), or only find the connection (never).",
    )

    @field_validator("automation_condition")
    @classmethod
    def _is_a_condition(cls, value: Any) -> Any:
        if value is not None and not hasattr(value, "evaluate"):
            raise ValueError(f"expected Dagster's AutomationCondition, such as eager(); got {type(value).__name__}")
        return value

    @model_validator(mode="after")
    def _is_known_to_dagster(self) -> AirbytePipeline:
        import dagster as dg  # noqa: PLC0415 - heavy, and needed only where a pipeline is declared

        for owner in self.owners:
            try:
                dg.AssetSpec("check", owners=[owner])
            except dg.DagsterInvalidDefinitionError:
                raise ValueError(f"owners: {owner!r} is neither an e-mail address nor team:NAME") from None
        try:
            dg.AssetSpec("check", tags=self.tags)
        except dg.DagsterInvalidDefinitionError as error:
            raise ValueError(f"tags: {str(error).splitlines()[0]}") from None
        return self

    @property
    def sync_job_name(self) -> str:
        """Name of the job that syncs it."""
        return f"sync_{self.name}"

    def checks_of(self, stream: Stream | None) -> Checks:
        """Return the checks of one stream; of an asset that stands for all of them, for ``None``.

        Strict ones have a window for the newest row if there is a schedule: one and a half times the longest time
        between two of its ticks. Only a stream that is read as a whole has new rows after each.
        """
        checks = stream.checks.over(self.checks) if stream and stream.checks else self.checks
        is_read_whole = stream is not None and stream.sync_mode.startswith("full_refresh")
        if self.schedule is None or not is_read_whole or not checks.is_fresh_by_schedule:
            return checks
        return checks.model_copy(update={"fresh": Fresh(within=self.schedule.longest_gap() * 1.5)})
