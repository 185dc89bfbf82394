"""Bring a pipeline's connection about at the start of a run, as far as the pipeline allows it."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster.airbyte.records import Workspace
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.apply import Reconciled, Reconciler
from airbyte_dagster.pipelines.last_applied import InstanceAppliedStore
from airbyte_dagster.resources import AirbyteResource


def reconcile_pipeline(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, pipeline: spec.AirbytePipeline, airbyte: AirbyteResource
) -> Reconciled:
    """Make Airbyte have a pipeline as its ``reconcile`` says, with a line in the run's log for each step.

    Raises:
        ConfigurationError: The pipeline only finds its connection, and there is none; or as `Reconciler.plan`.
        AirbyteError: Airbyte refused something.
    """
    workspace = airbyte.find_workspace()
    context.log.info(f"Workspace {workspace.name!r} ({workspace.id})")
    make = reconciler(context, airbyte)
    if pipeline.reconcile == "always":
        return make.reconcile(pipeline, workspace)
    if pipeline.reconcile == "if_missing":
        return make.find_or_create(pipeline, workspace)
    return make.find(pipeline, workspace) or _missing(pipeline, workspace)


def reconciler(context: dg.AssetExecutionContext | dg.OpExecutionContext, airbyte: AirbyteResource) -> Reconciler:
    """Return a reconciler that keeps its records in the instance and logs to the run."""
    return Reconciler(
        airbyte.client(),
        InstanceAppliedStore(context.instance),
        key=airbyte.fingerprint_key(),
        log=context.log.info,
    )


def _missing(pipeline: spec.AirbytePipeline, workspace: Workspace) -> Reconciled:
    raise ConfigurationError(
        f"The workspace {workspace.name!r} ({workspace.id}) has no connection {pipeline.connection.name!r}, and the "
        f"pipeline {pipeline.name!r} is declared with reconcile='never'.",
        guidance=f"Run the job provision_{pipeline.name} once, or declare reconcile='if_missing'.",
    )
