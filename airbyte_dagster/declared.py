"""The pipelines whose definitions this process has built, for commands that look at a code location from outside."""

from __future__ import annotations

from dataclasses import dataclass

from airbyte_dagster import spec


@dataclass(frozen=True)
class DeclaredPipeline:
    """A pipeline, and the keys of the resources that its definitions use."""

    pipeline: spec.AirbytePipeline
    airbyte_key: str
    warehouse_key: str


_declared: dict[str, DeclaredPipeline] = {}


def declare(pipeline: spec.AirbytePipeline, *, airbyte_key: str, warehouse_key: str) -> None:
    """Remember a pipeline; one of the same name is replaced, as a code location can't have two."""
    _declared[pipeline.name] = DeclaredPipeline(pipeline, airbyte_key, warehouse_key)


def declared_pipelines() -> tuple[DeclaredPipeline, ...]:
    """Return the pipelines, in the order of their declaration."""
    return tuple(_declared.values())
