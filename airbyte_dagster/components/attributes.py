"""What the components have in common: made of attributes that this package reads itself, templates and all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel
from typing_extensions import Self

AIRBYTE_KEY = "airbyte"
WAREHOUSE_KEY = "motherduck"
#: What keys and names may be.
KEY_PATTERN = r"^[A-Za-z0-9_]+$"


class ReadsAttributes(dg.Component, dg.Resolvable):
    """A component whose `model` takes the attributes as they stand in the file."""

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of a ``defs.yaml``; without attributes, it says which of them are needed."""
        return super().load(attributes or cls._written({}), context)

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Make the component of its attributes.

        Raises:
            SpecError: They are not valid; each problem has its dotted path.
        """
        return cls._of(context, model.model_dump())

    @classmethod
    @abstractmethod
    def _written(cls, attributes: Mapping[str, Any]) -> BaseModel:
        """Return what `resolve_from_model` takes."""

    @classmethod
    @abstractmethod
    def _of(cls, context: dg.ResolutionContext, written: Mapping[str, Any]) -> Self:
        """Make the component of its attributes, or say by their paths what is wrong."""
