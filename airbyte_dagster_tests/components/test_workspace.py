"""A workspace in a ``defs.yaml``: read when that is wanted; loaded, run and shown by ``dg`` from what is stored."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster.components.testing import create_defs_folder_sandbox
from dagster_shared.yaml_utils import safe_load_yaml

from airbyte_dagster import (
    AirbyteResource,
    AirbyteStreamProps,
    AirbyteTranslator,
    AirbyteWorkspaceComponent,
    Checks,
    ConnectionSelector,
    MotherDuckResource,
)
from airbyte_dagster.components.workspace import WorkspaceAttributes
from airbyte_dagster.components.workspace_scaffold import WorkspaceScaffoldParams
from airbyte_dagster.errors import ConfigurationError, ServerUnreachable
from airbyte_dagster.runs.sync_op import OpSettings
from airbyte_dagster.workspaces.snapshot import WorkspaceSnapshot
from airbyte_dagster_tests.dg_project import Project
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.workspaces.records import connection, snapshot

TYPE = "airbyte_dagster.AirbyteWorkspaceComponent"
DOWN = "http://127.0.0.1:1/api/public/v1"
STORED = snapshot(
    connection("shop", ["users", "orders"], tags=("nightly",)),
    connection("crm", ["people"]),
    server_url=DOWN,
)


@pytest.fixture
def in_dev(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As ``dg dev`` loads a project."""
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)):
        yield


def write(project: Project, attributes: str, name: str = "lake") -> Path:
    return project.write(name, f"type: {TYPE}\nattributes:\n{attributes}")


def component_of(project: Project, name: str = "lake") -> AirbyteWorkspaceComponent:
    component = project.component(name)
    assert isinstance(component, AirbyteWorkspaceComponent)
    return component


def store(project: Project, stored: WorkspaceSnapshot = STORED, name: str = "workspace") -> Path:
    """Put a state where Dagster looks for it."""
    path = project.defs / ".local_defs_state" / f"AirbyteWorkspaceComponent__{name}__" / "state"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(stored.to_json())
    return path


def keys(definitions: dg.Definitions) -> set[str]:
    return {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}


# What it declares

EVERYTHING = """\
  name: lake
  airbyte: {server_url: "http://127.0.0.1:1", bearer_token: "{{ env.TOKEN }}", workspace_id: w-1}
  connection_selector:
    name: [shop*, crm]
    id: id-shop
    tag: nightly
    source_type: [postgres]
    destination_type: duckdb
    status: null
  translation:
    key: "{{ connection.name }}/{{ stream.name }}"
    key_prefix: [airbyte]
    group_name: "{{ source.type }}"
    description: "{{ spec.description }} In {{ props.table_name }}."
    owners: ["team:data"]
    tags: {tier: 1}
    metadata: {place: "{{ destination.place.destination_path }}"}
    deps: ["raw/{{ stream.name }}"]
    kinds: [lake]
    skippable: true
    code_version: "3"
    automation_condition: "{{ dg.AutomationCondition.eager() }}"
    freshness_policy: null
  warehouse: {database: /tmp/lake.duckdb}
  checks: {moved_something: true}
  column_schemas: true
  max_concurrent_syncs: 5
  wait: deferred
  sync_sensor: true
  poll_interval_seconds: 600
  one_op_per_connection: false
  pool: airbyte
  op: {tags: {team: data}, description: Ours.}
  airbyte_key: the_airbyte
  warehouse_key: the_warehouse
  defs_state: {management_type: LOCAL_FILESYSTEM, key: mine, refresh_if_dev: false}
"""


def test_all_that_python_says_yaml_says(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """What ``dg check yaml`` takes is what loads; secrets stay references."""
    write(project, EVERYTHING)

    assert project.yaml_problems(capsys) == []
    component = component_of(project)

    assert component.airbyte.bearer_token == dg.EnvVar("TOKEN")
    assert component.connection_selector == ConnectionSelector(
        name=["shop*", "crm"],
        id="id-shop",
        tag="nightly",
        source_type="postgres",
        destination_type="duckdb",
        status=None,
    )
    assert component.warehouse == MotherDuckResource(database="/tmp/lake.duckdb")
    assert component.checks == Checks(moved_something=True)
    assert (component.max_concurrent_syncs, component.wait, component.pool) == (5, "deferred", "airbyte")
    assert (component.sync_sensor, component.one_op_per_connection, component.column_schemas) == (True, False, True)
    assert component.poll_interval_seconds == 600
    assert (component.airbyte_key, component.warehouse_key) == ("the_airbyte", "the_warehouse")
    assert component.op == OpSettings(tags={"team": "data"}, description="Ours.")
    assert component.defs_state_config.key == "mine"
    assert not component.defs_state_config.refresh_if_dev


PAGE = Path(__file__).parents[2] / "docs" / "workspace.md"


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
def test_examples_of_the_page_are_right(text: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing in the environment."""
    project.write("example", text)
    url = "https://airbyte.example.com/api/public/v1"
    store(project, snapshot(connection("shop_eu", tags=("nightly",)), connection("crm"), server_url=url), "lake")

    assert project.yaml_problems(capsys) == []
    assert keys(project.load()) == {"airbyte/shop_eu/users"}


def test_nothing_is_left_out_above() -> None:
    """A new attribute has to be put there."""
    written = safe_load_yaml(f"x:\n{EVERYTHING}")["x"]

    assert written.keys() == WorkspaceAttributes.model_fields.keys()
    assert all(field.description for field in WorkspaceAttributes.model_fields.values())


def test_a_translation_changes_each_asset(project: Project) -> None:
    """Its templates see the stream with all that belongs to it; a null changes nothing."""
    write(
        project,
        EVERYTHING.replace("{management_type: LOCAL_FILESYSTEM, key: mine,", "{management_type: LOCAL_FILESYSTEM,"),
    )
    store(project, name="lake")

    specs = {spec.key.to_user_string(): spec for spec in project.load().resolve_all_asset_specs()}

    spec = specs["airbyte/shop/users"]
    assert specs.keys() >= {"airbyte/shop/orders", "raw/users"}
    assert "airbyte/crm/people" not in specs
    assert spec.group_name == "postgres"
    assert spec.description == "Stream 'users' of 'orders database', brought to 'duck' by Airbyte. In lake.main.users."
    assert list(spec.owners) == ["team:data"]
    assert spec.tags["tier"] == "1"
    assert spec.metadata["place"] == "/data/lake.duckdb"
    assert spec.metadata["airbyte/connection_name"] == "shop"
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey(["raw", "users"])]
    assert spec.kinds == {"lake"}
    assert spec.automation_condition == dg.AutomationCondition.eager()


def test_functions_of_the_project(project: Project) -> None:
    """A selector and a translation may be Python."""
    (project.defs / "lake").mkdir()
    (project.defs / "lake" / "mine.py").write_text(
        "import dagster as dg\n\n\n"
        "@dg.template_var\ndef long_enough():\n    return lambda connection: len(connection.streams) > 1\n\n\n"
        "@dg.template_var\ndef shown():\n    return lambda spec, stream: {'key': 'x/' + stream.name}\n"
    )
    (project.defs / "lake" / "defs.yaml").write_text(
        f'type: {TYPE}\ntemplate_vars_module: .mine\nattributes:\n  connection_selector: "{{{{ long_enough }}}}"\n'
        f'  translation: "{{{{ shown(spec, stream) }}}}"\n  airbyte: {{server_url: {DOWN}}}\n'
    )
    store(project)

    assert keys(project.load()) == {"x/users", "x/orders"}


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ("  nme: x\n", "nme: unknown key; did you mean 'name'?"),
        ("  name: no-name\n", "name: "),
        ("  connection_selector: {nme: x}\n", "connection_selector.nme: unknown key; did you mean 'name'?"),
        ("  connection_selector: {name: 7}\n", "connection_selector.name"),
        ("  translation: {group: x}\n", "translation.group: unknown key; did you mean 'group_name'?"),
        (
            "  translation: {partitions_def: {type: static, partition_keys: [a]}}\n",
            "translation.partitions_def: unknown",
        ),
        ("  wait: never\n", "wait: 'never' is not known"),
        ("  airbyte: null\n", "airbyte: "),
        ("  airbyte: {url: x}\n", "airbyte"),
        ("  max_concurrent_syncs: 0\n", "max_concurrent_syncs: "),
        ("  defs_state: {management_type: somewhere}\n", "defs_state.management_type: "),
    ],
)
def test_mistakes_are_found(
    attributes: str, problem: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """By ``dg check yaml`` with file and line, and by loading with the dotted path."""
    path = write(project, attributes)

    assert [line for line in project.yaml_problems(capsys) if line.startswith(f"{path}:3 ")]
    assert [said for said in project.problems() if said.startswith(problem)]


# State


def test_it_is_read_when_that_is_asked_for(
    project: Project, environment: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``dg utils refresh-defs-state`` reads it; from then on definitions load without Airbyte, with its assets."""
    api.connection(api.source(count=5), api.destination(), ["users", "products"], name="my shop")
    write(project, "  name: lake\n  defs_state: {management_type: LOCAL_FILESYSTEM, refresh_if_dev: false}\n")
    assert keys(project.load()) == set()

    status, output = project.dg("utils", "refresh-defs-state", environment=environment.environment)
    assert status == 0, output

    (path,) = (project.defs / ".local_defs_state").glob("*/state")
    assert environment.client_secret not in path.read_text()
    for name in environment.environment:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("airbyte_dagster.airbyte.calls.Caller.call", _not_to_be_called)
    definitions = project.load()
    assert keys(definitions) == {"my_shop/users", "my_shop/products"}
    assert definitions.get_repository_def().has_job("sync_lake")
    status, listed = project.dg("list", "defs", "--json")
    assert status == 0, listed
    assert {asset["asset_key"] for asset in json.loads(listed)["assets"]} == {"my_shop/users", "my_shop/products"}


def _not_to_be_called(*_: Any, **__: Any) -> None:
    raise AssertionError


def test_a_failed_refresh_is_said(project: Project) -> None:
    """Other than loading, it needs Airbyte; what is stored stays."""
    write(project, f"  airbyte: {{server_url: {DOWN}, workspace_id: w-1, max_attempts: 1}}\n")
    path = store(project)

    status, output = project.dg("utils", "refresh-defs-state")

    assert status == 1
    assert "127.0.0.1:1 can't be reached" in output.replace("\n", " ")
    assert WorkspaceSnapshot.from_json(path.read_text()) == STORED


@pytest.mark.usefixtures("environment")
def test_columns_are_stored_if_they_are_wanted(project: Project, api: Api, tmp_path: Path) -> None:
    """Of the selected connections alone."""
    for name in ("shop", "crm"):
        api.connection(api.source(count=5), api.destination(f"{name}.duckdb"), ["users"], name=name)
    write(project, "  name: lake\n  connection_selector: {name: shop}\n  column_schemas: true\n")

    component_of(project).write_state_to_path(tmp_path / "state")

    stored = WorkspaceSnapshot.from_json((tmp_path / "state").read_text())
    assert {one.name: one.streams[0].columns for one in stored.connections} == {
        "crm": (),
        "shop": ("id", "name", "updated_at"),
    }


@pytest.mark.usefixtures("in_dev")
def test_dev_reads_it_anew(project: Project, environment: RunningAirbyte, api: Api) -> None:
    """Whenever the code location is loaded, unless ``refresh_if_dev`` says no."""
    api.connection(api.source(count=5), api.destination(), ["users"], name="my shop")
    write(project, "  name: lake\n")

    assert keys(project.load()) == {"my_shop/users"}

    api.connection(api.source(count=5), api.destination("x.duckdb"), ["users"], name="more")
    assert keys(project.load()) == {"my_shop/users", "more/users"}
    assert environment.client_id


@pytest.mark.usefixtures("in_dev")
def test_dev_works_with_airbyte_down(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """From what is stored, which is said; if nothing is, it fails."""
    write(project, f"  airbyte: {{server_url: {DOWN}, workspace_id: w-1, max_attempts: 1}}\n")
    with pytest.raises(Exception, match="Error while building definitions") as caught:
        project.load()
    assert isinstance(caught.value.__cause__, ServerUnreachable)
    store(project)

    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        assert keys(project.load()) == {"shop/users", "shop/orders", "crm/people"}

    assert "as it is stored" in caplog.text


def test_nothing_stored_is_said(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """As Dagster's own components do, it loads without assets; the log names the command."""
    write(project, "  name: lake\n")

    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        assert keys(project.load()) == set()

    assert "dg utils refresh-defs-state" in caplog.text


def test_the_state_of_another_server_is_refused(project: Project) -> None:
    """Its connections are not there."""
    component = AirbyteWorkspaceComponent(airbyte=AirbyteResource(server_url="http://other.test"))
    path = store(project)

    with pytest.raises(ConfigurationError, match=r"has the state of the server http://127\.0\.0\.1:1"):
        component.build_defs_from_state(dg.ComponentTree.for_project(project.root).load_context, path)


# Python


class Component(AirbyteWorkspaceComponent):
    """A project's own."""

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        return super().get_asset_spec(props).replace_attributes(owners=["team:mine"])


class Translator(AirbyteTranslator):
    """Puts the type of the source first."""

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        spec = super().get_asset_spec(props)
        return spec.replace_attributes(key=spec.key.with_prefix(props.source.type))


def test_subclasses_and_translators(project: Project) -> None:
    """Both say how a stream is shown; the component the last word."""
    component = Component(
        airbyte=AirbyteResource(server_url=DOWN),
        connection_selector=lambda one: one.name == "crm",
        translator=Translator(),
    )

    built = component.build_defs_from_state(dg.ComponentTree.for_project(project.root).load_context, store(project))

    (spec,) = built.resolve_all_asset_specs()
    assert (spec.key.to_user_string(), list(spec.owners)) == ("postgres/crm/people", ["team:mine"])
    assert built.executor is None


class Closed(AirbyteWorkspaceComponent):
    """Does something of its own before the syncs."""

    def execute(self, context: dg.AssetExecutionContext, results: Iterator[Any]) -> Iterator[Any]:
        raise dg.Failure(f"{context.op_execution_context.op.name} is closed")


def test_the_op_is_as_the_component_says(project: Project) -> None:
    """Its tags, description and pool; and a subclass's `execute` runs before anything is called."""
    component = Closed(
        airbyte=AirbyteResource(server_url=DOWN),
        op=OpSettings(tags={"team": "data"}, description="Ours.", pool="airbyte"),
        one_op_per_connection=True,
    )
    built = component.build_defs_from_state(dg.ComponentTree.for_project(project.root).load_context, store(project))
    ops = [assets.op for assets in built.assets or () if isinstance(assets, dg.AssetsDefinition)]

    assert ops
    assert {(op.tags["team"], op.description, op.pool) for op in ops} == {("data", "Ours.", "airbyte")}
    with pytest.raises(dg.Failure, match=r"workspace_sync_.* is closed"):
        built.resolve_job_def("sync_workspace").execute_in_process()


def test_several_workspaces_are_one_code_location(project: Project) -> None:
    """Each with its own name, Airbyte and state; those of the environment share one resource."""
    for name, more in (("eu", f", airbyte: {{server_url: {DOWN}}}"), ("us", ""), ("asia", "")):
        project.write(name, f"type: {TYPE}\nattributes: {{name: {name}{more}, translation: {{key_prefix: {name}}}}}\n")
        url = DOWN if name == "eu" else "https://api.airbyte.com/v1"
        store(project, snapshot(connection("c"), server_url=url), name)

    definitions = project.load()

    assert keys(definitions) == {"eu/c/users", "us/c/users", "asia/c/users"}
    assert set(definitions.resources or {}) == {"eu_airbyte", "airbyte"}
    dg.Definitions.validate_loadable(definitions)


# Scaffold


def scaffolded(params: dict[str, Any] | None = None, **options: Any) -> tuple[str, AirbyteWorkspaceComponent]:
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=AirbyteWorkspaceComponent, defs_path="my_lake", scaffold_params=params or {}, **options
        )
        (file,) = [item for item in path.iterdir() if item.name in ("defs.yaml", "component.py")]
        text = file.read_text()
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, _):
            for inner in (component, *getattr(component, "iterate_components", list)()):
                if isinstance(inner, AirbyteWorkspaceComponent):
                    return text, inner
    raise AssertionError(text)


def test_a_scaffold_loads() -> None:
    """As it stands, and its commented lines, too."""
    text, component = scaffolded()

    assert component.name == "my_lake"
    assert component.warehouse is None
    lines = text[text.index("attributes:") :].splitlines()
    settings = [line for line in lines if line.startswith("  # ") and (line[4] == " " or line.endswith(":"))]
    commented = "\n".join(line.replace("  # ", "  ", 1) if line in settings else line for line in lines)
    whole = AirbyteWorkspaceComponent.from_attributes_dict(attributes=safe_load_yaml(commented)["attributes"])
    assert whole.airbyte.client_secret == dg.EnvVar("AIRBYTE_CLIENT_SECRET")
    assert whole.connection_selector == ConnectionSelector(name="shop_*", tag="nightly")
    assert whole.translation is not None
    assert whole.warehouse == MotherDuckResource(database="md:lms", motherduck_token=dg.EnvVar("MOTHERDUCK_APIKEY"))


@pytest.mark.parametrize("scaffold_format", ["yaml", "python"])
@pytest.mark.parametrize("database", ["md:lms", '/data/my "lake".duckdb', ""])
def test_a_scaffold_takes_a_database(database: str, scaffold_format: str) -> None:
    _, component = scaffolded({"database": database}, scaffold_format=scaffold_format)

    token = dg.EnvVar("MOTHERDUCK_APIKEY") if database.startswith("md:") else None
    assert component.warehouse == (MotherDuckResource(database=database, motherduck_token=token) if database else None)
    assert component.name == "my_lake"
    assert all(field.description for field in WorkspaceScaffoldParams.model_fields.values())


def test_dg_scaffolds_it_and_it_syncs(
    project: Project, environment: RunningAirbyte, api: Api, instance: dg.DagsterInstance
) -> None:
    """From the scaffold to rows that are counted, with nothing edited."""
    api.connection(api.source(count=5), api.destination(), ["users"], name="shop")
    database = str(environment.home.warehouse)
    for arguments in (
        ("scaffold", "defs", TYPE, "lake", "--database", database),
        ("utils", "refresh-defs-state"),
        ("check", "defs"),
    ):
        status, output = project.dg(*arguments, environment=environment.environment)
        assert status == 0, output

    result = project.load().resolve_job_def("sync_lake").execute_in_process(instance=instance)

    assert result.success
    (materialized,) = result.get_asset_materialization_events()
    assert materialized.asset_key == dg.AssetKey(["shop", "users"])
    assert materialized.materialization.metadata["dagster/row_count"].value == 5
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()}["row_count"]
