"""Configurations of sources and destinations: validated against a spec, merged, and masked. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airbyte_dagster.local import problems
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.redaction import MASK

Paths = list[list[str]]

_NAMES = {
    bool: "boolean",
    str: "string",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


def validate(configuration: Mapping[str, Any], spec: Json) -> None:
    """Refuse a configuration that does not fit the spec.

    Raises:
        ApiError: 422 with ``data.message`` in the words of Airbyte's schema validator, such as
            ``$.count: string found, integer expected``.
    """
    import jsonschema  # noqa: PLC0415 - costs more than the rest of the start

    validator = jsonschema.validators.validator_for(spec, default=jsonschema.Draft7Validator)(spec)
    try:
        errors = sorted(validator.iter_errors(configuration), key=lambda error: error.json_path)
    except Exception:  # noqa: BLE001 - a spec may have anything in it; these errors quote values, which may be secret
        return  # such as a pattern of another language or a dangling reference; the connector itself will judge
    if errors:
        found = ", ".join(_words(error) for error in errors)
        raise problems.unprocessable(
            f"json schema validation failed when comparing the data to the json schema. \nErrors: {found}"
        )


def _words(error: Any) -> str:  # noqa: PLR0911 - one answer per kind of error
    path, value = error.json_path, error.instance
    if error.validator == "type":
        expected = error.validator_value
        wanted = expected if isinstance(expected, str) else "[" + ", ".join(expected) + "]"
        return f"{path}: {_NAMES.get(type(value), 'object')} found, {wanted} expected"
    if error.validator == "required":
        missing = next((name for name in error.validator_value if name not in value), "a property")
        return f"{path}: required property '{missing}' not found"
    if error.validator == "enum":
        return f"{path}: does not have a value in the enumeration {error.validator_value}"
    if error.validator in {"minimum", "exclusiveMinimum"}:
        return f"{path}: must have a minimum value of {error.validator_value}"
    if error.validator in {"maximum", "exclusiveMaximum"}:
        return f"{path}: must have a maximum value of {error.validator_value}"
    if error.validator in {"oneOf", "anyOf"}:
        return f"{path}: must be valid to {'one and only one' if error.validator == 'oneOf' else 'any'} of the schemas"
    if error.validator == "const":
        return f"{path}: must be the constant value '{error.validator_value}'"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties") or {}
        name = next((name for name in value if name not in known), "a property")
        return f"{path}.{name}: is not defined in the schema and the schema does not allow additional properties"
    # The other validators' own messages quote the value, which may be a secret.
    return f"{path}: does not satisfy {error.validator} {error.validator_value}"


def secret_paths(spec: Json) -> Paths:
    """The paths of the fields that a spec marks with ``airbyte_secret``, through ``oneOf`` and into arrays (``*``)."""
    return [list(path) for path in sorted({tuple(path) for path in _secret_paths(spec, [], spec, frozenset())})]


def _secret_paths(schema: Any, path: list[str], spec: Json, within: frozenset[str]) -> Iterator[list[str]]:
    """The paths below one schema of a spec; ``within`` are the references that led there, which may lead in circles."""
    if not isinstance(schema, dict):
        return
    if schema.get("airbyte_secret") is True:
        yield path
        return
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in within:
        yield from _secret_paths(_referred(spec, reference), path, spec, within | {reference})
    properties = schema.get("properties")
    for name, child in properties.items() if isinstance(properties, dict) else ():
        yield from _secret_paths(child, [*path, name], spec, within)
    for key in ("oneOf", "anyOf", "allOf"):
        for child in schema.get(key) or []:
            yield from _secret_paths(child, path, spec, within)
    yield from _secret_paths(schema.get("items"), [*path, "*"], spec, within)


def _referred(spec: Json, reference: str) -> Any:
    """What a reference within a spec, such as ``#/definitions/login``, means; None if that isn't there."""
    found: Any = spec
    for name in reference.removeprefix("#/").split("/"):
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def secrets_in(configuration: Any, paths: Iterable[Iterable[str]]) -> Iterator[Any]:
    """The values at these paths, and every string below them."""
    for path in paths:
        for value in _at(configuration, list(path)):
            yield from _leaves(value)


def secret_values(configuration: Any, paths: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The same as texts, numbers too; what has to be hidden wherever the configuration is used."""
    found = secrets_in(configuration, paths)
    return tuple(str(value) for value in found if value is not None and not isinstance(value, bool))


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list) else []:
            yield from _at(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child)
    else:
        yield value


def masked(configuration: Json, paths: Iterable[Iterable[str]]) -> Json:
    """A copy with the mask in place of every secret that is set."""
    copied = copy.deepcopy(configuration)
    for path in paths:
        copied = _replace(copied, list(path), lambda value: MASK if value not in (None, "") else value)
    return copied


def _replace(value: Any, path: list[str], new: Any) -> Any:
    if not path:
        return new(value)
    if path[0] == "*" and isinstance(value, list):
        return [_replace(item, path[1:], new) for item in value]
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: _replace(value[path[0]], path[1:], new)}
    return value


def keep_secrets(new: Any, stored: Any) -> Any:
    """A copy of ``new`` where each mask is replaced by what is stored in its place (PUT's rule)."""
    if new == MASK and stored is not None:
        return stored
    if isinstance(new, dict):
        old = stored if isinstance(stored, dict) else {}
        return {key: keep_secrets(value, old.get(key)) for key, value in new.items()}
    if isinstance(new, list):
        old_items = stored if isinstance(stored, list) else []
        return [keep_secrets(item, old_items[i] if i < len(old_items) else None) for i, item in enumerate(new)]
    return copy.deepcopy(new)


def merge(stored: Any, patch: Any) -> Any:
    """``stored`` with ``patch`` merged in deeply, masks keeping what is stored (PATCH's rule)."""
    if isinstance(stored, dict) and isinstance(patch, dict):
        merged = {key: merge(stored.get(key), value) for key, value in patch.items()}
        return {**copy.deepcopy(stored), **merged}
    return keep_secrets(patch, stored)
