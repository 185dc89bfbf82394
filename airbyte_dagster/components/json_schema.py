"""The JSON schema of what may be in a ``defs.yaml``: pydantic's of our declarations, with templates for values.

``dg check yaml`` and editors read it. Rules between keys are left to the declarations, which ``dg check defs`` loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_TEMPLATE = {"type": "string", "pattern": r"\{[{%]"}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a model, without references, in which each value may be a template instead."""
    whole = model.model_json_schema()
    schema: dict[str, Any] = _inlined(whole, whole.pop("$defs", {}))
    return schema


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = {**definitions[name], **{key: value for key, value in schema.items() if key != "$ref"}}
    found = {key: _inlined(value, definitions) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        found["properties"] = {name: _value(inner, definitions) for name, inner in schema["properties"].items()}
    return found


def _value(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    inner = _inlined(dict(schema), definitions)
    described = {key: inner.pop(key) for key in ("description", "default", "title") if key in inner}
    # Not anyOf: its errors name the whole value, those of else the key in it that is wrong.
    return {**described, "if": _TEMPLATE, "then": True, "else": inner}
