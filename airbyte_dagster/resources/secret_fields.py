"""Resources some of whose fields are secrets, which Dagster must not store.

Dagster copies what a resource was made with into the default of its config schema, and that into the snapshots of
jobs that it keeps. So a secret stays on the object alone: the schema has the field, without a default, and the value
is put in when a run initialises the resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import dagster as dg
from dagster._config.pythonic_config.conversion_utils import _curry_config_schema
from dagster._config.pythonic_config.resource import PartialResource
from pydantic import ConfigDict

from airbyte_dagster.declaration import did_you_mean
from airbyte_dagster.errors import ConfigurationError

_T = TypeVar("_T")
#: A password in an address, and a token or password among what stands after its question mark.
_SECRET_IN_ADDRESS = re.compile(
    r"//[^/?#\s@]*:[^/?#\s]*@|[?&;][^=&;]*(token|passw|pwd|secret|api_?key)[^=&;]*=[^&;]", re.IGNORECASE
)


class _SecretPartial(PartialResource[Any]):
    """A resource that is completed by run config, its plain secrets held back."""

    def __init__(self, resource_cls: type[SecretFieldsResource], data: dict[str, Any], held: set[str]) -> None:
        super().__init__(resource_cls, data)
        state = self._state__internal__
        self._state__internal__ = state._replace(config_schema=_without_defaults(state.config_schema, held))

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [("resource_cls", self.resource_cls)]


class SecretFieldsResource(dg.ConfigurableResource[Any]):
    """A resource some of whose fields are secrets: plain text or ``EnvVar``; neither value reaches Dagster's storage.

    Raises:
        ConfigurationError: A setting is given that it does not have, or a secret stands where Dagster would store it.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    #: Names of the fields that are secrets; each has ``repr=False``. May be mappings, each of whose values is one.
    _secret_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **data: Any) -> None:
        for name, value in data.items():
            self._check_given(name, value)
        super().__init__(**data)
        held = self._held(data)
        if held:
            state = self._state__internal__
            schema = _without_defaults(state.schema, held)
            shown = {name: value for name, value in state.resolved_config_dict.items() if name not in held}
            self._state__internal__ = state._replace(
                schema=schema, resolved_config_dict=shown, config_schema=_curry_config_schema(schema, shown)
            )

    @classmethod
    def _check_given(cls, name: str, value: Any) -> None:
        if name not in cls.model_fields:
            accepted = list(cls.model_fields)
            near = did_you_mean(name, accepted)
            raise ConfigurationError(
                f"{cls.__name__} has no setting {name!r}.",
                guidance=f"{near[:1].upper()}{near[1:]}Accepted: {', '.join(accepted)}.",
            )
        if name not in cls._secret_fields and isinstance(value, str) and _SECRET_IN_ADDRESS.search(value):
            raise ConfigurationError(
                f"{name} of {cls.__name__} holds a password or a token, which Dagster would store.",
                guidance=f"Leave it out there, and give it in a field that is kept secret: "
                f"{', '.join(cls._secret_fields)}.",
            )

    @classmethod
    def _held(cls, data: Mapping[str, Any]) -> set[str]:
        """Return the secret fields whose values Dagster is not to see; it does not read the `EnvVar` of others."""
        return {name for name in cls._secret_fields if _has_plain(data.get(name))}

    @classmethod
    def configure_at_launch(cls, **kwargs: Any) -> PartialResource[Any]:
        """Return the resource with some fields left to the run config.

        Raises:
            ConfigurationError: As of the class.
        """
        for name, value in kwargs.items():
            cls._check_given(name, value)
        return _SecretPartial(cls, kwargs, cls._held(kwargs))

    def _with_updated_values(self, values: Mapping[str, Any] | None) -> Any:
        # A mapping that has a plain part is held back as a whole, so Dagster doesn't read the EnvVar in it.
        own = {name: _read(getattr(self, name)) for name in self._held(self.__dict__)}
        return super()._with_updated_values({**own, **(values or {})})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Any:  # noqa: ARG002
        """Return a copy with some fields changed."""
        # pydantic's own copies what Dagster has derived from the fields, which then contradicts `update`.
        return type(self)(**{**self._get_non_default_public_field_values(), **(update or {})})


def given(value: _T) -> _T:
    """Return the value of a field that is about to be used.

    Raises:
        ConfigurationError: It is an ``EnvVar`` that is not set, as Dagster refuses it in a run.
    """
    if isinstance(value, dg.EnvVar) and value.get_value() is None:
        raise ConfigurationError(
            f"The environment variable {value.env_var_name} is not set.", guidance="Set it, or leave its field out."
        )
    return plain(value)


def plain(value: _T) -> _T:
    """Return the value of a field, whether Dagster has read its ``EnvVar`` already or not.

    ``None`` if the variable is not set: definitions are loaded without variables, too.
    """
    return value.get_value() if isinstance(value, dg.EnvVar) else value  # type: ignore[return-value]


def _has_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_plain(item) for item in value.values())
    return bool(value) and not isinstance(value, dg.EnvVar)


def _read(value: Any) -> Any:
    return {key: plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _without_defaults(schema: Any, names: set[str]) -> dg.Field:
    fields = {
        name: dg.Field(field.config_type, is_required=False, description=field.description) if name in names else field
        for name, field in schema.config_type.fields.items()
    }
    return dg.Field(dg.Shape(fields), description=schema.description)  # type: ignore[no-untyped-call]
