"""The component of ``dg`` that declares a pipeline in a ``defs.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import dagster as dg
from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import Self

from airbyte_dagster.components.attributes import AIRBYTE_KEY, KEY_PATTERN, WAREHOUSE_KEY, ReadsAttributes, own_key
from airbyte_dagster.components.resources import (
    AirbyteSettings,
    WarehouseSettings,
    airbyte_of,
    as_airbyte,
    as_warehouse,
    shared,
    warehouse_behind,
)
from airbyte_dagster.components.scaffold import PipelineScaffolder
from airbyte_dagster.components.templates import rendered
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.errors import SpecError
from airbyte_dagster.pipelines.definitions import build_pipeline_defs
from airbyte_dagster.pipelines.spec import AirbytePipeline
from airbyte_dagster.resources import AirbyteResource, WarehouseResource
from airbyte_dagster.runs.sync_op import OpSettings


class PipelineAttributes(AirbytePipeline):
    """An Airbyte pipeline, where it runs, and where what it brings is checked."""

    model_config = ConfigDict(title="AirbytePipelineComponent")

    airbyte: Annotated[
        AirbyteResource | str | None, BeforeValidator(as_airbyte, json_schema_input_type=AirbyteSettings | str | None)
    ] = Field(
        default=None,
        description="Which Airbyte runs it. What is left out is taken from AIRBYTE_SERVER_URL, AIRBYTE_CLIENT_ID, "
        "AIRBYTE_CLIENT_SECRET and AIRBYTE_WORKSPACE_ID; or the key of a resource that the project has.",
    )
    warehouse: Annotated[
        WarehouseResource | str | None,
        BeforeValidator(as_warehouse, json_schema_input_type=WarehouseSettings | str | None),
    ] = Field(
        default=None,
        description="Which database the checks count in. Left out: the one that the destination writes to; null: "
        "none, nothing is checked; or the key of a resource that the project has.",
    )
    airbyte_key: str | None = Field(
        default=None,
        pattern=KEY_PATTERN,
        description="Key of the resource: airbyte by default, or NAME_airbyte where airbyte is given.",
    )
    warehouse_key: str | None = Field(
        default=None,
        pattern=KEY_PATTERN,
        description="Key of the resource: NAME_warehouse by default.",
    )
    op: OpSettings = Field(default_factory=OpSettings, description="Description, tags and pool of the op.")


@dg.scaffold_with(PipelineScaffolder)
@dataclass
class AirbytePipelineComponent(ReadsAttributes):
    """An Airbyte pipeline: a source, a destination and a connection, as assets that are synced and checked.

    In a ``defs.yaml`` it takes all that an `AirbytePipeline` does, and ``airbyte`` and ``warehouse`` for where it runs.
    What names the environment in the configuration of a source or destination, or in the settings of these two, is
    read when it is needed: the secret is in no definition.

    A subclass may do something around the sync in `execute`.

    Args:
        pipeline: What to run.
        airbyte: Where to run it, or the key of a resource that the project has.
        warehouse: Where its destination writes, or the key of a resource that the project has; ``None``: nothing is
            checked.
        airbyte_key: Key of the resource.
        warehouse_key: Key of the resource.
        op: Description, tags and pool of the op.
    """

    pipeline: AirbytePipeline
    airbyte: AirbyteResource | str = AIRBYTE_KEY
    warehouse: WarehouseResource | str | None = WAREHOUSE_KEY
    airbyte_key: str = AIRBYTE_KEY
    warehouse_key: str = WAREHOUSE_KEY
    op: OpSettings = field(default_factory=OpSettings)

    _attributes: ClassVar[type[Declaration]] = PipelineAttributes

    @classmethod
    def _of(cls, context: dg.ResolutionContext, written: Mapping[str, Any]) -> Self:
        attributes = PipelineAttributes(**_rendered(context, written))
        given = attributes.model_fields_set
        pipeline = AirbytePipeline(
            **{name: getattr(attributes, name) for name in AirbytePipeline.model_fields if name in given}
        )
        own_airbyte = own_key(pipeline.name, "airbyte") if attributes.airbyte else AIRBYTE_KEY
        warehouse = attributes.warehouse if "warehouse" in given else _warehouse_behind(pipeline)
        return cls(
            pipeline=pipeline,
            airbyte=attributes.airbyte or airbyte_of({}),
            warehouse=warehouse,
            airbyte_key=attributes.airbyte_key or own_airbyte,
            warehouse_key=attributes.warehouse_key or own_key(pipeline.name, "warehouse"),
            op=attributes.op,
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """Build all that `build_pipeline_defs` does."""
        return build_pipeline_defs(
            self.pipeline,
            airbyte=shared(self.airbyte),
            warehouse=shared(self.warehouse),
            airbyte_key=self.airbyte_key,
            warehouse_key=self.warehouse_key,
            execute=self.execute,
            op=self.op,
        )

    def execute(self, context: dg.AssetExecutionContext, results: Iterator[Any]) -> Iterator[Any]:  # noqa: ARG002 - for subclasses
        """Yield the results of the syncs and checks as they come; a subclass may do something around it."""
        yield from results


def _rendered(context: dg.ResolutionContext, written: Mapping[str, Any]) -> dict[str, Any]:
    """Render the templates; late in the settings of resources, and where a source or destination may have secrets."""
    result = {}
    for name, value in written.items():
        at = context.at_path(name)
        if name in ("source", "destination") and isinstance(value, Mapping):
            result[name] = {
                key: rendered(at.at_path(key), item, late=key in ("configuration", "secrets"))
                for key, item in value.items()
            }
        else:
            result[name] = rendered(at, value, late=name in ("airbyte", "warehouse"))
    return result


def _warehouse_behind(pipeline: AirbytePipeline) -> WarehouseResource:
    kind = pipeline.destination.type or "custom"
    try:
        found = warehouse_behind(pipeline.destination)
    except SpecError as error:
        problems = tuple(f"destination: the warehouse can't be told from it: {problem}" for problem in error.problems)
        raise SpecError("The warehouse is not known.", problems=problems) from None
    if found is None:
        problem = (
            f"destination: where it writes ({kind}) can't be told from it, so warehouse is required; "
            "its settings, the key of a resource of the project, or null to check nothing"
        )
        raise SpecError("The warehouse is not known.", problems=(problem,))
    return found
