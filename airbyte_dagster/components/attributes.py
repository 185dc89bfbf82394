"""What the components have in common: made of attributes that this package reads itself, templates and all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel, GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import Self

from airbyte_dagster.components.json_schema import schema_of
from airbyte_dagster.declaration import Declaration

AIRBYTE_KEY = "airbyte"
WAREHOUSE_KEY = "motherduck"
#: What keys of resources may be: Dagster takes identifiers alone.
KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


def own_key(name: str, resource: str) -> str:
    """Return the key of a component's own resource, such as ``shop_warehouse``.

    Args:
        name: The component's.
        resource: ``airbyte`` or ``warehouse``.
    """
    return f"{'_' if name[:1].isdigit() else ''}{name}_{resource}"


class ReadsAttributes(dg.Component, dg.Resolvable):
    """A component whose `model` takes the attributes as they stand in the file.

    A subclass says in ``_attributes`` what they are to become.
    """

    _attributes: ClassVar[type[Declaration]]

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Return what Dagster reads the attributes with."""
        return _written_as(cls._attributes)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of a ``defs.yaml``; without attributes, it says which of them are needed."""
        return super().load(attributes or cls.model().model_validate({}), context)

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Make the component of its attributes.

        Raises:
            SpecError: They are not valid; each problem has its dotted path.
        """
        return cls._of(context, model.model_dump())

    @classmethod
    @abstractmethod
    def _of(cls, context: dg.ResolutionContext, written: Mapping[str, Any]) -> Self:
        """Make the component of its attributes, or say by their paths what is wrong."""


@cache
def _written_as(attributes: type[Declaration]) -> type[RootModel[dict[str, Any]]]:
    """Return a model that takes attributes with their templates, and has the schema of what these are to become."""

    class Written(RootModel[dict[str, Any]]):
        @classmethod
        def __get_pydantic_json_schema__(
            cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
        ) -> JsonSchemaValue:
            return schema_of(attributes)

    return Written
