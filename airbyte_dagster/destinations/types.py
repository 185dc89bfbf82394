"""Airbyte's types of values, and the column type that local Airbyte gives each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

#: Airbyte's names (``AirbyteType`` of its CDK); ``json`` stands for objects, arrays, unions and what is unknown.
AirbyteType = Literal[
    "string",
    "boolean",
    "integer",
    "number",
    "date",
    "timestamp_with_timezone",
    "timestamp_without_timezone",
    "time_with_timezone",
    "time_without_timezone",
    "json",
]

DUCKDB_TYPES: Mapping[AirbyteType, str] = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "date": "DATE",
    "timestamp_with_timezone": "TIMESTAMP WITH TIME ZONE",
    "timestamp_without_timezone": "TIMESTAMP",
    "time_with_timezone": "TIME WITH TIME ZONE",
    "time_without_timezone": "TIME",
    "json": "JSON",
}

#: As ``format_type`` of PostgreSQL names them.
POSTGRES_TYPES: Mapping[AirbyteType, str] = {
    "string": "character varying",
    "boolean": "boolean",
    "integer": "bigint",
    "number": "double precision",
    "date": "date",
    "timestamp_with_timezone": "timestamp with time zone",
    "timestamp_without_timezone": "timestamp without time zone",
    "time_with_timezone": "time with time zone",
    "time_without_timezone": "time without time zone",
    "json": "jsonb",
}

_SCALARS: Mapping[str, AirbyteType] = {"boolean": "boolean", "integer": "integer", "number": "number"}
#: What every value of a type can become without a loss, besides text and JSON.
_WIDER: Mapping[AirbyteType, tuple[AirbyteType, ...]] = {
    "date": ("timestamp_without_timezone", "timestamp_with_timezone"),
}


def airbyte_type(schema: Any) -> AirbyteType:
    """Return the type of the values that a property's JSON schema describes.

    Args:
        schema: As a catalog has it: ``type`` (``null`` does not count), ``format``, ``airbyte_type``. The default of a
            ``date-time`` and of a ``time`` is the one with a time zone (``AirbyteType.fromJsonSchema``).
    """
    if not isinstance(schema, Mapping):
        return "json"
    for union in ("oneOf", "anyOf"):
        if isinstance(options := schema.get(union), list):
            real = [option for option in options if option != {"type": "null"}]
            return airbyte_type(real[0]) if len(real) == 1 else "json"
    given = schema.get("type")
    types = [name for name in (given if isinstance(given, list) else [given]) if name != "null"]
    if len(types) != 1:
        return "json"
    if types[0] == "string":
        return _string_type(schema)
    if types[0] == "number" and schema.get("airbyte_type") == "integer":
        return "integer"
    return _SCALARS.get(str(types[0]), "json")


def _string_type(schema: Mapping[str, Any]) -> AirbyteType:
    kind, zone = schema.get("format"), str(schema.get("airbyte_type"))
    if kind == "date":
        return "date"
    if kind == "date-time":
        return "timestamp_without_timezone" if zone.endswith("without_timezone") else "timestamp_with_timezone"
    if kind == "time":
        return "time_without_timezone" if zone.endswith("without_timezone") else "time_with_timezone"
    return "string"


def type_of(column_type: str, types: Mapping[AirbyteType, str]) -> AirbyteType | None:
    """Return which of Airbyte's types a column has; ``None`` for a type that none has."""
    return next((name for name in get_args(AirbyteType) if types[name].casefold() == column_type.casefold()), None)


def follows(existing: AirbyteType, wanted: AirbyteType) -> bool:
    """Whether a column can take another type with nothing of what it holds lost, as when a number becomes text."""
    if existing == "json":
        return False
    return wanted in {"string", "json", *_WIDER.get(existing, ())}
