"""What can hold a secret, found in the models themselves: a field that is added is among it at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from airbyte_dagster import components as _components  # noqa: F401 - their attributes are declarations, too
from airbyte_dagster import resources
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.resources import SecretFieldsResource
from airbyte_dagster_tests.security.looking import planted

#: Text fields of resources that are no secrets: names and places, which Dagster shows.
SHOWN: Mapping[str, frozenset[str]] = {
    "AirbyteResource": frozenset(
        {"server_url", "client_id", "username", "workspace_id", "workspace_name", "ca_bundle", "on_running"}
    ),
    "MotherDuckResource": frozenset({"database"}),
    "SqlWarehouseResource": frozenset(),
    "PostgresWarehouseResource": frozenset({"host", "database", "username", "ssl_mode"}),
}
#: Values for those of them that have to be given.
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "MotherDuckResource": {"database": "md:shop"},
    "PostgresWarehouseResource": {"host": "127.0.0.1", "database": "shop", "username": "reader"},
}


def resource_classes() -> list[type[SecretFieldsResource]]:
    """Every resource of this package that can be made."""
    found = [item for _, item in inspect.getmembers(resources, inspect.isclass)]
    ours = [item for item in found if issubclass(item, SecretFieldsResource) and item is not SecretFieldsResource]
    return [item for item in ours if not inspect.isabstract(item)]


def holds_text(annotation: Any) -> bool:
    """Whether a value of this type can be a text, or have one in it."""
    if annotation is Any or isinstance(annotation, str):  # the latter is one of a Literal's
        return True
    if parts := get_args(annotation):
        return any(holds_text(part) for part in parts)
    return isinstance(annotation, type) and issubclass(annotation, str | dict)


def text_fields(model: type[BaseModel]) -> Iterator[str]:
    """Names of the fields that can hold a text."""
    return (name for name, field in model.model_fields.items() if holds_text(field.annotation))


def secret_fields(resource: type[SecretFieldsResource]) -> list[str]:
    """Names of the fields that are secrets, by the only thing that a new one has: that nobody said it is shown."""
    return [name for name in text_fields(resource) if name not in SHOWN[resource.__name__]]


def place_of(resource: type[SecretFieldsResource], field: str) -> str:
    """What the secret of a field is planted as."""
    return f"{resource.__name__}-{field}"


def values_of(resource: type[SecretFieldsResource]) -> dict[str, Any]:
    """A secret for each field that may hold one, in the shape of the field; and what has to be given besides."""
    values: dict[str, Any] = dict(NEEDED.get(resource.__name__, {}))
    for name in secret_fields(resource):
        secret = planted(place_of(resource, name))
        annotation = resource.model_fields[name].annotation
        is_mapping = get_origin(annotation) is dict
        values[name] = {"x": secret} if is_mapping else f"postgresql://r:{secret}@h/d" if name == "url" else secret
    return values


def secrets_of(resource: type[SecretFieldsResource]) -> list[str]:
    """All that `values_of` plants."""
    return [planted(place_of(resource, name)) for name in secret_fields(resource)]


def declarations(base: type[Declaration] = Declaration) -> set[type[Declaration]]:
    """Everything that a user declares."""
    return {base}.union(*(declarations(kind) for kind in base.__subclasses__()))
