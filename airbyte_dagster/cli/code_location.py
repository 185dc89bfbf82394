"""Load the definitions of a module or a file, as Dagster does."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import dagster as dg
from dagster._core.workspace.autodiscovery import (
    loadable_targets_from_python_file,
    loadable_targets_from_python_module,
)
from dagster.components.definitions import LazyDefinitions

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError

_LONGEST = 500


def load_definitions(module: str | None, file: Path | None) -> dg.Definitions:
    """Return the definitions of a module, or of a Python file. What loading them prints goes to the standard error.

    Raises:
        ConfigurationError: They can't be loaded, or there are none.
        AirbyteDagsterError: What building them raised.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            if file:
                targets = loadable_targets_from_python_file(str(file), str(file.absolute().parent))
            else:
                targets = loadable_targets_from_python_module(str(module), str(Path.cwd()))
            found = targets[0].target_definition
            definitions = found() if isinstance(found, LazyDefinitions) else found
    except AirbyteDagsterError:
        raise
    except Exception as error:
        raise _not_loaded(f"{file or module} can't be loaded", error) from error
    if not isinstance(definitions, dg.Definitions):
        raise ConfigurationError(
            f"{file or module} has no Definitions.", guidance="Give a module or a file that has them as `defs`."
        )
    return definitions


def load_valid_definitions(module: str | None, file: Path | None) -> dg.Definitions:
    """Return the definitions of a module, or of a Python file, if Dagster accepts them as a whole.

    Raises:
        ConfigurationError: They can't be loaded, there are none, or they do not fit together, such as a schedule of a
            job that there is not.
        AirbyteDagsterError: What building them raised.
    """
    definitions = load_definitions(module, file)
    try:
        definitions.get_repository_def()
    except Exception as error:
        raise _not_loaded(f"Dagster does not accept {file or module}", error) from error
    return definitions


def _not_loaded(what: str, error: Exception) -> ConfigurationError:
    """Return what to do: about Dagster's storage, if that is what can't be used, or else about the code."""
    instance_error = _instance_error()
    if instance_error is None:
        return ConfigurationError(
            f"{what}: {_said(error)}", guidance="Correct it until `dagster definitions validate` accepts it."
        )
    return ConfigurationError(
        f"Dagster's instance of {os.environ['DAGSTER_HOME']} can't be used: {_said(instance_error)}",
        guidance="Look at the database that dagster.yaml names, at the variables that it reads, and at who may write "
        "into DAGSTER_HOME.",
    )


def _instance_error() -> Exception | None:
    if not os.environ.get("DAGSTER_HOME"):
        return None
    try:
        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
    except Exception as error:  # noqa: BLE001 - whatever a storage raises
        return error
    return None


def _said(error: Exception) -> str:
    """Return an error on one line: some of Dagster's have stack traces in their messages."""
    text = " ".join(str(error).split("Stack Trace:")[0].split())
    return f"{type(error).__name__}: {text[:_LONGEST]}{'…' if len(text) > _LONGEST else ''}"
