"""What a user declares: a source, a destination, and the connection between them.

Everything here is checked when it is written, with no call to anything: unknown keys, wrong types and unknown sync
modes raise `SpecError` with the dotted path, the accepted values and the nearest match.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from airbyte_dagster.configuration import check_environment_references, declared_value, without_none
from airbyte_dagster.errors import SpecError

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


_QUARTZ_FIELDS = (6, 7)


class _Declaration(BaseModel):
    """Base of everything declared: immutable, unknown keys refused, errors as `SpecError`."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            problems = tuple(_problems(type(self), error))
            raise SpecError(f"This {type(self).__name__} is not valid:", problems=problems) from None


def _as_path(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_key(value: Any) -> Any:
    """Take ``"id"`` and ``["id", "region"]`` for keys of top-level fields, as people write them."""
    parts = _as_path(value)
    return [_as_path(part) for part in parts] if isinstance(parts, Sequence) else parts


class Stream(_Declaration):
    """A stream to sync.

    Args:
        name: As the source names it.
        namespace: Needed only where a source has the same name in two namespaces.
        sync_mode: One of Airbyte's names; ``full_refresh_overwrite`` by default, as in Airbyte.
        cursor_field: A field name, or the path to a nested one. For incremental modes, unless the source defines it.
        primary_key: A field name, a list of them, or a list of paths. For deduped modes, unless the source defines it.
        selected_fields: Names of top-level fields; all if left out.
    """

    name: str = Field(min_length=1)
    namespace: str | None = None
    sync_mode: SyncMode = "full_refresh_overwrite"
    cursor_field: Annotated[tuple[str, ...], BeforeValidator(_as_path)] = ()
    primary_key: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_as_key)] = ()
    selected_fields: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str | None, str]:
        """Namespace and name: what a stream is known by within its connection."""
        return (self.namespace, self.name)

    @model_validator(mode="after")
    def _key_and_cursor_are_selected(self) -> Stream:
        if self.selected_fields:
            needed = {path[0] for path in (self.cursor_field, *self.primary_key) if path}
            missing = sorted(needed - set(self.selected_fields))
            if missing:
                raise ValueError(f"selected_fields leaves out {', '.join(missing)}, which the key or cursor needs")
        return self


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


class _Actor(_Declaration):
    name: str = Field(min_length=1)
    configuration: Annotated[Any, BeforeValidator(_as_configuration)] = Field(repr=False)
    secrets: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    definition_id: str | None = None

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
        name: Unique among the workspace's sources.
        configuration: An SDK model (``SourceFaker(count=35)``) or a mapping with ``sourceType``. Values in a mapping,
            at any depth, may be Dagster ``EnvVar``; they are read when the source is applied.
        secrets: Dotted path → value or ``EnvVar``, laid over `configuration`. For SDK models, which turn an
            ``EnvVar`` into plain text.
        definition_id: Connector definition, for connectors that have no type name.
    """

    _type_key = "sourceType"


class Destination(_Actor):
    """A destination, in the shape of `Source` (``destinationType`` in place of ``sourceType``)."""

    _type_key = "destinationType"


class Connection(_Declaration):
    """How the source's streams reach the destination.

    Args:
        name: Unique among the workspace's connections.
        streams: Names or `Stream` objects. Left out: every stream that the source offers when the connection is made.
        namespace_definition: ``destination`` (default), ``source`` or ``custom_format``.
        namespace_format: For ``custom_format``, such as ``"raw_${SOURCE_NAMESPACE}"``.
        prefix: Put before each table's name.
        schedule: Airbyte's own: ``manual`` (default) or a Quartz cron expression in UTC, such as ``"0 0 6 * * ?"``.
    """

    name: str = Field(min_length=1)
    streams: tuple[Annotated[Stream, BeforeValidator(_as_stream)], ...] | None = None
    namespace_definition: Literal["destination", "source", "custom_format"] = "destination"
    namespace_format: str | None = None
    prefix: str = ""
    schedule: str = "manual"

    @model_validator(mode="after")
    def _consistent(self) -> Connection:
        if (self.namespace_definition == "custom_format") != (self.namespace_format is not None):
            raise ValueError("namespace_definition 'custom_format' and namespace_format go together")
        if self.schedule != "manual" and len(self.schedule.removesuffix("UTC").split()) not in _QUARTZ_FIELDS:
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


class AirbytePipeline(_Declaration):
    """A source, a destination and the connection between them, as one thing that Dagster can run.

    Args:
        name: Letters, digits and underscores; prefix of the assets' keys and of the jobs' names.
        source: See `Source`.
        destination: See `Destination`.
        connection: See `Connection`.
        description: Shown in Dagster.
        group_name: Dagster asset group; the pipeline's name by default.
        owners: Dagster owners: e-mail addresses or ``team:NAME``.
        tags: Dagster asset tags.

    Raises:
        SpecError: Something in it is wrong; every problem is listed with its dotted path.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    source: Source
    destination: Destination
    connection: Connection
    description: str | None = None
    group_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+$")
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = Field(default_factory=dict)


def _problems(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        nested = item.get("ctx", {}).get("error")
        if isinstance(nested, SpecError):
            yield from (f"{path}.{problem}" if path else problem for problem in nested.problems)
        elif item["type"] == "extra_forbidden":
            yield f"{path}: unknown key; {_accepted(str(item['loc'][-1]), list(model.model_fields))}"
        elif item["type"] == "literal_error":
            accepted = re.findall(r"'([^']*)'", item["ctx"]["expected"])
            yield f"{path}: {item['input']!r} is not known; {_accepted(str(item['input']), accepted)}"
        elif item["type"] == "missing":
            yield f"{path}: required, but missing"
        else:
            text = item["msg"].removeprefix("Value error, ")
            yield f"{path}: {text}" if path else text


def _accepted(given: str, accepted: Sequence[str]) -> str:
    return f"{did_you_mean(given, accepted)}accepted: {', '.join(accepted)}"


def did_you_mean(given: str, accepted: Sequence[str]) -> str:
    """Return ``"did you mean 'x'? "`` for the nearest of `accepted`, or nothing if none is near."""
    near = difflib.get_close_matches(given, accepted, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""
