"""What every sensor is declared with: its name, what it runs, how often it is evaluated."""

from __future__ import annotations

import re
from typing import Any, Protocol, TypeAlias, runtime_checkable

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from airbyte_dagster.errors import ConfigurationError


@runtime_checkable
class HasSyncJob(Protocol):
    """An `AirbytePipeline`, or whatever else has a job that syncs it."""

    @property
    def sync_job_name(self) -> str:
        """Name of the job."""


#: A pipeline, for its ``sync_NAME``; a job; the name of a job of the same code location; or a selection of assets.
SensorTarget: TypeAlias = HasSyncJob | str | dg.JobDefinition | UnresolvedAssetJobDefinition | dg.AssetSelection

_NAME = re.compile(r"[A-Za-z0-9_]+")


def check_declaration(name: str, minimum_interval_seconds: int) -> None:
    """Refuse what Dagster would refuse later, or not at all.

    Raises:
        ConfigurationError: The name or the interval is not valid.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name of a sensor.", guidance="Use letters, digits and underscores.")
    if minimum_interval_seconds < 1:
        raise ConfigurationError(
            f"minimum_interval_seconds of the sensor {name!r} is {minimum_interval_seconds}.",
            guidance="Give at least 1; Dagster evaluates sensors about every 5 seconds.",
        )


def target_arguments(name: str, target: SensorTarget) -> dict[str, Any]:
    """Return the argument of ``dg.sensor`` that says what a sensor runs.

    Args:
        name: The sensor, for messages.

    Raises:
        ConfigurationError: It is nothing that can be run.
    """
    if isinstance(target, HasSyncJob | str) and target:
        return {"job_name": target_name(target)}
    if isinstance(target, dg.JobDefinition | UnresolvedAssetJobDefinition | dg.AssetSelection):
        return {"target": target}
    raise ConfigurationError(
        f"The sensor {name!r} can't run a {type(target).__name__}.",
        guidance="Give target an AirbytePipeline, a job, the name of a job, or an AssetSelection.",
    )


def target_name(target: SensorTarget) -> str:
    """Return what a target is called, for descriptions."""
    if isinstance(target, HasSyncJob):
        return target.sync_job_name
    return str(target) if isinstance(target, str | dg.AssetSelection) else target.name
