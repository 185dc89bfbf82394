"""Dagster's storage in PostgreSQL: what a move from SQLite costs, and the queries of Grafana's dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from airbyte_dagster import AirbytePipeline
from airbyte_dagster_tests.conftest import pipeline_of
from airbyte_dagster_tests.dagster_runs import LosingEngine, definitions_of, run_sync
from airbyte_dagster_tests.local.fakes import RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres

DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana" / "dashboard.json"


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def in_postgres(postgres: Postgres, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose storage is in PostgreSQL."""
    login = {"username": "airbyte", "password": PASSWORD, "hostname": "127.0.0.1", "port": postgres.port}
    database = {**login, "db_name": "postgres", "scheme": "postgresql+psycopg2"}
    home = tmp_path / "in_postgres"
    home.mkdir()
    settings = {"storage": {"postgres": {"postgres_db": database}}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_move_from_sqlite(airbyte: RunningAirbyte, in_postgres: dg.DagsterInstance, tmp_path: Path) -> None:
    """The new instance begins empty: nothing is created twice, and the checks are green again."""
    pipeline = pipeline_of(airbyte)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as in_sqlite:
        assert run_sync(definitions_of(airbyte, pipeline), in_sqlite).success

    result = run_sync(definitions_of(airbyte, pipeline), in_postgres)

    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    with airbyte.api() as api:
        kinds = ("sources", "destinations", "connections")
        assert [len(api.ok("GET", f"/{kind}")["data"]) for kind in kinds] == [1, 1, 1]


def query(postgres: Postgres, title: str) -> list[list[str]]:
    """Run the query of a panel, with Grafana's macros as Grafana expands them."""
    [panel] = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["title"] == title]
    sql = panel["targets"][0]["rawSql"]
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '7 days' AND now() + interval '1 day'", sql)
    sql = re.sub(r"\$__timeGroup\((\w+), '1h'\)", r"floor(extract(epoch from \1) / 3600) * 3600", sql)
    assert "$__" not in sql
    return postgres.query(sql)


def test_dashboard(postgres: Postgres, in_postgres: dg.DagsterInstance, tmp_path: Path) -> None:
    """Each panel, with syncs that succeeded, failed, and lost a row."""
    with running_local_airbyte(tmp_path / "home", LosingEngine()) as server:
        pipeline = AirbytePipeline(**{**dict(pipeline_of(server)), "checks": {"row_count": True}})
        run_sync(definitions_of(server, pipeline), in_postgres)
    with running_local_airbyte(tmp_path / "home") as server:
        server.engine.fail_next("No such host")
        run_sync(definitions_of(server, pipeline_of(server)), in_postgres)

    assert {(row[1], row[2]) for row in query(postgres, "Syncs by how they ended")} == {
        ("failed", "1"),
        ("succeeded", "1"),
    }
    rows = query(postgres, "Rows that Airbyte reports")
    assert {row[1] for row in rows} == {'["example", "users"]', '["example", "products"]'}
    assert all(float(row[2]) > 0 for row in rows)
    assert len(query(postgres, "Seconds of the longest sync")) == 1
    assert query(postgres, "Runs by how they ended")
    lost = query(postgres, "Checks that are not green")
    assert lost[0][1] == "row_count"
    assert "1 missing" in lost[0][3]
    assert len(query(postgres, "Assets by their last materialization")) == 2


def test_every_panel_is_tested() -> None:
    """By its title, in the test above."""
    source = Path(__file__).read_text()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        assert f'query(postgres, "{panel["title"]}")' in source
