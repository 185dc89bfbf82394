"""Keep plain secrets of a resource out of Dagster's database.

Dagster stores the values that a resource was made with as defaults in the snapshot of every job that uses it: plain
secrets would be readable in its database and UI. An ``EnvVar`` is stored as its name. So a secret that is given as
plain text is put into this process's environment, and its field holds an ``EnvVar`` instead.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, TypeVar

import dagster as dg

from airbyte_dagster.declaration import did_you_mean
from airbyte_dagster.errors import ConfigurationError

_T = TypeVar("_T")

_variables: dict[str, str] = {}


class SecretFieldsResource(dg.ConfigurableResource[Any]):
    """A resource some of whose fields are secrets."""

    _secret_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **data: Any) -> None:
        for name in data:
            if name not in type(self).model_fields:
                accepted = list(type(self).model_fields)
                near = did_you_mean(name, accepted)
                raise ConfigurationError(
                    f"{type(self).__name__} has no setting {name!r}.",
                    guidance=f"{near[:1].upper()}{near[1:]}Accepted: {', '.join(accepted)}.",
                )
        secrets = {name: _referenced(data[name]) for name in self._secret_fields if data.get(name)}
        super().__init__(**{**data, **secrets})


def plain(value: _T) -> _T:
    """Return the value of a field, whether Dagster has read its ``EnvVar`` already or not."""
    return value.get_value() if isinstance(value, dg.EnvVar) else value  # type: ignore[return-value]


def _referenced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _referenced(item) for key, item in value.items()}
    if isinstance(value, dg.EnvVar) or not isinstance(value, str):
        return value
    # Numbered, so that names say nothing about values and are the same in each process that loads the same code.
    name = _variables.setdefault(value, f"AIRBYTE_DAGSTER_SECRET_{len(_variables) + 1}")
    os.environ[name] = value
    return dg.EnvVar(name)
