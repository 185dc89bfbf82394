"""Loading a code location, as Dagster does, and finding in it what is to be looked at."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines.assets import sync_op_name
from airbyte_dagster.pipelines.declared import (
    DeclaredPipeline,
    DeclaredWorkspace,
    declared_pipelines,
    declared_workspaces,
)
from airbyte_dagster.resources import AirbyteResource, SecretFieldsResource, WarehouseResource


@dataclass(frozen=True)
class CodeLocation:
    """What a code location has for us, by the resources' keys."""

    airbytes: Mapping[str, AirbyteResource]
    warehouses: Mapping[str, WarehouseResource]
    pipelines: tuple[DeclaredPipeline, ...]
    workspaces: tuple[DeclaredWorkspace, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{kind} {', '.join(names) or 'none'}"
            for kind, names in (
                ("Airbyte:", self.airbytes),
                ("warehouses:", self.warehouses),
                ("pipelines:", [one.pipeline.name for one in self.pipelines]),
            )
        ]
        return "; ".join(parts)


def load_module(name: str) -> CodeLocation:
    """Import a module and look at its definitions.

    Raises:
        ConfigurationError: It can't be imported, or has no definitions, or several.
    """
    with _importing(name, Path.cwd()):
        module = importlib.import_module(name)
        return _location(module, name)


def load_file(path: Path) -> CodeLocation:
    """Run a Python file and look at its definitions.

    Raises:
        ConfigurationError: As `load_module`.
    """
    with _importing(str(path), path.absolute().parent):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"{path} is not a Python file.", guidance="Give the file that has `defs`.")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)
        spec.loader.exec_module(module)
        return _location(module, str(path))


@contextlib.contextmanager
def _importing(what: str, directory: Path) -> Iterator[None]:
    """Let what is imported find its neighbours, keep its prints off the standard output, and word what it raises."""
    sys.path.insert(0, str(directory))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{what} can't be loaded: {type(error).__name__}: {error}",
            guidance="See that `dagster definitions validate` takes it; then come back.",
        ) from error
    finally:
        sys.path.remove(str(directory))


def _location(module: ModuleType, what: str) -> CodeLocation:
    definitions = _definitions(module, what)
    resources = definitions.resources or {}
    ops = {
        asset.node_def.name
        for asset in definitions.assets or ()
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable
    }
    return CodeLocation(
        airbytes={key: item for key, item in resources.items() if isinstance(item, AirbyteResource)},
        warehouses={key: item for key, item in resources.items() if isinstance(item, WarehouseResource)},
        pipelines=tuple(one for one in declared_pipelines() if sync_op_name(one.pipeline) in ops),
        workspaces=tuple(
            one for one in declared_workspaces() if any(one.airbyte is item for item in resources.values())
        ),
    )


def _definitions(module: ModuleType, what: str) -> dg.Definitions:
    named = vars(module).get("defs")
    # Under Dagster's decorator @definitions it is a function.
    candidates = [*vars(module).values()] if named is None else [named() if callable(named) else named]
    found = [item for item in candidates if isinstance(item, dg.Definitions)]
    if len(found) != 1:
        raise ConfigurationError(
            f"{what} has {len(found) or 'no'} Definitions.", guidance="Give a module or a file that has them as `defs`."
        )
    return found[0]


def unset_variables(resource: SecretFieldsResource) -> list[str]:
    """Return the variables that a resource's settings are read from and that are not set, as ``field (VARIABLE)``."""
    return [
        f"{name} ({value.env_var_name})"
        for name, value in _values(resource)
        if isinstance(value, dg.EnvVar) and not value.get_value()
    ]


def settings_read_from_the_environment(resource: SecretFieldsResource) -> list[tuple[str, str]]:
    """Return the variables that a resource's settings are read from, and their values."""
    return [
        (value.env_var_name, value.get_value() or "") for _, value in _values(resource) if isinstance(value, dg.EnvVar)
    ]


def secrets_of_resource(resource: SecretFieldsResource) -> list[str]:
    """Return the values of a resource's secret fields."""
    secrets = []
    for name, value in _values(resource):
        if name.partition(".")[0] in type(resource)._secret_fields:  # noqa: SLF001 - our own class
            plain = value.get_value() if isinstance(value, dg.EnvVar) else value
            secrets += [plain] if isinstance(plain, str) else []
    return secrets


def _values(resource: SecretFieldsResource) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in type(resource).model_fields:
        value = getattr(resource, name)
        found += (
            [(f"{name}.{key}", item) for key, item in value.items()] if isinstance(value, dict) else [(name, value)]
        )
    return found
