"""The workspaces and pipelines that the tests run: one for each scenario, with a DuckDB file of its own.

All that these tests call of the package is here, and in the code server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from airbyte_dagster import (
    AirbytePipeline,
    AirbyteResource,
    Checks,
    Connection,
    ConnectionSelector,
    Destination,
    MotherDuckResource,
    Source,
    Stream,
    build_pipeline_defs,
    build_workspace_defs,
)

POOL = "airbyte"
#: Processes as steps; forked from one that has loaded the code already, as a second for each is too much for tests.
_MULTIPROCESS = dg.multiprocess_executor.configured(
    {
        "max_concurrent": 4,
        "start_method": {"forkserver": {"preload_modules": ["airbyte_dagster_tests.acceptance.code_location"]}},
    }
)


@dataclass(frozen=True)
class WorkspaceScenario:
    """Connections ``NAME_0``, ``NAME_1``, … that ``sync_NAME`` syncs.

    Attributes:
        streams: In the words of Airbyte's API.
        is_patient: Whether runs wait for jobs of others.
        settings: Of `build_workspace_defs`.
    """

    connections: int = 1
    source: str = "shop"
    streams: Sequence[Mapping[str, Any]] = ({"name": "users"},)
    namespace_definition: str = "destination"
    is_patient: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def names(self, name: str) -> list[str]:
        """The names of its connections."""
        return [f"{name}_{number}" for number in range(self.connections)]


@dataclass(frozen=True)
class PipelineScenario:
    """A pipeline whose connection has its name, synced by ``sync_NAME``; attributes as above."""

    source: str = "shop"
    streams: Sequence[Stream | str] = ("users",)
    namespace_definition: Any = "destination"
    is_patient: bool = False
    checks: Checks = field(default_factory=Checks)


_BOTH = ({"name": "users"}, {"name": "products"})
_APPENDED = "full_refresh_append"
_ONE_OP_EACH: Mapping[str, Any] = {"one_op_per_connection": True, "executor": _MULTIPROCESS}
_NEW_ENOUGH = Checks.model_validate({"fresh": {"within": "1d", "column": "seen", "blocking": True}})
_KEYS = Checks(unique_key=True)
_TWINS = WorkspaceScenario(
    source="twins",
    streams=[{"name": "account", "namespace": namespace} for namespace in ("north", "south")],
    namespace_definition="source",
    settings={"checks": _KEYS},
)

WORKSPACES: Mapping[str, WorkspaceScenario] = {
    "again": WorkspaceScenario(2),
    "blocked": WorkspaceScenario(),
    "overtaken": WorkspaceScenario(streams=[{"name": "users", "syncMode": _APPENDED}]),
    "crashed": WorkspaceScenario(3, settings=_ONE_OP_EACH),
    "queued": WorkspaceScenario(streams=[{"name": "users", "syncMode": _APPENDED}], is_patient=True),
    "partial": WorkspaceScenario(streams=_BOTH),
    "seen": WorkspaceScenario(2),
    "twins": _TWINS,
    "unreported": _TWINS,
    "odd": WorkspaceScenario(3, settings={"checks": _NEW_ENOUGH}),
    "joined": WorkspaceScenario(2),
    "flaky": WorkspaceScenario(),
    "many": WorkspaceScenario(60),
    "pooled_single": WorkspaceScenario(4, settings={"pool": POOL}),
    "pooled_each": WorkspaceScenario(4, settings={"pool": POOL, **_ONE_OP_EACH}),
    "retried": WorkspaceScenario(),
    "vanished": WorkspaceScenario(streams=_BOTH),
    "deferred": WorkspaceScenario(12, is_patient=True, settings={"wait": "deferred", "max_concurrent_syncs": 2}),
}
PIPELINES: Mapping[str, PipelineScenario] = {
    "p_again": PipelineScenario(),
    "p_blocked": PipelineScenario(),
    "p_queued": PipelineScenario(streams=[Stream(name="users", sync_mode="full_refresh_append")], is_patient=True),
    "p_partial": PipelineScenario(streams=["users", "products"]),
    "p_twins": PipelineScenario(
        source="twins",
        streams=[Stream(name="account", namespace=namespace) for namespace in ("north", "south")],
        namespace_definition="source",
        checks=_KEYS,
    ),
    "p_joined": PipelineScenario(),
    "p_flaky": PipelineScenario(),
    "p_retried": PipelineScenario(),
}


def connections_of(name: str) -> list[str]:
    """The names of a scenario's connections."""
    return WORKSPACES[name].names(name) if name in WORKSPACES else [name]


def warehouse_of(name: str, home: Path) -> Path:
    """The DuckDB file of a scenario, which may be the only one that is written to meanwhile."""
    return home / f"{name}.duckdb"


def pipeline_of(name: str, home: Path) -> AirbytePipeline:
    """The pipeline of a scenario."""
    scenario = PIPELINES[name]
    destination = {"destinationType": "duckdb", "destination_path": str(warehouse_of(name, home))}
    return AirbytePipeline(
        name=name,
        source=Source(name=name, configuration={"sourceType": scenario.source}),
        destination=Destination(name=name, configuration=destination),
        connection=Connection(
            name=name, streams=tuple(scenario.streams), namespace_definition=scenario.namespace_definition
        ),
        checks=scenario.checks,
    )


def definitions_of_pipeline(name: str, home: Path, airbyte: AirbyteResource) -> dg.Definitions:
    """All there is of a pipeline."""
    return build_pipeline_defs(
        pipeline_of(name, home), airbyte=airbyte, **_places(name, home, is_patient=PIPELINES[name].is_patient)
    )


def definitions_at_airbyte() -> dg.Definitions:
    """All there is in the code location; the environment says where Airbyte is."""
    home = Path(os.environ["AIRBYTE_DAGSTER_HOME"])
    airbyte = {
        is_patient: AirbyteResource.from_env(poll_ceiling=0.5, on_running="wait" if is_patient else "attach")
        for is_patient in (True, False)
    }
    workspaces = {
        name: build_workspace_defs(
            airbyte[scenario.is_patient],
            connection_selector=ConnectionSelector(name=scenario.names(name)),
            name=name,
            **_places(name, home, is_patient=scenario.is_patient),
            **scenario.settings,
        )
        for name, scenario in WORKSPACES.items()
    }
    pipelines = {
        name: definitions_of_pipeline(name, home, airbyte[scenario.is_patient]) for name, scenario in PIPELINES.items()
    }
    return dg.Definitions.merge(
        *workspaces.values(),
        *pipelines.values(),
        *(_with_report(name) for name in ("blocked", "p_blocked")),
        *(_with_retries(name) for name in ("retried", "p_retried")),
        dg.Definitions(executor=dg.in_process_executor),
    )


def _places(name: str, home: Path, *, is_patient: bool) -> dict[str, Any]:
    return {
        "warehouse": MotherDuckResource(database=str(warehouse_of(name, home))),
        "warehouse_key": f"{name}_warehouse",
        "airbyte_key": "patient_airbyte" if is_patient else "airbyte",
    }


def _users_of(name: str) -> dg.AssetKey:
    return dg.AssetKey([connections_of(name)[0], "users"])


def _with_report(name: str) -> dg.Definitions:
    """An asset built on the stream ``users``, and the job ``report_NAME`` of both."""

    @dg.asset(name=f"{name}_report", deps=[_users_of(name)])
    def report() -> None: ...

    selection = dg.AssetSelection.assets(_users_of(name), report.key)
    job = dg.define_asset_job(f"report_{name}", selection, executor_def=dg.in_process_executor)
    return dg.Definitions(assets=[report], jobs=[job])


def _with_retries(name: str) -> dg.Definitions:
    """The job ``retry_NAME``, which repeats an op that fails."""
    job = dg.define_asset_job(
        f"retry_{name}",
        dg.AssetSelection.assets(_users_of(name)),
        executor_def=dg.in_process_executor,
        op_retry_policy=dg.RetryPolicy(max_retries=2),
    )
    return dg.Definitions(jobs=[job])
