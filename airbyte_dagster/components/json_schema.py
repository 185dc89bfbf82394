"""The JSON schema of what stands in a ``defs.yaml``, made from the models that it is turned into.

``dg check yaml`` and editors know nothing else of them. Pydantic writes a choice as ``anyOf``, of which an error says
no more than that nothing fits, at the line where the choice begins. Here a choice is one schema of several types, so
that each error is reported at its own line; and each value may be a template in place of what it has to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from airbyte_dagster.checks import specs
from airbyte_dagster.pipelines import spec

JsonSchema = dict[str, Any]

_TEMPLATE: JsonSchema = {"type": "string", "pattern": r"\{[{%]"}
_CRON = r"^\s*@\w+\s*$|^\s*\S+(\s+\S+){4}\s*$"
_ASSERTIONS_OF_TEXT = ("pattern", "minLength", "enum")
_NO_ASSERTIONS = ("type", "title", "description", "default", "format")
_QUARTZ = r"^manual$|^\s*\S+(\s+\S+){5,6}\s*(UTC)?\s*$"


def schema_of(model: type[BaseModel]) -> JsonSchema:
    """Return the schema of a model, with nothing to be looked up elsewhere in it.

    Each value may be a template, except for mappings that have to be there, with keys that have to be in them.
    """
    whole = model.model_json_schema()
    definitions = whole.pop("$defs", {})
    rules = [rule for kind in model.__mro__ for rule in _RULES.get(kind.__name__, [])]
    return _one({**whole, "rules": rules}, definitions)


def _one(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> JsonSchema:
    """Return one schema without choices and references, which takes templates, too."""
    options = list(_options(schema, definitions))
    result = _described(schema, options)
    if any("type" not in option for option in options):
        # Something that only Python has: an object which a template yields.
        return {**result, **_TEMPLATE, "type": ["string", "null"]}
    asserted: JsonSchema = {}
    rules: list[JsonSchema] = []
    for option in options:
        for key in [key for key in option if key not in _NO_ASSERTIONS]:
            if key == "rules":
                rules += option[key]
            elif key == "properties":
                result[key] = {name: _one(inner, definitions) for name, inner in option[key].items()}
            elif key in ("additionalProperties", "items"):
                result[key] = _one(option[key], definitions) if isinstance(option[key], Mapping) else option[key]
            else:
                asserted[key] = option[key]
    if "enum" in asserted:
        # Editors complete what is an example, and find no values behind a condition.
        result["examples"] = asserted["enum"]
        if any(option["type"] == "null" for option in options):
            asserted["enum"] = [*asserted["enum"], None]
    if rules:
        result["allOf"] = rules
    types = [option["type"] for option in options]
    kind = {"type": types if len(types) > 1 else types[0]}
    if types == ["object"] and "required" in asserted:
        return {**result, **kind, **asserted}
    if "string" not in types:
        return {**result, **unless_template({**kind, **asserted})}
    of_text = {key: asserted.pop(key) for key in _ASSERTIONS_OF_TEXT if key in asserted}
    return {**result, **kind, **asserted, **(unless_template(of_text) if of_text else {})}


def _described(schema: Mapping[str, Any], options: Sequence[Mapping[str, Any]]) -> JsonSchema:
    """Return what a schema tells people: its own description before that of what it can be, in its first paragraph."""
    result: JsonSchema = {}
    for text in (one["description"] for one in (*reversed(options), schema) if "description" in one):
        result["description"] = text.partition("\n\n")[0]
    if isinstance(schema.get("default"), str | int | float):
        result["default"] = schema["default"]
    return result


def _options(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "anyOf" in schema:
        for option in schema["anyOf"]:
            yield from _options(option, definitions)
    elif "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield {**definitions[name], "rules": _RULES.get(name, [])}
    else:
        yield schema


def unless_template(schema: JsonSchema) -> JsonSchema:
    """Return a schema that takes templates, too."""
    return {"if": _TEMPLATE, "else": schema}


def when(condition: JsonSchema, then: JsonSchema) -> JsonSchema:
    """Return a rule between the keys of a mapping."""
    return {"if": condition, "then": then}


def is_given(key: str, schema: JsonSchema) -> JsonSchema:
    """Return the condition that a key is there, with such a value."""
    return {"required": [key], "properties": {key: schema}}


def _has_a_type(key: str, examples: Sequence[str]) -> JsonSchema:
    described = {"type": "string", "description": "Airbyte's name of the connector.", "examples": list(examples)}
    return {
        "properties": {"configuration": {"properties": {key: described}}},
        **when({"not": {"required": ["definition_id"]}}, {"properties": {"configuration": {"required": [key]}}}),
    }


_BUILT_IN_CHECKS = [field.alias or name for name, field in specs.Checks.model_fields.items() if name != "sql"]

#: What the validators of the models hold to and pydantic's own schema does not say, by the name of the model.
#: Rules that JSON schema has no words for, such as "a key among the selected fields", are left to the models.
_RULES: dict[str, list[JsonSchema]] = {
    **{
        kind.__name__: [
            when(
                is_given("severity", {"const": "warn"}),
                {"properties": {"blocking": unless_template({"enum": [False]})}},
            )
        ]
        for kind in specs.Check.__subclasses__()
    },
    "Source": [_has_a_type("sourceType", ["faker", "file", "postgres"])],
    "Destination": [_has_a_type("destinationType", ["duckdb", "postgres"])],
    "Connection": [
        {"properties": {"streams": {"minItems": 1, "uniqueItems": True}}},
        {"properties": {"schedule": unless_template({"pattern": _QUARTZ})}},
        when(is_given("namespace_definition", {"const": "custom_format"}), {"required": ["namespace_format"]}),
        when(
            is_given("namespace_format", {"type": "string"}),
            is_given("namespace_definition", unless_template({"const": "custom_format"})),
        ),
    ],
    "Schedule": [{"properties": {"cron": unless_template({"pattern": _CRON})}}],
    "Checks": [
        {
            "properties": {
                # They must be told more than that they are wanted.
                **dict.fromkeys(("fresh", "expected_range"), when({"const": True}, {"type": "object"})),
                "sql": {"propertyNames": {"pattern": r"^[A-Za-z0-9_]+$", "not": {"enum": _BUILT_IN_CHECKS}}},
            }
        }
    ],
}
_RULES["WarehouseSettings"] = [when({"not": {"required": ["postgres"]}}, {"required": ["database"]})]
_RULES["ExpectedRange"] = [*_RULES["ExpectedRange"], when({"not": {"required": ["max"]}}, {"required": ["min"]})]
_RULES[spec.AirbytePipeline.__name__] = [{"properties": {"schedule": unless_template({"pattern": _CRON})}}]
