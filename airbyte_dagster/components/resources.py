"""Which Airbyte and which warehouse a ``defs.yaml`` names: their settings, and the resources made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import dagster as dg
from pydantic import Field, create_model

from airbyte_dagster.airbyte.configuration import declared_value
from airbyte_dagster.components.templates import LateTemplate
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.destinations.kinds import engine_of
from airbyte_dagster.errors import SpecError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.resources import (
    AirbyteResource,
    MotherDuckResource,
    PostgresWarehouseResource,
    SecretFieldsResource,
    SqlWarehouseResource,
    WarehouseResource,
)

_Given = TypeVar("_Given", bound=SecretFieldsResource | str | None)

_CREDENTIALS = frozenset({"client_id", "client_secret", "bearer_token", "username", "password"})
_FROM_POSTGRES = ("host", "port", "database", "username", "password")

_made: dict[tuple[Any, ...], SecretFieldsResource] = {}


def _fields_of(resource: type[SecretFieldsResource]) -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in resource.model_fields.items()}


if TYPE_CHECKING:
    AirbyteSettings = PostgresSettings = SqlSettings = WarehouseSettings = Declaration
else:
    # The models say what is wrong, and where, and what there is; the resources are made of what was given.
    AirbyteSettings = create_model("AirbyteSettings", __base__=Declaration, **_fields_of(AirbyteResource))
    PostgresSettings = create_model("PostgresSettings", __base__=Declaration, **_fields_of(PostgresWarehouseResource))
    SqlSettings = create_model("SqlSettings", __base__=Declaration, **_fields_of(SqlWarehouseResource))
    WarehouseSettings = create_model(
        "WarehouseSettings",
        __base__=Declaration,
        **{
            **_fields_of(MotherDuckResource),
            "database": (
                str | None,
                Field(default=None, description=MotherDuckResource.model_fields["database"].description),
            ),
            "postgres": (
                PostgresSettings | None,
                Field(default=None, description="A PostgreSQL database, in place of all other settings."),
            ),
            "sql": (
                SqlSettings | None,
                Field(default=None, description="Any database that SQLAlchemy knows, in place of all other settings."),
            ),
        },
    )


_KINDS: tuple[tuple[str, type[Declaration], type[WarehouseResource]], ...] = (
    ("postgres", PostgresSettings, PostgresWarehouseResource),
    ("sql", SqlSettings, SqlWarehouseResource),
)


def airbyte_of(values: Mapping[str, Any]) -> AirbyteResource:
    """Return the Airbyte of some settings; what they leave out is taken from the environment.

    Its client id and secret are not, where the settings sign in by themselves.

    Raises:
        SpecError: The settings are not valid.
    """
    given = _valid(AirbyteSettings, values)
    instead = dict.fromkeys(("client_id", "client_secret")) if _CREDENTIALS & given.keys() else {}
    return AirbyteResource.from_env(**{**instead, **given})


def warehouse_of(values: Mapping[str, Any]) -> WarehouseResource:
    """Return the warehouse of some settings.

    Raises:
        SpecError: The settings are not valid.
    """
    for key, settings, resource in _KINDS:
        kind = values.get(key)
        if isinstance(kind, Mapping) and len(values) == 1:
            return resource(**_valid(settings, kind, at=f"{key}."))
    given = _valid(WarehouseSettings, values)
    for key, _, _ in _KINDS:
        if key in given:
            other = ", ".join(sorted(given.keys() - {key}))
            raise SpecError("Two warehouses are given.", problems=(f"{other} has no place beside {key}",))
    if "database" not in given:
        problem = "database: required, but missing; or give postgres or sql"
        raise SpecError("No warehouse is given.", problems=(problem,))
    return MotherDuckResource(**given)


def as_airbyte(value: Any) -> Any:
    """Return the Airbyte of settings that stand in a file; anything else as it is."""
    return airbyte_of(value) if isinstance(value, Mapping) else value


def as_warehouse(value: Any) -> Any:
    """Return the warehouse of settings that stand in a file; anything else as it is."""
    return warehouse_of(value) if isinstance(value, Mapping) else value


def warehouse_behind(destination: spec.Destination) -> WarehouseResource | None:
    """Return the warehouse that a destination writes to, as far as its configuration tells; else None.

    Raises:
        SpecError: Its configuration is not valid for that.
    """

    def value(key: str) -> Any:
        return destination.secrets.get(key, declared_value(destination.configuration, key))

    if engine_of(destination.type) == "duckdb" and value("destination_path"):
        path = value("destination_path")
        # A token may stand in an address after the question mark; an EnvVar is text, too, and has none.
        database = path.partition("?")[0] if type(path) is str else path
        settings = {"database": database, "motherduck_token": value("motherduck_api_key")}
        return MotherDuckResource(**_valid(WarehouseSettings, settings))
    if engine_of(destination.type) == "postgres" and all(value(key) for key in ("host", "database", "username")):
        settings = {key: value(key) for key in _FROM_POSTGRES}
        ssl_mode = value("ssl_mode")
        settings["ssl_mode"] = ssl_mode.get("mode") if isinstance(ssl_mode, Mapping) else None
        return PostgresWarehouseResource(**_valid(PostgresSettings, settings))
    return None


def shared(resource: _Given) -> _Given:
    """Return one and the same resource for the same settings: Dagster merges no two that are only equal.

    A key, and ``None``, are returned as they are.
    """
    if not isinstance(resource, SecretFieldsResource):
        return resource
    key = (type(resource), *((name, _comparable(getattr(resource, name))) for name in type(resource).model_fields))
    return _made.setdefault(key, resource)  # type: ignore[return-value]


def _comparable(value: Any) -> Any:
    if isinstance(value, dg.EnvVar):  # to Python it equals the text that is its name
        return ("environment", value.env_var_name)
    return (
        tuple(sorted((name, _comparable(item)) for name, item in value.items())) if isinstance(value, dict) else value
    )


def _valid(settings: type[Declaration], values: Mapping[str, Any], *, at: str = "") -> dict[str, Any]:
    """Return the settings that are given, checked; what they are is left as it is.

    Args:
        at: Put before the paths of problems.
    """
    given = {name: _read(settings, name, value, at) for name, value in values.items() if value is not None}
    try:
        settings(**given)
    except SpecError as error:
        raise SpecError(error.message, problems=tuple(f"{at}{problem}" for problem in error.problems)) from None
    return given


def _read(settings: type[Declaration], name: str, value: Any, at: str) -> Any:
    """Read a reference to the environment where a resource can't hold it."""
    if isinstance(value, Mapping):
        return {key: _read(settings, name, item, at) for key, item in value.items()}
    field = settings.model_fields.get(name)
    keeps = isinstance(value, dg.EnvVar) and field is not None and _takes_text(field.annotation)
    if keeps or not isinstance(value, dg.EnvVar | LateTemplate):
        return value
    found = value.get_value()
    if found is None:
        raise SpecError(
            "A variable is not set.", problems=(f"{at}{name}: {value.env_var_name} is not set in the environment",)
        )
    return found


def _takes_text(annotation: Any) -> bool:
    return annotation is str or str in get_args(annotation)
