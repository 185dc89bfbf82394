"""Runs over a workspace that has changed since its definitions were loaded."""

from __future__ import annotations

import dagster as dg
import pytest

from airbyte_dagster import (
    AirbyteStreamProps,
    AirbyteTranslator,
)
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster_tests.dagster_runs import failures_of, log_of
from airbyte_dagster_tests.workspaces.running import ALL, Workspace, materialized, run


def test_deps_within_one_op_are_refused(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """Connections end in any order, which Dagster would not let an op do; with an op for each they are fine."""

    class Chained(AirbyteTranslator):
        def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
            spec = super().get_asset_spec(props)
            is_last = props.connection.name == "tea"
            return spec.replace_attributes(deps=[dg.AssetKey(["books", "users"])]) if is_last else spec

    with pytest.raises(ConfigurationError, match="depend on 'books/users'"):
        workspace.definitions(translator=Chained())
    result = run(workspace.definitions(translator=Chained(), one_op_per_connection=True), instance)

    assert set(materialized(result)) == ALL


def test_streams_that_appear_and_disappear_after_loading(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """New ones are materialized; one that is selected and missing fails the run, and is not materialized."""
    definitions = workspace.definitions()
    streams = [{"name": name, "syncMode": "full_refresh_overwrite"} for name in ("users", "purchases")]
    workspace.api.ok("PATCH", f"/connections/{workspace.ids['tea']}", json={"configurations": {"streams": streams}})

    result = run(definitions, instance)

    assert not result.success
    [failure] = failures_of(result)
    assert "The connection has no such streams any more, so these were not materialized: tea/products." in failure
    assert set(materialized(result)) - {"tea/purchases"} == ALL - {"tea/products"}
    appeared = instance.fetch_materializations(dg.AssetKey(["tea", "purchases"]), limit=1).records
    assert appeared[0].asset_materialization is not None
    assert appeared[0].asset_materialization.metadata["dagster/row_count"].value == 7
    log = log_of(instance, result)
    assert any("New streams of 'tea', materialized without a definition: tea/purchases." in line for line in log)


def test_a_connection_that_was_renamed_keeps_its_assets(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """It is known by its id."""
    definitions = workspace.definitions()
    workspace.api.ok("PATCH", f"/connections/{workspace.ids['tea']}", json={"name": "coffee"})

    result = run(definitions, instance)

    assert set(materialized(result)) == ALL
    assert any("'tea' is called 'coffee' by now" in line for line in log_of(instance, result))


@pytest.mark.parametrize("selected", [(), ("tea/users", "books/users")], ids=["all", "some"])
def test_a_connection_that_was_deleted_is_a_clear_error(
    workspace: Workspace, instance: dg.DagsterInstance, selected: tuple[str, ...]
) -> None:
    """The others sync."""
    definitions = workspace.definitions()
    workspace.api.ok("DELETE", f"/connections/{workspace.ids['tea']}")

    result = run(definitions, instance, *selected)

    assert not result.success
    [failure] = failures_of(result)
    assert "The connection 'tea'" in failure
    assert "airbyte-dagster refresh" in failure
    assert {key.split("/")[0] for key in materialized(result)} == ({"books"} if selected else {"books", "shoes"})


def test_a_connection_that_was_switched_off_says_so(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    """It has no job."""
    definitions = workspace.definitions()
    workspace.api.ok("PATCH", f"/connections/{workspace.ids['tea']}", json={"status": "inactive"})

    result = run(definitions, instance)

    [failure] = failures_of(result)
    assert "is inactive" in failure
    assert workspace.jobs() == {"books": 1, "shoes": 1}
