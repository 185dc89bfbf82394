"""A pipeline in a ``defs.yaml``: what it declares; scaffolded, run, and seen by ``dg``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from dagster_shared.yaml_utils import safe_load_yaml

from airbyte_dagster import (
    AirbytePipeline,
    AirbytePipelineComponent,
    AirbyteResource,
    Connection,
    Destination,
    MotherDuckResource,
    Schedule,
    Source,
    Stream,
)
from airbyte_dagster.components.scaffold import ScaffoldParams
from airbyte_dagster.declaration import Declaration
from airbyte_dagster_tests.components.pipelines import GOOD, SECRETS, component_of
from airbyte_dagster_tests.dg_project import TYPE, Project
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.test_secrets import PLANTED

EVERYTHING = """\
type: TYPE
attributes:
  name: shop
  description: All of it.
  group_name: sales
  owners: ["team:data", "me@example.com"]
  tags: {tier: gold}
  deps: [raw/orders]
  automation_condition: "{{ dg.AutomationCondition.eager() }}"
  source:
    name: s
    configuration: {sourceType: postgres, host: db, port: 5432, tunnel_method: {tunnel_method: NO_TUNNEL}}
    secrets: {password: "{{ env.ORDERS_PASSWORD }}"}
    definition_id: 00000000-0000-0000-0000-000000000001
  destination:
    name: d
    configuration: {destinationType: duckdb, destination_path: /tmp/x.duckdb, schema: raw}
    secrets: {motherduck_api_key: "{{ env('TOKEN') }}"}
    definition_id: 00000000-0000-0000-0000-000000000002
  connection:
    name: c
    namespace_definition: custom_format
    namespace_format: raw_${SOURCE_NAMESPACE}
    prefix: p_
    schedule: 0 0 6 * * ?
    status: inactive
    streams:
      - users
      - name: orders
        namespace: public
        sync_mode: incremental_deduped_history
        cursor_field: updated_at
        primary_key: [id, [place, country]]
        selected_fields: [id, place, updated_at]
        checks: {fresh: {within: 36h}, row_count: {severity: warn}}
  schedule: {cron: 0 6 * * *, timezone: Europe/Berlin, on_running: wait, running: true}
  checks:
    row_count: true
    moved_something: {min_rows_synced: 5}
    unique_key: true
    not_null: {columns: email}
    fresh: {within: 1d, column: updated_at}
    schema: {blocking: true}
    values_kept: {severity: error}
    expected_range: {min: 1, max: 9}
    sql: {none_paid_twice: "SELECT 1 FROM {table} WHERE paid > 1"}
    preset: strict
    on_unverified: fail
  reconcile: if_missing
""".replace("TYPE", TYPE)


def everything() -> AirbytePipeline:
    return AirbytePipeline(
        name="shop",
        description="All of it.",
        group_name="sales",
        owners=("team:data", "me@example.com"),
        tags={"tier": "gold"},
        deps=["raw/orders"],
        automation_condition=dg.AutomationCondition.eager(),
        source=Source(
            name="s",
            configuration={
                "sourceType": "postgres",
                "host": "db",
                "port": 5432,
                "tunnel_method": {"tunnel_method": "NO_TUNNEL"},
            },
            secrets={"password": dg.EnvVar("ORDERS_PASSWORD")},
            definition_id="00000000-0000-0000-0000-000000000001",
        ),
        destination=Destination(
            name="d",
            configuration={"destinationType": "duckdb", "destination_path": "/tmp/x.duckdb", "schema": "raw"},
            secrets={"motherduck_api_key": dg.EnvVar("TOKEN")},
            definition_id="00000000-0000-0000-0000-000000000002",
        ),
        connection=Connection(
            name="c",
            namespace_definition="custom_format",
            namespace_format="raw_${SOURCE_NAMESPACE}",
            prefix="p_",
            schedule="0 0 6 * * ?",
            status="inactive",
            streams=[
                "users",
                Stream(
                    name="orders",
                    namespace="public",
                    sync_mode="incremental_deduped_history",
                    cursor_field="updated_at",
                    primary_key=["id", ["place", "country"]],
                    selected_fields=["id", "place", "updated_at"],
                    checks={"fresh": {"within": "36h"}, "row_count": {"severity": "warn"}},
                ),
            ],
        ),
        schedule=Schedule(cron="0 6 * * *", timezone="Europe/Berlin", on_running="wait", running=True),
        checks={
            "row_count": True,
            "moved_something": {"min_rows_synced": 5},
            "unique_key": True,
            "not_null": {"columns": "email"},
            "fresh": {"within": "1d", "column": "updated_at"},
            "schema": {"blocking": True},
            "values_kept": {"severity": "error"},
            "expected_range": {"min": 1, "max": 9},
            "sql": {"none_paid_twice": "SELECT 1 FROM {table} WHERE paid > 1"},
            "preset": "strict",
            "on_unverified": "fail",
        },
        reconcile="if_missing",
    )


def test_all_that_python_declares_yaml_declares(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing in the environment; what ``dg check yaml`` takes is what loads."""
    project.write("shop", EVERYTHING)

    assert project.yaml_problems(capsys) == []
    assert component_of(project, "shop").pipeline == everything()
    assert project.load().get_repository_def().has_job("sync_shop")


class Closed(AirbytePipelineComponent):
    """Does something of its own before the sync."""

    def execute(self, context: dg.AssetExecutionContext, results: Iterator[Any]) -> Iterator[Any]:
        raise dg.Failure(f"{context.op_execution_context.op.name} is closed")


def test_the_op_is_as_the_component_says(project: Project) -> None:
    """Its tags, description and pool from YAML; and a subclass's `execute` runs before anything is called."""
    op = "  op: {tags: {team: data}, description: Ours., pool: airbyte}\n"
    project.write("shop", GOOD.replace("NAME", "shop") + op)
    read = component_of(project, "shop")
    component = Closed(
        pipeline=read.pipeline,
        airbyte=AirbyteResource(server_url="http://127.0.0.1:1/api/public/v1"),
        warehouse=None,
        op=read.op,
    )

    built = component.build_defs(dg.ComponentTree.for_project(project.root).load_context)
    (assets,) = (item for item in built.assets or () if isinstance(item, dg.AssetsDefinition))

    assert (assets.op.tags["team"], assets.op.description, assets.op.pool) == ("data", "Ours.", "airbyte")
    with pytest.raises(dg.Failure, match="shop_airbyte_sync is closed"):
        built.resolve_job_def("sync_shop").execute_in_process()


def test_nothing_is_left_out_above() -> None:
    """A new field of a declaration has to be put there."""

    def left_out(declaration: Declaration) -> Iterator[str]:
        yield from type(declaration).model_fields.keys() - declaration.model_fields_set
        for name in declaration.model_fields_set:
            value = getattr(declaration, name)
            yield from left_out(value) if isinstance(value, Source | Destination | Connection | Schedule) else ()

    pipeline = everything()
    assert pipeline.connection.streams
    orders = pipeline.connection.streams[1]

    assert [*left_out(pipeline), *(type(orders).model_fields.keys() - orders.model_fields_set)] == []
    assert type(pipeline.checks).model_fields.keys() == pipeline.checks.model_fields_set


def test_text_that_is_no_template_stays_text(project: Project) -> None:
    """Dagster's own rendering would make a number of it."""
    project.write("shop", GOOD.replace("NAME", "shop").replace("name: s,", 'name: "2030",'))

    assert component_of(project, "shop").pipeline.source.name == "2030"


def test_dagster_renders_what_is_no_secret(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, and what stands around the configurations, with all that Dagster offers."""
    monkeypatch.setenv("STAGE", "test")
    text = GOOD.replace("NAME", "shop_{{ env.STAGE }}").replace("/tmp", "{{ context.project_root }}")
    project.write("shop", text.replace("destination_path: ", "destination_path: '").replace("duckdb}", "duckdb'}"))

    component = component_of(project, "shop")

    assert component.pipeline.name == "shop_test"
    assert component.pipeline.destination.configuration["destination_path"] == f"{project.root}/x.duckdb"


def test_template_variables_of_the_project(project: Project) -> None:
    """May be whole configurations, with ``EnvVar`` in them, and resources."""
    project.write(
        "shop",
        f"""\
type: {TYPE}
template_vars_module: .template_vars
attributes:
  name: shop
  source: {{name: s, configuration: "{{{{ faker }}}}"}}
  destination: {{name: d, configuration: {{destinationType: duckdb, destination_path: x.duckdb}}}}
  connection: {{name: c, streams: "{{{{ streams }}}}"}}
  airbyte: "{{{{ eu }}}}"
""",
    )
    (project.defs / "shop" / "template_vars.py").write_text(
        """\
import dagster as dg
from airbyte_dagster import AirbyteResource


@dg.template_var
def faker():
    return {"sourceType": "faker", "api_key": dg.EnvVar("API_KEY")}


@dg.template_var
def streams():
    return ["users", {"name": "products"}]


@dg.template_var
def eu():
    return AirbyteResource(server_url="https://eu.example.com")
"""
    )

    component = component_of(project, "shop")

    assert component.pipeline.source.configuration["api_key"] == dg.EnvVar("API_KEY")
    assert isinstance(component.pipeline.source.configuration["api_key"], dg.EnvVar)
    assert [stream.name for stream in component.pipeline.connection.streams or ()] == ["users", "products"]
    assert component.airbyte is not None
    assert isinstance(component.airbyte, AirbyteResource)
    assert component.airbyte.server_url == "https://eu.example.com"


PAGE = Path(__file__).parents[2] / "docs" / "components.md"


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
def test_examples_of_the_page_are_right(text: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing in the environment."""
    project.write("example", text)

    assert project.yaml_problems(capsys) == []
    dg.Definitions.validate_loadable(project.load())


def scaffolded(params: dict[str, Any] | None = None, **options: Any) -> tuple[str, AirbytePipelineComponent]:
    """What is written, and what loads of it."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=AirbytePipelineComponent, defs_path="my shop", scaffold_params=params, **options
        )
        text = next(path.iterdir()).read_text()
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, _):
            # A folder with a component in Python is a folder to Dagster.
            for inner in (component, *getattr(component, "iterate_components", list)()):
                if isinstance(inner, AirbytePipelineComponent):
                    return text, inner
    raise AssertionError(text)


def test_a_scaffold_loads() -> None:
    """As it stands, and its commented lines, too."""
    text, component = scaffolded()

    assert component.pipeline.name == "my_shop"
    assert component.pipeline.source.type == "faker"
    assert isinstance(component.warehouse, MotherDuckResource)
    assert component.warehouse.database == "~/.airbyte-dagster/my_shop.duckdb"
    commented = text.replace("  # schedule: ", "  schedule: ")
    for line in ("airbyte:", "  server_url:", "  client_id:", "  client_secret:", "warehouse:", "  database:"):
        assert f"  # {line}" in commented
        commented = commented.replace(f"  # {line}", f"  {line}")
    attributes = safe_load_yaml(commented)["attributes"]
    whole = AirbytePipelineComponent.from_attributes_dict(attributes=attributes)
    assert whole.pipeline.schedule == Schedule(cron="0 6 * * *")
    assert whole.airbyte is not None
    assert isinstance(whole.airbyte, AirbyteResource)
    assert whole.airbyte.client_secret == dg.EnvVar("AIRBYTE_CLIENT_SECRET")


def test_a_scaffold_takes_parameters() -> None:
    """Another source, another database, a schedule."""
    _, component = scaffolded({"source_type": "postgres", "database": "md:lms", "schedule": "@daily"})

    assert component.pipeline.source.type == "postgres"
    assert component.pipeline.connection.streams is None
    assert component.pipeline.destination.configuration["motherduck_api_key"] == dg.EnvVar("MOTHERDUCK_APIKEY")
    assert component.pipeline.schedule == Schedule(cron="@daily")
    assert all(field.description for field in ScaffoldParams.model_fields.values())


def test_a_scaffold_in_python_loads() -> None:
    """The same in Python."""
    text, component = scaffolded({"schedule": "@daily"}, scaffold_format="python")

    assert "@dg.component_instance" in text
    assert component.pipeline.name == "my_shop"
    assert component.pipeline.schedule == Schedule(cron="@daily")


def test_a_scaffold_runs(project: Project, environment: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Against local Airbyte; post-processing changes its assets, and they still run."""
    status, output = project.dg("scaffold", "defs", TYPE, "shop")
    assert status == 0, output
    path = project.defs / "shop" / "defs.yaml"
    path.write_text(
        f"{path.read_text()}\npost_processing:\n  assets:\n"
        "    - {target: 'key:shop/users', attributes: {tags: {tier: gold}, group_name: people}}\n"
        "    - {attributes: {owners: ['team:data'], metadata: {cost_center: 7}}}\n"
    )

    definitions = project.load()
    result = definitions.resolve_job_def("sync_shop").execute_in_process(instance=instance)

    assert result.success
    assert {check.check_name for check in result.get_asset_check_evaluations() if check.passed} == {
        "row_count",
        "unique_key",
        "values_kept",
    }
    with duckdb.connect(str(environment.home.root / "shop.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(100,)]
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert specs["shop/users"].tags["tier"] == "gold"
    assert specs["shop/users"].group_name == "people"
    assert "tier" not in specs["shop/products"].tags
    assert specs["shop/products"].group_name == "shop"
    assert all(spec.owners == ["team:data"] for spec in specs.values())
    assert all(spec.metadata["cost_center"] == 7 for spec in specs.values())


def test_dg_lists_checks_and_shows_it(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In processes of its own; secrets are set, and said nowhere."""
    status, listed = project.dg("list", "components", "--json")
    assert status == 0, listed
    ours = {item["key"]: item["summary"] for item in json.loads(listed)["items"]}
    assert ours[TYPE].startswith("An Airbyte pipeline")
    assert "workspace" in ours["airbyte_dagster.AirbyteWorkspaceComponent"]

    for name in ("shop", "example"):
        project.write(name, SECRETS.replace("name: example", f"name: {name}"))
    environment = {
        **{name: f"{PLANTED}-{name}" for name in ("API_KEY", "TOKEN", "HEADER", "AIRBYTE_CLIENT_SECRET")},
        "AIRBYTE_SERVER_URL": "http://127.0.0.1:1",
        "AIRBYTE_CLIENT_ID": "id",
        "COUNT": "7",
        "SECONDS": "20",
        "FOLDER": str(tmp_path),
    }
    status, checked = project.dg("check", "defs", environment=environment)
    assert status == 0, checked
    assert "All component YAML validated" in checked
    assert "All definitions loaded" in checked

    status, shown = project.dg("list", "defs", "--json", environment=environment)
    assert status == 0, shown
    assert {asset["asset_key"] for asset in json.loads(shown)["assets"]} >= {"shop/users", "example/users"}
    assert PLANTED not in checked + shown

    path = project.write("shop", project.write("shop", SECRETS).read_text().replace("{name: c,", "{nme: c,"))
    said = "\n".join(project.yaml_problems(capsys))
    line = path.read_text().splitlines().index("  connection: {nme: c, streams: [users]}") + 1
    assert f"{path}:{line} - {TYPE} attributes.connection.nme Additional properties are not allowed" in said
    status, said_by_defs = project.dg("check", "defs", "--no-check-yaml", environment=environment)
    assert status == 1
    assert "connection.nme: unknown key; did you mean 'name'?" in said_by_defs
    assert PLANTED not in said + said_by_defs
