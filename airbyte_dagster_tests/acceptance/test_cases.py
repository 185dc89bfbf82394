"""Odd names and values all the way: source → local Airbyte → warehouse → measured table → check → event in Dagster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg
import pytest
from psycopg.rows import dict_row

from airbyte_dagster import MotherDuckResource, PostgresWarehouseResource
from airbyte_dagster.destinations import names
from airbyte_dagster.workspaces.definitions import workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import take_snapshot
from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.dagster_runs import failures_of
from airbyte_dagster_tests.local.postgresql import PASSWORD, running_postgres
from airbyte_dagster_tests.local.processes import real_server

CASES = Path(__file__).parents[1] / "cases"
NAMES: dict[str, Any] = json.loads((CASES / "names.json").read_text(encoding="utf-8"))
VALUES: list[dict[str, Any]] = json.loads((CASES / "values.json").read_text(encoding="utf-8"))
#: Each of them the only one of its normal form, in DuckDB and in PostgreSQL.
APART = list({names.postgres(case["name"]).lower(): case["name"] for case in NAMES["duckdb_and_motherduck"]}.values())
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


@dataclass
class Place:
    """Where a destination writes.

    Attributes:
        configuration: The destination's.
        warehouse: Reads it.
        rows: Returns the rows of a table in a schema of the database, by column.
        table: Returns the name of a stream's table.
        schema: Of streams without a namespace.
    """

    configuration: Any
    warehouse: dg.ConfigurableResource[Any]
    rows: Callable[[str, str], list[dict[str, Any]]]
    table: Callable[[str], str]
    schema: str


@contextlib.contextmanager
def duckdb_file(home: Path) -> Iterator[Place]:
    file = str(home / "lms.duckdb")

    def rows(schema: str, table: str) -> list[dict[str, Any]]:
        with contextlib.closing(duckdb.connect(file, read_only=True)) as connection:
            found = connection.execute(f'SELECT * FROM "{schema}"."{table}"')  # noqa: S608
            columns = [column[0] for column in found.description]
            return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    configuration = {"destinationType": "duckdb", "destination_path": file}
    yield Place(configuration, MotherDuckResource(database=file, lock_timeout=5), rows, names.motherduck, "main")


@contextlib.contextmanager
def postgres_database(_: Path) -> Iterator[Place]:
    with running_postgres() as server:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "database": "postgres"}

        def rows(schema: str, table: str) -> list[dict[str, Any]]:
            query = f'SELECT * FROM "{schema}"."{table}"'  # noqa: S608
            with psycopg.connect(
                host="127.0.0.1",
                port=server.port,
                dbname="postgres",
                user="airbyte",
                password=PASSWORD,
                row_factory=dict_row,
            ) as connection:
                return connection.execute(query.encode()).fetchall()

        reader = PostgresWarehouseResource(**where, username="airbyte", password=PASSWORD)
        yield Place(server.configuration, reader, rows, names.postgres, "raw")


@pytest.mark.real
@pytest.mark.parametrize("place", [duckdb_file, postgres_database])
def test_odd_names_and_values_arrive_and_are_verified(
    place: Callable[[Path], AbstractContextManager[Place]], real_home: Path, tmp_path: Path
) -> None:
    """Each stream's table is found by its checks, which all pass, twice; each row and column is there."""
    with place(real_home) as where:
        _arrive_and_are_verified(where, real_home, tmp_path)


def _arrive_and_are_verified(where: Place, real_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    file.write_text(json.dumps(streams()), encoding="utf-8")
    with real_server(real_home) as server, server.api() as api:
        source = api.source("odd", file=str(file))
        selected = [{"name": s["name"], "namespace": s.get("namespace")} for s in streams()]
        api.connection(
            source,
            api.ok(
                "POST",
                "/destinations",
                json={"name": "odd", "workspaceId": api.workspace_id, "configuration": where.configuration},
            )["destinationId"],
            [{key: value for key, value in stream.items() if value} for stream in selected],
            name="odd",
            namespaceDefinition="source",
        )
        definitions = workspace_defs(
            take_snapshot(client_of(server), server.workspace_id),
            WorkspaceOptions(
                resource_of(server, workspace_id=server.workspace_id),
                warehouse=where.warehouse,
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

    for name in APART:
        (row,) = where.rows(where.schema, where.table(name))
        wanted = {f"value of {column}" for column in (*APART, *SIMILAR)}
        assert wanted <= {value for value in row.values() if isinstance(value, str)}
    for number, namespace in enumerate(NAMES["namespaces"]):
        assert len(where.rows(names.local_schema(namespace), "account")) == number + 1
