"""Load the definitions of a module or a file, as Dagster does."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import dagster as dg
from dagster._core.workspace.autodiscovery import (
    loadable_targets_from_python_file,
    loadable_targets_from_python_module,
)
from dagster.components.definitions import LazyDefinitions

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError


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
        raise ConfigurationError(
            f"{file or module} can't be loaded: {type(error).__name__}: {error}",
            guidance="Correct it until `dagster definitions validate` accepts it.",
        ) from error
    if not isinstance(definitions, dg.Definitions):
        raise ConfigurationError(
            f"{file or module} has no Definitions.", guidance="Give a module or a file that has them as `defs`."
        )
    return definitions
