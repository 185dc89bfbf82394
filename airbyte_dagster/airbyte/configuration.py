"""Connector configurations: environment references read, models dumped, differences found.

A *configuration* is what a connector is configured with: nested JSON. In a declaration its values may be Dagster
``EnvVar``; `resolve` turns it into plain JSON, at the last moment and for immediate use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from airbyte_dagster.airbyte.records import SECRET_MASK
from airbyte_dagster.errors import ConfigurationError

#: Where a value stands in a configuration: the keys from the top down.
Path = tuple[str, ...]

TYPE_KEYS = ("sourceType", "destinationType")

_LOOKS_LIKE_A_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_COULD_BE_A_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOKS_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


@runtime_checkable
class EnvironmentReference(Protocol):
    """Dagster's ``EnvVar``, seen without importing Dagster."""

    @property
    def env_var_name(self) -> str:
        """Name of the variable."""

    def get_value(self, default: str | None = None) -> str | None:
        """Read the variable."""


@dataclass(frozen=True)
class Difference:
    """How a wanted configuration differs from the one that Airbyte shows.

    Attributes:
        changed: Paths whose values differ or are missing.
        masked: Path → wanted value, where Airbyte shows its mask and so can't be compared.
    """

    changed: tuple[Path, ...]
    masked: Mapping[Path, Any]


def without_none(value: Any) -> Any:
    """Copy nested mappings and lists; a key whose value is ``None`` counts as absent, as it does to Airbyte."""
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_none(item) for item in value]
    return value


def resolve(configuration: Any, secrets: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return plain JSON of a declared configuration, with every environment reference read.

    Args:
        configuration: SDK model or mapping, as declared.
        secrets: Dotted path → value, laid over it.
        where: What the configuration belongs to, for messages: ``"source"``.

    Raises:
        ConfigurationError: An environment variable is not set; the message has its name and the dotted path.
    """
    plain: dict[str, Any] = _plain(configuration, where)
    for path, value in secrets.items():
        set_path(plain, tuple(path.split(".")), _plain(value, f"{where}.{path}"))
    return plain


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, EnvironmentReference):
        found = value.get_value()
        if found is None or found == "":
            raise ConfigurationError(
                f"{path} is read from the environment variable {value.env_var_name}, which is not set.",
                guidance=f"Set {value.env_var_name} where Dagster runs.",
            )
        return found
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}.{index}") for index, item in enumerate(value)]
    return getattr(value, "value", value)


def declared_value(configuration: Any, key: str) -> Any:
    """Return what a declared configuration has at a top-level key, by Airbyte's name of it, or ``None``.

    An environment reference is returned as it is, unread.
    """
    if isinstance(configuration, Mapping):
        return configuration.get(key)
    for name, field in type(configuration).model_fields.items():
        if key in (field.alias, name):
            return getattr(configuration, name)
    return None


def read_reference(value: Any) -> Any:
    """Return a value, or what the environment has for it if it is a reference."""
    return value.get_value() if isinstance(value, EnvironmentReference) else value


def check_environment_references(model: BaseModel) -> None:
    """Refuse an SDK model that was given an ``EnvVar``.

    Pydantic keeps only its text, the variable's *name*, which would be sent to Airbyte as the secret itself.

    Raises:
        ValueError: A field that is named like a secret holds the name of a variable.
    """
    for path, value in leaves(model.model_dump(mode="json", by_alias=True, exclude_none=True)):
        if not isinstance(value, str) or not _COULD_BE_A_VARIABLE.fullmatch(value):
            continue
        if _LOOKS_SECRET.search(path[-1]) and (_LOOKS_LIKE_A_VARIABLE.fullmatch(value) or value in os.environ):
            raise ValueError(
                f"{dotted(path)} holds {value!r}, which looks like an EnvVar: the SDK's models keep only its name. "
                f"Write secrets={{{dotted(path)!r}: EnvVar({value!r})}} beside the configuration instead"
            )


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path and value of everything that is not a mapping; lists are leaves."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    else:
        yield path, value


def difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Difference:
    """Compare a wanted configuration with the one that Airbyte shows; keys that only Airbyte has are left alone.

    So is a secret for which Airbyte's mask is wanted, which means the one that is stored. The type key is not compared:
    a real server leaves it out of what it shows (``SourceReadMapper.kt``).
    """
    changed: list[Path] = []
    masked: dict[Path, Any] = {}
    for path, value in leaves({key: item for key, item in wanted.items() if key not in TYPE_KEYS}):
        shown = get_path(found, path)
        if shown == SECRET_MASK:
            if value != SECRET_MASK:
                masked[path] = value
        elif isinstance(value, list) and isinstance(shown, list) and len(value) == len(shown):
            # A list is replaced as a whole, so one different item, or one masked secret in it, stands for all of it.
            inner = [difference({"item": one}, {"item": other}) for one, other in zip(value, shown, strict=True)]
            if any(item.changed for item in inner):
                changed.append(path)
            elif any(item.masked for item in inner):
                masked[path] = value
        elif shown != value:
            changed.append(path)
    return Difference(tuple(changed), masked)


def has_mask(value: Any) -> bool:
    """Whether Airbyte's mask stands for a secret anywhere in a value."""
    if isinstance(value, Mapping):
        return any(has_mask(item) for item in value.values())
    return any(map(has_mask, value)) if isinstance(value, list) else value == SECRET_MASK


def get_path(configuration: Any, path: Path) -> Any:
    """Return what is at a path, or ``None``."""
    for key in path:
        if not isinstance(configuration, Mapping):
            return None
        configuration = configuration.get(key)
    return configuration


def set_path(configuration: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value at a path, making or replacing what stands in its way."""
    *parents, last = path
    for key in parents:
        inner = configuration.get(key)
        if not isinstance(inner, dict):
            inner = configuration[key] = {}
        configuration = inner
    configuration[last] = value


def only(configuration: Mapping[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """Return the smallest nested mapping that holds the given paths: the body of a PATCH."""
    result: dict[str, Any] = {}
    for path in paths:
        set_path(result, path, get_path(configuration, path))
    return result


def without(configuration: Mapping[str, Any], paths: Collection[Path], _prefix: Path = ()) -> dict[str, Any]:
    """Copy a configuration, leaving out the given paths and the mappings that they empty."""
    kept: dict[str, Any] = {}
    for key, item in configuration.items():
        path = (*_prefix, key)
        if path in paths:
            continue
        inner = without(item, paths, path) if isinstance(item, Mapping) else item
        if inner or not isinstance(item, Mapping) or not item:
            kept[key] = inner
    return kept


def merged(configuration: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return `configuration` with every leaf of `overlay` laid over it."""
    result = without(configuration, ())
    for path, value in leaves(overlay):
        set_path(result, path, value)
    return result


def dotted(path: Path) -> str:
    """Write a path for people."""
    return ".".join(path)
