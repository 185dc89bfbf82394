"""What `build_workspace_defs` makes of a workspace, and how it goes together with a project's own definitions."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from airbyte_dagster import (
    AirbyteResource,
    AirbyteStreamProps,
    AirbyteTranslator,
    ConnectionSelector,
    MotherDuckResource,
    load_airbyte_asset_specs,
)
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.errors import SpecError
from airbyte_dagster.workspaces.definitions import workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster_tests.workspaces.records import connection, snapshot, stream

DOWN = AirbyteResource(server_url="http://127.0.0.1:1")
WAREHOUSE = MotherDuckResource(database="lake.duckdb")
SHOP = snapshot(connection("shop", [stream("users", primary_key=(("id",),)), "orders"]))


def test_where_tables_are_is_not_found_at_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Definitions load without the tables of their checks, which a large workspace has thousands of."""
    monkeypatch.setattr(TablePlaces, "_candidates", lambda *_args: pytest.fail("the places of a table were found"))

    ours = workspace_defs(SHOP, WorkspaceOptions(DOWN, warehouse=WAREHOUSE, checks="strict"))

    assert len(list(ours.resolve_asset_graph().asset_check_keys)) > 1


# The executor


@dg.op
def own_op() -> None:
    """An op of the project."""


@dg.job
def own_job() -> None:
    own_op()


def test_the_executor_is_on_our_jobs_alone() -> None:
    """A project's executor, and the jobs that have it, stay as they are: the definitions merge."""
    project = dg.Definitions(jobs=[own_job], executor=dg.multiprocess_executor)
    ours = workspace_defs(SHOP, WorkspaceOptions(DOWN, wait="deferred"))

    merged = dg.Definitions.merge(project, ours)

    assert ours.executor is None
    repository = merged.get_repository_def()
    executors = {job.name: job.executor_def.name for job in repository.get_all_jobs()}
    assert executors["own_job"] == "multiprocess"
    assert executors["sync_workspace"] == "in_process"
    assert {executor for name, executor in executors.items() if name.startswith("workspace_")} <= {"in_process"}


def test_another_executor_of_our_jobs() -> None:
    ours = workspace_defs(SHOP, WorkspaceOptions(DOWN, executor=dg.multiprocess_executor))

    assert ours.resolve_job_def("sync_workspace").executor_def.name == "multiprocess"


# Checks


def names_of_checks(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().asset_check_keys}


def test_checks_may_be_a_mapping() -> None:
    """As in a pipeline: the same as `Checks`, with the same words about what is wrong in it."""
    mapped, declared = (
        workspace_defs(SHOP, WorkspaceOptions(DOWN, warehouse=WAREHOUSE, checks=checks))
        for checks in ({"unique_key": True, "schema": True}, Checks(unique_key=True, schema=True))
    )

    assert names_of_checks(mapped) == names_of_checks(declared)
    assert {name.rpartition(":")[2] for name in names_of_checks(mapped)} == {
        "row_count",
        "unique_key",
        "schema",
        "values_kept",
    }
    with pytest.raises(SpecError, match=r"uniq: unknown key; did you mean 'unique_key'"):
        workspace_defs(SHOP, WorkspaceOptions(DOWN, warehouse=WAREHOUSE, checks={"uniq": True}))


class OwnPolicy(AirbyteTranslator):
    """Gives one stream a policy of its own."""

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        spec = super().get_asset_spec(props)
        if props.stream.name != "users":
            return spec
        return spec.replace_attributes(freshness_policy=dg.FreshnessPolicy.time_window(dt.timedelta(hours=1)))


def test_fresh_is_the_freshness_policy() -> None:
    """Of each asset, as in a pipeline, unless the translator gives it another; without `fresh` there is none."""
    fresh = workspace_defs(
        SHOP, WorkspaceOptions(DOWN, warehouse=WAREHOUSE, checks={"fresh": {"within": "36h"}}, translator=OwnPolicy())
    )
    other = workspace_defs(SHOP, WorkspaceOptions(DOWN, warehouse=WAREHOUSE))

    policies = {spec.key.path[-1]: spec.freshness_policy for spec in fresh.resolve_all_asset_specs()}
    assert policies == {
        "orders": dg.FreshnessPolicy.time_window(dt.timedelta(hours=36)),
        "users": dg.FreshnessPolicy.time_window(dt.timedelta(hours=1)),
    }
    assert {spec.freshness_policy for spec in other.resolve_all_asset_specs()} == {None}


# Specs alone


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    server = "http://127.0.0.1:1/api/public/v1"
    path.write_text(snapshot(connection("shop"), connection("crm", ["people"]), server_url=server).to_json())
    return path


def test_specs_to_build_on(stored: Path) -> None:
    """From what is stored, without Airbyte; with a selector, a translator, and nothing that syncs them."""

    class Prefixed(AirbyteTranslator):
        def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
            return super().get_asset_spec(props).replace_attributes(owners=["team:crm"])

    specs = load_airbyte_asset_specs(
        DOWN,
        connection_selector=ConnectionSelector(name="crm"),
        translator=Prefixed(),
        state_path=stored,
    )

    assert [(spec.key.to_user_string(), list(spec.owners)) for spec in specs] == [("crm/people", ["team:crm"])]
    dg.Definitions.validate_loadable(dg.Definitions(assets=specs))
