"""Odd names and values all the way: source → local Airbyte → DuckDB → measured table → check → event in Dagster."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster.destinations import names
from airbyte_dagster.workspaces.definitions import workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster_tests.conftest import client_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import failures_of
from airbyte_dagster_tests.local.processes import real_server

CASES = Path(__file__).parents[1] / "cases"
NAMES: dict[str, Any] = json.loads((CASES / "names.json").read_text(encoding="utf-8"))
VALUES: list[dict[str, Any]] = json.loads((CASES / "values.json").read_text(encoding="utf-8"))
#: Each of them the only one of its normal form.
APART = list({case["becomes"]: case["name"] for case in NAMES["duckdb_and_motherduck"]}.values())
SIMILAR = [name for pair in NAMES["together_in_one_stream"] for name in pair]
CHECKS = {"row_count": True, "unique_key": True, "not_null": {"columns": ["id"]}, "schema": True, "values_kept": True}


def streams() -> list[dict[str, Any]]:
    """A stream of each odd name with columns of all of them, one with all odd values, one in each odd namespace."""
    columns = {name: f"value of {name}" for name in (*APART, *SIMILAR)}
    found: list[dict[str, Any]] = [{"name": name, "rows": [{"id": 1, **columns}]} for name in APART]
    found += [
        {"name": "account", "namespace": namespace, "rows": [{"id": i} for i in range(number + 1)]}
        for number, namespace in enumerate(NAMES["namespaces"])
    ]
    properties = {f"k{i}": case["json_schema"] for i, case in enumerate(VALUES)}
    values = {f"k{i}": case["value"] for i, case in enumerate(VALUES)}
    schema = {"type": "object", "properties": {"id": {"type": "integer"}, **properties}}
    found.append({"name": "values", "json_schema": schema, "rows": [{"id": 1, **values}]})
    return [{**stream, "primary_key": [["id"]]} for stream in found]


@pytest.mark.real
def test_odd_names_and_values_arrive_and_are_verified(real_home: Path, tmp_path: Path) -> None:
    """Each stream's table is found by its checks, which all pass, twice; each row and column is there."""
    file = tmp_path / "streams.json"
    file.write_text(json.dumps(streams()), encoding="utf-8")
    with real_server(real_home) as server, server.api() as api:
        source = api.source("odd", file=str(file))
        selected = [{"name": s["name"], "namespace": s.get("namespace")} for s in streams()]
        api.connection(
            source,
            api.destination(str(server.home.warehouse)),
            [{key: value for key, value in stream.items() if value} for stream in selected],
            name="odd",
            namespaceDefinition="source",
        )
        definitions = workspace_defs(
            take_snapshot(client_of(server), server.workspace_id),
            WorkspaceOptions(
                resource_of(server, workspace_id=server.workspace_id),
                warehouse=warehouse_of(server, lock_timeout=5),
                checks=CHECKS,
            ),
        )
        assets = [asset for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)]
        with dg.DagsterInstance.ephemeral() as instance:
            for _ in range(2):
                result = dg.materialize(
                    assets, instance=instance, resources=definitions.resources, raise_on_error=False
                )
                assert failures_of(result) == []
                evaluations = result.get_asset_check_evaluations()
                failed = {
                    (e.asset_key.to_user_string(), e.check_name): e.description for e in evaluations if not e.passed
                }
                # What fits no column is NULL, which this check is there to say.
                assert "NULLED DESTINATION_TYPECAST_ERROR" in (failed.pop(("odd/values", "values_kept")) or "")
                assert failed == {}
                assert len(evaluations) == len(CHECKS) * len(streams())
                assert len(result.get_asset_materialization_events()) == len(streams())

    with contextlib.closing(duckdb.connect(str(real_home / "lms.duckdb"), read_only=True)) as connection:
        for name in APART:
            (row,) = connection.execute(f'SELECT * FROM "{names.motherduck(name)}"').fetchall()  # noqa: S608
            wanted = {f"value of {column}" for column in (*APART, *SIMILAR)}
            assert wanted <= set(row)
        for number, namespace in enumerate(NAMES["namespaces"]):
            schema = names.local_schema(namespace)
            assert connection.execute(f'SELECT count(*) FROM "{schema}".account').fetchone() == (number + 1,)  # noqa: S608
